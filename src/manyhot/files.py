"""Writing files whole or not at all, and their checksums. Loads without torch."""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

CHUNK_BYTES = 1 << 20


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Write a file under a temporary name in the same folder, flush it to the disk, and rename it.

    A reader sees the old file or the new one, never a part. When `write` fails, the temporary file is removed and the
    old file stays.

    Args:
        path: Where the file shall stand; an existing file is replaced.
        write: Writes the content to the path that it is given.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_atomically(Path(folder) / "a.txt", lambda path: path.write_text("whole") and None)
    ...     [(path.name, path.read_text()) for path in Path(folder).iterdir()]
    [('a.txt', 'whole')]
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=f".part{path.suffix}")
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(_ordinary_mode())
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _flush_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    r"""Write a text as UTF-8 with plain line feeds, whole or not at all.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_text(Path(folder) / "a.txt", "grün")
    ...     (Path(folder) / "a.txt").read_bytes()
    b'gr\xc3\xbcn'
    """
    write_atomically(path, lambda temporary: _write_bytes(temporary, text.encode("utf-8")))


def write_json(path: Path, data: Mapping[str, object] | Sequence[object]) -> None:
    r"""Write strict JSON with two spaces of indentation, whole or not at all.

    Raises:
        ValueError: If a number is NaN or infinite; JSON has no such thing, give None.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_json(Path(folder) / "a.json", {"value": None})
    ...     (Path(folder) / "a.json").read_text()
    '{\n  "value": null\n}\n'
    """
    write_text(path, json.dumps(data, ensure_ascii=False, allow_nan=False, indent=2) + "\n")


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_text(Path(folder) / "a.txt", "")
    ...     sha256_of(Path(folder) / "a.txt")[:16]
    'e3b0c44298fc1c14'
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _write_bytes(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _ordinary_mode() -> int:
    # mkstemp makes files that nobody else can read; a run's files are as readable as any other.
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _flush_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
