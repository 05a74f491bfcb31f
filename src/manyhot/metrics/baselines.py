"""What predicting nothing, everything, or each label's prevalence would score: to be read beside every evaluation."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from manyhot.labels import LabelCounts
from manyhot.metrics.bands import Bands
from manyhot.metrics.counts import count_constant
from manyhot.metrics.decided import decision_figures, sample_values
from manyhot.metrics.equal_rows import parts_of_equal_rows
from manyhot.metrics.figures import Figure
from manyhot.metrics.parts import DecisionPart
from manyhot.metrics.protocols import MANYHOT, Protocol
from manyhot.metrics.truth import Truth

Baselines = dict[str, dict[str, float | None]]


def baseline_figures(
    names: Iterable[str],
    truth: Truth,
    bands: Bands,
    train_counts: LabelCounts | None,
    protocol: Protocol = MANYHOT,
) -> Baselines:
    """Return for each baseline its value of each named figure; None where it is undefined or makes no sense.

    Predicting nothing or everything is a decision, at any threshold, with probability 0 or 1; it ranks nothing.
    Predicting the prevalence gives every sample the training prevalence of each label as its probability and decides
    at one half; without training counts all its figures are None.
    """
    found = {
        "predict nothing": _constant(truth, bands, protocol, predicted=False),
        "predict prevalence": {} if train_counts is None else _prevalence(truth, bands, train_counts, protocol),
        "predict all": _constant(truth, bands, protocol, predicted=True),
    }
    names = list(names)
    return {
        baseline: {name: figures[name].value if name in figures else None for name in names}
        for baseline, figures in found.items()
    }


def _constant(truth: Truth, bands: Bands, protocol: Protocol, *, predicted: bool) -> dict[str, Figure]:
    counts = count_constant(truth, predicted=predicted)
    part = DecisionPart.of(counts.labels, sample_values(counts.rows), truth.row_positives == 0)
    # A certain prediction's squared error is 0 or 1: its Brier score is the share of wrong cells.
    brier = decision_figures(counts, bands)["hamming_loss"]
    return {**protocol.decided(part, bands, ""), **protocol.decided(part, bands, "_at_half"), "brier": brier}


def _prevalence(truth: Truth, bands: Bands, train_counts: LabelCounts, protocol: Protocol) -> dict[str, Figure]:
    # A label that training never saw known is given 0.
    probs = np.nan_to_num(train_counts.prevalence).astype(np.float32)
    parts = parts_of_equal_rows(probs, truth, protocol)
    return protocol.figures(replace(parts, decided=parts.half), bands)
