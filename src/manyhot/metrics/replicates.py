"""Every figure of an evaluation in each replicate of a bootstrap, and from there its interval."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Float64, Int64, UInt8, UInt64

from manyhot.metrics.bands import Bands
from manyhot.metrics.bootstrap import Bootstrap
from manyhot.metrics.calibration import Predicted
from manyhot.metrics.counts import Confusion, Decide, decide_above, decide_best, divide
from manyhot.metrics.figures import Figure
from manyhot.metrics.parts import Parts
from manyhot.metrics.resampled import (
    resample_labels,
    resample_means,
    resample_pooled,
    weigh_confusion,
    weigh_known,
    weigh_positives,
)
from manyhot.metrics.rows import SampleValues
from manyhot.metrics.truth import Truth

Replicates = dict[str, Float64[np.ndarray, " r"]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Judged:
    """One model's scores on the samples of a truth, with what was found of them.

    Args:
        scores: What ranks.
        predicted: What gives the probabilities.
        truth: The labels of the same samples.
        decide: The decision, if there is one.
        samples: The values of each sample.
        parts: What the figures were made of.
    """

    scores: Float[np.ndarray, "n l"]
    predicted: Predicted
    truth: Truth
    decide: Decide | None
    samples: SampleValues
    parts: Parts


def replicate_figures(
    judged: Judged, intervals: Bootstrap, sample_ids: UInt64[np.ndarray, " n"], bands: Bands
) -> Replicates:
    """Return every figure in each replicate; NaN where it is undefined there. The order of the samples changes no bit.

    `ece_micro` and `ece_macro` are not among them: weights add noise to every bin, and an absolute difference grows
    with noise, so that their replicates lie above the figure and no percentile of them is an interval.
    """
    weights = intervals.weights(sample_ids)
    # Sums of floats over samples are taken in the order of their ids.
    order = np.argsort(sample_ids, kind="stable")
    samples, ordered = judged.samples.take(order), weights[order]
    known, positives = weigh_known(judged.truth, weights), weigh_positives(judged.truth, weights)
    half = decide_above(judged.predicted.values, judged.predicted.half)
    decisions = [(half, "_at_half", samples.half)]
    if judged.decide is not None:
        decisions.append((judged.decide, "", samples.decided))
    figures = _curve_replicates(judged, weights, known, positives, bands) | _sample_replicates(samples, ordered)
    for decide, suffix, columns in decisions:
        confusion = weigh_confusion(decide, judged.truth, weights, positives=positives, known=known)
        figures |= _decision_replicates(confusion, weights.shape[1], bands, suffix)
        figures |= {f"{name}{suffix}": values for name, values in resample_means(columns, ordered).items()}
    three_best = decide_best(judged.scores, judged.truth, 3)
    confusion = weigh_confusion(three_best, judged.truth, weights, positives=positives, known=known)
    return figures | _challenge_replicates(confusion, weights.shape[1], "_top3")


def with_intervals(figures: Mapping[str, Figure], replicates: Replicates, intervals: Bootstrap) -> dict[str, Figure]:
    """Return the figures with the ends of their intervals, within the values that a figure can have.

    Figures that are undefined or have no replicates stay as they are.
    """
    filled = dict(figures)
    for name, figure in figures.items():
        if figure.value is not None and name in replicates:
            low, high = intervals.interval(replicates[name], figure.value)
            if low is not None and high is not None:
                filled[name] = replace(figure, low=max(low, _least(name)), high=min(high, _most(name)))
    return filled


def _least(name: str) -> float:
    return -1.0 if name.startswith("mcc") else 0.0


def _most(name: str) -> float:
    return math.inf if name in ("coverage_error", "bce") else 1.0


def _curve_replicates(
    judged: Judged,
    weights: UInt8[np.ndarray, "n r"],
    known: Int64[np.ndarray, "l r"],
    positives: Int64[np.ndarray, "l r"],
    bands: Bands,
) -> Replicates:
    precision, auroc = resample_labels(judged.scores, judged.truth, weights, known)
    pooled_precision, pooled_auroc = resample_pooled(judged.scores, judged.truth, weights)[:2]
    alone = np.ones((judged.truth.num_samples, 1), dtype=np.uint8)
    bucketed = resample_pooled(judged.scores, judged.truth, alone)
    missed = judged.parts.pooled_average_precision - bucketed[0], judged.parts.pooled_auroc - bucketed[1]
    weighted = divide((np.nan_to_num(precision) * positives).sum(axis=0), positives.sum(axis=0))
    return {
        **_macro_replicates("map_macro", precision, bands),
        "map_weighted": weighted,
        "map_micro": pooled_precision + missed[0],
        **_macro_replicates("auroc_macro", auroc, bands),
        "auroc_micro": pooled_auroc + missed[1],
    }


def _sample_replicates(samples: SampleValues, weights: UInt8[np.ndarray, "n r"]) -> Replicates:
    wide = weights.T.astype(np.float64)
    cells = wide @ samples.known.astype(np.float64)
    return {
        **resample_means(samples.ranking, weights),
        "brier": divide(wide @ samples.squared_error, cells),
        "bce": divide(wide @ samples.surprise, cells),
    }


def _decision_replicates(confusion: Confusion, replicates: int, bands: Bands, suffix: str) -> Replicates:
    pooled = _pooled(confusion, replicates)
    positives = confusion.positives.reshape(-1, replicates)
    columns = {
        "precision": (confusion.precision(), pooled.precision()),
        "recall": (confusion.recall(), pooled.recall()),
        "f1": (confusion.f_beta(1), pooled.f_beta(1)),
        "f2": (confusion.f_beta(2), pooled.f_beta(2)),
    }
    figures: Replicates = {}
    for name, (flat, micro) in columns.items():
        values = flat.reshape(-1, replicates)
        figures |= _macro_replicates(f"{name}_macro", values, bands, suffix)
        figures[f"{name}_micro{suffix}"] = micro
        share = np.where(np.isnan(values), 0, positives)
        figures[f"{name}_weighted{suffix}"] = divide((np.nan_to_num(values) * share).sum(axis=0), share.sum(axis=0))
    for name, flat in (("balanced_accuracy", confusion.balanced_accuracy()), ("mcc", confusion.mcc())):
        figures |= _macro_replicates(f"{name}_macro", flat.reshape(-1, replicates), bands, suffix)
    figures |= _challenge_replicates(confusion, replicates, suffix)
    figures[f"cell_accuracy{suffix}"] = pooled.accuracy()
    figures[f"hamming_loss{suffix}"] = 1 - pooled.accuracy()
    return figures


def _challenge_replicates(confusion: Confusion, replicates: int, suffix: str) -> Replicates:
    pooled = _pooled(confusion, replicates)
    precision = np.nan_to_num(confusion.precision()).reshape(-1, replicates).mean(axis=0)
    everything: Bands = {"": np.ones(len(confusion.hits) // replicates, dtype=bool)}
    recall = _macro_replicates("cr", confusion.recall().reshape(-1, replicates), everything)["cr"]
    harmonic = np.where(precision + recall > 0, divide(2 * precision * recall, precision + recall), 0.0 * recall)
    figures = {
        "cp": precision,
        "cr": recall,
        "cf1": harmonic,
        "op": pooled.precision(),
        "or": pooled.recall(),
        "of1": pooled.f_beta(1),
    }
    return {f"{name}{suffix}": values for name, values in figures.items()}


def _macro_replicates(name: str, values: Float64[np.ndarray, "l r"], bands: Bands, suffix: str = "") -> Replicates:
    """Return the mean over each band's labels that are defined in the replicate."""
    members = np.stack(list(bands.values())).astype(np.float64)
    defined = ~np.isnan(values)
    sums, counts = members @ np.where(defined, values, 0.0), members @ defined.astype(np.float64)
    means = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    return {f"{name}{band}{suffix}": mean for band, mean in zip(bands, means, strict=True)}


def _pooled(confusion: Confusion, replicates: int) -> Confusion:
    return Confusion(
        hits=confusion.hits.reshape(-1, replicates).sum(axis=0),
        predicted=confusion.predicted.reshape(-1, replicates).sum(axis=0),
        positives=confusion.positives.reshape(-1, replicates).sum(axis=0),
        known=confusion.known.reshape(-1, replicates).sum(axis=0),
    )
