"""Decoded pictures kept in memory or on disk, as small as they were called for: nothing is decoded twice."""

import logging
import math
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int64

from manyhot.data.augmentation import ImageTransform
from manyhot.data.decoding import EncodedImage, open_image
from manyhot.data.disk_room import DiskRoom
from manyhot.data.pictures import is_crop
from manyhot.data.resizing import ScaledPixels
from manyhot.errors import ImageError
from manyhot.sources.picture_store import PictureStore

log = logging.getLogger("manyhot")

SHARE_OF_MEMORY = 0.25
"""How much of the memory that is available the pictures may take before they are not kept."""

_PROBED = 64
_DRAWS = 128
"""Crops that are drawn of each probed picture, to see at which fractions it is decoded."""


class PictureCache:
    """Keeps decoded pictures until it is itself forgotten. Safe to use from several threads.

    A crop that is much smaller than the picture has it decoded at a half, a quarter or an eighth: what was decoded is
    kept, at each fraction that is called for, so that results are those of decoding anew. Nearly every picture is
    called for at one fraction or two.

    Args:
        room: Where pixels are kept; in memory without it.
        limit_bytes: No more is kept than so many bytes of pixels; what comes then is decoded anew every time.

    >>> import simplejpeg
    >>> jpeg = simplejpeg.encode_jpeg(np.zeros((80, 60, 3), np.uint8))
    >>> cache = PictureCache()
    >>> for _ in range(2):
    ...     picture = cache.open(3, lambda: print("read") or open_image(jpeg))
    ...     print(picture.decode(at_least=(20, 15)).pixels.shape, cache.size_bytes)
    read
    (20, 15, 3) 900
    (20, 15, 3) 900
    """

    def __init__(self, room: DiskRoom | None = None, *, limit_bytes: int | None = None) -> None:
        self._files: dict[int, KeptFile] = {}
        self._pixels: dict[tuple[int, int], ScaledPixels] = {}
        self._room = room
        self._limit_bytes = math.inf if limit_bytes is None else limit_bytes
        self._size_bytes = 0
        self._is_full = False
        self._lock = threading.Lock()

    @property
    def size_bytes(self) -> int:
        """Bytes that the kept pixels take."""
        return self._size_bytes

    def open(self, row: int, read: Callable[[], EncodedImage]) -> "KeptImage | EncodedImage":
        """Return a picture.

        Args:
            row: Its number.
            read: Reads its file; called only where it is not known yet, or not kept at the size that is called for.

        Raises:
            ImageError: Of `read`.
        """
        file = self._files.get(row)
        if file is not None:
            return KeptImage(row=row, file=file, cache=self, read=read)
        encoded = read()
        if self._is_full:
            return encoded
        file = self._files[row] = KeptFile.of(encoded)
        return KeptImage(row=row, file=file, cache=self, read=lambda: encoded)

    def get(self, row: int, divisor: int) -> ScaledPixels | None:
        """Return a picture decoded at a fraction, if that is kept."""
        return self._pixels.get((row, divisor))

    def keep(self, row: int, image: ScaledPixels) -> ScaledPixels:
        """Keep a decoded picture and return it, or as it came where there is no room for it."""
        if self._is_full:
            return image
        if self._room is not None:
            try:
                image = replace(image, pixels=self._room.put(image.pixels))
            except OSError as error:
                self._give_up(f"{self._room.folder}: {error.strerror}")
                return image
        # Whoever is handed it again must find what was decoded.
        image.pixels.flags.writeable = False
        with self._lock:
            # Two threads may have decoded it at once: the first one's is kept.
            kept = self._pixels.get((row, image.divisor))
            if kept is None and self._size_bytes + image.pixels.nbytes <= self._limit_bytes:
                kept = self._pixels[row, image.divisor] = image
                self._size_bytes += image.pixels.nbytes
        if kept is None:
            self._give_up(f"kept pictures take all of the {self._limit_bytes / 1e6:,.1f} MB of memory that they may")
        return image if kept is None else kept

    def _give_up(self, reason: str) -> None:
        # Never more than a loss of speed.
        with self._lock:
            was_full, self._is_full = self._is_full, True
        if not was_full:
            log.warning("warning: %s; pictures that are not kept yet are decoded anew in every epoch", reason)


