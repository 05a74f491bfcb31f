"""What is no picture, or one that would do harm, is refused with an `ImageError` that says why."""

import os
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from written_pictures import FORMATS, HEIGHT, WIDTH, chunk, picture, png, saved, scans_by_colour

from manyhot.data.decoding import decode_image
from manyhot.errors import ImageError


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
