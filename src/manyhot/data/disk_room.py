"""Room for bytes on disk, in a file that nobody finds: it is gone with the process, however that ends."""

import errno
import mmap
import os
import shutil
import tempfile
import threading
import weakref
from pathlib import Path
from typing import IO

import numpy as np
from jaxtyping import UInt8

SEGMENT_BYTES = 1 << 28
"""How much is taken from the disk at once, to begin with."""

RESERVE_BYTES = 1 << 31
RESERVE_SHARE = 0.05
"""What stays free for others on the disk, checkpoints among them: so many bytes, or so large a share of it if that is more."""

_ZEROS = bytes(1 << 20)


class DiskRoom:
    """Keeps copies of arrays of bytes on disk. Safe to use from several threads.

    The copies are memory-mapped: the system holds those in memory for which there is room.

    Args:
        folder: On which disk. Nothing is written before something is put there, and the folder must exist by then.

    >>> room = DiskRoom(Path(tempfile.gettempdir()))
    >>> room.put(np.array([[1, 2], [3, 4]], dtype=np.uint8)).tolist()
    [[1, 2], [3, 4]]
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._file: IO[bytes] | None = None
        self._file_bytes = 0
        self._segment: mmap.mmap | None = None
        self._used = 0

    def put(self, array: UInt8[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
        """Return a copy that is on disk and read-only.

        Raises:
            OSError: If the disk is full up to what stays free for others, or cannot be written to.
        """
        with self._lock:
            segment, start = self._reserve(array.nbytes)
        kept = np.frombuffer(segment, dtype=np.uint8, count=array.size, offset=start).reshape(array.shape)
        kept[...] = array
        kept.flags.writeable = False
        return kept

    def _reserve(self, num_bytes: int) -> tuple[mmap.mmap, int]:
        if self._segment is None or self._used + num_bytes > len(self._segment):
            self._segment, self._used = self._new_segment(num_bytes), 0
        start = self._used
        self._used += num_bytes
        return self._segment, start

    def _new_segment(self, num_bytes: int) -> mmap.mmap:
        if self._file is None:
            # Without a name from the start where the system can; nothing is left behind by a process that is killed.
            self._file = tempfile.TemporaryFile(dir=self.folder)  # noqa: SIM115 - open for as long as this object lives
            # Copies that are still in use keep what they need.
            weakref.finalize(self, self._file.close)
        # A share of what is there already: each segment costs a file descriptor, and there are few of these.
        wanted = max(num_bytes, SEGMENT_BYTES, self._file_bytes // 8)
        size = -(-wanted // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY
        if shutil.disk_usage(self.folder).free - size < reserve_bytes(self.folder):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        try:
            _take_from_disk(self._file, self._file_bytes, size)
        except OSError:
            # A part of it may have been taken.
            self._file.truncate(self._file_bytes)
            raise
        segment = mmap.mmap(self._file.fileno(), size, offset=self._file_bytes)
        self._file_bytes += size
        return segment


def reserve_bytes(folder: Path) -> int:
    """Return how much of a folder's disk is left to others.

    >>> reserve_bytes(Path(tempfile.gettempdir())) >= RESERVE_BYTES
    True
    """
    return max(RESERVE_BYTES, round(RESERVE_SHARE * shutil.disk_usage(folder).total))


def _take_from_disk(file: IO[bytes], start: int, size: int) -> None:
    """Make a file longer by blocks that are there: writing to a memory map on a full disk would end the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), start, size)
        return
    file.seek(start)
    for begin in range(0, size, len(_ZEROS)):
        file.write(_ZEROS[: size - begin])
    file.flush()
