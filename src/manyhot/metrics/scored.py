"""Every part of scores that are all at hand in one matrix."""

import numpy as np
from jaxtyping import Float

from manyhot.metrics.calibration import Predicted, calibration_errors, pooled_calibration_error
from manyhot.metrics.counts import Decide
from manyhot.metrics.curves import auroc, average_precision
from manyhot.metrics.parts import LabelPart, Parts
from manyhot.metrics.protocols import MANYHOT, Protocol
from manyhot.metrics.ranks import rank_by_label, rank_pooled
from manyhot.metrics.rows import count_rows
from manyhot.metrics.truth import Truth


def parts_in_memory(
    scores: Float[np.ndarray, "n l"],
    predicted: Predicted,
    truth: Truth,
    decide: Decide | None = None,
    *,
    protocol: Protocol = MANYHOT,
) -> Parts:
    """Return what every figure is made of.

    Args:
        scores: What ranks.
        predicted: What gives the probabilities.
        truth: The labels of the same samples.
        decide: The decision, if there is one.
        protocol: How labels and rows are judged from their ranks.
    """
    labels = compare_samples(scores, predicted, truth, protocol=protocol)
    rows = count_rows(scores, predicted, truth, decide=decide, row_values=protocol.row_values)
    return Parts.of(rows, labels)


def compare_samples(
    scores: Float[np.ndarray, "n l"], predicted: Predicted, truth: Truth, *, protocol: Protocol = MANYHOT
) -> LabelPart:
    """Return what comparing the samples of a label, or all cells, with each other gives."""
    ranks, pooled = rank_by_label(scores, truth), rank_pooled(scores, truth)
    return LabelPart(
        average_precision=protocol.label_precision(ranks, scores, truth),
        auroc=auroc(ranks),
        calibration_error=calibration_errors(predicted, truth),
        pooled_average_precision=float(average_precision(pooled)[0]),
        pooled_auroc=float(auroc(pooled)[0]),
        pooled_calibration_error=pooled_calibration_error(predicted, truth),
    )
