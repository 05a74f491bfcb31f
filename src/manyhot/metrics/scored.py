"""Every part of scores on their own: curves, the decision at one half, rows' rankings, the three best, calibration."""

import math

import numpy as np
from jaxtyping import Float

from manyhot.metrics.bands import Bands
from manyhot.metrics.calibration import Predicted, calibration_errors, pooled_calibration_error, proper_scores
from manyhot.metrics.counts import DecisionCounts, count_decisions, decide_above, decide_best
from manyhot.metrics.curves import auroc, average_precision
from manyhot.metrics.figures import Figure
from manyhot.metrics.parts import DecisionPart, Parts, figures_of_parts
from manyhot.metrics.ranking import rank_by_row, ranking_figures
from manyhot.metrics.ranks import PositiveRanks, rank_pooled
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
    return figures_of_parts(parts_in_memory(scores, predicted, truth, ranks=ranks, half=half), bands)


def parts_in_memory(
    scores: Float[np.ndarray, "n l"],
    predicted: Predicted,
    truth: Truth,
    *,
    ranks: PositiveRanks,
    half: DecisionCounts,
    decided: DecisionCounts | None = None,
) -> Parts:
    """Return what every figure is made of, from scores that are all at hand; see `score_figures`."""
    pooled = rank_pooled(scores, truth)
    squares, losses = proper_scores(predicted, truth)
    return Parts(
        num_samples=truth.num_samples,
        positives=truth.label_positives,
        known=truth.label_known,
        average_precision=average_precision(ranks),
        auroc=auroc(ranks),
        calibration_error=calibration_errors(predicted, truth),
        pooled_average_precision=float(average_precision(pooled)[0]),
        pooled_auroc=float(auroc(pooled)[0]),
        pooled_calibration_error=pooled_calibration_error(predicted, truth),
        rows=ranking_figures(rank_by_row(scores, truth)),
        squared_error=math.fsum(squares),
        surprise=math.fsum(losses),
        half=DecisionPart.of_counts(half),
        decided=None if decided is None else DecisionPart.of_counts(decided),
        three_best=count_decisions(decide_best(scores, truth, 3), truth).labels,
    )


def count_at_half(predicted: Predicted, truth: Truth) -> DecisionCounts:
    """Return the counts of the decision p ≥ 0.5."""
    return count_decisions(decide_above(predicted.values, predicted.half), truth)
