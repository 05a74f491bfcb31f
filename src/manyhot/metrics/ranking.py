"""Figures of each row's order of labels: LRAP, coverage, ranking loss, and what stands among the best k."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Int64

from manyhot.metrics.counts import divide
from manyhot.metrics.figures import Figure, mean_figure
from manyhot.metrics.ranks import starts_of, tie_groups
from manyhot.metrics.scores import read_block
from manyhot.metrics.truth import Truth

TOP_COUNTS = (1, 3, 5)


@dataclass(frozen=True, kw_only=True, eq=False)
class RowRanks:
    """For every positive where it stands among the known cells of its row; rows in order, labels in order of their ids.

    Args:
        offsets: Row `i` owns the entries `offsets[i]:offsets[i + 1]`.
        known: Known cells of each row.
        cells_at_or_above: Known cells of the row with s ≥ the positive's.
        cells_above: Those with s > the positive's.
        positives_at_or_above: Positives among them.
        places: Place from 0 when the best label stands first, and of tied labels the lowest id.
    """

    offsets: Int64[np.ndarray, " offsets"]
    known: Int64[np.ndarray, " n"]
    cells_at_or_above: Int64[np.ndarray, " p"]
    cells_above: Int64[np.ndarray, " p"]
    positives_at_or_above: Int64[np.ndarray, " p"]
    places: Int64[np.ndarray, " p"]

    @property
    def positives(self) -> Int64[np.ndarray, " n"]:
        """Positives of each row."""
        return np.diff(self.offsets)

    def sum_rows(self, values: Float[np.ndarray, " p"]) -> Float64[np.ndarray, " n"]:
        """Return the sum of the values of each row's positives."""
        rows = np.repeat(np.arange(len(self.known)), self.positives)
        # astype: NumPy counts nothing at all in whole numbers.
        return np.bincount(rows, weights=values, minlength=len(self.known)).astype(np.float64, copy=False)


def rank_by_row(scores: Float[np.ndarray, "n l"], truth: Truth) -> RowRanks:
    """Return the ranks of each row's positives among the row's known cells, in one pass over the scores."""
    from manyhot.metrics import kernels

    at_or_above, above, before = np.zeros((3, len(truth.label_ids)), dtype=np.int64)
    for rows in truth.row_blocks():
        offsets = truth.positives.indptr[rows.start : rows.stop + 1].astype(np.int64)
        own = slice(offsets[0], offsets[-1])
        kernels.rank_by_row(
            read_block(scores, rows),
            truth.known_rows(rows),
            offsets - offsets[0],
            truth.label_ids[own],
            at_or_above[own],
            above[own],
            before[own],
        )
    return RowRanks(
        offsets=truth.positives.indptr.astype(np.int64),
        known=truth.row_known,
        cells_at_or_above=at_or_above,
        cells_above=above,
        positives_at_or_above=_positives_at_or_above(at_or_above, truth),
        places=above + before,
    )


def ranking_figures(ranks: RowRanks) -> dict[str, Figure]:
    """Return every figure that depends on the order of labels in each row alone."""
    return {name: mean_figure(values) for name, values in ranking_values(ranks).items()}


def ranking_values(ranks: RowRanks) -> dict[str, Float64[np.ndarray, " n"]]:
    """Return what `ranking_figures` averages: for each figure its value in each row, NaN where it is undefined."""
    positives = ranks.positives
    some = np.where(positives > 0, 1.0, np.nan)
    ratios = ranks.positives_at_or_above / ranks.cells_at_or_above
    wrong_pairs = ranks.sum_rows((ranks.cells_at_or_above - ranks.positives_at_or_above).astype(np.float64))
    values = {
        "lrap": divide(ranks.sum_rows(ratios), positives),
        "coverage_error": _lowest(ranks) * some,
        "ranking_loss": divide(wrong_pairs, positives * (ranks.known - positives)),
        "one_error": (1 - _hits(ranks, 1)) * some,
    }
    for count in TOP_COUNTS:
        hits = _hits(ranks, count)
        values[f"precision_at_{count}"] = hits / count * some
        values[f"recall_at_{count}"] = divide(hits, positives)
        values[f"ndcg_at_{count}"] = _ndcg(ranks, count)
    single = np.where(positives == 1, 1.0, np.nan)
    values["argmax_accuracy"] = _hits(ranks, 1) * single
    values["top5_accuracy"] = _hits(ranks, 5) * single
    return values


def _hits(ranks: RowRanks, count: int) -> Float64[np.ndarray, " n"]:
    return ranks.sum_rows((ranks.places < count).astype(np.float64))


def _lowest(ranks: RowRanks) -> Float64[np.ndarray, " n"]:
    """Return how many labels stand at or above the lowest positive of each row; 0 without positives."""
    lowest = np.zeros(len(ranks.known))
    filled = ranks.positives > 0
    if filled.any():
        lowest[filled] = np.maximum.reduceat(ranks.cells_at_or_above, ranks.offsets[:-1][filled])
    return lowest


def _ndcg(ranks: RowRanks, count: int) -> Float64[np.ndarray, " n"]:
    gains = 1 / np.log2(np.arange(2, count + 2))
    gained = ranks.sum_rows(np.where(ranks.places < count, gains[np.minimum(ranks.places, count - 1)], 0.0))
    ideal = np.concatenate(([0.0], np.cumsum(gains)))[np.minimum(ranks.positives, count)]
    return divide(gained, ideal)


def _positives_at_or_above(cells_at_or_above: Int64[np.ndarray, " p"], truth: Truth) -> Int64[np.ndarray, " p"]:
    """Return how many positives of the row stand at or above each: those whose own count is no larger."""
    # Cells at or above fall as scores rise, and are equal exactly where scores are.
    order = np.lexsort((cells_at_or_above, truth.row_ids))
    _, last = tie_groups(cells_at_or_above[order], starts_of(truth.positives.indptr))
    counts = np.empty(len(order), dtype=np.int64)
    counts[order] = last + 1 - truth.positives.indptr[truth.row_ids]
    return counts
