"""How often labels come together: all pairs of a few thousand labels, the most frequent pairs of any number."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int32, Int64, Integer

from manyhot.errors import LabelError
from manyhot.labels.csr import Csr, offsets_of
from manyhot.labels.progress import Progress, ignore_progress
from manyhot.labels.sets import LabelSets
from manyhot.labels.space import LabelSpace

MAX_DENSE_LABELS = 20_000
# Enough of them that few rows of the triangle are fetched for a single pair, few enough to stay in the cache.
BLOCK_POSITIVES = 1 << 21
BLOCK_LABELS = 1 << 12


@dataclass(frozen=True, kw_only=True, eq=False)
class CoOccurrence:
    """In how many rows each pair of labels is positive together.

    Args:
        space: The labels.
        triangle: The upper triangle with its diagonal, row by row: 4 bytes a pair, 242 MB at 11,000 labels.

    >>> together = count_pairs(LabelSets.from_names([["cat", "dog"], ["cat"], []]))
    >>> together.of(0, 1), together.of(0, 0), together.row(1)
    (1, 2, array([1, 1], dtype=int32))
    """

    space: LabelSpace
    triangle: Int32[np.ndarray, " pairs"]

    def of(self, first: int, second: int) -> int:
        """Return the rows in which both labels are positive; for a label and itself, the rows in which it is."""
        self._check(first, second)
        low, high = sorted((first, second))
        return int(self.triangle[int(_start(np.int64(low), len(self.space))) + high - low])

    def row(self, label: int) -> Int32[np.ndarray, " l"]:
        """Return the rows in which a label is positive together with each label."""
        self._check(label)
        lower = np.arange(label)
        before = self.triangle[_start(lower, len(self.space)) + label - lower]
        start = int(_start(np.int64(label), len(self.space)))
        return np.concatenate((before, self.triangle[start : start + len(self.space) - label]))

    def _check(self, *labels: int) -> None:
        for label in labels:
            if not 0 <= label < len(self.space):
                raise LabelError(f"label id {label} is outside the {len(self.space):,} labels; ids count from 0")

    def to_dense(self) -> Int32[np.ndarray, "l l"]:
        """Return the whole symmetric matrix, of 4 bytes a cell."""
        num_labels = len(self.space)
        dense = np.zeros((num_labels, num_labels), dtype=np.int32)
        rows, columns = np.triu_indices(num_labels)
        dense[rows, columns] = self.triangle
        dense[columns, rows] = self.triangle
        return dense


def _start(label: Integer[np.ndarray, "*k"] | np.int64, num_labels: int) -> Integer[np.ndarray, "*k"] | np.int64:
    """Return where the row of a label, which begins with its diagonal, starts in the triangle."""
    return label * num_labels - label * (label - 1) // 2


def count_pairs(sets: LabelSets, *, progress: Progress = ignore_progress) -> CoOccurrence:
    """Return in how many rows each pair of labels is positive together.

    Raises:
        LabelError: If there are more than 20,000 labels, whose pairs would take over 0.8 GB; use `top_pairs`.

    >>> count_pairs(LabelSets.from_names([["cat", "dog"], ["dog"]])).to_dense().tolist()
    [[1, 1], [1, 2]]
    """
    from manyhot.labels import pair_kernels

    num_labels = sets.num_labels
    if num_labels > MAX_DENSE_LABELS:
        raise LabelError(
            f"all pairs of {num_labels:,} labels are too many; use top_pairs, or at most {MAX_DENSE_LABELS:,}"
        )
    if sets.num_samples > np.iinfo(np.int32).max:
        raise LabelError(f"{sets.num_samples:,} rows are too many for counts of 32 bits; count the parts of the data")
    sets.check_unread()
    triangle = np.zeros(num_labels * (num_labels + 1) // 2, dtype=np.int32)
    indptr, ids = sets.positives.indptr, sets.positives.ids
    ends, places = np.empty(num_labels, dtype=np.int64), np.empty(0, dtype=np.int64)
    end = 0
    while end < sets.num_samples:
        start, end = end, _end_of_block(indptr, end)
        some = ids[indptr[start] : indptr[end]]
        places = places if len(some) <= len(places) else np.empty(len(some), dtype=np.int64)
        pair_kernels.order_by_label(indptr[start : end + 1], ids, ends, places)
        pair_kernels.count_pairs(some, ends, places, triangle)
        progress(end, sets.num_samples)
    return CoOccurrence(space=sets.space, triangle=triangle)


def _end_of_block(indptr: Int64[np.ndarray, " offsets"], start: int) -> int:
    """Return where a block of rows from `start` on ends that holds few enough positives, or a single row."""
    end = int(np.searchsorted(indptr, indptr[start] + BLOCK_POSITIVES, side="right")) - 1
    return min(max(end, start + 1), len(indptr) - 1)


def top_pairs(sets: LabelSets, k: int = 100, *, progress: Progress = ignore_progress) -> list[tuple[int, int, int]]:
    """Return the pairs of labels that are positive together most often: first id, second id, rows; most rows first.

    Exact for any number of labels, in memory for the positives twice; ties go to the lowest ids. Pairs that never
    occur are left out.

    >>> top_pairs(LabelSets.from_names([["cat", "dog"], ["cat", "dog"], ["cat", "owl"]]), 1)
    [(0, 1, 2)]
    """
    from manyhot.labels import pair_kernels

    if k < 1:
        raise LabelError(f"{k} pairs were asked for; give at least 1")
    sets.check_unread()
    num_labels, positives = sets.num_labels, sets.positives
    by_label = _rows_by_label(positives, num_labels)
    counts, partners = (np.zeros(num_labels, dtype=np.int64) for _ in range(2))
    # No more pairs than there can be: the heap is filled before it is cut.
    lengths = positives.lengths()
    heap = np.zeros((min(k, int((lengths * (lengths - 1) // 2).sum())) or 1, 3), dtype=np.int64)
    size = 0
    for start in range(0, num_labels, BLOCK_LABELS):
        end = min(start + BLOCK_LABELS, num_labels)
        size = pair_kernels.top_partners(
            by_label.indptr, by_label.ids, start, end, positives.indptr, positives.ids, counts, partners, heap, size
        )
        progress(end, num_labels)
    found = sorted(map(tuple, heap[:size].tolist()), reverse=True)
    return [(-first, -second, rows) for rows, first, second in found]


def _rows_by_label(positives: Csr, num_labels: int) -> Csr:
    # A stable sort of 16-bit ids goes by digits; the rows of each label come out in order.
    order = np.argsort(positives.ids, kind="stable")
    rows = positives.row_ids().astype(np.uint32)[order]
    return Csr(offsets_of(np.bincount(positives.ids, minlength=num_labels)), rows)
