"""Dense rows for those who need them: a buffer that is filled and cleared where positives are, and nowhere else."""

import numpy as np
from jaxtyping import Float32, Int64, Integer

from manyhot.errors import LabelError
from manyhot.labels.csr import Csr, check_rows
from manyhot.labels.sets import LabelSets


class DenseRows:
    """Dense float32 rows of label sets, in one buffer that every call reuses.

    At 11,000 labels, clearing a buffer for 256 rows whole writes 11 MB, of which ten kilobytes had changed. Takes 4
    bytes a cell of the buffer, and as much for each source and label.

    Args:
        sets: The labels, of a store or in memory.
        capacity: Most rows at a time.

    Raises:
        LabelError: If the capacity is negative.

    >>> rows = DenseRows(LabelSets.from_names([["cat"], ["dog"], []]), capacity=2)
    >>> rows.take([1, 2]).tolist()
    [[0.0, 1.0], [0.0, 0.0]]
    """

    def __init__(self, sets: LabelSets, capacity: int) -> None:
        if capacity < 0:
            raise LabelError(f"the capacity is {capacity} rows; give as many as you take at a time")
        self._sets = sets
        self._base = np.where(sets.unlisted_known(), np.float32(0), np.float32(np.nan))
        self._exception = np.array([0 if source.unlisted == "unknown" else np.nan for source in sets.sources])
        self._is_zero = not self._base.any()
        self._buffer = np.zeros((capacity, sets.num_labels), dtype=np.float32)
        if not self._is_zero:
            self._buffer[:] = self._base[0]
        # Which source's unlisted cells stand in each row of the buffer, and which cells differ from them.
        self._sources = np.zeros(capacity, dtype=np.int64)
        self._written = np.zeros(0, dtype=np.int64)

    def take(self, rows: "Integer[np.ndarray, ' k'] | list[int]") -> Float32[np.ndarray, "k l"]:
        """Return the given rows as `to_multi_hot` would: 1 positive, 0 negative, NaN unknown.

        The result is a view of the buffer, and changes with the next call; copy what is to stay.

        Raises:
            LabelError: If a row is out of range, or there are more rows than the buffer has.
        """
        sets = self._sets
        rows = check_rows(rows, sets.num_samples)
        if len(rows) > len(self._buffer):
            raise LabelError(f"{len(rows):,} rows do not fit the buffer of {len(self._buffer):,}; make it larger")
        flat = self._buffer.reshape(-1)
        flat[self._written] = (
            0
            if self._is_zero
            else self._base[self._sources[self._written // sets.num_labels], self._written % sets.num_labels]
        )
        self._written = self._written[:0]
        if sets.source_ids is not None:
            self._change_sources(sets.source_ids[rows].astype(np.int64))
        positives = self._cells(sets.positives.take(rows, num_labels=sets.num_labels))
        flat[positives] = 1
        self._written = positives
        if sets.exceptions is not None:
            exceptions = self._cells(sets.exceptions.take(rows, num_labels=sets.num_labels))
            flat[exceptions] = self._exception[self._sources[exceptions // sets.num_labels]]
            self._written = np.concatenate((positives, exceptions))
        return self._buffer[: len(rows)]

    def _change_sources(self, sources: Int64[np.ndarray, " k"]) -> None:
        changed = np.flatnonzero(self._sources[: len(sources)] != sources)
        self._buffer[changed] = self._base[sources[changed]]
        self._sources[changed] = sources[changed]

    def _cells(self, rows: Csr) -> Int64[np.ndarray, " p"]:
        cells = np.repeat(np.arange(rows.num_rows) * self._sets.num_labels, rows.lengths())
        cells += rows.ids
        return cells
