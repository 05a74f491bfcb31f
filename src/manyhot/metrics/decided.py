"""Every figure of a decision, from its counts: micro, macro, weighted, by sample, and exact matches."""

import numpy as np
from jaxtyping import Float64

from manyhot.metrics.bands import Bands, macro_figures
from manyhot.metrics.counts import Confusion, DecisionCounts
from manyhot.metrics.figures import Figure, mean_figure


def decision_figures(counts: DecisionCounts, bands: Bands, suffix: str = "") -> dict[str, Figure]:
    """Return the figures of a decision, with the suffix after each name ("_at_half" for the decision p ≥ 0.5)."""
    labels, pooled = _averaged(counts.labels), _averaged(counts.labels.pooled())
    figures: dict[str, Figure] = {}
    for name, values in labels.items():
        figures |= macro_figures(f"{name}_macro", values, bands, suffix=suffix)
        figures[f"{name}_micro{suffix}"] = _pooled_figure(pooled[name], counts)
        figures[f"{name}_weighted{suffix}"] = mean_figure(values, counts.labels.positives)
    for name, values in (("balanced_accuracy", counts.labels.balanced_accuracy()), ("mcc", counts.labels.mcc())):
        figures |= macro_figures(f"{name}_macro", values, bands, suffix=suffix)
    figures |= challenge_figures(counts, suffix)
    return figures | {f"{name}{suffix}": figure for name, figure in _others(counts).items()}


def challenge_figures(counts: DecisionCounts, suffix: str = "") -> dict[str, Figure]:
    """Return CP, CR, CF1 and OP, OR, OF1, as papers on COCO and NUS-WIDE give them.

    CP counts labels that are never predicted as 0; CR averages the labels that have positives; CF1 is the harmonic
    mean of the two.
    """
    precision, recall = mean_figure(np.nan_to_num(counts.labels.precision())), mean_figure(counts.labels.recall())
    pooled = counts.labels.pooled()
    figures = {
        "cp": precision,
        "cr": recall,
        "cf1": _harmonic(precision, recall),
        "op": _pooled_figure(pooled.precision(), counts),
        "or": _pooled_figure(pooled.recall(), counts),
        "of1": _pooled_figure(pooled.f_beta(1), counts),
    }
    return {f"{name}{suffix}": figure for name, figure in figures.items()}


def _averaged(confusion: Confusion) -> dict[str, Float64[np.ndarray, " k"]]:
    return {
        "precision": confusion.precision(),
        "recall": confusion.recall(),
        "f1": confusion.f_beta(1),
        "f2": confusion.f_beta(2),
    }


def _others(counts: DecisionCounts) -> dict[str, Figure]:
    rows, pooled = counts.rows, counts.labels.pooled()
    exact = np.where(rows.known > 0, rows.wrong() == 0, np.nan)
    return {
        # Nothing to find and nothing predicted is right: such rows count 1.
        "f1_samples": mean_figure(np.nan_to_num(rows.f_beta(1), nan=1.0)),
        "f2_samples": mean_figure(np.nan_to_num(rows.f_beta(2), nan=1.0)),
        "jaccard_samples": mean_figure(np.nan_to_num(rows.jaccard(), nan=1.0)),
        "subset_accuracy": mean_figure(exact),
        "cell_accuracy": _pooled_figure(pooled.accuracy(), counts),
        "hamming_loss": _pooled_figure(1 - pooled.accuracy(), counts),
    }


def _pooled_figure(value: Float64[np.ndarray, " 1"], counts: DecisionCounts) -> Figure:
    cells = len(counts.labels.known) * len(counts.rows.known)
    pooled = float(value[0])
    return Figure(None if np.isnan(pooled) else pooled, int(counts.labels.known.sum()), cells)


def _harmonic(precision: Figure, recall: Figure) -> Figure:
    if precision.value is None or recall.value is None:
        return Figure(None, recall.defined, recall.total)
    total = precision.value + recall.value
    value = 2 * precision.value * recall.value / total if total else 0.0
    return Figure(value, recall.defined, recall.total)
