"""What predicting nothing, everything, or each label's prevalence would score: to be read beside every evaluation."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from manyhot.labels import LabelCounts
from manyhot.metrics.bands import Bands
from manyhot.metrics.calibration import Predicted
from manyhot.metrics.counts import count_constant
from manyhot.metrics.decided import decision_figures
from manyhot.metrics.figures import Figure
from manyhot.metrics.parts import figures_of_parts
from manyhot.metrics.scored import parts_in_memory
from manyhot.metrics.truth import Truth

Baselines = dict[str, dict[str, float | None]]


def baseline_figures(names: Iterable[str], truth: Truth, bands: Bands, train_counts: LabelCounts | None) -> Baselines:
    """Return for each baseline its value of each named figure; None where it is undefined or makes no sense.

    Predicting nothing or everything is a decision, at any threshold, with probability 0 or 1; it ranks nothing.
    Predicting the prevalence gives every sample the training prevalence of each label as its probability and decides
    at one half; without training counts all its figures are None.
    """
    found = {
        "predict nothing": _constant(truth, bands, predicted=False),
        "predict prevalence": {} if train_counts is None else _prevalence(truth, bands, train_counts),
        "predict all": _constant(truth, bands, predicted=True),
    }
    names = list(names)
    return {
        baseline: {name: figures[name].value if name in figures else None for name in names}
        for baseline, figures in found.items()
    }


def _constant(truth: Truth, bands: Bands, *, predicted: bool) -> dict[str, Figure]:
    counts = count_constant(truth, predicted=predicted)
    decided = decision_figures(counts, bands)
    # A certain prediction's squared error is 0 or 1: its Brier score is the share of wrong cells.
    return {**decided, **decision_figures(counts, bands, "_at_half"), "brier": decided["hamming_loss"]}


def _prevalence(truth: Truth, bands: Bands, train_counts: LabelCounts) -> dict[str, Figure]:
    # A label that training never saw known is given 0. One row, seen as many: no matrix is made.
    row = np.nan_to_num(train_counts.prevalence).astype(np.float32)
    scores = np.broadcast_to(row, (truth.num_samples, truth.num_labels))
    predicted = Predicted(values=scores, kind="probs")
    parts = parts_in_memory(scores, predicted, truth)
    return figures_of_parts(replace(parts, decided=parts.half), bands)
