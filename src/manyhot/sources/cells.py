"""One column a label: 1 is positive, 0 negative, and nothing unknown."""

import math
from collections.abc import Callable, Hashable, Sequence

import numpy as np

from manyhot.errors import quote
from manyhot.labels import Csr, LabelSets, LabelSource, LabelSpace
from manyhot.labels.space import name_fault
from manyhot.sources.columns import ArrowColumn, Column
from manyhot.sources.listing import Reader
from manyhot.sources.options import Uncertain

_NEGATIVE, _POSITIVE, _UNKNOWN, _STRANGE = range(4)

# 1.0 and True are equal to 1 and need no entry of their own.
_CODES: dict[object, int] = {
    0: _NEGATIVE, "0": _NEGATIVE, "0.0": _NEGATIVE, "false": _NEGATIVE, "False": _NEGATIVE, "FALSE": _NEGATIVE,
    1: _POSITIVE, "1": _POSITIVE, "1.0": _POSITIVE, "true": _POSITIVE, "True": _POSITIVE, "TRUE": _POSITIVE,
    None: _UNKNOWN, "": _UNKNOWN,
}  # fmt: skip

_UNCERTAIN = (-1, "-1", "-1.0")
_UNCERTAIN_CODES: dict[Uncertain, int] = {"unknown": _UNKNOWN, "positive": _POSITIVE, "negative": _NEGATIVE}


def read_cells(
    names: Sequence[str],
    column: Callable[[str], Column],
    num_rows: int,
    reader: Reader,
    *,
    uncertain: Uncertain | None = None,
) -> LabelSets | None:
    """Return the label sets of a table with one column a label, or None where a column's name can be no label.

    Whichever of negative and unknown is rarer is stored as the exceptions. Takes one byte a cell while it reads. -1 is
    what `uncertain` says, and an error where it says nothing.
    """
    faults = [(name, fault) for name in names if (fault := name_fault(name)) is not None]
    for name, fault in faults:
        message = f"{reader.file}: a column {fault}; name the label, or delete the column (pandas: index=False)"
        reader.findings.error("label-name", message, f"column {names.index(name) + 1} of the labels")
    if faults:
        return None
    states = np.empty((len(names), num_rows), dtype=np.uint8)
    for label, name in enumerate(names):
        _read_column(column(name), states[label], name, reader, uncertain)
    unlisted = _NEGATIVE if (states == _NEGATIVE).sum() >= (states == _UNKNOWN).sum() else _UNKNOWN
    rare = _csr_of(states, _UNKNOWN if unlisted == _NEGATIVE else _NEGATIVE)
    return LabelSets(
        space=LabelSpace(names=tuple(names)),
        positives=_csr_of(states, _POSITIVE),
        exceptions=rare if rare.size else None,
        sources=(LabelSource(unlisted="negative" if unlisted == _NEGATIVE else "unknown"),),
    )


def _read_column(
    column: Column,
    states: np.ndarray[tuple[int], np.dtype[np.uint8]],
    name: str,
    reader: Reader,
    uncertain: Uncertain | None,
) -> None:
    values = column.to_list() if isinstance(column, ArrowColumn) else column
    states[:] = _codes_of(values)
    for row in np.flatnonzero(states == _STRANGE).tolist():
        value = values[row]
        states[row] = _UNKNOWN if uncertain is None or value not in _UNCERTAIN else _UNCERTAIN_CODES[uncertain]
        if value in _UNCERTAIN:
            if uncertain is None:
                message = "a cell of a 0/1 column is -1; say what it means: unknown, positive or negative "
                message += "(uncertain, --data.uncertain unknown)"
                reader.fault(row, "uncertain-value", message, f"column {quote(name)}")
            continue
        # NaN is how numbers say nothing.
        if not isinstance(value, float) or not math.isnan(value):
            found = quote(value) if isinstance(value, str) else repr(value)
            message = "a cell of a 0/1 column is none of 1 (positive), 0 (negative) and empty (unknown); mend it, or "
            message += "say which column holds labels (label_column, --data.label_column NAME)"
            reader.fault(row, "cell-value", message, f"column {quote(name)} holds {found}")


def _codes_of(values: list[object]) -> list[int]:
    try:
        return [_CODES.get(value, _STRANGE) for value in values]
    except TypeError:
        # A list or an object of a JSON line, which has no hash.
        return [_CODES.get(value, _STRANGE) if isinstance(value, Hashable) else _STRANGE for value in values]


def _csr_of(states: np.ndarray[tuple[int, int], np.dtype[np.uint8]], state: int) -> Csr:
    ids, rows = np.nonzero(states == state)
    return Csr.from_pairs(rows, ids, states.shape[1])
