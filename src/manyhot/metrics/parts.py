"""What every figure of an evaluation is made of, however it was counted, and the one way from there to the figures.

In memory, from a file of spilled scores, from histograms, or summed over ranks: all end in `Parts`, so a figure has one
definition. Sums are exact or rounded once, so the parts do not depend on how the samples were split.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from manyhot.metrics.bands import Bands, macro_figures
from manyhot.metrics.counts import Confusion
from manyhot.metrics.decided import challenge_figures, figures_of_counts
from manyhot.metrics.figures import Figure, mean_figure, ratio_figure
from manyhot.metrics.rows import RowPart, Values


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelPart:
    """What comparing the samples of a label, or all cells, with each other gives; NaN where undefined.

    Args:
        average_precision: Of each label.
        auroc: Of each label.
        calibration_error: Of each label; None where it cannot be had.
        pooled_average_precision: Of all known cells together.
        pooled_auroc: Likewise.
        pooled_calibration_error: Likewise; None where it cannot be had.
    """

    average_precision: Float64[np.ndarray, " l"]
    auroc: Float64[np.ndarray, " l"]
    calibration_error: Float64[np.ndarray, " l"] | None
    pooled_average_precision: float
    pooled_auroc: float
    pooled_calibration_error: float | None


@dataclass(frozen=True, kw_only=True, eq=False)
class DecisionPart:
    """What the figures of one decision are made of.

    Args:
        labels: Counts by label.
        samples: The means over samples of `sample_values`.
        num_empty: Samples without a positive for which nothing is predicted.
    """

    labels: Confusion
    samples: dict[str, Figure]
    num_empty: int

    @staticmethod
    def of(labels: Confusion, values: Values, is_empty: Bool[np.ndarray, " n"]) -> "DecisionPart":
        """Return the part that counts by label, the values of samples, and which of them have no positive make."""
        # Without a positive, F1 is 1 exactly where nothing is predicted.
        empty = is_empty & (values["f1_samples"] == 1)
        return DecisionPart(labels=labels, samples=_means(values), num_empty=int(empty.sum()))


@dataclass(frozen=True, kw_only=True, eq=False)
class Parts:
    """What all figures are made of.

    Args:
        num_samples: Rows.
        positives: Positive cells of each label.
        known: Known cells of each label.
        average_precision: Of each label; NaN where undefined, as everywhere here.
        auroc: Of each label.
        calibration_error: Of each label; None where it cannot be had.
        pooled_average_precision: Of all known cells together.
        pooled_auroc: Likewise.
        pooled_calibration_error: Likewise; None where it cannot be had.
        rows: The means over samples of `ranking_values`.
        squared_error: Sum over known cells of (p − y)².
        surprise: Sum over known cells of −log-likelihood.
        half: The decision p ≥ 0.5.
        decided: The decision that was given, if one was.
        three_best: Counts by label of the three best labels of each row.
    """

    num_samples: int
    positives: Int64[np.ndarray, " l"]
    known: Int64[np.ndarray, " l"]
    average_precision: Float64[np.ndarray, " l"]
    auroc: Float64[np.ndarray, " l"]
    calibration_error: Float64[np.ndarray, " l"] | None
    pooled_average_precision: float
    pooled_auroc: float
    pooled_calibration_error: float | None
    rows: dict[str, Figure]
    squared_error: float
    surprise: float
    half: DecisionPart
    decided: DecisionPart | None
    three_best: Confusion

    @staticmethod
    def of(rows: RowPart, labels: LabelPart) -> "Parts":
        """Return the parts that all rows and all labels make."""
        samples = rows.samples
        is_empty = np.isnan(samples.ranking["lrap"])
        return Parts(
            num_samples=len(samples.known),
            positives=rows.half.positives,
            known=rows.half.known,
            average_precision=labels.average_precision,
            auroc=labels.auroc,
            calibration_error=labels.calibration_error,
            pooled_average_precision=labels.pooled_average_precision,
            pooled_auroc=labels.pooled_auroc,
            pooled_calibration_error=labels.pooled_calibration_error,
            rows=_means(samples.ranking),
            squared_error=math.fsum(samples.squared_error),
            surprise=math.fsum(samples.surprise),
            half=DecisionPart.of(rows.half, samples.half, is_empty),
            decided=None if rows.decided is None else DecisionPart.of(rows.decided, samples.decided, is_empty),
            three_best=rows.three_best,
        )

    @property
    def cells(self) -> int:
        """All cells, known or not."""
        return self.num_samples * len(self.positives)


def figures_of_parts(parts: Parts, bands: Bands) -> dict[str, Figure]:
    """Return every figure that the parts make, macro figures also over each band of labels."""
    known = int(parts.known.sum())
    figures = {
        **macro_figures("map_macro", parts.average_precision, bands),
        "map_weighted": mean_figure(parts.average_precision, parts.positives),
        "map_micro": ratio_figure(parts.pooled_average_precision, 1, known, parts.cells),
        **macro_figures("auroc_macro", parts.auroc, bands),
        "auroc_micro": ratio_figure(parts.pooled_auroc, 1, known, parts.cells),
        **parts.rows,
        "brier": ratio_figure(parts.squared_error, known, known, parts.cells),
        "bce": ratio_figure(parts.surprise, known, known, parts.cells),
    }
    if parts.pooled_calibration_error is not None:
        figures["ece_micro"] = ratio_figure(parts.pooled_calibration_error, 1, known, parts.cells)
    if parts.calibration_error is not None:
        figures |= macro_figures("ece_macro", parts.calibration_error, bands)
    figures |= figures_of_counts(parts.half.labels, parts.half.samples, bands, "_at_half")
    figures |= challenge_figures(parts.three_best, parts.cells, "_top3")
    if parts.decided is not None:
        figures |= figures_of_counts(parts.decided.labels, parts.decided.samples, bands)
    return figures


def _means(values: Values) -> dict[str, Figure]:
    return {name: mean_figure(column) for name, column in values.items()}
