"""A file without a name that takes blocks of bytes and gives parts of them back, past the system's cache where it can.

The system removes the file whenever the process ends, even if it is killed. Written through the cache, a block is copied
into fresh pages, which costs 2.5 ns a byte on the machine of docs/benchmarks.md; written directly, 0.06.
"""

import errno
import os
import tempfile
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from jaxtyping import UInt8

from manyhot.errors import ScoreError, UsageError

# What direct reading and writing wants places, sizes and memory to be a multiple of.
PAGE_BYTES = 4096


@dataclass(frozen=True, kw_only=True)
class Spill:
    """Keep scores in a file rather than in memory.

    Args:
        folder: Where; the system's folder for temporary files unless given. Room for samples × labels × 4 or 2 bytes.

    >>> Spill().folder is None
    True
    """

    folder: Path | None = None


class SpillFile:
    """The file; give it pages by `append`, and read any part of them back.

    Args:
        spill: Where it goes.

    Raises:
        UsageError: If no file can be made there.

    >>> file, pages = SpillFile(Spill()), empty_pages(5000)
    >>> pages[:] = 7
    >>> file.append(pages), file.append(pages), file.read(4100, 3)
    (0, 8192, array([7, 7, 7], dtype=uint8))
    """

    def __init__(self, spill: Spill) -> None:
        self._folder = Path(tempfile.gettempdir()) if spill.folder is None else spill.folder
        self._file = self._nameless()
        self._is_direct = _set_direct(self._file.fileno(), wanted=True)
        self._size = 0
        weakref.finalize(self, self._file.close)

    def append(self, pages: UInt8[np.ndarray, " b"]) -> int:
        """Write whole pages at the end of the file and return the place where they begin.

        Raises:
            ScoreError: If the disk is full; the message says where and how much was written.
        """
        place, left = self._size, pages.data
        try:
            # The system may write less than it was given, and says that the disk is full at the next call.
            while left:
                written = self._write(left, place + len(pages) - len(left))
                left = left[written:]
        except OSError as error:
            reason = "is full" if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else f"failed ({error})"
            raise ScoreError(
                f"{self._folder}: the disk {reason} after {place / 1e9:.1f} GB of spilled scores; name a folder "
                "with more room, or keep them as float16"
            ) from None
        self._size += len(pages)
        return place

    def read(self, place: int, size: int) -> UInt8[np.ndarray, " b"]:
        """Return some of the bytes that were written."""
        start = place // PAGE_BYTES * PAGE_BYTES
        pages = empty_pages(place + size - start)
        done = 0
        while done < len(pages):
            done += os.preadv(self._file.fileno(), [pages[done:].data], start + done)
        return pages[place - start : place - start + size]

    def _write(self, left: memoryview, place: int) -> int:
        try:
            return os.pwrite(self._file.fileno(), left, place)
        except OSError as error:
            if error.errno != errno.EINVAL or not self._is_direct:
                raise
            # What was left over is no whole page, or the disk wants larger ones.
            self._is_direct = _set_direct(self._file.fileno(), wanted=False)
            return os.pwrite(self._file.fileno(), left, place)

    def _nameless(self) -> IO[bytes]:
        try:
            return tempfile.TemporaryFile(dir=self._folder)
        except OSError as error:
            raise UsageError(
                f"{self._folder}: no file for spilled scores can be made there ({error.strerror})"
            ) from None


def empty_pages(size: int) -> UInt8[np.ndarray, " b"]:
    """Return whole pages of memory, at the start of a page, that hold at least so many bytes.

    >>> pages = empty_pages(5000)
    >>> len(pages), pages.ctypes.data % 4096
    (8192, 0)
    """
    whole = -(-size // PAGE_BYTES) * PAGE_BYTES
    room = np.empty(whole + PAGE_BYTES, dtype=np.uint8)
    start = -room.ctypes.data % PAGE_BYTES
    return room[start : start + whole]


def _set_direct(descriptor: int, *, wanted: bool) -> bool:
    """Ask the system to pass by its cache, or not to, and return whether it will: not every system and disk can."""
    if not hasattr(os, "O_DIRECT"):
        return False
    import fcntl

    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL) & ~os.O_DIRECT
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | (os.O_DIRECT if wanted else 0))
    except OSError:
        return False
    return wanted
