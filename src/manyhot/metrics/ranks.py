"""Where the positives of each label stand among its cells: all that AP, AUROC and their curves depend on."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int64, Num

from manyhot.metrics.scores import column_blocks, known_block
from manyhot.metrics.truth import Truth

# A table of 4 MiB: larger ones miss the cache more often than they spare a look at the marks.
POOLED_BUCKETS = 1 << 20


@dataclass(frozen=True, kw_only=True, eq=False)
class PositiveRanks:
    """For every positive how many known cells and how many positives of its label score as high, ties grouped.

    The positives of a label stand together, in ascending order of their scores, so nothing here depends on the order
    of the rows.

    Args:
        offsets: Label `l` owns the entries `offsets[l]:offsets[l + 1]`.
        known: Known cells of each label.
        cells_at_or_above: Known cells of the label with s ≥ the positive's.
        cells_above: Known cells of the label with s > the positive's.
        positives_at_or_above: Positives among the former.
        positives_above: Positives among the latter.
        scores: The positives' scores; None where they were not kept.

    >>> known, counts = np.array([3]), np.array([2, 1])
    >>> ranks = PositiveRanks(offsets=np.array([0, 2]), known=known, cells_at_or_above=np.array([3, 1]),
    ...     cells_above=np.array([2, 0]), positives_at_or_above=counts, positives_above=counts - 1)
    >>> ranks.positives, ranks.label_ids
    (array([2]), array([0, 0]))
    """

    offsets: Int64[np.ndarray, " offsets"]
    known: Int64[np.ndarray, " l"]
    cells_at_or_above: Int64[np.ndarray, " p"]
    cells_above: Int64[np.ndarray, " p"]
    positives_at_or_above: Int64[np.ndarray, " p"]
    positives_above: Int64[np.ndarray, " p"]
    scores: Float[np.ndarray, " p"] | None = None

    @property
    def positives(self) -> Int64[np.ndarray, " l"]:
        """Positives of each label."""
        return np.diff(self.offsets)

    @property
    def label_ids(self) -> Int64[np.ndarray, " p"]:
        """The label of each positive."""
        return np.repeat(np.arange(len(self.known)), self.positives)


def rank_by_label(scores: Float[np.ndarray, "n l"], truth: Truth) -> PositiveRanks:
    """Return the ranks of each label's positives among the label's known cells.

    One pass over the scores, in blocks of columns; nothing is sorted but the positives. For labels with few positives
    cells are dropped at each, for labels with many every cell is placed among them: the counts are the same.
    """
    from manyhot.metrics.kernels import rank_columns

    offsets, row_ids = truth.columns.indptr, truth.columns.ids.astype(np.int64, copy=False)
    values = np.empty(len(row_ids), dtype=scores.dtype)
    ranks = np.empty((4, len(row_ids)), dtype=np.int64)
    for labels, columns in column_blocks(scores, truth):
        rank_columns(columns, offsets[labels.start : labels.stop + 1], row_ids, values, ranks)
    return PositiveRanks(
        offsets=offsets,
        known=truth.label_known,
        cells_at_or_above=ranks[0],
        cells_above=ranks[1],
        positives_at_or_above=ranks[2],
        positives_above=ranks[3],
        scores=values,
    )


def rank_pooled(scores: Float[np.ndarray, "n l"], truth: Truth) -> PositiveRanks:
    """Return the ranks of all positives among all known cells, as of one label that holds every cell."""
    from manyhot.metrics.counting_kernels import fill_marks

    values = np.sort(scores[truth.row_ids, truth.label_ids])
    marks = np.empty(len(values) + 2, dtype=values.dtype)
    num_marks = fill_marks(values, marks)
    counts = _count_pooled(scores, truth, marks[: num_marks + 2]) if num_marks else np.zeros((1, 2), dtype=np.int64)
    first, last = tie_groups(values, starts_of(np.array([0, len(values)])))
    places = np.searchsorted(marks[1 : num_marks + 1], values) + 1
    at_or_above = np.cumsum(counts.sum(axis=1)[::-1])[::-1][places]
    return PositiveRanks(
        offsets=np.array([0, len(values)], dtype=np.int64),
        known=truth.label_known.sum(keepdims=True),
        cells_at_or_above=at_or_above,
        cells_above=at_or_above - counts[places, 1],
        positives_at_or_above=len(values) - first,
        positives_above=len(values) - 1 - last,
        scores=values,
    )


def _count_pooled(
    scores: Float[np.ndarray, "n l"], truth: Truth, marks: Float[np.ndarray, " k"]
) -> Int64[np.ndarray, "m 2"]:
    """Return for each number of marks how many known cells reach just so many: those above and those equal to the last."""
    from manyhot.metrics.counting_kernels import add_tallies, fill_starts, start_tallies
    from manyhot.metrics.kernels import place_rows

    num_marks = len(marks) - 2
    starts = np.empty(min(POOLED_BUCKETS, 8 * num_marks) + 1, dtype=np.uint32)
    low, scale, crowded = fill_starts(marks, num_marks, starts)
    totals = np.zeros(2 * num_marks + 2, dtype=np.int64)
    # Half the width of the totals, so that twice as many stay in the cache; added up before they can overflow.
    tallies, counts = np.empty((1, len(starts) - 1), dtype=np.int32), np.empty(len(totals), dtype=np.int32)
    blocks = truth.row_blocks()
    step = np.iinfo(np.int32).max // max(1, blocks[0].stop * truth.num_labels)
    for first in range(0, len(blocks), step):
        counts[:] = 0
        start_tallies(starts, tallies)
        for rows in blocks[first : first + step]:
            place_rows(known_block(scores, truth, rows), low, scale, starts, crowded, marks, tallies, counts)
        totals += counts
        add_tallies(starts, tallies, totals)
    return totals.reshape(-1, 2)


def starts_of(offsets: Int64[np.ndarray, " offsets"]) -> Bool[np.ndarray, " p"]:
    """Return which entries are the first of their label or row."""
    starts = np.zeros(int(offsets[-1]) + 1, dtype=bool)
    starts[offsets] = True
    return starts[:-1]


def tie_groups(
    values: Num[np.ndarray, " p"], starts: Bool[np.ndarray, " p"]
) -> tuple[Int64[np.ndarray, " p"], Int64[np.ndarray, " p"]]:
    """Return for each value the first and the last position of the run of equal values that it stands in."""
    fresh = starts.copy()
    fresh[1:] |= values[1:] != values[:-1]
    firsts = np.flatnonzero(fresh)
    lasts = np.append(firsts[1:], len(values)) - 1
    group = np.cumsum(fresh) - 1
    return firsts[group], lasts[group]
