"""Files read as they are, or unpacked on the way where they end in `.gz`; never past a limit."""

import gzip
import io
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

COMPRESSED = ".gz"

MAX_UNPACKED_GB = 16.0
"""What one `.gz` file may unpack to, in units of 10^9 bytes, where nothing else is said."""

_PIECE_BYTES = 1 << 20

# Every format opens its own files, some of them several: the limit is that of the whole reading, not of one call.
_limit_gb: ContextVar[float] = ContextVar("max_unpacked_gb", default=MAX_UNPACKED_GB)


class UnpackedTooLargeError(OSError):
    """A compressed file unpacks to more than the limit."""


@contextmanager
def limit_unpacking(max_gb: float) -> Generator[None]:
    """Hold every `.gz` file that is read inside of the block to a size.

    >>> with limit_unpacking(0.5):
    ...     _limit_gb.get()
    0.5
    """
    token = _limit_gb.set(max_gb)
    try:
        yield
    finally:
        _limit_gb.reset(token)


def open_binary(path: Path) -> io.BufferedIOBase:
    """Return the file opened for reading, unpacked on the way where its name ends in `.gz`.

    Raises:
        UnpackedTooLargeError: While reading, once more than the limit was unpacked.
    """
    if path.suffix.lower() != COMPRESSED:
        return path.open("rb")
    return io.BufferedReader(_Unpacking(path, _limit_gb.get()))


class _Unpacking(io.RawIOBase):
    """A gzip file that counts what it gives."""

    def __init__(self, path: Path, max_gb: float) -> None:
        self._packed = path.open("rb")
        self._file = gzip.GzipFile(fileobj=self._packed)
        self._max_gb = max_gb
        self._num_bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # pyright: ignore[reportIncompatibleMethodOverride] - typeshed's Buffer is not there at run time
        size = self._file.readinto(buffer)
        self._num_bytes += size
        if self._num_bytes > self._max_gb * 1e9:
            raise UnpackedTooLargeError(
                f"unpacks to more than {self._max_gb:g} GB, from {self._packed.tell():,} bytes so far; unpack it "
                "yourself, or allow more (max_unpacked_gb, --data.max_unpacked_gb)"
            )
        return size

    def readall(self) -> bytes:
        # The base class reads a few kilobytes at a time.
        parts: list[bytes] = []
        while part := self.read(_PIECE_BYTES):
            parts.append(part)
        return b"".join(parts)

    def close(self) -> None:
        self._file.close()
        self._packed.close()
        super().close()
