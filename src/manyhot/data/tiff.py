"""TIFF, as far as it is read: the first picture, plain or packed without loss, of whole numbers up to 16 bits.

Only the tags that shape pixels reach the decoder, in a directory of our own: whatever else a file holds can do no harm.
"""

import struct
from dataclasses import dataclass, replace

from manyhot.data.containers import Container
from manyhot.errors import ImageError

TIFF_STARTS = (b"II*\0", b"MM\0*")

MAX_TILE_PIXELS = 2**24
"""Tiles are buffered whole, whatever size the picture has."""

_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 254, 256, 257, 258, 259, 262
_STRIP_OFFSETS, _SAMPLES, _STRIP_COUNTS, _SAMPLE_FORMAT = 273, 277, 279, 339
_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_COUNTS = 322, 323, 324, 325
_ROWS_PER_STRIP, _PLANAR, _PREDICTOR, _COLOURS, _EXTRA_SAMPLES, _FILL_ORDER = 278, 284, 317, 320, 338, 266
_SINGLE_TAGS = (
    _WIDTH, _HEIGHT, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER, _SAMPLES, _ROWS_PER_STRIP, _PLANAR, _PREDICTOR,
    _TILE_WIDTH, _TILE_HEIGHT,
)  # fmt: skip
_LISTS = (
    _BITS, _STRIP_OFFSETS, _STRIP_COUNTS, _COLOURS, _TILE_OFFSETS, _TILE_COUNTS, _EXTRA_SAMPLES, _SAMPLE_FORMAT,
)  # fmt: skip
_PIXEL_TAGS = tuple(sorted(_SINGLE_TAGS + _LISTS))
_LOSSLESS = {1: "none", 5: "LZW", 8: "deflate", 32946: "deflate", 32773: "PackBits"}
_WHITE_IS_ZERO, _PHOTOMETRICS = 0, {0: "grey", 1: "grey", 2: "RGB", 3: "palette", 5: "CMYK"}
_NUMBERS = {1: "B", 3: "H", 4: "I"}


@dataclass(frozen=True, kw_only=True)
class _Entry:
    """A tag as it stands in a directory, and its whole numbers (none if it holds something else)."""

    raw: bytes
    values: tuple[int, ...]


def read_tiff(data: bytes) -> Container:
    r"""Return what a TIFF says of its first picture, with all that does not shape its pixels left out.

    Raises:
        ImageError: If it is cut off, contradicts itself, or is of a kind that is not read: each is said by name.

    >>> read_tiff(b"II*\0\x08\0\0\0\0\0")
    Traceback (most recent call last):
    manyhot.errors.ImageError: has a directory without a size; it is damaged
    """
    order = "<" if data.startswith(b"II") else ">"
    entries = _read_directory(data, order)
    width, height = _first(entries, _WIDTH), _first(entries, _HEIGHT)
    if width is None or height is None:
        raise ImageError("has a directory without a size; it is damaged")
    _check_kind(entries)
    _check_extent(entries, len(data))
    kept = [_plain_entry(tag, entries[tag], order) for tag in _PIXEL_TAGS if tag in entries and entries[tag].values]
    directory = struct.pack(order + "H", len(kept)) + b"".join(kept) + bytes(4)
    # Places in the file are counted from its start: what was there stays, and the new directory goes to the end.
    place = len(data) + len(data) % 2
    head = data[:4] + struct.pack(order + "I", place)
    pixels = head + data[8:] + bytes(len(data) % 2) + directory
    return Container(format="TIFF", width=width, height=height, exif=data, pixels=pixels)


def _read_directory(data: bytes, order: str) -> dict[int, _Entry]:
    (start,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, start)
    entries: dict[int, _Entry] = {}
    for place in range(start + 2, start + 2 + 12 * count, 12):
        tag, kind, size = struct.unpack_from(order + "HHI", data, place)
        entry = _Entry(raw=data[place : place + 12], values=())
        if kind in _NUMBERS and size and tag not in entries:
            code = f"{order}{size}{_NUMBERS[kind]}"
            length = struct.calcsize(code)
            at = place + 8 if length <= 4 else struct.unpack_from(order + "I", data, place + 8)[0]
            # A damaged tag that shapes no pixels is none of our business.
            if tag in _PIXEL_TAGS or at + length <= len(data):
                entry = replace(entry, values=struct.unpack_from(code, data, at))
        entries.setdefault(tag, entry)
    return entries


def _plain_entry(tag: int, entry: _Entry, order: str) -> bytes:
    """Return the entry as the decoder expects it: what should be one number is one, however many there were."""
    if tag in _LISTS:
        return entry.raw
    value = entry.values[0]
    kind, code = (3, "HH") if value < 2**16 else (4, "I")
    return struct.pack(f"{order}HHI{code}", tag, kind, 1, value, *(0,) * (len(code) - 1))


def _first(entries: dict[int, _Entry], tag: int) -> int | None:
    return entries[tag].values[0] if tag in entries and entries[tag].values else None


def _all(entries: dict[int, _Entry], tag: int) -> set[int]:
    """Return the different numbers of a tag; 1, which is what both such tags mean by default, if it has none."""
    return set(entries[tag].values) or {1} if tag in entries else {1}


def _check_kind(entries: dict[int, _Entry]) -> None:
    if (_first(entries, _SUBFILE) or 0) & 1:
        raise ImageError("is a TIFF that starts with a preview, as raw photos do; convert it")
    formats, bits = _all(entries, _SAMPLE_FORMAT), _all(entries, _BITS)
    if formats != {1}:
        kind = "floating-point numbers" if formats == {3} else "signed or unusual numbers"
        raise ImageError(f"is a TIFF of {kind}, which do not say what is black and what white; convert it to 8 bits")
    if len(bits) > 1 or not bits <= {1, 2, 4, 8, 16}:
        raise ImageError(f"is a TIFF of {sorted(bits)} bits; 1, 2, 4, 8 and 16 are read: convert it")
    compression, photometric = _first(entries, _COMPRESSION) or 1, _first(entries, _PHOTOMETRIC)
    if compression not in _LOSSLESS:
        known = ", ".join(dict.fromkeys(_LOSSLESS.values()))
        raise ImageError(f"is a TIFF of compression {compression}; {known} are read: convert it")
    if photometric not in _PHOTOMETRICS or (photometric == _WHITE_IS_ZERO and bits == {16}):
        raise ImageError(f"is a TIFF of colour kind {photometric} in {max(bits)} bits, which is not read; convert it")


def _check_extent(entries: dict[int, _Entry], length: int) -> None:
    is_tiled = _TILE_OFFSETS in entries
    tags = (_TILE_OFFSETS, _TILE_COUNTS) if is_tiled else (_STRIP_OFFSETS, _STRIP_COUNTS)
    places, counts = (entries[tag].values if tag in entries else () for tag in tags)
    if not places or len(places) != len(counts):
        raise ImageError("does not say where its pixels are; it is damaged")
    end = max(place + count for place, count in zip(places, counts, strict=True))
    if end > length:
        raise ImageError(f"is cut off: {end - length:,} bytes are missing; get it again from where it came from")
    if is_tiled and (_first(entries, _TILE_WIDTH) or 0) * (_first(entries, _TILE_HEIGHT) or 0) > MAX_TILE_PIXELS:
        raise ImageError(f"has tiles of more than {MAX_TILE_PIXELS:,} pixels; it is damaged")
