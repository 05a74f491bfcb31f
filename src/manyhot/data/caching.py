"""Decoded pictures kept in memory, where all of them fit: from the second epoch on nothing is decoded."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from manyhot.data.decoding import EncodedImage, open_image
from manyhot.data.resizing import ScaledPixels
from manyhot.errors import ImageError
from manyhot.sources.picture_store import PictureStore

SHARE_OF_MEMORY = 0.25
"""How much of the memory that is available the pictures may take before they are not kept."""

_PROBED = 64


@dataclass(frozen=True, kw_only=True, eq=False)
class KeptImage:
    """A picture that was decoded once, beside its file: where a smaller decoding is called for, that is done as ever.

    Args:
        encoded: The picture's file.
        pixels: The picture as it is stored.
    """

    encoded: EncodedImage
    pixels: ScaledPixels

    @property
    def size(self) -> tuple[int, int]:
        """Stored height and width of the picture, upright."""
        return self.encoded.size

    def decode(self, *, at_least: tuple[int, int] | None = None) -> ScaledPixels:
        """Return what `EncodedImage.decode` returns."""
        return self.pixels if self.encoded.divisor(at_least) == 1 else self.encoded.decode(at_least=at_least)


class PictureCache:
    """Keeps every picture that was opened, decoded, until it is itself forgotten. Safe to use from several threads.

    >>> cache = PictureCache()
    >>> cache.get(3) is None
    True
    """

    def __init__(self) -> None:
        self._kept: dict[int, KeptImage] = {}

    def get(self, row: int) -> KeptImage | None:
        """Return a picture if it is kept."""
        return self._kept.get(row)

    def keep(self, row: int, encoded: EncodedImage) -> KeptImage:
        """Decode a picture and keep it.

        Raises:
            ImageError: If it is damaged.
        """
        kept = KeptImage(encoded=encoded, pixels=encoded.decode())
        self._kept[row] = kept
        return kept


def decoded_bytes(pictures: PictureStore, rows: Int64[np.ndarray, " k"]) -> int:
    """Return about how much memory some pictures take, decoded, beside their files; judged by 64 of them.

    Pictures that cannot be read count nothing.

    >>> from pathlib import Path
    >>> from manyhot.sources.picture_store import PictureFiles
    >>> decoded_bytes(PictureFiles.from_paths([Path("absent.jpg")]), np.array([0]))
    0
    """
    probed = rows[np.linspace(0, len(rows) - 1, min(len(rows), _PROBED)).astype(np.int64)] if len(rows) else rows
    found = [_size_of(pictures, row) for row in probed.tolist()]
    return round(float(np.mean(found)) * len(rows)) if found else 0


def _size_of(pictures: PictureStore, row: int) -> int:
    try:
        content = pictures.read(row)
        height, width = open_image(content).size
    except ImageError:
        return 0
    return 3 * height * width + len(content)
