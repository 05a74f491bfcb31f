"""What tells whether a picture's file is still the one that was packed: its size, when it changed, its checksum."""

import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, UInt32

from manyhot.errors import ImageError
from manyhot.sources.picture_store import PictureFiles, PictureStore

_ABSENT = -1
_BLOCK = 256
_THREADS = 16
"""They wait for a disk or a server, not for a core."""


@dataclass(frozen=True, kw_only=True)
class SourceStamp:
    """What a picture's file was when it was packed.

    Args:
        size_bytes: Its size, -1 where it could not be read.
        changed_ns: When it was last written, in nanoseconds; -1 where it is no file of its own, or not there.
        checksum: The CRC-32 of its bytes, 0 where it could not be read.
    """

    size_bytes: int
    changed_ns: int
    checksum: int


def stamp_of(content: bytes | memoryview | None, changed_ns: int) -> SourceStamp:
    """Return the stamp of a picture's file; None is one that could not be read.

    >>> stamp_of(b"123456789", 5)
    SourceStamp(size_bytes=9, changed_ns=5, checksum=3421780262)
    """
    if content is None:
        return SourceStamp(size_bytes=_ABSENT, changed_ns=changed_ns, checksum=0)
    return SourceStamp(size_bytes=len(content), changed_ns=changed_ns, checksum=zlib.crc32(content))


def changed_ns_of(pictures: PictureStore, row: int) -> int:
    """Return when the file of a picture was last written, in nanoseconds.

    -1 where it is no file of its own, as in a tar, or not there. Ask before it is read: what is written meanwhile then
    shows later on.

    >>> from pathlib import Path
    >>> changed_ns_of(PictureFiles.from_paths([Path("absent.jpg")]), 0)
    -1
    """
    return _size_and_time(pictures, row)[1]


@dataclass(frozen=True, kw_only=True, eq=False)
class SourceStamps:
    """The stamps of successive rows.

    Args:
        sizes: As `SourceStamp.size_bytes`.
        times: As `SourceStamp.changed_ns`.
        checksums: As `SourceStamp.checksum`.
    """

    sizes: Int64[np.ndarray, " k"]
    times: Int64[np.ndarray, " k"]
    checksums: UInt32[np.ndarray, " k"]

    @staticmethod
    def from_stamps(stamps: Sequence[SourceStamp]) -> "SourceStamps":
        """Return some stamps as columns.

        >>> SourceStamps.from_stamps([stamp_of(None, -1), stamp_of(b"1", 7)]).times.tolist()
        [-1, 7]
        """
        return SourceStamps(
            sizes=np.array([stamp.size_bytes for stamp in stamps], dtype=np.int64),
            times=np.array([stamp.changed_ns for stamp in stamps], dtype=np.int64),
            checksums=np.array([stamp.checksum for stamp in stamps], dtype=np.uint32),
        )

    def first_changed(self, pictures: PictureStore, start: int) -> int | None:
        """Return the first row whose picture is not what it was; None if all are.

        A file of the same size that was written at the same time is taken to be the same. Of others the bytes decide: a
        copy of the data has other times, and a picture in a tar has none.

        Args:
            pictures: All pictures.
            start: The row of the first stamp.

        >>> from pathlib import Path
        >>> absent = PictureFiles.from_paths([Path("absent.jpg")])
        >>> [SourceStamps.from_stamps([stamp_of(then, -1)]).first_changed(absent, 0) for then in (None, b"1")]
        [None, 0]
        """

        def changed_in(places: range) -> int | None:
            return next((start + place for place in places if self._is_changed(place, pictures, start + place)), None)

        count = len(self.sizes)
        # Pictures inside of others are read one after the other: each thread would hold groups of them.
        with ThreadPoolExecutor(_THREADS if isinstance(pictures, PictureFiles) else 1) as threads:
            blocks = [range(first, min(first + _BLOCK, count)) for first in range(0, count, _BLOCK)]
            return next((row for row in threads.map(changed_in, blocks) if row is not None), None)

    def _is_changed(self, place: int, pictures: PictureStore, row: int) -> bool:
        size, time = _size_and_time(pictures, row)
        if time != _ABSENT and (size, time) == (int(self.sizes[place]), int(self.times[place])):
            return False
        try:
            now = stamp_of(pictures.read(row), time)
        except ImageError:
            now = stamp_of(None, time)
        return (now.size_bytes, now.checksum) != (int(self.sizes[place]), int(self.checksums[place]))


def _size_and_time(pictures: PictureStore, row: int) -> tuple[int, int]:
    return pictures.size_and_time_of(row) if isinstance(pictures, PictureFiles) else (_ABSENT, _ABSENT)
