"""What stands in an image file comes out, as Pillow has it."""

import io
import struct
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from written_pictures import FORMATS, HEIGHT, WIDTH, chunk, picture, png, rgb, saved

from manyhot.data.decoding import decode_image


@pytest.mark.parametrize("image_format", ["PNG", "WEBP"])
@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P"])
def test_lossless_files_come_out_as_their_rgb_pixels(image_format: str, mode: str) -> None:
    image = picture(mode)
    options = {"lossless": True, "quality": 0} if image_format == "WEBP" else {}
    np.testing.assert_array_equal(decode_image(saved(image, image_format, **options)), rgb(image))


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_jpeg_pixels_are_those_of_pillow(mode: str, progressive: bool, subsampling: int) -> None:
    options = {} if mode == "L" else {"subsampling": subsampling}
    data = saved(picture(mode), "JPEG", quality=80, progressive=progressive, **options)
    ours, theirs = decode_image(data).astype(int), rgb(Image.open(io.BytesIO(data))).astype(int)
    # Both are libjpeg-turbo. They agree exactly here; another build of it may round colours differently by a level.
    assert np.abs(ours - theirs).max() <= 1


def test_rare_subsampling_decodes_with_pillow_to_the_same_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(data: bytes) -> tuple[int, int, str, str]:
        raise ValueError("tjDecompressHeader3(): Could not determine subsampling level of JPEG image")

    odd_exif = b"MM\0*" + struct.pack(">IHHHIHH", 8, 1, 0x0112, 3, 2**31, 6, 0)
    data = saved(picture(), "JPEG", exif=odd_exif, icc_profile=b"odd", comment=b"none")
    expected = decode_image(data)
    monkeypatch.setattr("simplejpeg.decode_jpeg_header", refuse)
    assert np.abs(decode_image(data).astype(int) - expected).max() <= 1


