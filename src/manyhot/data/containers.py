"""What a JPEG, PNG or WebP says of itself before it is decoded: size, EXIF, and whether it is all there."""

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from manyhot.errors import ImageError

ImageFormat = Literal["JPEG", "PNG", "WebP", "GIF", "BMP", "TIFF"]

MAX_SCANS = 100
"""Encoders write about ten scans; a few kilobytes with thousands of them keep a decoder busy for hours."""

PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_PIXEL_CHUNKS = frozenset((b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"))
_SOF_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SEQUENTIAL_SOF = (0xC0, 0xC1)
# Restarts, and a byte without use: nothing belongs to them.
_BARE_MARKERS = frozenset((0x01, *range(0xD0, 0xD8)))
_FIRST_ARITHMETIC_SOF = 0xC9
# In a scan 0xFF before 0 is data, and bare markers are part of it.
_SEGMENT_START = re.compile(rb"\xff+([^\x00\x01\xff\xd0-\xd7])", re.DOTALL)
_SCAN, _END = b"\xda", b"\xd9"
_SCAN_START = re.compile(rb"\xff\xda")


@dataclass(frozen=True, kw_only=True)
class Container:
    """What stands around the pixels.

    Args:
        format: The format, by content: names of files do not count.
        width: Pixels in a row, before any turning.
        height: Rows.
        exif: The EXIF block; empty where there is none.
        pixels: The bytes to decode: the whole file, or what of it shapes pixels.
        is_adobe: Whether a JPEG carries Adobe's marker: its CMYK values are then inverted.
    """

    format: ImageFormat
    width: int
    height: int
    exif: bytes
    pixels: bytes
    is_adobe: bool = False


def read_jpeg(data: bytes) -> Container:
    r"""Return what a JPEG says of itself.

    Raises:
        ImageError: If it is damaged, has so many scans that decoding would take hours, or states a size that its bytes
            cannot hold.
        IndexError: If it is cut off before its first scan, or `struct.error`.

    >>> read_jpeg(b"\xff\xd8\xff\xd9")
    Traceback (most recent call last):
    manyhot.errors.ImageError: ends before its first scan; it is damaged
    """
    size: tuple[int, int] | None = None
    frame, num_planes, exif, is_adobe = 0, 0, b"", False
    start = 0
    for marker, start, end in _jpeg_segments(data):
        if marker in _SOF_MARKERS and size is None:
            height, width, num_planes = struct.unpack_from(">HHB", data, start + 5)
            frame, size = marker, (width, height)
        elif marker == 0xE1 and data.startswith(b"Exif\0\0", start + 4) and not exif:
            exif = data[start + 4 : end]
        elif marker == 0xEE and data.startswith(b"Adobe", start + 4):
            is_adobe = True
    if size is None:
        raise ImageError("has no frame before its first scan; it is damaged")
    # Where the first scan has all planes of a sequential picture, as nearly always, decoders take no other.
    has_one_scan = frame in _SEQUENTIAL_SOF and data[start + 4] == num_planes
    if not has_one_scan and _has_too_many_scans(data, start):
        raise ImageError(f"has more than {MAX_SCANS} scans; it is refused, for decoding it would take hours")
    if not has_one_scan and frame in _SEQUENTIAL_SOF and len(_scanned(data, start)) < num_planes:
        raise ImageError("is cut off: a scan of its colours is missing; get it again from where it came from")
    # Huffman codes take a bit at least for each block of 8 × 8 pixels: refused before a decoder takes memory for them.
    if frame < _FIRST_ARITHMETIC_SOF and size[0] * size[1] > 64 * 8 * len(data):
        raise ImageError(f"cannot hold {size[0]:,} × {size[1]:,} pixels in {len(data):,} bytes; it is damaged")
    return Container(format="JPEG", width=size[0], height=size[1], exif=exif, pixels=data, is_adobe=is_adobe)


def _has_too_many_scans(data: bytes, position: int) -> bool:
    """Return whether more than `MAX_SCANS` start at a position or behind it, before the picture ends."""
    # This count is fast (an expression finds markers in less than half the time of bytes.count), and includes what
    # follows the picture: phones put a video there.
    if sum(1 for _ in islice(_SCAN_START.finditer(data, position), MAX_SCANS + 1)) <= MAX_SCANS:
        return False
    return sum(1 for _ in islice(_scans(data, position), MAX_SCANS + 1)) > MAX_SCANS


def _scanned(data: bytes, position: int) -> set[int]:
    """Return the ids of the planes that the scans at a position and behind it hold."""
    return {
        number for start in _scans(data, position) for number in data[start + 3 : start + 3 + 2 * data[start + 2] : 2]
    }


def _scans(data: bytes, position: int) -> Iterator[int]:
    """Yield where the header of each scan starts, from a position to the end of the picture."""
    while (found := _SEGMENT_START.search(data, position)) and found[1] != _END:
        if found[1] == _SCAN:
            yield found.end()
        (length,) = struct.unpack_from(">H", data, found.end())
        position = found.end() + length


def strip_jpeg(data: bytes) -> bytes:
    """Return a JPEG without EXIF, profiles and comments: Pillow reads them on opening, and warns of what is odd."""
    parts, end = [data[:2]], 2
    for marker, start, end in _jpeg_segments(data):
        if not (0xE1 <= marker <= 0xED or marker in (0xEF, 0xFE)):
            parts.append(data[start:end])
    return b"".join((*parts, data[end:]))


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and end of each segment up to the header of the first scan; start is that of the marker's last 0xFF."""
    marker, position = 0, 2
    while marker != 0xDA:
        marker, position = _next_marker(data, position)
        if marker in _BARE_MARKERS:
            continue
        (length,) = struct.unpack_from(">H", data, position)
        yield marker, position - 2, position + length
        position += length


def _next_marker(data: bytes, position: int) -> tuple[int, int]:
    """Return the marker at a position, and where its contents start."""
    start = position
    while data[position] == 0xFF:
        position += 1
    if position == start or not data[position]:
        raise ImageError("has bytes where a marker should stand; it is damaged")
    if data[position] == 0xD9:
        raise ImageError("ends before its first scan; it is damaged")
    return data[position], position + 1


def read_png(data: bytes) -> Container:
    """Return what a PNG says of itself, with text, profiles and animation left out: decoding them can only do harm.

    Raises:
        ImageError: If it is damaged or cut off.
        IndexError: If it is cut off within its first bytes, or `struct.error`.

    >>> read_png(PNG_START + struct.pack(">I4sI", 0, b"IEND", 0xAE426082))
    Traceback (most recent call last):
    manyhot.errors.ImageError: does not start with its header; it is damaged
    """
    parts, exif = [PNG_START], b""
    position, kind = len(PNG_START), b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            raise ImageError(f"is cut off: {end - len(data):,} bytes are missing; get it again from where it came from")
        if kind in _PNG_PIXEL_CHUNKS:
            _check_crc(data, position, end)
            parts.append(data[position:end])
        elif kind == b"eXIf":
            exif = data[position + 8 : end - 4]
        position = end
    if len(parts) < 3 or parts[1][4:8] != b"IHDR":
        raise ImageError("does not start with its header; it is damaged")
    width, height = struct.unpack_from(">II", parts[1], 8)
    return Container(format="PNG", width=width, height=height, exif=exif, pixels=b"".join(parts))


def _check_crc(data: bytes, position: int, end: int) -> None:
    (expected,) = struct.unpack_from(">I", data, end - 4)
    if zlib.crc32(memoryview(data)[position + 4 : end - 4]) != expected:
        raise ImageError("has a wrong checksum; it is damaged")


def read_webp(data: bytes) -> Container:
    """Return what a WebP says of itself.

    Raises:
        ImageError: If it is damaged or cut off.
        IndexError: If it is cut off within its first bytes, or `struct.error`.

    >>> read_webp(b"RIFF" + struct.pack("<I", 1000) + b"WEBP")
    Traceback (most recent call last):
    manyhot.errors.ImageError: is cut off: 996 bytes are missing; get it again from where it came from
    """
    (length,) = struct.unpack_from("<I", data, 4)
    if length + 8 > len(data):
        missing = length + 8 - len(data)
        raise ImageError(f"is cut off: {missing:,} bytes are missing; get it again from where it came from")
    kind = data[12:16]
    if kind == b"VP8X":
        width = 1 + int.from_bytes(data[24:27], "little")
        height = 1 + int.from_bytes(data[27:30], "little")
    elif kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    elif kind == b"VP8 ":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    else:
        raise ImageError(f"starts with a chunk {kind!r}; it is damaged")
    exif = _riff_chunk(data, b"EXIF") if kind == b"VP8X" else b""
    return Container(format="WebP", width=width, height=height, exif=exif, pixels=data)


def _riff_chunk(data: bytes, wanted: bytes) -> bytes:
    position = 12
    while position + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, position)
        if kind == wanted:
            return data[position + 8 : position + 8 + length]
        # Chunks start at even places.
        position += 8 + length + length % 2
    return b""
