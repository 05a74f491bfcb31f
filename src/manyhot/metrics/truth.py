"""The truth that scores are judged against: sparse positives and which cells are known, block by block."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float64, Int64, Integer

from manyhot.errors import ScoreError
from manyhot.labels import Csr, LabelSets
from manyhot.labels.csr import narrow_ids
from manyhot.targets import SparseTargets

BLOCK_CELLS = 1 << 18


@dataclass(frozen=True, kw_only=True, eq=False)
class Truth:
    """The labels of `n` samples as arrays, whatever they were given as.

    Args:
        num_samples: Rows.
        num_labels: Columns.
        positives: Positive label ids of each row.
        unlisted_known: For each source and label whether an unlisted cell is known; None when all cells are known.
        source_ids: For each row its source.
        exceptions: Cells that are known where unlisted cells of their source are not, or the other way round.
        exception_known: For each source whether its exceptions are known.
        names: The labels' names.
        groups: The labels' groups; None where the label space has none.
        inverse_propensities: What finding a positive of each label is worth to `psp_at_k`; None where it is not known.
    """

    num_samples: int
    num_labels: int
    positives: Csr
    unlisted_known: Bool[np.ndarray, "s l"] | None
    source_ids: Int64[np.ndarray, " n"]
    exceptions: Csr | None
    exception_known: Bool[np.ndarray, " s"]
    names: tuple[str, ...]
    groups: tuple[str | None, ...] | None = None
    inverse_propensities: Float64[np.ndarray, " l"] | None = None

    @cached_property
    def row_ids(self) -> Int64[np.ndarray, " p"]:
        """The row of each positive."""
        return self.positives.row_ids()

    @cached_property
    def label_ids(self) -> Int64[np.ndarray, " p"]:
        """The label of each positive."""
        return self.positives.ids.astype(np.int64)

    @cached_property
    def label_positives(self) -> Int64[np.ndarray, " l"]:
        """Positive cells of each label."""
        return np.bincount(self.label_ids, minlength=self.num_labels).astype(np.int64, copy=False)

    @cached_property
    def row_positives(self) -> Int64[np.ndarray, " n"]:
        """Positive cells of each row."""
        return self.positives.lengths()

    @cached_property
    def label_known(self) -> Int64[np.ndarray, " l"]:
        """Known cells of each label."""
        if self.unlisted_known is None:
            return np.full(self.num_labels, self.num_samples, dtype=np.int64)
        total = np.zeros(self.num_labels, dtype=np.int64)
        for rows in self.row_blocks():
            total += np.count_nonzero(self.known_rows(rows), axis=0)
        return total

    @cached_property
    def row_known(self) -> Int64[np.ndarray, " n"]:
        """Known cells of each row."""
        if self.unlisted_known is None:
            return np.full(self.num_samples, self.num_labels, dtype=np.int64)
        counts = [np.count_nonzero(self.known_rows(rows), axis=1) for rows in self.row_blocks()]
        return np.concatenate([np.zeros(0, dtype=np.int64), *counts]).astype(np.int64, copy=False)

    def row_blocks(self) -> list[slice]:
        """Return slices of rows that hold about 2¹⁸ cells each: what one pass keeps in the cache."""
        step = max(1, BLOCK_CELLS // max(1, self.num_labels))
        return [slice(start, min(start + step, self.num_samples)) for start in range(0, self.num_samples, step)]

    def known_rows(self, rows: slice) -> Bool[np.ndarray, "k l"]:
        """Return which cells of a block of rows are known; a matrix without columns when all cells of all rows are."""
        if self.unlisted_known is None:
            return np.zeros((rows.stop - rows.start, 0), dtype=bool)
        known = self.unlisted_known[self.source_ids[rows]]
        if self.exceptions is not None:
            block_rows, ids = _cells(self.exceptions, rows)
            known[block_rows, ids] = self.exception_known[self.source_ids[rows][block_rows]]
        known[_cells(self.positives, rows)] = True
        return known

    def known_column(self, label: int) -> Bool[np.ndarray, " n"] | None:
        """Return which cells of a label are known; None when all cells of all labels are."""
        if self.unlisted_known is None:
            return None
        known = self.unlisted_known[self.source_ids, label]
        if self.exceptions is not None:
            rows = self._exception_columns.row(label)
            known[rows] = self.exception_known[self.source_ids[rows]]
        known[self.columns.row(label)] = True
        return known

    @cached_property
    def columns(self) -> Csr:
        """The rows in which each label is positive."""
        return _transposed(self.positives, self.num_labels)

    @cached_property
    def _exception_columns(self) -> Csr:
        return _transposed(self.exceptions or Csr.empty(self.num_samples), self.num_labels)


def read_truth(truth: LabelSets | SparseTargets) -> Truth:
    """Return label sets or targets as arrays on the CPU.

    >>> truth = read_truth(SparseTargets.from_lists([[0, 2], []], num_labels=3))
    >>> truth.label_positives, truth.row_known
    (array([1, 0, 1]), array([3, 3]))
    """
    return _read_sets(truth) if isinstance(truth, LabelSets) else _read_targets(truth.to("cpu"))


def check_num_counted(num_labels: int, truth: Truth) -> None:
    """Check that training counted the labels that are judged.

    Raises:
        ScoreError: If it counted another number of labels.

    >>> check_num_counted(2, read_truth(SparseTargets.from_lists([[0]], num_labels=2)))
    """
    if num_labels != truth.num_labels:
        raise ScoreError(f"the training counts have {num_labels:,} labels, the truth {truth.num_labels:,}")


def _read_sets(sets: LabelSets) -> Truth:
    if sets.source_ids is None:
        source_ids = np.zeros(sets.num_samples, dtype=np.int64)
    else:
        source_ids = sets.source_ids.astype(np.int64)
    return Truth(
        num_samples=sets.num_samples,
        num_labels=sets.num_labels,
        positives=sets.positives,
        unlisted_known=None if sets.is_complete else sets.unlisted_known(),
        source_ids=source_ids,
        exceptions=sets.exceptions,
        exception_known=np.array([source.unlisted == "unknown" for source in sets.sources]),
        names=sets.space.names,
        groups=sets.space.groups,
    )


def _read_targets(targets: SparseTargets) -> Truth:
    num_samples, num_labels = targets.num_samples, targets.num_labels
    num_sources = 1 if targets.unlisted_known is None else targets.unlisted_known.shape[0]
    exceptions = None
    if targets.exception_offsets is not None and targets.exception_ids is not None:
        exceptions = Csr(targets.exception_offsets.numpy(), targets.exception_ids.numpy())
    if targets.unlisted_known is not None:
        unlisted_known = targets.unlisted_known.numpy()
    else:
        unlisted_known = None if exceptions is None else np.ones((num_sources, num_labels), dtype=bool)
    known = targets.exception_known
    sources = targets.source_ids
    return Truth(
        num_samples=num_samples,
        num_labels=num_labels,
        positives=Csr(targets.row_offsets.numpy(), targets.label_ids.numpy()),
        unlisted_known=unlisted_known,
        source_ids=np.zeros(num_samples, dtype=np.int64) if sources is None else sources.numpy(),
        exceptions=exceptions,
        exception_known=np.zeros(num_sources, dtype=bool) if known is None else known.numpy(),
        names=tuple(str(label) for label in range(num_labels)),
    )


def _cells(listed: Csr, rows: slice) -> tuple[Int64[np.ndarray, " p"], Integer[np.ndarray, " p"]]:
    offsets = listed.indptr[rows.start : rows.stop + 1]
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets)), listed.ids[offsets[0] : offsets[-1]]


def _transposed(listed: Csr, num_labels: int) -> Csr:
    # Stable, so that the rows of each label stay sorted; NumPy sorts 16-bit ids by counting.
    order = np.argsort(narrow_ids(listed.ids), kind="stable")
    counts = np.bincount(listed.ids, minlength=num_labels)
    return Csr(np.concatenate(([0], np.cumsum(counts))).astype(np.int64), listed.row_ids()[order])
