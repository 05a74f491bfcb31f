"""Files that are there whole or not at all: written under another name in the same folder, flushed, then renamed.

Whoever is interrupted leaves the old file or the new one, and at worst a `.manyhot-*` file beside it.
"""

import hashlib
import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path

TEMPORARY_PREFIX = ".manyhot-"


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Write a file so that its readers see the old content or the new one, never half.

    A link is followed. What is no ordinary file, a pipe or `/dev/stdout`, cannot be renamed and is written directly.

    Args:
        path: The file; its folder must exist.
        write: Writes the content to the path that it is handed: a new name in the same folder, with the same ending.

    Raises:
        OSError: If the file cannot be written. The old content is kept, and nothing is left beside it.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "note.txt")
    ...     write_atomically(path, lambda temporary: print(temporary.write_text("done")))
    ...     print(path.read_text(), len(list(Path(folder).iterdir())))
    4
    done 1
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        write(path)
        return
    temporary = temporary_beside(path)
    try:
        write(temporary)
        flush_to_disk(temporary)
        temporary.replace(path)
    except BaseException:
        # Ctrl-C too must not leave half a file behind.
        temporary.unlink(missing_ok=True)
        raise
    flush_to_disk(path.parent)


def write_text(path: Path, text: str) -> None:
    r"""Write text as UTF-8 with `\n` line ends, whole or not at all.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     write_text(Path(folder, "note.txt"), "naïve")
    ...     Path(folder, "note.txt").read_bytes()
    b'na\xc3\xafve'
    """
    content = text.encode("utf-8")
    write_atomically(path, lambda temporary: _write_bytes(temporary, content))


def _write_bytes(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def write_json(path: Path, data: object) -> None:
    """Write plain data as strict JSON, whole or not at all; say None for what is undefined or infinite.

    Raises:
        ValueError: If the data hold a NaN or an infinity: most readers refuse such a file.
        TypeError: If the data hold what JSON does not know, a NumPy number for instance.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     write_json(Path(folder, "figures.json"), {"map_macro": None})
    ...     print(Path(folder, "figures.json").read_text(), end="")
    {
      "map_macro": null
    }
    """
    write_text(path, json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content as 64 hexadecimal digits.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     write_text(Path(folder, "note.txt"), "")
    ...     sha256_of(Path(folder, "note.txt"))[:16]
    'e3b0c44298fc1c14'
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def temporary_beside(path: Path) -> Path:
    """Return a path in the same folder that nobody else uses, with the same ending: some writers add one of their own.

    >>> temporary_beside(Path("scores.npy")).suffix
    '.npy'
    """
    return path.with_name(f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}{path.suffix}")


def flush_to_disk(path: Path) -> None:
    """Return when the content of a file, or the list of names of a folder, has reached the disk."""
    if os.name != "posix" and path.is_dir():
        return  # only POSIX systems can open a folder
    descriptor = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
