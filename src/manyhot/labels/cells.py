"""The states of single cells, and the rows that list a label, without making anything dense."""

import numpy as np
from jaxtyping import Bool, Float32, Int64, Integer

from manyhot.errors import LabelError
from manyhot.labels.csr import Csr
from manyhot.labels.sets import LabelSets


def states_of(
    sets: LabelSets, rows: Integer[np.ndarray, " k"], labels: Integer[np.ndarray, " k"]
) -> Float32[np.ndarray, " k"]:
    """Return the state of each (row, label) cell: 1 positive, 0 negative, NaN unknown.

    Raises:
        LabelError: If a row or a label is out of range, or there is not one label a row.

    >>> states_of(LabelSets.from_names([["cat"], []]), np.array([0, 1]), np.array([0, 0])).tolist()
    [1.0, 0.0]
    """
    taken = sets.take(rows)
    if labels.shape != (taken.num_samples,):
        raise LabelError(f"labels have shape {labels.shape} for {taken.num_samples:,} rows; give one label id a row")
    if labels.size and not 0 <= int(labels.min()) <= int(labels.max()) < sets.num_labels:
        raise LabelError(
            f"label ids run from {labels.min()} to {labels.max()}; they count from 0 to {sets.num_labels - 1:,}"
        )
    sources = np.zeros(len(labels), dtype=np.int64) if taken.source_ids is None else taken.source_ids
    known = sets.unlisted_known()[sources, labels]
    if taken.exceptions is not None:
        # An exception is the opposite of what its source says of unlisted cells.
        verified = np.array([source.unlisted == "unknown" for source in sets.sources])
        known = np.where(_lists(taken.exceptions, labels), verified[sources], known)
    states = np.where(known, np.float32(0), np.float32(np.nan))
    states[_lists(taken.positives, labels)] = 1
    return states


def _lists(rows: Csr, labels: Integer[np.ndarray, " k"]) -> Bool[np.ndarray, " k"]:
    """Return whether each row lists its label."""
    found = np.zeros(len(labels), dtype=bool)
    found[rows.row_ids()[rows.ids == np.repeat(labels, rows.lengths())]] = True
    return found


def rows_that_list(rows: Csr, label: int) -> Int64[np.ndarray, " k"]:
    """Return the numbers of the rows that list a label, in order; one pass over all ids.

    >>> rows_that_list(Csr.from_lists([[1], [], [0, 1]]), 1)
    array([0, 2])
    """
    return np.searchsorted(rows.indptr, np.flatnonzero(rows.ids == label), side="right") - 1
