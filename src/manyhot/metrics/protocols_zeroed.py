"""Figures in which the undefined counts as a number: the conventions of scikit-learn, torchmetrics and xclib."""

import numpy as np
from jaxtyping import Float64, Int64

from manyhot.metrics.bands import Bands, macro_figures
from manyhot.metrics.counts import Confusion
from manyhot.metrics.figures import Figure, mean_figure, ratio_figure
from manyhot.metrics.parts import DecisionPart, Parts


def filled(figure: Figure, value: float) -> Figure:
    """Return a mean in which every sample counts, the undefined ones as `value`.

    >>> filled(Figure(0.5, 3, 4), 1.0)
    Figure(value=0.625, defined=4, total=4, low=None, high=None)
    """
    known = 0.0 if figure.value is None else figure.value * figure.defined
    return ratio_figure(known + value * (figure.total - figure.defined), figure.total, figure.total, figure.total)


def zeroed_precision(parts: Parts, bands: Bands) -> dict[str, Figure]:
    """Return `map` in its three averages, where the average precision of a label without positives is 0."""
    values = np.nan_to_num(parts.average_precision)
    return {
        **macro_figures("map_macro", values, bands),
        "map_weighted": _weighted_or_zero(values, parts.positives),
        "map_micro": ratio_figure(
            float(np.nan_to_num(parts.pooled_average_precision)), 1, int(parts.known.sum()), parts.cells
        ),
    }


def zeroed_rankings(parts: Parts) -> dict[str, Figure]:
    """Return `lrap` with 1 for samples without labels, `coverage_error` and `ranking_loss` with 0 for them."""
    values = {"lrap": 1.0, "coverage_error": 0.0, "ranking_loss": 0.0}
    return {name: filled(parts.rows[name], value) for name, value in values.items()}


def zeroed_decisions(part: DecisionPart, bands: Bands, suffix: str) -> dict[str, Figure]:
    """Return precision, recall, F1, F2, exact matches and the Hamming loss of a decision; what is undefined counts 0."""
    by_label, pooled = _averaged(part.labels), part.labels.pooled()
    known, exact = int(pooled.known[0]), part.samples["subset_accuracy"]
    cells = len(part.labels.known) * exact.total
    figures: dict[str, Figure] = {}
    for name, values in by_label.items():
        figures |= macro_figures(f"{name}_macro", values, bands, suffix=suffix)
        figures[f"{name}_micro{suffix}"] = ratio_figure(float(_averaged(pooled)[name][0]), 1, known, cells)
        figures[f"{name}_weighted{suffix}"] = _weighted_or_zero(values, part.labels.positives)
    figures[f"subset_accuracy{suffix}"] = exact
    figures[f"hamming_loss{suffix}"] = ratio_figure(int(pooled.wrong()[0]), known, known, cells)
    return figures


def zeroed_samples(part: DecisionPart, suffix: str) -> dict[str, Figure]:
    """Return F1, F2 and Jaccard by sample, where a sample without labels for which nothing is predicted counts 0."""
    figures: dict[str, Figure] = {}
    for name in ("f1_samples", "f2_samples", "jaccard_samples"):
        figure = part.samples[name]
        # manyhot counts such samples 1.
        found = (figure.value or 0.0) * figure.total - part.num_empty
        figures[f"{name}{suffix}"] = ratio_figure(found, figure.total, figure.total, figure.total)
    return figures


def _weighted_or_zero(values: Float64[np.ndarray, " l"], positives: Int64[np.ndarray, " l"]) -> Figure:
    weighted = mean_figure(values, positives)
    return Figure(weighted.value or 0.0, weighted.defined, weighted.total)


def _averaged(confusion: Confusion) -> dict[str, Float64[np.ndarray, " k"]]:
    return {
        "precision": np.nan_to_num(confusion.precision()),
        "recall": np.nan_to_num(confusion.recall()),
        "f1": np.nan_to_num(confusion.f_beta(1)),
        "f2": np.nan_to_num(confusion.f_beta(2)),
    }
