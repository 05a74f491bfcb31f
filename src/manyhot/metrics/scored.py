"""Every figure of scores on their own: curves, the decision at one half, rows' rankings, the three best, calibration."""

import numpy as np
from jaxtyping import Float

from manyhot.metrics.bands import Bands
from manyhot.metrics.calibration import Predicted, calibration_figures
from manyhot.metrics.counts import DecisionCounts, count_decisions, decide_above, decide_best
from manyhot.metrics.curves import curve_figures
from manyhot.metrics.decided import challenge_figures, decision_figures
from manyhot.metrics.figures import Figure
from manyhot.metrics.ranking import rank_by_row, ranking_figures
from manyhot.metrics.ranks import PositiveRanks
from manyhot.metrics.truth import Truth


def score_figures(
    scores: Float[np.ndarray, "n l"],
    predicted: Predicted,
    truth: Truth,
    *,
    ranks: PositiveRanks,
    half: DecisionCounts,
    bands: Bands,
) -> dict[str, Figure]:
    """Return the figures that need no decision but p ≥ 0.5 and the three best labels of each row.

    Args:
        scores: What ranks.
        predicted: What gives the probabilities.
        truth: The labels of the same samples.
        ranks: `rank_by_label` of the scores.
        half: `count_at_half` of the probabilities.
        bands: Over which labels macro figures are averaged as well.
    """
    three_best = count_decisions(decide_best(scores, truth, 3), truth)
    return {
        **curve_figures(scores, truth, ranks, bands),
        **ranking_figures(rank_by_row(scores, truth)),
        **calibration_figures(predicted, truth, bands),
        **decision_figures(half, bands, "_at_half"),
        **challenge_figures(three_best, "_top3"),
    }


def count_at_half(predicted: Predicted, truth: Truth) -> DecisionCounts:
    """Return the counts of the decision p ≥ 0.5."""
    return count_decisions(decide_above(predicted.values, predicted.half), truth)