@dataclass(frozen=True, kw_only=True, eq=False)
class KeptFile:
    """What is known of a picture's file without its bytes.

    Args:
        header: What it says of itself.
        checksum: The CRC-32 of what decides its pixels, and how they are turned.
    """

    header: EncodedImage
    checksum: int

    @staticmethod
    def of(encoded: EncodedImage) -> "KeptFile":
        """Return what is known of a picture that has been read."""
        header = replace(encoded, container=replace(encoded.container, pixels=b"", exif=b""))
        return KeptFile(header=header, checksum=checksum_of(encoded))


def checksum_of(encoded: EncodedImage) -> int:
    """Return the CRC-32 of what decides a picture's pixels, and how they are turned.

    >>> import simplejpeg
    >>> jpeg = simplejpeg.encode_jpeg(np.zeros((8, 6, 3), np.uint8))
    >>> checksum_of(open_image(jpeg)) == checksum_of(open_image(jpeg))
    True
    """
    return zlib.crc32(encoded.container.exif, zlib.crc32(encoded.container.pixels))


@dataclass(frozen=True, kw_only=True, eq=False)
class KeptImage:
    """A picture of a cache.

    Args:
        row: Its number.
        file: What is known without its file.
        cache: Where its pixels are kept.
        read: Reads its file.
    """

    row: int
    file: KeptFile
    cache: PictureCache
    read: Callable[[], EncodedImage]

    @property
    def size(self) -> tuple[int, int]:
        """Stored height and width of the picture, upright."""
        return self.file.header.size

    def decode(self, *, at_least: tuple[int, int] | None = None) -> ScaledPixels:
        """Return what `EncodedImage.decode` returns; the pixels are read-only where they are kept.

        Raises:
            ImageError: As there, or if the file is not the one that was opened first.
        """
        kept = self.cache.get(self.row, self.file.header.divisor(at_least))
        if kept is not None:
            return kept
        encoded = self.read()
        if checksum_of(encoded) != self.file.checksum:
            raise ImageError("has changed while it was in use; train again")
        return self.cache.keep(self.row, encoded.decode(at_least=at_least))


def decoded_bytes(pictures: PictureStore, rows: Int64[np.ndarray, " k"], transform: ImageTransform) -> int:
    """Return about how much memory some pictures take as a cache keeps them; judged by 64 of them.

    Pictures that cannot be read count nothing.

    Args:
        pictures: All pictures.
        rows: Those that are kept.
        transform: What they are decoded for.

    >>> from pathlib import Path
    >>> from manyhot.data.augmentation import EvaluationTransform
    >>> from manyhot.sources.picture_store import PictureFiles
    >>> decoded_bytes(PictureFiles.from_paths([Path("absent.jpg")]), np.array([0]), EvaluationTransform(8))
    0
    """
    probed = rows[np.linspace(0, len(rows) - 1, min(len(rows), _PROBED)).astype(np.int64)] if len(rows) else rows
    found = [_size_of(pictures, row, transform) for row in probed.tolist()]
    return round(float(np.mean(found)) * len(rows)) if found else 0


def _size_of(pictures: PictureStore, row: int, transform: ImageTransform) -> int:
    try:
        encoded = open_image(pictures.read(row))
    except ImageError:
        return 0
    height, width = encoded.size
    divisors = {encoded.divisor(at_least) for at_least in _least_sizes(encoded.size, transform)}
    return sum(3 * -(-height // divisor) * -(-width // divisor) for divisor in divisors)


def _least_sizes(size: tuple[int, int], transform: ImageTransform) -> Iterator[tuple[int, int] | None]:
    if not is_crop(transform):
        yield None
        return
    generator = np.random.default_rng(0)
    for _ in range(_DRAWS):
        yield transform.plan(*size, generator).least_size(*size)
