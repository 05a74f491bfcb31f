"""Pickled dictionaries of labels, read only when their owner says to trust them, and then plain containers only."""

import io
import pickle
import pickletools
from pathlib import Path

import numpy as np

from manyhot.errors import SourceError, quote
from manyhot.sources.entries import read_entries
from manyhot.sources.finding import FindingLog
from manyhot.sources.listing import Listing, Reader
from manyhot.sources.naming import assemble_labels, read_declared_names
from manyhot.sources.options import SourceOptions
from manyhot.sources.pickled_arrays import ALLOWED, RefusedError
from manyhot.sources.text import read_bytes

SUFFIXES = (".pkl", ".pickle", ".p")


class _PlainUnpickler(pickle.Unpickler):
    """Makes the builtin containers, text, numbers and NumPy arrays."""

    def find_class(self, module_name: str, global_name: str, /) -> object:
        """Return what a pickle asks for by name, if it is one of the few allowed."""
        found = ALLOWED.get((module_name, global_name))
        if found is None:
            raise RefusedError(f"{module_name}.{global_name}")
        return found

    def persistent_load(self, pid: object, /) -> object:
        """Refuse what lies outside of the pickle."""
        raise RefusedError(f"the outside object {str(pid)[:80]!r}")


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
        data = path.read_bytes()
        _check_memory(data)
        return _PlainUnpickler(io.BytesIO(data)).load()
    except RefusedError as refusal:
        raise SourceError(
            f"{path}: the pickle asks for {refusal}, which is refused: only builtin containers, text, numbers and NumPy "
            "arrays are read; save the labels as JSON where it was made"
        ) from None
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}; check the path and its permissions") from None
    except Exception as error:  # noqa: BLE001 - a damaged pickle can raise anything
        reason = f"{type(error).__name__}: {str(error)[:100]}"
        raise SourceError(f"{path}: no sound pickle ({reason}); write it again, best as JSON") from None


def _check_memory(data: bytes) -> None:
    """Raise an error where the pickle says of a value that it is longer, or one of more, than its bytes allow."""
    for code, number, _ in pickletools.genops(data):
        # Python makes room for as many remembered values as the greatest number of one.
        if code.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(number or 0) > len(data):
            raise pickle.UnpicklingError(f"it numbers a value {number:,} in {len(data):,} bytes")


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
