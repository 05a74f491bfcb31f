"""A folder that one process at a time may write into; the system gives it free however the process ends."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from manyhot.errors import UsageError

if os.name == "posix":
    import fcntl
else:
    import msvcrt

LOCK_FILE = "lock"


@contextmanager
def lock_folder(folder: Path, who: str) -> Generator[None]:
    """Hold a folder for the time of the block; the folder must exist.

    Args:
        folder: The folder.
        who: What the other process is, for the message.

    Raises:
        UsageError: If another process holds it.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder, lock_folder(Path(folder), "a test"):
    ...     sorted(path.name for path in Path(folder).iterdir())
    ['lock']
    """
    descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            _lock(descriptor)
        except OSError:
            raise UsageError(
                f"{folder}: {who} is at work there already; wait for it, or choose another folder"
            ) from None
        yield
    finally:
        # Closing gives the lock free. The file stays: to delete it would let two processes lock two files of one name.
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    if os.name == "posix":
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    else:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # pyright: ignore[reportAttributeAccessIssue] - Windows alone has it
