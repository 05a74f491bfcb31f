"""What becomes of one picture: the same picture, upright, as large as asked for and no larger."""

import io

import numpy as np
import pytest
from PIL import Image

from manyhot.data.decoding import decode_image
from manyhot.data.packing import pack_picture
from manyhot.errors import ImageError
from manyhot.sources.pack_files import PackSettings

SMALL = PackSettings(short_side=40, quality=95)


def smooth(height: int, width: int) -> Image.Image:
    rows, columns = np.mgrid[:height, :width]
    planes = [rows * 200 // height, columns * 200 // width, (rows + columns) * 100 // (height + width)]
    return Image.fromarray(np.stack(planes, axis=-1).astype(np.uint8))


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WebP"])
@pytest.mark.parametrize("size", [(97, 131), (131, 97), (41, 300), (375, 500)])
def test_a_smaller_picture_is_the_one_that_pillow_makes(kind: str, size: tuple[int, int]) -> None:
    content = saved(smooth(*size), kind, quality=98)
    packed = pack_picture(content, SMALL)
    pixels = decode_image(packed.content)
    assert packed.suffix == "jpg"
    assert min(pixels.shape[:2]) == 40
    expected = Image.fromarray(decode_image(content)).resize(pixels.shape[1::-1], Image.Resampling.BILINEAR)
    # JPEG at quality 95 with halved colours: within two grey levels in the mean of a smooth picture.
    assert np.abs(pixels.astype(float) - np.asarray(expected, dtype=float)).mean() < 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_smaller_picture_is_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = saved(smooth(90, 120), "JPEG", exif=exif.tobytes(), quality=98)
    pixels, upright = decode_image(pack_picture(content, SMALL).content), decode_image(content)
    assert (pixels.shape[0] < pixels.shape[1]) == (upright.shape[0] < upright.shape[1])
    expected = Image.fromarray(upright).resize(pixels.shape[1::-1], Image.Resampling.BILINEAR)
    assert np.abs(pixels.astype(float) - np.asarray(expected, dtype=float)).mean() < 2


@pytest.mark.parametrize(("kind", "suffix"), [("JPEG", "jpg"), ("PNG", "png"), ("WebP", "webp")])
def test_a_picture_that_is_small_enough_is_copied_with_the_ending_of_its_content(kind: str, suffix: str) -> None:
    content = saved(smooth(40, 400), kind)
    for settings in (SMALL, PackSettings()):
        packed = pack_picture(content, settings)
        assert (packed.content, packed.suffix) == (content, suffix)


@pytest.mark.parametrize("settings", [SMALL, PackSettings()])
@pytest.mark.parametrize("cut", [0, 30, 400])
def test_what_cannot_be_decoded_is_refused_and_not_named(settings: PackSettings, cut: int) -> None:
    content = saved(smooth(90, 120), "JPEG")[:cut]
    with pytest.raises(ImageError, match=r"^is ") as raised:
        pack_picture(content, settings)
    assert "bytes in memory" not in str(raised.value)


def test_one_pixel_stays_one_pixel() -> None:
    assert decode_image(pack_picture(saved(smooth(1, 1), "PNG"), SMALL).content).shape == (1, 1, 3)
    tall = pack_picture(saved(smooth(5000, 2), "PNG"), PackSettings(short_side=1))
    assert decode_image(tall.content).shape == (2500, 1, 3)
