"""What becomes of one picture when it is packed: copied to the byte, or made smaller and encoded anew."""

from dataclasses import dataclass

import numpy as np
import simplejpeg
from jaxtyping import UInt8

from manyhot.data.decoding import BYTES_NAME, EncodedImage, open_image
from manyhot.data.resizing import write_part
from manyhot.errors import ImageError
from manyhot.sources.pack_files import PackSettings


@dataclass(frozen=True, kw_only=True, eq=False)
class PackedPicture:
    """A picture as it is packed.

    Args:
        suffix: The ending that its content asks for, without a dot: names of files do not count.
        content: Its file.
    """

    suffix: str
    content: bytes | memoryview


def pack_picture(content: bytes | memoryview, settings: PackSettings) -> PackedPicture:
    """Return a picture's file as it is packed. Safe to call from several threads.

    A picture whose shorter side is longer than asked for is made smaller, antialiased as in evaluation, and written as
    an upright JPEG; every other file is copied to the byte. Both are decoded whole: what a pack holds can be read.

    Raises:
        ImageError: If it cannot be decoded; the message does not name it.

    >>> white = simplejpeg.encode_jpeg(np.full((40, 60, 3), 255, np.uint8))
    >>> smaller = pack_picture(white, PackSettings(short_side=20))
    >>> smaller.suffix, simplejpeg.decode_jpeg(smaller.content).shape
    ('jpg', (20, 30, 3))
    >>> pack_picture(white, PackSettings(short_side=40)).content == white
    True
    """
    try:
        encoded = open_image(content)
        size = _packed_size(*encoded.size, settings.short_side)
        if size == encoded.size:
            encoded.decode()
            kind = encoded.container.format
            return PackedPicture(suffix="jpg" if kind == "JPEG" else kind.lower(), content=content)
        pixels = _resized(encoded, size)
    except ImageError as error:
        raise ImageError(str(error).removeprefix(f"{BYTES_NAME}: ")) from None
    # 4:2:0, as nearly all photographs are stored: 4:4:4 would take a third more bytes for colours that few models see.
    jpeg = simplejpeg.encode_jpeg(pixels, quality=settings.quality, colorsubsampling="420")
    return PackedPicture(suffix="jpg", content=jpeg)


def _packed_size(height: int, width: int, short_side: int | None) -> tuple[int, int]:
    shorter = min(height, width)
    if short_side is None or shorter <= short_side:
        return height, width
    # Whole numbers: every machine rounds alike.
    return (height * short_side + shorter // 2) // shorter, (width * short_side + shorter // 2) // shorter


def _resized(encoded: EncodedImage, size: tuple[int, int]) -> UInt8[np.ndarray, "height width 3"]:
    # Three times as large as needed, as for `CropPlan.least_size`.
    source = encoded.decode(at_least=(3 * size[0], 3 * size[1]))
    planes = np.empty((3, *size), dtype=np.uint8)
    write_part(source, (0, 0, *encoded.size), planes, kind="antialiased")
    return np.ascontiguousarray(planes.transpose(1, 2, 0))
