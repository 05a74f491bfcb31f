"""Pickled dictionaries of labels, read only when their owner says to trust them, and then plain containers only."""

import importlib
import io
import math
import pickle
from pathlib import Path

import numpy as np

from manyhot.errors import SourceError
from manyhot.sources.entries import read_entries
from manyhot.sources.finding import FindingLog, quote
from manyhot.sources.listing import Listing, Reader
from manyhot.sources.naming import assemble_labels, read_declared_names
from manyhot.sources.options import SourceOptions
from manyhot.sources.text import read_bytes

SUFFIXES = (".pkl", ".pickle", ".p")

# Containers, numbers and arrays; nothing here opens a file or calls anything.
_ALLOWED: dict[tuple[str, str], tuple[str, str]] = {
    **{("builtins", name): ("builtins", name) for name in ("set", "frozenset", "bytearray", "complex")},
    **{("__builtin__", name): ("builtins", name) for name in ("set", "frozenset", "bytearray", "complex")},
    ("collections", "OrderedDict"): ("collections", "OrderedDict"),
    ("_codecs", "encode"): ("_codecs", "encode"),
    ("numpy", "ndarray"): (__name__, "CheckedArray"),
    ("numpy", "dtype"): ("numpy", "dtype"),
    **{
        (f"{package}.multiarray", name): ("numpy._core.multiarray", name)
        for package in ("numpy.core", "numpy._core")
        for name in ("_reconstruct", "scalar")
    },
    ("numpy.core.numeric", "_frombuffer"): ("numpy._core.numeric", "_frombuffer"),
    ("numpy._core.numeric", "_frombuffer"): ("numpy._core.numeric", "_frombuffer"),
}


class _RefusedError(pickle.UnpicklingError):
    """A pickle asked for something that is no plain container."""


class CheckedArray(np.ndarray):
    """An array whose saved state is checked: NumPy itself reads past the end of a list that is too short."""

    def __setstate__(self, state: tuple[object, ...], /) -> None:
        """Take a saved state: version, shape, type, order, and the values as bytes or as a list."""
        shape, values = (state[-4], state[-1]) if len(state) in (4, 5) else ((), None)
        sizes = [size for size in shape if isinstance(size, int) and size >= 0] if isinstance(shape, tuple) else []
        whole = isinstance(shape, tuple) and len(sizes) == len(shape)
        if not whole or (isinstance(values, list) and len(values) != math.prod(sizes)):
            raise pickle.UnpicklingError("an array has not as many values as its shape says")
        super().__setstate__(state)  # pyright: ignore[reportArgumentType] - any tuple, as a pickle has it


class _PlainUnpickler(pickle.Unpickler):
    """Makes the builtin containers, text, numbers and NumPy arrays."""

    def find_class(self, module_name: str, global_name: str, /) -> object:
        """Return what a pickle asks for by name, if it is one of the few allowed."""
        found = _ALLOWED.get((module_name, global_name))
        if found is None:
            raise _RefusedError(f"{module_name}.{global_name}")
        return getattr(importlib.import_module(found[0]), found[1])

    def persistent_load(self, pid: object, /) -> object:
        """Refuse what lies outside of the pickle."""
        raise _RefusedError(f"the outside object {str(pid)[:80]!r}")


def is_pickle(path: Path) -> bool:
    """Return whether a file ends as pickles do."""
    return path.is_file() and path.suffix.lower() in SUFFIXES


def read_trusted_pickle(path: Path) -> object:
    """Return what a pickle holds, made of builtin containers, text, numbers and NumPy arrays; nothing else is made.

    Trust is still asked for: a pickle can be made to take all memory.

    Raises:
        SourceError: If it holds anything else, which the message names, or is damaged.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "labels.pkl")
    ...     _ = file.write_bytes(pickle.dumps({"a.jpg": ["cat"], "b.jpg": set()}))
    ...     read_trusted_pickle(file)
    {'a.jpg': ['cat'], 'b.jpg': set()}
    """
    try:
        return _PlainUnpickler(io.BytesIO(path.read_bytes())).load()
    except _RefusedError as refusal:
        raise SourceError(
            f"{path}: the pickle asks for {refusal}, which is refused: only builtin containers, text, numbers and NumPy "
            "arrays are read; save the labels as JSON where it was made"
        ) from None
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}; check the path and its permissions") from None
    except Exception as error:  # noqa: BLE001 - a damaged pickle can raise anything
        reason = f"{type(error).__name__}: {str(error)[:100]}"
        raise SourceError(f"{path}: no sound pickle ({reason}); write it again, best as JSON") from None


def read_pickle(path: Path, options: SourceOptions, findings: FindingLog) -> Listing | None:
    """Return the samples of a pickled {name: labels}, or None with an error, as always without `trust_pickle`."""
    if not options.trust_pickle:
        message = f"{path}: a pickle can run any code and is not read; if you made it yourself: "
        findings.error("pickle", f"{message}manyhot convert --trust-pickle, or trust_pickle=True")
        return None
    if read_bytes(path, findings) is None:
        return None
    try:
        value = read_trusted_pickle(path)
    except SourceError as error:
        findings.error("pickle", str(error))
        return None
    if not isinstance(value, dict) or not value or not all(isinstance(key, str) for key in value):
        findings.error("pickle", f"{path}: expected a dictionary {{name: [label, …]}}; found {type(value).__name__}")
        return None
    references = [str(key) for key in value]
    reader = Reader(str(path), findings, lambda row: f"key {quote(references[row])}")
    pairs = read_entries([_plain(labels) for labels in value.values()], reader)
    labels = assemble_labels(pairs, read_declared_names(path.parent, findings), reader, unlisted=options.unlisted)
    return Listing(
        file=str(path), references=references, place=reader.place, labels=labels, faulty=frozenset(reader.faulty)
    )


def _plain(value: object) -> object:
    """Return the labels of a sample as a list: numbers are called by their digits, since pickles hold ids."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, set | frozenset):
        value = sorted(value, key=str)
    if isinstance(value, list | tuple):
        return [_name(label) for label in value]
    return _name(value)


def _name(label: object) -> object:
    if isinstance(label, bytes):
        return label.decode(errors="replace")
    if isinstance(label, int | np.integer) and not isinstance(label, bool):
        return str(int(label))
    return str(label) if isinstance(label, np.str_) else label
