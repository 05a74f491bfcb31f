"""Files that are there whole or not at all: written under another name in the same folder, flushed, then renamed.

Whoever is interrupted leaves the old file or the new one, and at worst a `.manyhot-*` file beside it.
"""

import ctypes
import errno
import hashlib
import json
import os
import secrets
import sys
from collections.abc import Callable, Collection
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


def write_folder_atomically(
    folder: Path, names: Collection[str], write: Callable[[Path], None], *, overwrite: bool = True
) -> None:
    """Write a flat folder of files so that `current_folder` is the old folder or the new one, whenever we are killed.

    On Linux the two change places in one step. Elsewhere the old one steps aside first, and `current_folder` finds it
    there until the new one has its place.

    Args:
        folder: Absent, empty, or written by an earlier call with the same names; its parent must exist.
        names: The files that `write` makes. Of an older folder these alone are deleted.
        write: Writes the files into the empty folder that it is handed, which stands beside the final one.
        overwrite: Whether the folder may be replaced; if not, one that another process has written by the time this one
            is done is kept.

    Raises:
        FileExistsError: If the folder holds anything else, which is not ours to delete, or is not to be replaced.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as parent:
    ...     folder = Path(parent, "bundle")
    ...     write_folder_atomically(folder, ["a.txt"], lambda new: write_text(new / "a.txt", "done"))
    ...     Path(folder, "a.txt").read_text()
    'done'
    """
    folder = folder.resolve()
    aside = _aside(folder)
    if not folder.exists() and aside.exists():
        aside.rename(folder)  # an earlier call was killed between its two renames
    _refuse_foreign(folder, names)
    temporary = folder.with_name(f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}")
    temporary.mkdir()
    try:
        write(temporary)
        for path in temporary.iterdir():
            flush_to_disk(path)
        flush_to_disk(temporary)
        _put_in_place(temporary, folder, aside, names, overwrite=overwrite)
    finally:
        # The new folder if something failed, the old one if not: only after the new one has its place.
        remove_files(temporary, names)
    remove_files(aside, names)


def current_folder(folder: Path) -> Path:
    """Return where the content of a folder stands that `write_folder_atomically` wrote: nearly always, right there."""
    aside = _aside(folder.resolve())
    return aside if aside.exists() and not folder.exists() else folder


def remove_files(folder: Path, names: Collection[str]) -> None:
    """Remove the named files of a folder, and the folder if nothing else is in it."""
    if not folder.is_dir():
        return
    for name in names:
        (folder / name).unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()


def _aside(folder: Path) -> Path:
    return folder.with_name(f"{TEMPORARY_PREFIX}old-{folder.name}")


def _refuse_foreign(folder: Path, names: Collection[str]) -> None:
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder}: is a file; choose another name for the folder")
    foreign = sorted(path.name for path in folder.iterdir() if path.name not in names) if folder.exists() else []
    if foreign:
        raise FileExistsError(f"{folder}: holds {foreign[0]!r}, which is not ours to delete; choose another folder")


def _put_in_place(new: Path, folder: Path, aside: Path, names: Collection[str], *, overwrite: bool) -> None:
    while not _take_place(new, folder):
        if not overwrite:
            raise FileExistsError(f"{folder}: was written by another process meanwhile, and is kept")
        if _exchange(new, folder):
            break
        remove_files(aside, names)
        folder.rename(aside)
    flush_to_disk(folder.parent)


def _take_place(new: Path, folder: Path) -> bool:
    """Rename a folder in one step, and return True, where nothing or an empty folder stands; else return False."""
    try:
        new.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
        if any(folder.iterdir()):
            return False
        folder.rmdir()  # Windows renames to no name that is taken.
        return _take_place(new, folder)
    return True


def _exchange(first: Path, second: Path) -> bool:
    """Let two paths change places in one step; False where the system or the file system cannot."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if sys.platform == "linux" else None
    if rename is None:
        return False
    at_current_folder, exchange = -100, 2
    if rename(at_current_folder, os.fsencode(first), at_current_folder, os.fsencode(second), exchange) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        return False
    raise OSError(number, os.strerror(number), str(second))


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
