"""Every part of scores that are all at hand in one matrix."""

import numpy as np
from jaxtyping import Float

from manyhot.metrics.calibration import Predicted, calibration_errors, pooled_calibration_error
from manyhot.metrics.counts import Decide
from manyhot.metrics.curves import auroc, average_precision
from manyhot.metrics.parts import LabelPart, Parts
from manyhot.metrics.ranks import rank_by_label, rank_pooled
from manyhot.metrics.rows import count_rows
from manyhot.metrics.truth import Truth


def parts_in_memory(
    scores: Float[np.ndarray, "n l"], predicted: Predicted, truth: Truth, decide: Decide | None = None
) -> Parts:
    """Return what every figure is made of.

    Args:
        scores: What ranks.
        predicted: What gives the probabilities.
        truth: The labels of the same samples.
        decide: The decision, if there is one.
    """
    return Parts.of(count_rows(scores, predicted, truth, decide=decide), compare_samples(scores, predicted, truth))


def compare_samples(scores: Float[np.ndarray, "n l"], predicted: Predicted, truth: Truth) -> LabelPart:
    """Return what comparing the samples of a label, or all cells, with each other gives."""
    ranks, pooled = rank_by_label(scores, truth), rank_pooled(scores, truth)
    return LabelPart(
        average_precision=average_precision(ranks),
        auroc=auroc(ranks),
        calibration_error=calibration_errors(predicted, truth),
        pooled_average_precision=float(average_precision(pooled)[0]),
        pooled_auroc=float(auroc(pooled)[0]),
        pooled_calibration_error=pooled_calibration_error(predicted, truth),
    )
