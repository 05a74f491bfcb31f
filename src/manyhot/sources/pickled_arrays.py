"""What a trusted pickle may ask for by name: checked stand-ins that make plain values and never leave it to NumPy.

NumPy believes what a saved type or array says of itself, and reads past its end, or ends the process, if that is wrong.
"""

import math
import pickle
import re
from collections import OrderedDict

import numpy as np

_PLAIN_TYPE = re.compile(r"b1|[iu][1248]|f[248]|c8|c16|[SU]\d{1,6}|O[48]?")


class RefusedError(pickle.UnpicklingError):
    """A pickle asked for something that is no plain container."""


class SavedType:
    """The type of an array: numbers, text, or objects that are plain values themselves."""

    def __init__(self, code: object, *_: object) -> None:
        """Take the code of the type, as in `i8`."""
        if not isinstance(code, str) or _PLAIN_TYPE.fullmatch(code) is None:
            raise RefusedError(f"an array of type {str(code)[:80]!r}")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple[object, ...], /) -> None:
        """Take what else was saved of the type, of which only the order of bytes is left to say."""
        _, order, *parts = state
        if any(part is not None for part in parts[:3]):
            raise RefusedError("an array of several fields")
        if order not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError("an array has no known order of bytes")
        self.dtype = self.dtype.newbyteorder(order)


class SavedArray(np.ndarray):
    """An array that is filled once it is known that its values are as many as its shape and type say."""

    def __new__(cls, *_: object) -> "SavedArray":  # noqa: PYI034 - the house has no Self
        """Return an array without values, whatever is asked for: they come with the state."""
        return np.ndarray.__new__(cls, (0,), dtype=np.int8)

    def __setstate__(self, state: tuple[object, ...], /) -> None:
        """Take version, shape, type, order, and the values as bytes or as a list."""
        shape, saved, is_fortran, values = state[-4:]
        if isinstance(values, str):
            values = values.encode("latin1")
        dtype = _checked_type(shape, saved, values)
        super().__setstate__((1, shape, dtype, bool(is_fortran), values))  # pyright: ignore[reportArgumentType] - all were checked


class SavedBuffer:
    """An array whose values were saved apart, as newer pickles do."""

    def __new__(cls, values: object, saved: object, shape: object, order: object) -> np.ndarray:
        """Return the array."""
        if not isinstance(values, bytes | bytearray) or order not in ("C", "F"):
            raise pickle.UnpicklingError("an array's values are no bytes")
        dtype = _checked_type(shape, saved, values)
        return np.frombuffer(values, dtype=dtype).reshape(shape, order=order)  # pyright: ignore[reportArgumentType, reportCallIssue] - both were checked


class SavedNumber:
    """One number or text of NumPy's."""

    def __new__(cls, saved: object, value: object = b"") -> object:
        """Return it."""
        if not isinstance(value, bytes):
            raise pickle.UnpicklingError("a number is no bytes")
        return np.frombuffer(value, dtype=_checked_type((1,), saved, value))[0]


class SavedBytes:
    """Bytes as old pickles have them: as text."""

    def __new__(cls, text: str = "", encoding: str = "latin1") -> bytes:
        """Return the bytes."""
        if encoding != "latin1":
            raise RefusedError(f"text in {encoding[:80]!r}")
        return text.encode("latin1")


def _checked_type(shape: object, saved: object, values: object) -> np.dtype:
    """Return the type, if shape, type and values agree."""
    sizes = [size for size in shape if isinstance(size, int) and size >= 0] if isinstance(shape, tuple) else []
    if not isinstance(shape, tuple) or len(sizes) != len(shape) or not isinstance(saved, SavedType):
        raise pickle.UnpicklingError("an array has no sound shape or type")
    is_list = isinstance(values, list)
    if not isinstance(values, bytes | bytearray | list) or is_list != (saved.dtype == np.dtype("O")):
        raise pickle.UnpicklingError("an array's values are not of its type")
    if len(values) != math.prod(sizes) * (1 if is_list else saved.dtype.itemsize):
        raise pickle.UnpicklingError("an array has not as many values as its shape says")
    return saved.dtype


_CONTAINERS = {"set": set, "frozenset": frozenset, "bytearray": bytearray, "complex": complex}
ALLOWED: dict[tuple[str, str], object] = {
    **{(module, name): made for module in ("builtins", "__builtin__") for name, made in _CONTAINERS.items()},
    ("collections", "OrderedDict"): OrderedDict,
    ("_codecs", "encode"): SavedBytes,
    ("__builtin__", "bytes"): SavedBytes,
    ("numpy", "ndarray"): SavedArray,
    ("numpy", "dtype"): SavedType,
    **{
        (f"{package}.{name}", function): made
        for package in ("numpy.core", "numpy._core")
        for name, function, made in (
            ("multiarray", "_reconstruct", SavedArray),
            ("multiarray", "scalar", SavedNumber),
            ("numeric", "_frombuffer", SavedBuffer),
        )
    },
}
"""What is made for each name that a pickle may ask for; nothing of it opens a file or calls anything."""
