"""Whatever stands in an image file, pixels or an `ImageError` come out."""

import io
import os
import struct
import sys
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from manyhot.data.decoding import decode_image
from manyhot.errors import ImageError

HEIGHT, WIDTH = 17, 41
FORMATS = ("JPEG", "PNG", "WEBP")


def picture(mode: str = "RGB", height: int = HEIGHT, width: int = WIDTH) -> Image.Image:
    """A smooth picture, different in every corner."""
    noise = np.random.default_rng(7).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def saved(image: Image.Image, image_format: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, image_format, **options)
    return stream.getvalue()


def png(width: int, height: int, depth: int, colour: int, rows: bytes, extra: bytes = b"") -> bytes:
    """A PNG written by hand, for the kinds that Pillow does not write. `rows` start with their filter byte."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def scans_by_colour() -> list[bytes]:
    """The head of a sequential JPEG, and a scan for each of its three colours: grey pictures with one set of tables."""
    greys = [saved(plane, "JPEG") for plane in picture().split()]
    frame, scan = greys[0].index(b"\xff\xc0"), greys[0].index(b"\xff\xda")
    size = struct.pack(">BHHB", 8, HEIGHT, WIDTH, 3)
    colours = b"".join(bytes((number, 0x11, 0)) for number in (1, 2, 3))
    head = greys[0][:frame] + b"\xff\xc0\0\x11" + size + colours + greys[0][frame + 13 : scan]
    starts = [b"\xff\xda\0\x08\1" + bytes((number, 0, 0, 63, 0)) for number in (1, 2, 3)]
    return [head, *(start + grey[grey.index(b"\xff\xda") + 10 : -2] for start, grey in zip(starts, greys, strict=True))]


def rgb(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB"))


# What comes out


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


# What is refused


@pytest.mark.parametrize("image_format", FORMATS)
@pytest.mark.parametrize("share", [0.02, 0.1, 0.3, 0.5, 0.9, 0.99])
def test_truncated_files_are_refused(image_format: str, share: float) -> None:
    data = saved(picture(height=100, width=100), image_format)
    with pytest.raises(ImageError, match=r"cut off|damaged|none of JPEG"):
        decode_image(data[: int(len(data) * share)])


def test_a_jpeg_that_is_patched_up_after_truncation_is_refused() -> None:
    data = saved(picture(height=100, width=100), "JPEG")
    with pytest.raises(ImageError, match="premature end"):
        decode_image(data[: len(data) // 2] + b"\xff\xd9")


def test_a_truncated_progressive_jpeg_is_refused() -> None:
    data = saved(picture(height=100, width=100), "JPEG", progressive=True)
    with pytest.raises(ImageError, match=r"[Pp]remature end"):
        decode_image(data[: int(len(data) * 0.7)])


def test_a_flipped_bit_in_a_png_is_found() -> None:
    data = bytearray(saved(picture(), "PNG"))
    data[len(data) // 2] ^= 16
    with pytest.raises(ImageError, match="checksum"):
        decode_image(bytes(data))


REFUSED = {
    "empty": (b"", "is empty"),
    "one byte": (b"\xff", "is none of JPEG"),
    "only a start": (b"\xff\xd8\xff", "cut off"),
    "start and end": (b"\xff\xd8\xff\xd9", "damaged"),
    "random": (np.random.default_rng(1).bytes(1000), "is none of JPEG"),
    "zeros": (bytes(1000), "is none of JPEG"),
    "HTML": (b"<!DOCTYPE html><html><body>404</body></html>", "HTML page"),
    "HTML with a mark and blanks": (b"\xef\xbb\xbf\n <HTML>", "HTML page"),
    "SVG": (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "is SVG"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0", "is PostScript"),
    "PDF": (b"%PDF-1.7", "is PDF"),
    "AVIF": (b"\0\0\0 ftypavif", "is AVIF"),
    "PNG without chunks": (b"\x89PNG\r\n\x1a\n", "cut off"),
    "PNG of 0 rows": (png(3, 0, 8, 2, b""), "0 pixels"),
    "PNG without IDAT": (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", bytes(13)) + chunk(b"IEND", b""), "0 × 0"),
    "PNG with IEND first": (b"\x89PNG\r\n\x1a\n" + chunk(b"IEND", b""), "damaged"),
    "PNG of a depth that there is not": (png(1, 1, 7, 2, b"\0" + bytes(3)), "damaged"),
    "WebP of a strange chunk": (b"RIFF" + struct.pack("<I", 22) + b"WEBPJUNK" + bytes(14), "damaged"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_picture_is_refused_by_name(name: str, tmp_path: Path) -> None:
    data, reason = REFUSED[name]
    path = tmp_path / "picture.jpg"
    path.write_bytes(data)
    with pytest.raises(ImageError, match=reason) as caught:
        decode_image(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def lying(image_format: str) -> bytes:
    """A small file whose header claims a huge picture."""
    if image_format == "PNG":
        return png(60_000, 60_000, 8, 2, b"")
    data = bytearray(saved(picture(), image_format))
    if image_format == "WEBP":
        data[26:30] = struct.pack("<HH", 16383, 16383)
    else:
        frame = data.index(b"\xff\xc0")
        data[frame + 5 : frame + 9] = struct.pack(">HH", 65_500, 65_500)
    return bytes(data)


@pytest.mark.parametrize("image_format", FORMATS)
def test_bombs_are_refused_before_memory_is_spent(image_format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("a bomb reached a decoder")

    for decoder in ("JpegImageFile", "PngImageFile", "WebPImageFile", "simplejpeg.decode_jpeg"):
        monkeypatch.setattr(f"manyhot.data.decoding.{decoder}", fail)
    with pytest.raises(ImageError, match=r"the limit is 100,000,000|cannot hold 65,500 × 65,500 pixels"):
        decode_image(lying(image_format))


def test_an_animation_is_judged_by_its_canvas() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    data = bytearray(saved(frames[0], "WEBP", save_all=True, append_images=frames[1:], duration=10))
    assert data[12:16] == b"VP8X"
    data[24:30] = (16383).to_bytes(3, "little") * 2
    with pytest.raises(ImageError, match="16,384 × 16,384 pixels; the limit"):
        decode_image(bytes(data))


@pytest.mark.parametrize("image_format", FORMATS)
def test_the_limit_of_pixels_is_exact(image_format: str) -> None:
    data = saved(picture(), image_format)
    assert decode_image(data, max_pixels=HEIGHT * WIDTH).shape == (HEIGHT, WIDTH, 3)
    with pytest.raises(ImageError, match="max_pixels"):
        decode_image(data, max_pixels=HEIGHT * WIDTH - 1)


def test_pictures_above_the_limit_of_pillow_bring_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", HEIGHT * WIDTH - 1)
    for image_format in FORMATS:
        assert decode_image(saved(picture(), image_format)).shape == (HEIGHT, WIDTH, 3)


def test_a_jpeg_of_endless_scans_is_refused() -> None:
    data = saved(picture(), "JPEG", progressive=True)
    scan = data.rindex(b"\xff\xda")
    with pytest.raises(ImageError, match="more than 100 scans"):
        decode_image(data[:-2] + data[scan:-2] * 200 + data[-2:])


@pytest.mark.parametrize(
    "between", [b"\xff\xfe\0\x04\xff\xd9", b"\xff\x01"], ids=["a comment with an end", "a marker without a length"]
)
def test_endless_scans_hide_behind_nothing(between: bytes) -> None:
    data = saved(picture(), "JPEG", progressive=True)
    scan = data.rindex(b"\xff\xda")
    with pytest.raises(ImageError, match="more than 100 scans"):
        decode_image(data[:-2] + (between + data[scan:-2]) * 200 + data[-2:])


@pytest.mark.parametrize("marker", [b"\xff\xd0", b"\xff\xd7", b"\xff\x01"], ids=["RST0", "RST7", "TEM"])
def test_markers_that_nothing_belongs_to_hide_no_header(marker: bytes) -> None:
    data = saved(picture(), "JPEG", progressive=True)
    frame, scan = data.index(b"\xff\xc2"), data.rindex(b"\xff\xda")
    endless = data[:-2] + data[scan:-2] * 200 + data[-2:]
    # Taken for a segment, the marker would hide all up to its "length", 0xFFC2, where a picture of one scan stands.
    bait = saved(picture(), "JPEG")
    hidden = endless[:frame] + marker + endless[frame:]
    filler = 0xFFC2 - (len(hidden) - frame - len(marker)) - 4
    hidden += b"\xff\xfe" + struct.pack(">H", filler + 2) + bytes(filler) + bait[2:]
    with pytest.raises(ImageError, match="more than 100 scans"):
        decode_image(hidden)


def test_a_sequential_jpeg_without_the_scan_of_a_colour_is_cut_off() -> None:
    head, *scans = scans_by_colour()
    assert decode_image(head + b"".join(scans) + b"\xff\xd9").shape == (HEIGHT, WIDTH, 3)
    for found in ([0], [0, 1], [0, 0, 0], [0, 1, 1]):
        with pytest.raises(ImageError, match="a scan of its colours is missing"):
            decode_image(head + b"".join(scans[number] for number in found) + b"\xff\xd9")


def test_scans_behind_the_only_one_that_a_sequential_jpeg_can_have_are_refused_by_the_decoder() -> None:
    data = saved(picture(), "JPEG")
    scan = data.rindex(b"\xff\xda")
    with pytest.raises(ImageError, match="more than one scan"):
        decode_image(data[:-2] + data[scan:-2] * 200 + data[-2:])


@pytest.mark.skipif(sys.platform == "win32", reason="Pillow has libtiff linked in there, out of reach")
@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate"])
def test_a_damaged_tiff_is_refused_and_nothing_written_past_us(compression: str, capfd) -> None:
    data = bytearray(saved(picture(), "TIFF", compression=compression))
    for place in range(100, len(data) // 2, 7):
        data[place] ^= 0x5A
    with pytest.raises(ImageError, match="is a damaged TIFF"):
        decode_image(bytes(data))
    assert capfd.readouterr() == ("", "")


def test_missing_files_folders_and_pipes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"absent\.jpg: does not exist"):
        decode_image(tmp_path / "absent.jpg")
    with pytest.raises(ImageError, match="is a folder"):
        decode_image(tmp_path)
    with pytest.raises(ImageError, match="cannot be a file's name"):
        decode_image(tmp_path / "a\0b.jpg")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(ImageError, match="no ordinary file"):
            decode_image(tmp_path / "pipe")


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.jpg"
    with path.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(ImageError, match="1,099,511,627,776 bytes"):
        decode_image(path)


@pytest.mark.real_data
def test_real_posters_decode_as_with_pillow(shared_data: Path) -> None:
    paths = sorted((shared_data / "posters" / "images").glob("*.jpg"))[::100]
    assert paths
    for path in paths:
        # 1: see test_jpeg_pixels_are_those_of_pillow.
        assert np.abs(decode_image(path).astype(int) - rgb(ImageOps.exif_transpose(Image.open(path)))).max() <= 1
