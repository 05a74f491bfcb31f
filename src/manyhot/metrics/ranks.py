"""Where the positives of each label stand among its cells: all that AP, AUROC and their curves depend on."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int64, Num

from manyhot.metrics.keys import bucket_starts, score_keys
from manyhot.metrics.scores import read_block
from manyhot.metrics.truth import Truth


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
    """

    offsets: Int64[np.ndarray, " offsets"]
    known: Int64[np.ndarray, " l"]
    cells_at_or_above: Int64[np.ndarray, " p"]
    cells_above: Int64[np.ndarray, " p"]
    positives_at_or_above: Int64[np.ndarray, " p"]
    positives_above: Int64[np.ndarray, " p"]

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

    One pass over the scores, in blocks of rows; nothing is sorted but the positives.
    """
    from manyhot.metrics.kernels import count_by_label

    labels = truth.label_ids
    values = scores[truth.row_ids, labels]
    values = values[np.lexsort((values, labels))]
    offsets = np.concatenate(([0], np.cumsum(truth.label_positives))).astype(np.int64)
    reached, equal = np.zeros((2, len(values)), dtype=np.int64)
    for rows in truth.row_blocks():
        block = read_block(scores, rows)
        count_by_label(block, truth.known_rows(rows), values, offsets, reached, equal)
    return _ranks_from_counts(values, offsets, reached, equal, truth.label_known)


def rank_pooled(scores: Float[np.ndarray, "n l"], truth: Truth) -> PositiveRanks:
    """Return the ranks of all positives among all known cells, as of one label that holds every cell."""
    from manyhot.metrics.kernels import count_pooled

    values = np.sort(scores[truth.row_ids, truth.label_ids])
    starts = bucket_starts(values)
    reached, equal = np.zeros((2, len(values)), dtype=np.int64)
    for rows in truth.row_blocks():
        block = read_block(scores, rows)
        count_pooled(block, score_keys(block), truth.known_rows(rows), values, starts, reached, equal)
    offsets = np.array([0, len(values)], dtype=np.int64)
    return _ranks_from_counts(values, offsets, reached, equal, truth.label_known.sum(keepdims=True))


def _ranks_from_counts(
    values: Float[np.ndarray, " p"],
    offsets: Int64[np.ndarray, " offsets"],
    reached: Int64[np.ndarray, " p"],
    equal: Int64[np.ndarray, " p"],
    known: Int64[np.ndarray, " l"],
) -> PositiveRanks:
    lengths = np.diff(offsets)
    ends = np.repeat(offsets[1:], lengths)
    sums = np.concatenate(([0], np.cumsum(reached)))
    at_or_above = sums[ends] - sums[:-1]
    first, last = tie_groups(values, starts_of(offsets))
    return PositiveRanks(
        offsets=offsets,
        known=known,
        cells_at_or_above=at_or_above,
        cells_above=at_or_above - equal[last],
        positives_at_or_above=ends - first,
        positives_above=ends - last - 1,
    )


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
