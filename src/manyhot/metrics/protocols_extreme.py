"""The figures of the extreme-classification repository: every sample counts, and propensities weigh sums, not samples."""

import numpy as np
from jaxtyping import Float64, Int64

from manyhot.metrics.bands import Bands
from manyhot.metrics.counts import divide
from manyhot.metrics.figures import Figure, ratio_figure
from manyhot.metrics.parts import Parts
from manyhot.metrics.protocols_zeroed import filled
from manyhot.metrics.ranking import TOP_COUNTS, RowRanks, ranking_values
from manyhot.metrics.rows import Values

PLAIN = tuple(f"{name}_at_{count}" for name in ("precision", "recall", "ndcg") for count in TOP_COUNTS)
WEIGHTED = tuple(f"{name}_at_{count}" for name in ("psp", "psndcg") for count in TOP_COUNTS)


def extreme_values(ranks: RowRanks) -> Values:
    """Return our values of each sample, and for weighted figures what was found (`.found`) and could be (`.best`).

    The published code divides the sum over samples of the one by that of the other; our own figure is a mean of quotients.

    Source: Jain, Prabhu, Varma 2016; xclib's `xc_metrics`.
    """
    values = ranking_values(ranks)
    if ranks.weights is None:
        return values
    # The best order has the heaviest first.
    order = np.lexsort((-ranks.weights, ranks.row_ids))
    places = np.arange(len(order)) - ranks.offsets[ranks.row_ids]
    for count in TOP_COUNTS:
        for end, weights, where in ((".found", ranks.weights, ranks.places), (".best", ranks.weights[order], places)):
            values[f"psp_at_{count}{end}"], values[f"psndcg_at_{count}{end}"] = _gained(ranks, weights, where, count)
    return values


def extreme_figures(parts: Parts, _bands: Bands) -> dict[str, Figure]:
    """Return precision, recall and nDCG at k over all samples, those without labels 0, and the weighted ones as quotients."""
    figures = {name: filled(parts.rows[name], 0.0) for name in PLAIN}
    for name in WEIGHTED:
        if f"{name}.best" in parts.rows:
            found, best = (filled(parts.rows[f"{name}{end}"], 0.0).value for end in (".found", ".best"))
            figures[name] = ratio_figure(found or 0.0, best or 0.0, parts.num_samples, parts.num_samples)
    return figures


def _gained(
    ranks: RowRanks, weights: Float64[np.ndarray, " p"], places: Int64[np.ndarray, " p"], count: int
) -> tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, " n"]]:
    """Return each sample's weights among the first k, and the same discounted by place over the plain ideal."""
    discounts = 1 / np.log2(np.arange(2, count + 2))
    kept = np.where(places < count, weights, 0.0)
    ideal = np.concatenate(([0.0], np.cumsum(discounts)))[np.minimum(ranks.positives, count)]
    discounted = ranks.sum_rows(kept * discounts[np.minimum(places, count - 1)])
    return ranks.sum_rows(kept), divide(discounted, ideal)
