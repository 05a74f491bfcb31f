"""Which way up a picture is: the orientation that EXIF states, and the turn that undoes it."""

import struct

import numpy as np
from jaxtyping import UInt8

MIRRORED = frozenset((2, 3, 6, 7))
"""Orientations whose columns run from right to left once rows and columns are what they should be."""

UPSIDE_DOWN = frozenset((3, 4, 7, 8))
"""Orientations whose rows then run from bottom to top."""

_ORIENTATION_TAG = 0x0112
_SHORT = 3


def read_orientation(exif: bytes) -> int:
    r"""Return the orientation that an EXIF block states, 1 to 8; 1 (upright) where it states none that makes sense.

    Only the main directory counts: a thumbnail's own orientation says nothing about the picture.

    Args:
        exif: The block, with or without the leading `Exif` and two zero bytes.

    >>> read_orientation(b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0")
    6
    >>> read_orientation(b"no EXIF at all")
    1
    """
    block = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(order + "I", block, 4)
        (entries,) = struct.unpack_from(order + "H", block, start)
        for entry in range(entries):
            tag, kind, count, value = struct.unpack_from(order + "HHIH", block, start + 2 + 12 * entry)
            if tag == _ORIENTATION_TAG:
                return value if kind == _SHORT and count == 1 and 1 <= value <= 8 else 1
    except struct.error:
        pass  # A damaged directory states nothing; the picture itself may be whole.
    return 1


def upright(image: UInt8[np.ndarray, "h w 3"], orientation: int) -> UInt8[np.ndarray, "height width 3"]:
    """Return the picture turned and mirrored as its orientation asks; 5 to 8 swap height and width.

    Source: EXIF 2.32, table "Orientation".

    >>> upright(np.zeros((2, 5, 3), np.uint8), 6).shape
    (5, 2, 3)
    """
    if orientation == 1:
        return image
    if orientation >= 5:
        image = image.transpose(1, 0, 2)
    if orientation in MIRRORED:
        image = image[:, ::-1]
    if orientation in UPSIDE_DOWN:
        image = image[::-1]
    return np.ascontiguousarray(image)
