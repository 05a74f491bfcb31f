"""Decoded pictures kept in memory or on disk: from the second epoch on nothing is decoded."""

import logging
import threading
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int64, UInt8

from manyhot.data.decoding import EncodedImage, open_image
from manyhot.data.disk_room import DiskRoom
from manyhot.data.resizing import ScaledPixels
from manyhot.errors import ImageError
from manyhot.sources.picture_store import PictureStore

log = logging.getLogger("manyhot")

SHARE_OF_MEMORY = 0.25
"""How much of the memory that is available the pictures may take before they are not kept."""

_PROBED = 64


@dataclass(frozen=True, kw_only=True, eq=False)
class KeptImage:
    """A picture that was decoded once, beside its file: where a smaller decoding is called for, that is done as ever.

    Args:
        encoded: The picture's file.
        pixels: The picture as it is stored.
        content: The bytes to decode, where `encoded` does not hold them itself.
    """

    encoded: EncodedImage
    pixels: ScaledPixels
    content: UInt8[np.ndarray, " b"] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Stored height and width of the picture, upright."""
        return self.encoded.size

    def decode(self, *, at_least: tuple[int, int] | None = None) -> ScaledPixels:
        """Return what `EncodedImage.decode` returns."""
        if self.encoded.divisor(at_least) == 1:
            return self.pixels
        encoded = self.encoded if self.content is None else _with_content(self.encoded, self.content.tobytes())
        return encoded.decode(at_least=at_least)


class PictureCache:
    """Keeps every picture that was opened, decoded, until it is itself forgotten. Safe to use from several threads.

    Args:
        room: Where pixels and files are kept; in memory without it.

    >>> cache = PictureCache()
    >>> cache.get(3) is None
    True
    """

    def __init__(self, room: DiskRoom | None = None) -> None:
        self._kept: dict[int, KeptImage] = {}
        self._room = room
        self._is_full = False
        self._lock = threading.Lock()

    def get(self, row: int) -> KeptImage | None:
        """Return a picture if it is kept."""
        return self._kept.get(row)

    def keep(self, row: int, encoded: EncodedImage) -> KeptImage | EncodedImage:
        """Decode a picture and keep it; return it as it came where the disk has no room for it.

        Raises:
            ImageError: If it is damaged.
        """
        if self._is_full:
            return encoded
        kept = KeptImage(encoded=encoded, pixels=encoded.decode())
        if self._room is not None:
            try:
                kept = _put_away(kept, self._room)
            except OSError as error:
                # Never more than a loss of speed.
                self._give_up(f"{self._room.folder}: {error.strerror}")
                return kept
        self._kept[row] = kept
        return kept

    def _give_up(self, reason: str) -> None:
        with self._lock:
            was_full, self._is_full = self._is_full, True
        if not was_full:
            log.warning("warning: %s; pictures that are not kept yet are decoded anew in every epoch", reason)


def _put_away(kept: KeptImage, room: DiskRoom) -> KeptImage:
    pixels = replace(kept.pixels, pixels=room.put(kept.pixels.pixels))
    content = room.put(np.frombuffer(kept.encoded.container.pixels, dtype=np.uint8))
    return KeptImage(encoded=_with_content(kept.encoded, b""), pixels=pixels, content=content)


def _with_content(encoded: EncodedImage, content: bytes) -> EncodedImage:
    return replace(encoded, container=replace(encoded.container, pixels=content, exif=b""))


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
