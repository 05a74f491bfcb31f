"""BMP and GIF, as far as they are read: plain bitmaps, and the first picture of an animation."""

import struct

from manyhot.data.containers import Container
from manyhot.errors import ImageError

_OLD_HEADER = 12
_PLAIN, _BIT_FIELDS = 0, 3
_GIF_PICTURE, _GIF_EXTENSION, _GIF_END = 0x2C, 0x21, b";"


def read_bmp(data: bytes) -> Container:
    """Return what a BMP says of itself.

    Raises:
        ImageError: If it is cut off, or packed: run lengths are read nowhere fast enough to be safe.

    >>> read_bmp(b"BM" + bytes(12) + struct.pack("<IiiHHIIIIII", 40, 2, 1, 1, 8, 1, 0, 0, 0, 0, 0))
    Traceback (most recent call last):
    manyhot.errors.ImageError: is a BMP of compression 1; only plain ones are read: convert it
    """
    offset, header = struct.unpack_from("<II", data, 10)
    if header == _OLD_HEADER:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        compression = _PLAIN
    else:
        width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, 18)
    if compression not in (_PLAIN, _BIT_FIELDS):
        raise ImageError(f"is a BMP of compression {compression}; only plain ones are read: convert it")
    # A negative height says that the first row comes first.
    width, height = max(width, 0), abs(height)
    # Rows end at places that four divides.
    missing = offset + height * ((width * bits + 31) // 32 * 4) - len(data)
    if missing > 0 and width * height:
        raise ImageError(f"is cut off: {missing:,} bytes are missing; get it again from where it came from")
    return Container(format="BMP", width=width, height=height, exif=b"", pixels=data)


def read_gif(data: bytes) -> Container:
    """Return what a GIF says of its first picture; the others, and what is said of them, are left out.

    Raises:
        ImageError: If it is cut off before the end of its first picture, or that does not fit its canvas.

    >>> read_gif(b"GIF89a" + bytes(7) + b";")
    Traceback (most recent call last):
    manyhot.errors.ImageError: holds no picture; it is damaged
    """
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    position = 13 + _colour_table(flags)
    while data[position] == _GIF_EXTENSION:
        position = _after_blocks(data, position + 2)
    if data[position] != _GIF_PICTURE:
        raise ImageError("holds no picture; it is damaged")
    left, top, across, down, flags = struct.unpack_from("<HHHHB", data, position + 1)
    if left + across > width or top + down > height:
        raise ImageError("holds a picture beyond its canvas; it is damaged")
    # The byte before the blocks says how many bits the first codes have.
    end = _after_blocks(data, position + 10 + _colour_table(flags) + 1)
    return Container(format="GIF", width=width, height=height, exif=b"", pixels=data[:end] + _GIF_END)


def _colour_table(flags: int) -> int:
    """Return how many bytes a table of colours takes, if the flags say that there is one."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _after_blocks(data: bytes, position: int) -> int:
    """Return where a chain of blocks ends: each starts with its length, the last one is empty."""
    while data[position]:
        position += 1 + data[position]
    return position + 1
