"""Figures of each row's order of labels: LRAP, coverage, ranking loss, and what stands among the best k."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Float64, Int64

from manyhot.metrics.counts import divide
from manyhot.metrics.figures import Figure, mean_figure
from manyhot.metrics.scores import known_block
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
        weights: What finding it is worth: the label's inverse propensity. None where propensities are not known.
    """

    offsets: Int64[np.ndarray, " offsets"]
    known: Int64[np.ndarray, " n"]
    cells_at_or_above: Int64[np.ndarray, " p"]
    cells_above: Int64[np.ndarray, " p"]
    positives_at_or_above: Int64[np.ndarray, " p"]
    places: Int64[np.ndarray, " p"]
    weights: Float64[np.ndarray, " p"] | None = None

    @cached_property
    def row_ids(self) -> Int64[np.ndarray, " p"]:
        """The row of each positive."""
        return np.repeat(np.arange(len(self.known)), self.positives)

    @property
    def positives(self) -> Int64[np.ndarray, " n"]:
        """Positives of each row."""
        return np.diff(self.offsets)

    def sum_rows(self, values: Float[np.ndarray, " p"]) -> Float64[np.ndarray, " n"]:
        """Return the sum of the values of each row's positives."""
        # astype: NumPy counts nothing at all in whole numbers.
        return np.bincount(self.row_ids, weights=values, minlength=len(self.known)).astype(np.float64, copy=False)


def rank_by_row(scores: Float[np.ndarray, "n l"], truth: Truth) -> RowRanks:
    """Return the ranks of each row's positives among the row's known cells, in one pass over the scores."""
    from manyhot.metrics.kernels import rank_rows

    offsets = truth.positives.indptr.astype(np.int64, copy=False)
    ranks = np.empty((4, len(truth.label_ids)), dtype=np.int64)
    for rows in truth.row_blocks():
        block = known_block(scores, truth, rows)
        rank_rows(block, offsets[rows.start : rows.stop + 1], truth.label_ids, ranks)
    weights = truth.inverse_propensities
    return RowRanks(
        offsets=offsets,
        known=truth.row_known,
        cells_at_or_above=ranks[0],
        cells_above=ranks[1],
        positives_at_or_above=ranks[2],
        places=ranks[3],
        weights=None if weights is None else weights[truth.label_ids],
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
    values |= best_values(ranks)
    single = np.where(positives == 1, 1.0, np.nan)
    values["argmax_accuracy"] = _hits(ranks, 1) * single
    values["top5_accuracy"] = _hits(ranks, 5) * single
    return values


def best_values(ranks: RowRanks, counts: tuple[int, ...] = TOP_COUNTS) -> dict[str, Float64[np.ndarray, " n"]]:
    """Return the values in each row of figures that depend on the best labels alone, so that places below do not matter."""
    some = np.where(ranks.positives > 0, 1.0, np.nan)
    values: dict[str, Float64[np.ndarray, " n"]] = {}
    for count in counts:
        hits = _hits(ranks, count)
        values[f"precision_at_{count}"] = hits / count * some
        values[f"recall_at_{count}"] = divide(hits, ranks.positives)
        values[f"ndcg_at_{count}"] = _ndcg(ranks, count)
    return values | _weighted_values(ranks, counts)


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


def _weighted_values(ranks: RowRanks, counts: tuple[int, ...]) -> dict[str, Float64[np.ndarray, " n"]]:
    """Return PSP@k and PSnDCG@k of each row: the weights found among the k best, over the most that could be found."""
    names = [f"{name}_at_{count}" for count in counts for name in ("psp", "psndcg")]
    if ranks.weights is None:
        return dict.fromkeys(names, np.full(len(ranks.known), np.nan))
    # The best order has the heaviest first. One whole number each sorts faster than two keys.
    levels, level = np.unique(ranks.weights, return_inverse=True)
    order = np.argsort(ranks.row_ids * len(levels) - level, kind="stable")
    best = np.arange(len(order)) - ranks.offsets[ranks.row_ids]
    values: list[Float64[np.ndarray, " n"]] = []
    for count in counts:
        found = _gains(ranks, ranks.weights, ranks.places, count)
        ideal = _gains(ranks, ranks.weights[order], best, count)
        values += [divide(*pair) for pair in zip(found, ideal, strict=True)]
    return dict(zip(names, values, strict=True))


def _gains(
    ranks: RowRanks, weights: Float64[np.ndarray, " p"], places: Int64[np.ndarray, " p"], count: int
) -> tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, " n"]]:
    """Return the sums over each row of the weights among the first places, plain and discounted by place."""
    kept = np.flatnonzero(places < count)
    rows, own, discounts = ranks.row_ids[kept], weights[kept], 1 / np.log2(places[kept] + 2)
    num_rows = len(ranks.known)
    plain = np.bincount(rows, weights=own, minlength=num_rows).astype(np.float64, copy=False)
    return plain, np.bincount(rows, weights=own * discounts, minlength=num_rows).astype(np.float64, copy=False)
