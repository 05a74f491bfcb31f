"""A picture from a file is what its transform makes of it, though less may be decoded."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from manyhot.data.augmentation import EvaluationTransform, TrainingTransform
from manyhot.data.decoding import decode_image, open_image
from manyhot.data.pictures import load_picture
from manyhot.errors import ImageError, UsageError


def picture(height: int, width: int) -> Image.Image:
    """A smooth picture, different in every corner."""
    noise = np.random.default_rng(7).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def saved(image: Image.Image, image_format: str = "JPEG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, image_format, **options)
    return stream.getvalue()


def turned(height: int, width: int, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(picture(height, width), quality=95, exif=exif.tobytes())


@pytest.mark.parametrize("shape", [(400, 600), (401, 599), (33, 2000), (8, 8), (7, 3), (1, 5000)])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_a_jpeg_is_decoded_at_a_half_a_quarter_or_an_eighth_and_never_below_what_suffices(
    shape: tuple[int, int], options: dict[str, object]
) -> None:
    encoded = open_image(saved(picture(*shape), **options))
    random = np.random.default_rng(0)
    for _ in range(20):
        least = tuple(int(random.integers(1, side + 1)) for side in shape)
        decoded = encoded.decode(at_least=(least[0], least[1]))
        divisor = decoded.divisor
        assert divisor in (1, 2, 4, 8)
        assert decoded.pixels.shape[:2] == tuple(-(-side // divisor) for side in shape)
        assert all(have >= want for have, want in zip(decoded.pixels.shape, least, strict=False))
        assert divisor == 8 or any(side < 2 * divisor * want for side, want in zip(shape, least, strict=True))


def test_what_is_to_be_larger_than_stored_comes_as_it_is_stored() -> None:
    assert decode_image(saved(picture(20, 30)), at_least=(40, 10)).shape == (20, 30, 3)
    assert decode_image(saved(picture(20, 30), "PNG"), at_least=(2, 2)).shape == (20, 30, 3)


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_grey_and_cmyk_are_decoded_smaller_too(mode: str) -> None:
    data = saved(picture(80, 120).convert(mode), quality=95)
    small = decode_image(data, at_least=(40, 60)).astype(float)
    means = decode_image(data).reshape(40, 2, 60, 2, 3).mean(axis=(1, 3))
    # 1: libjpeg drops the fine half of the frequencies, where a mean over pixels fades it; smooth pictures have little.
    assert np.abs(small - means).mean() < 1


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("shape", [(400, 600), (397, 603)])
def test_smaller_decoding_shows_the_same_part(shape: tuple[int, int], orientation: int) -> None:
    data = turned(*shape, orientation)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
    assert open_image(data).size == upright.shape[:2]
    for seed, transform in enumerate((EvaluationTransform(40), TrainingTransform(40), TrainingTransform(20, 0.3))):
        found = load_picture(data, transform, np.random.default_rng(seed)).transpose(1, 2, 0).astype(int)
        whole = transform(upright, np.random.default_rng(seed)).astype(int)
        # A shift by a quarter of a pixel of the square would be a mean of 1 here.
        assert np.abs(found - whole).mean() < 0.6


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_without_smaller_decoding_a_picture_is_the_transform_of_its_pixels(image_format: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(picture(61, 83), image_format, exif=exif.tobytes())
    for transform in (EvaluationTransform(40), TrainingTransform(40), TrainingTransform(100)):
        expected = transform(decode_image(data), np.random.default_rng(1))
        np.testing.assert_array_equal(
            load_picture(data, transform, np.random.default_rng(1)).transpose(1, 2, 0), expected
        )


def test_random_draws_do_not_depend_on_how_large_a_picture_is_decoded() -> None:
    after = []
    for source in (saved(picture(400, 600)), saved(picture(400, 600), "PNG"), saved(picture(30, 20))):
        generator = np.random.default_rng(3)
        load_picture(source, TrainingTransform(24), generator)
        after.append(generator.random())
    assert len(set(after)) == 1


def test_a_picture_goes_where_it_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(saved(picture(50, 70)))
    batch = np.zeros((2, 3, 16, 16), dtype=np.uint8)
    given = load_picture(path, EvaluationTransform(16), out=batch[1])
    assert np.shares_memory(given, batch)
    np.testing.assert_array_equal(batch[1], load_picture(path, EvaluationTransform(16)))
    assert not batch[0].any()


def shrink(image: np.ndarray, generator: np.random.Generator | None) -> np.ndarray:
    return image[:8, :9]


def test_any_function_of_pixels_is_a_transform() -> None:
    data = saved(picture(50, 70), "PNG")
    expected = decode_image(data)[:8, :9].transpose(2, 0, 1)
    np.testing.assert_array_equal(load_picture(data, shrink), expected)
    place = np.zeros((3, 8, 9), dtype=np.uint8)
    assert load_picture(data, shrink, out=place) is place
    np.testing.assert_array_equal(place, expected)
    with pytest.raises(UsageError, match=r"planes of \(3, 8, 9\) for a place of \(3, 8, 8\)"):
        load_picture(data, shrink, out=np.zeros((3, 8, 8), dtype=np.uint8))


def test_damage_is_found_in_what_is_decoded_smaller() -> None:
    data = saved(picture(400, 400))
    with pytest.raises(ImageError, match="bytes in memory: is a damaged JPEG: Premature end"):
        load_picture(data[: len(data) // 2], EvaluationTransform(20))


@pytest.mark.real_data
def test_photos_of_any_size_are_near_to_pillow_antialiased(shared_data: Path) -> None:
    paths = sorted((shared_data / "coco128" / "images").glob("*.jpg"))[::8]
    upright = [ImageOps.exif_transpose(Image.open(path)).convert("RGB") for path in paths]
    for size, worst in ((224, 0.25), (112, 0.25), (32, 1.5), (16, 1.5)):
        theirs = [image.resize((size, size), Image.Resampling.BILINEAR) for image in upright]
        ours = [load_picture(path, EvaluationTransform(size)).transpose(1, 2, 0) for path in paths]
        differences = [np.abs(a - np.asarray(b).astype(int)).mean() for a, b in zip(ours, theirs, strict=True)]
        # 1: the bound that evaluation promises. Only the small squares are decoded smaller, and only there does it cost.
        assert np.mean(differences) < min(worst, 1)
        assert max(differences) < worst