@pytest.mark.parametrize("image_format", FORMATS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(image_format: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(picture(), image_format, exif=exif.tobytes())
    theirs = rgb(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    ours = decode_image(data)
    assert ours.shape == theirs.shape
    # 1: see test_jpeg_pixels_are_those_of_pillow.
    assert np.abs(ours.astype(int) - theirs).max() <= 1
    assert ours.flags.c_contiguous
    assert ours.flags.writeable


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_makes_no_sense_is_ignored(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert decode_image(saved(picture(), "JPEG", exif=exif.tobytes())).shape == (HEIGHT, WIDTH, 3)


def test_an_orientation_in_either_byte_order_is_read() -> None:
    for head, order in ((b"II*\0", "<"), (b"MM\0*", ">")):
        tags = struct.pack(order + "IHHHIHH", 8, 1, 0x0112, 3, 1, 6, 0)
        data = saved(picture(), "PNG", exif=head + tags)
        np.testing.assert_array_equal(decode_image(data), np.rot90(rgb(picture()), -1))


def test_adobe_cmyk_is_read_as_inverted() -> None:
    data = saved(picture("CMYK"), "JPEG", quality=95)
    assert b"Adobe" in data
    theirs = rgb(Image.open(io.BytesIO(data)))
    # Pillow rounds the product of two channels twice.
    assert np.abs(decode_image(data).astype(int) - theirs).max() <= 1


def test_cmyk_without_the_adobe_marker_is_read_as_it_stands() -> None:
    data = saved(picture("CMYK"), "JPEG", quality=95)
    start = data.index(b"\xff\xee")
    (length,) = struct.unpack_from(">H", data, start + 2)
    plain = data[:start] + data[start + 2 + length :]
    # Pillow takes every CMYK file for Adobe's: what it reads as ink is light here.
    light = np.asarray(Image.open(io.BytesIO(plain))).astype(float)
    expected = light[..., :3] * light[..., 3:] / 255
    inverted = 255 - light
    assert np.abs(decode_image(plain) - inverted[..., :3] * inverted[..., 3:] / 255).max() > 100
    assert np.abs(decode_image(plain) - expected).max() <= 1


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("image_format", ["PNG", "WEBP"])
def test_transparent_parts_lie_on_white(image_format: str, mode: str) -> None:
    image = picture(mode)
    alpha = np.tile(np.linspace(0, 255, WIDTH).astype(np.uint8), (HEIGHT, 1))
    image.putalpha(Image.fromarray(alpha))
    options = {"lossless": True, "exact": True} if image_format == "WEBP" else {}
    weight = alpha[..., None] / 255
    expected = rgb(image) * weight + 255 * (1 - weight)
    # 1: rounding of the mixture.
    assert np.abs(decode_image(saved(image, image_format, **options)) - expected).max() <= 1


@pytest.mark.parametrize("transparency", [0, bytes([0, 128, 255])])
def test_transparent_palette_entries_lie_on_white(transparency: int | bytes) -> None:
    image = Image.fromarray(np.array([[0, 1, 2]], dtype=np.uint8), "P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    decoded = decode_image(saved(image, "PNG", transparency=transparency))[0]
    assert decoded[0].tolist() == [255, 255, 255]
    assert decoded[2].tolist() == [70, 80, 90]
    half = [40, 50, 60] if transparency == 0 else [147, 152, 157]
    # 1: rounding of the mixture 128/255.
    assert np.abs(decoded[1].astype(int) - half).max() <= 1


def test_16_bit_grey_is_scaled_not_clipped() -> None:
    values = np.array([[0, 255, 256, 300, 32768, 65535]], dtype=np.uint16)
    decoded = decode_image(saved(Image.fromarray(values), "PNG"))
    assert decoded[0, :, 0].tolist() == [0, 0, 1, 1, 128, 255]


@pytest.mark.parametrize(("colour", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_16_bits_of_every_kind_give_the_high_byte(colour: int, channels: int) -> None:
    values = np.random.default_rng(3).integers(0, 65536, (5, 3, channels)).astype(">u2")
    if colour in (4, 6):
        values[..., -1] = 65535
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    decoded = decode_image(png(3, 5, 16, colour, rows))
    expected = np.broadcast_to(values[..., : 3 if channels > 2 else 1] >> 8, (5, 3, 3))
    np.testing.assert_array_equal(decoded, expected)


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_the_transparent_grey_of_any_depth_lies_on_white(depth: int) -> None:
    top = 2**depth - 1
    row = (
        struct.pack(">HH", 0, top)
        if depth == 16
        else bytes([0, top])
        if depth == 8
        else bytes([top << (8 - 2 * depth)])
    )
    key = chunk(b"tRNS", struct.pack(">H", top))
    plain = decode_image(png(2, 1, depth, 0, b"\0" + row))
    keyed = decode_image(png(2, 1, depth, 0, b"\0" + row, key))
    assert plain[0, :, 0].tolist() == [0, 255]
    assert keyed[0, :, 0].tolist() == [0, 255]
    dark = decode_image(png(2, 1, depth, 0, b"\0" + row, chunk(b"tRNS", struct.pack(">H", 0))))
    assert dark[0, :, 0].tolist() == [255, 255]


@pytest.mark.parametrize("depth", [8, 16])
def test_the_transparent_colour_lies_on_white(depth: int) -> None:
    colours = [(10, 20, 30), (40, 50, 60)]
    scale = 257 if depth == 16 else 1
    code = ">HHH" if depth == 16 else ">BBB"
    row = b"".join(struct.pack(code, *(value * scale for value in colour)) for colour in colours)
    key = chunk(b"tRNS", struct.pack(">HHH", *(value * scale for value in colours[0])))
    assert decode_image(png(2, 1, depth, 2, b"\0" + row, key))[0].tolist() == [[255, 255, 255], [40, 50, 60]]


@pytest.mark.parametrize("image_format", ["WEBP", "PNG"])
def test_the_first_picture_of_an_animation_counts(image_format: str) -> None:
    first, second = Image.new("RGB", (5, 4), (10, 200, 30)), Image.new("RGB", (5, 4), (250, 0, 0))
    data = saved(first, image_format, save_all=True, append_images=[second], duration=10, lossless=True)
    np.testing.assert_array_equal(decode_image(data), rgb(first))


@pytest.mark.parametrize("image_format", FORMATS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1)])
def test_extreme_shapes_are_read(image_format: str, shape: tuple[int, int]) -> None:
    assert decode_image(saved(picture(height=shape[0], width=shape[1]), image_format)).shape == (*shape, 3)


@pytest.mark.parametrize("image_format", FORMATS)
def test_the_extension_does_not_matter(image_format: str, tmp_path: Path) -> None:
    path = tmp_path / "picture.bmp"
    path.write_bytes(saved(picture(), image_format))
    np.testing.assert_array_equal(decode_image(path), decode_image(path.read_bytes()))


@pytest.mark.parametrize("image_format", FORMATS)
def test_bytes_after_the_end_are_ignored(image_format: str) -> None:
    data = saved(picture(), image_format)
    np.testing.assert_array_equal(decode_image(data + b"\0" * 100 + b"trailing"), decode_image(data))


def test_broken_profiles_and_endless_texts_of_a_png_are_not_even_read() -> None:
    bomb = zlib.compress(b"\0" * 2**26, 9)
    extra = chunk(b"iCCP", b"profile\0\0" + bomb) + chunk(b"zTXt", b"key\0\0" + bomb) + chunk(b"acTL", b"short")
    row = b"\0" + bytes([1, 2, 3])
    assert decode_image(png(1, 1, 8, 2, row, extra)).tolist() == [[[1, 2, 3]]]


def test_a_jpeg_with_a_broken_profile_is_read() -> None:
    data = saved(picture(), "JPEG", icc_profile=b"no profile at all")
    np.testing.assert_array_equal(decode_image(data), decode_image(saved(picture(), "JPEG")))


def test_threads_get_the_same_pixels() -> None:
    files = [saved(picture(), image_format, quality=90) for image_format in FORMATS] * 8
    expected = [decode_image(data) for data in files]
    found: dict[int, np.ndarray] = {}

    def decode(index: int) -> None:
        found[index] = decode_image(files[index])

    threads = [threading.Thread(target=decode, args=(index,)) for index in range(len(files))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index, pixels in enumerate(expected):
        np.testing.assert_array_equal(found[index], pixels)


@pytest.mark.real_data
def test_real_posters_decode_as_with_pillow(shared_data: Path) -> None:
    paths = sorted((shared_data / "posters" / "images").glob("*.jpg"))[::100]
    assert paths
    for path in paths:
        # 1: see test_jpeg_pixels_are_those_of_pillow.
        assert np.abs(decode_image(path).astype(int) - rgb(ImageOps.exif_transpose(Image.open(path)))).max() <= 1
