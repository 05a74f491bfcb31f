"""Flat arrays in `.npy` files: written piece by piece, opened by memory map, and checked against what they should be."""

import tokenize
from pathlib import Path
from types import TracebackType

import numpy as np
from jaxtyping import Shaped

from manyhot.errors import StoreError

_VERSION = (1, 0)

NPY_FAULTS = (ValueError, EOFError, SyntaxError, tokenize.TokenError)
"""What NumPy raises for a damaged `.npy` file: its header is a Python literal, and some damage gets through to the parser."""


class NpyWriter:
    """A flat array that grows on disk; its length is written into the header when it is closed.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     with NpyWriter(Path(folder, "ids.npy"), np.dtype(np.uint16)) as writer:
    ...         writer.append(np.array([3, 1]))
    ...         writer.append(np.array([4]))
    ...     np.load(Path(folder, "ids.npy"))
    array([3, 1, 4], dtype=uint16)
    """

    def __init__(self, path: Path, dtype: "np.dtype[np.generic]") -> None:
        self._file = path.open("wb")
        self._dtype = dtype.newbyteorder("<")
        self.size = 0
        self._write_header()

    def append(self, values: Shaped[np.ndarray, " k"]) -> None:
        """Write values behind those that are there."""
        self._file.write(np.ascontiguousarray(values, dtype=self._dtype).data)
        self.size += len(values)

    def __enter__(self) -> "NpyWriter":  # noqa: PYI034 - Self breaks the tests' shape checks
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Write the length and close the file."""
        if not self._file.closed:
            self._file.seek(0)
            self._write_header()
            self._file.close()

    def _write_header(self) -> None:
        # NumPy pads the header so that its first axis can grow: every length takes the same place.
        header = {"descr": self._dtype.str, "fortran_order": False, "shape": (self.size,)}
        np.lib.format.write_array_header_1_0(self._file, header)


def map_npy(path: Path, dtype: "np.dtype[np.generic]", size: int) -> Shaped[np.ndarray, " size"]:
    """Return a flat array as a read-only view of its file; nothing but the header is read.

    Args:
        path: The file.
        dtype: The type that it must have.
        size: The length that it must have.

    Raises:
        StoreError: If the file is no such array, or shorter or longer than its header says.
    """
    try:
        with path.open("rb") as file:
            if np.lib.format.read_magic(file) != _VERSION:
                raise StoreError(f"{path}: is of another version of the npy format than {_VERSION[0]}.{_VERSION[1]}")
            shape, _, found = np.lib.format.read_array_header_1_0(file)
            start = file.tell()
    except NPY_FAULTS as error:
        raise StoreError(f"{path}: is no array in npy format ({error})") from None
    if found != dtype or shape != (size,):
        raise StoreError(f"{path}: holds {found} of shape {shape}; expected {dtype} of shape ({size},)")
    expected = start + size * dtype.itemsize
    if path.stat().st_size != expected:
        raise StoreError(f"{path}: has {path.stat().st_size:,} bytes; its header promises {expected:,}")
    if not size:
        # An empty map is refused by the system.
        return np.zeros(0, dtype=dtype)
    # asarray: slices of np.memmap carry its bookkeeping along, which costs more than they do.
    return np.asarray(np.memmap(path, dtype=dtype, mode="r", offset=start, shape=(size,)))
