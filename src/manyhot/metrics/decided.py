"""Every figure of a decision, from its counts: micro, macro, weighted, by sample, and exact matches."""

import numpy as np
from jaxtyping import Float64

from manyhot.metrics.bands import Bands, macro_figures
from manyhot.metrics.counts import Confusion, DecisionCounts
from manyhot.metrics.figures import Figure, mean_figure


def decision_figures(counts: DecisionCounts, bands: Bands, suffix: str = "") -> dict[str, Figure]:
    """Return the figures of a decision, with the suffix after each name ("_at_half" for the decision p ≥ 0.5)."""
    samples = {name: mean_figure(values) for name, values in sample_values(counts.rows).items()}
    return figures_of_counts(counts.labels, samples, bands, suffix)


def figures_of_counts(
    labels: Confusion, samples: dict[str, Figure], bands: Bands, suffix: str = ""
) -> dict[str, Figure]:
    """Return the figures of a decision from its counts by label and the means over samples of `sample_values`."""
    pooled, cells = labels.pooled(), len(labels.known) * next(iter(samples.values())).total
    by_label, micro = _averaged(labels), _averaged(pooled)
    figures: dict[str, Figure] = {}
    for name, values in by_label.items():
        figures |= macro_figures(f"{name}_macro", values, bands, suffix=suffix)
        figures[f"{name}_micro{suffix}"] = _pooled_figure(micro[name], labels, cells)
        figures[f"{name}_weighted{suffix}"] = mean_figure(values, labels.positives)
    for name, values in (("balanced_accuracy", labels.balanced_accuracy()), ("mcc", labels.mcc())):
        figures |= macro_figures(f"{name}_macro", values, bands, suffix=suffix)
    figures |= challenge_figures(labels, cells, suffix)
    figures |= {f"{name}{suffix}": figure for name, figure in samples.items()}
    figures[f"cell_accuracy{suffix}"] = _pooled_figure(pooled.accuracy(), labels, cells)
    figures[f"hamming_loss{suffix}"] = _pooled_figure(1 - pooled.accuracy(), labels, cells)
    return figures


def challenge_figures(labels: Confusion, cells: int, suffix: str = "") -> dict[str, Figure]:
    """Return CP, CR, CF1 and OP, OR, OF1, as papers on COCO and NUS-WIDE give them.

    CP counts labels that are never predicted as 0; CR averages the labels that have positives; CF1 is the harmonic
    mean of the two. `cells` are all cells, known or not.
    """
    precision, recall = mean_figure(np.nan_to_num(labels.precision())), mean_figure(labels.recall())
    pooled = labels.pooled()
    figures = {
        "cp": precision,
        "cr": recall,
        "cf1": _harmonic(precision, recall),
        "op": _pooled_figure(pooled.precision(), labels, cells),
        "or": _pooled_figure(pooled.recall(), labels, cells),
        "of1": _pooled_figure(pooled.f_beta(1), labels, cells),
    }
    return {f"{name}{suffix}": figure for name, figure in figures.items()}


def sample_values(rows: Confusion) -> dict[str, Float64[np.ndarray, " n"]]:
    """Return for each figure by sample its value in each row, NaN where it is undefined."""
    return {
        # Nothing to find and nothing predicted is right: such rows count 1.
        "f1_samples": np.nan_to_num(rows.f_beta(1), nan=1.0),
        "f2_samples": np.nan_to_num(rows.f_beta(2), nan=1.0),
        "jaccard_samples": np.nan_to_num(rows.jaccard(), nan=1.0),
        "subset_accuracy": np.where(rows.known > 0, rows.wrong() == 0, np.nan),
    }


def _averaged(confusion: Confusion) -> dict[str, Float64[np.ndarray, " k"]]:
    return {
        "precision": confusion.precision(),
        "recall": confusion.recall(),
        "f1": confusion.f_beta(1),
        "f2": confusion.f_beta(2),
    }


def _pooled_figure(value: Float64[np.ndarray, " 1"], labels: Confusion, cells: int) -> Figure:
    pooled = float(value[0])
    return Figure(None if np.isnan(pooled) else pooled, int(labels.known.sum()), cells)


def _harmonic(precision: Figure, recall: Figure) -> Figure:
    if precision.value is None or recall.value is None:
        return Figure(None, recall.defined, recall.total)
    total = precision.value + recall.value
    value = 2 * precision.value * recall.value / total if total else 0.0
    return Figure(value, recall.defined, recall.total)
