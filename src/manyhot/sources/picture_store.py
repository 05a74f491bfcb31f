"""Where the bytes of pictures are: in files of their own, inside of tars, packs or tables. One way to read them all."""

# pyarrow has no types:
# pyright: reportUnknownParameterType=false

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
from jaxtyping import Integer

from manyhot.errors import ImageError

MAX_BYTES = 512 * 2**20
"""Larger files are refused unread."""

# Windows would change bytes that look like ends of lines.
_READ = os.O_RDONLY | getattr(os, "O_BINARY", 0)


@runtime_checkable
class PictureStore(Protocol):
    """The encoded pictures of some samples, by row.

    Reading is safe from several threads, from forked and from spawned processes; a store can be pickled, and holds no
    Python object a sample, which would be copied into every forked process as soon as its count of references changes.
    """

    def __len__(self) -> int:
        """Return the number of pictures."""
        ...

    def read(self, row: int, /) -> bytes | memoryview:
        """Return the file of one picture, as a view of it where it is mapped into memory.

        Raises:
            ImageError: If it is not there or cannot be read; the message does not say which it is: `name_of` does.
        """
        ...

    def name_of(self, row: int, /) -> str:
        """Return what messages call one picture."""
        ...

    def size_of(self, row: int, /) -> int:
        """Return the size of one picture in bytes, -1 where it cannot be had."""
        ...

    def take(self, rows: Integer[np.ndarray, " k"], /) -> "PictureStore":
        """Return some of the pictures, in the order given; rows may repeat."""
        ...


class PictureFiles:
    """Pictures that are files of their own.

    Args:
        root: The folder that references start from.
        references: The path of each picture, from `root`; absolute paths are taken as they are.

    >>> files = PictureFiles(Path("data"), pa.array(["a.jpg", "b.jpg"]))
    >>> len(files), Path(files.name_of(1)).as_posix(), files.size_of(1)
    (2, 'data/b.jpg', -1)
    """

    def __init__(self, root: Path, references: pa.Array | pa.ChunkedArray) -> None:
        self._root, self._root_text = root, str(root)
        self._references = references.combine_chunks() if isinstance(references, pa.ChunkedArray) else references

    @staticmethod
    def from_paths(paths: Sequence[Path]) -> "PictureFiles":
        """Return the pictures of some paths.

        >>> PictureFiles.from_paths([Path("a.jpg")]).name_of(0)
        'a.jpg'
        """
        return PictureFiles(Path(), pa.array([str(path) for path in paths], pa.string()))

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self._references)

    def read(self, row: int, /) -> bytes:
        """Return the content of one file.

        Raises:
            ImageError: As of `read_picture_file`.
        """
        return read_picture_file(self._text_of(row))

    def path_of(self, row: int, /) -> Path:
        """Return the path of one file."""
        return self._root / self._references[row].as_py()

    def name_of(self, row: int, /) -> str:
        """Return the path of one file, as messages show it."""
        return str(self.path_of(row))

    def size_of(self, row: int, /) -> int:
        """Return the size of one file in bytes, -1 where it cannot be had."""
        return self.size_and_time_of(row)[0]

    def size_and_time_of(self, row: int, /) -> tuple[int, int]:
        """Return the size of one file in bytes and when it was last written, in nanoseconds; -1 where they cannot be had."""
        try:
            status = os.stat(self._text_of(row))  # noqa: PTH116 - a Path costs more than its size
        except (OSError, ValueError):
            return -1, -1
        return status.st_size, status.st_mtime_ns

    def take(self, rows: Integer[np.ndarray, " k"], /) -> "PictureFiles":
        """Return some of the files, in the order given."""
        return PictureFiles(self._root, self._references.take(pa.array(rows)))

    def _text_of(self, row: int) -> str:
        return os.path.join(self._root_text, self._references[row].as_py())  # noqa: PTH118 - a Path costs three times as much


class ChainedPictures:
    """The pictures of several stores, one after the other.

    >>> files = [PictureFiles.from_paths([Path("a.jpg"), Path("b.jpg")]), PictureFiles.from_paths([Path("c.jpg")])]
    >>> chain = ChainedPictures(files)
    >>> len(chain), chain.name_of(2), chain.take(np.array([2, 0])).name_of(1)
    (3, 'c.jpg', 'a.jpg')
    """

    def __init__(self, stores: Sequence[PictureStore], rows: Integer[np.ndarray, " k"] | None = None) -> None:
        self._stores = tuple(stores)
        self._starts = np.cumsum([0, *map(len, stores)])
        self._rows = np.arange(self._starts[-1]) if rows is None else rows

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self._rows)

    def read(self, row: int, /) -> bytes | memoryview:
        """Return the file of one picture; an `ImageError` is that of its store."""
        store, inner = self._place_of(row)
        return store.read(inner)

    def name_of(self, row: int, /) -> str:
        """Return what the store of one picture calls it."""
        store, inner = self._place_of(row)
        return store.name_of(inner)

    def size_of(self, row: int, /) -> int:
        """Return the size of one picture in bytes, -1 where it cannot be had."""
        store, inner = self._place_of(row)
        return store.size_of(inner)

    def take(self, rows: Integer[np.ndarray, " k"], /) -> "ChainedPictures":
        """Return some of the pictures, in the order given."""
        return ChainedPictures(self._stores, self._rows[rows])

    def _place_of(self, row: int) -> tuple[PictureStore, int]:
        whole = int(self._rows[row])
        number = int(np.searchsorted(self._starts, whole, side="right")) - 1
        return self._stores[number], whole - int(self._starts[number])


def read_picture_file(path: Path | str) -> bytes:
    """Return the content of a file that ought to be a picture.

    Raises:
        ImageError: If it is missing, no ordinary file, larger than `MAX_BYTES`, or cannot be read. The message does not
            name the file.

    >>> read_picture_file(Path("nowhere.jpg"))
    Traceback (most recent call last):
    manyhot.errors.ImageError: does not exist
    """
    # Plain functions on plain text, and no more than four system calls: objects of files and paths cost as much again.
    try:
        status = os.stat(path)  # noqa: PTH116 - as said above
        # A pipe or a device would be read for ever.
        if not stat.S_ISREG(status.st_mode):
            raise ImageError("is a folder; name a file" if stat.S_ISDIR(status.st_mode) else "is no ordinary file")
        if status.st_size > MAX_BYTES:
            raise ImageError(f"has {status.st_size:,} bytes; the limit is {MAX_BYTES:,}")
        descriptor = os.open(path, _READ)
        try:
            content = os.read(descriptor, status.st_size)
            return content if len(content) == status.st_size else content + _read_rest(descriptor)
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        raise ImageError("does not exist") from None
    except OSError as error:
        raise ImageError(f"cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise ImageError(f"cannot be a file's name: {error}") from None


def _read_rest(descriptor: int) -> bytes:
    """Return what is left of a file that came in parts, as some network drives give it."""
    parts: list[bytes] = []
    while part := os.read(descriptor, 2**20):
        parts.append(part)
    return b"".join(parts)
