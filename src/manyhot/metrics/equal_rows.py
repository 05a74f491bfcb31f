"""Every part of scores that are the same for each sample, such as the prevalence, from counts of labels alone."""

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from manyhot.metrics.calibration import MIN_POSITIVES, NUM_BINS, Predicted
from manyhot.metrics.counts import Confusion, divide
from manyhot.metrics.curves import auroc, average_precision
from manyhot.metrics.decided import sample_values
from manyhot.metrics.parts import LabelPart, Parts
from manyhot.metrics.protocols import Protocol
from manyhot.metrics.ranking import RowRanks
from manyhot.metrics.ranks import PositiveRanks
from manyhot.metrics.rows import RowPart, SampleValues, count_rows
from manyhot.metrics.truth import Truth


def parts_of_equal_rows(probs: Float32[np.ndarray, " l"], truth: Truth, protocol: Protocol) -> Parts:
    """Return what every figure is made of when each sample has the same probabilities, one of each label.

    No pass over the cells where all are known; where some are not, samples differ in which labels they rank.
    """
    scores = np.broadcast_to(probs, (truth.num_samples, truth.num_labels))
    predicted = Predicted(values=scores, kind="probs", is_half_positive=protocol.is_half_positive)
    pooled = _rank_pooled(probs, truth)
    labels = LabelPart(
        average_precision=protocol.label_precision(_rank_by_label(truth), scores, truth),
        auroc=auroc(_rank_by_label(truth)),
        calibration_error=_label_errors(probs, truth),
        pooled_average_precision=float(average_precision(pooled)[0]),
        pooled_auroc=float(auroc(pooled)[0]),
        pooled_calibration_error=_pooled_error(probs, truth),
    )
    if truth.unlisted_known is not None:
        return Parts.of(count_rows(scores, predicted, truth, row_values=protocol.row_values), labels)
    best = np.zeros(truth.num_labels, dtype=bool)
    best[_best_first(probs)[:3]] = True
    half, half_rows = _decide(truth, probs >= np.float32(predicted.half))
    squares, losses = _proper_scores(probs.astype(np.float64), truth)
    samples = SampleValues(
        known=truth.row_known,
        squared_error=squares,
        surprise=losses,
        ranking=protocol.row_values(_rank_by_row(probs, truth)),
        half=sample_values(half_rows),
        decided={},
    )
    return Parts.of(RowPart(samples=samples, half=half, decided=None, three_best=_decide(truth, best)[0]), labels)


def _rank_by_label(truth: Truth) -> PositiveRanks:
    """Return the ranks where all cells of a label tie."""
    positives, nothing = truth.label_positives, np.zeros(len(truth.label_ids), dtype=np.int64)
    return PositiveRanks(
        offsets=truth.columns.indptr,
        known=truth.label_known,
        cells_at_or_above=np.repeat(truth.label_known, positives),
        cells_above=nothing,
        positives_at_or_above=np.repeat(positives, positives),
        positives_above=nothing,
    )


def _rank_pooled(probs: Float32[np.ndarray, " l"], truth: Truth) -> PositiveRanks:
    _, known, positives = _by_value(probs, truth)
    cells, hits = np.cumsum(known[::-1])[::-1], np.cumsum(positives[::-1])[::-1]
    return PositiveRanks(
        offsets=np.array([0, positives.sum()]),
        known=known.sum(keepdims=True),
        cells_at_or_above=np.repeat(cells, positives),
        cells_above=np.repeat(cells - known, positives),
        positives_at_or_above=np.repeat(hits, positives),
        positives_above=np.repeat(hits - positives, positives),
    )


def _by_value(
    probs: Float32[np.ndarray, " l"], truth: Truth
) -> tuple[Float32[np.ndarray, " u"], Int64[np.ndarray, " u"], Int64[np.ndarray, " u"]]:
    """Return the different probabilities, ascending, and how many known cells and positives have each."""
    values, groups = np.unique(probs, return_inverse=True)
    known, positives = np.zeros((2, len(values)), dtype=np.int64)
    np.add.at(known, groups, truth.label_known)
    np.add.at(positives, groups, truth.label_positives)
    return values, known, positives


def _label_errors(probs: Float32[np.ndarray, " l"], truth: Truth) -> Float64[np.ndarray, " l"]:
    # Equal cells share a bin.
    errors = divide(np.abs(probs * truth.label_known.astype(np.float64) - truth.label_positives), truth.label_known)
    return np.where(truth.label_positives >= MIN_POSITIVES, errors, np.nan)


def _pooled_error(probs: Float32[np.ndarray, " l"], truth: Truth) -> float:
    values, known, positives = _by_value(probs, truth)
    total = int(known.sum())
    if total == 0:
        return float("nan")
    bins = (np.cumsum(known) - known) * NUM_BINS // total
    gaps = np.bincount(bins, weights=values.astype(np.float64) * known - positives, minlength=NUM_BINS)
    return float(np.abs(gaps).sum()) / total


def _best_first(probs: Float32[np.ndarray, " l"]) -> Int64[np.ndarray, " l"]:
    return np.argsort(-probs, kind="stable")


def _rank_by_row(probs: Float32[np.ndarray, " l"], truth: Truth) -> RowRanks:
    from manyhot.metrics.kernels import count_listed

    ordered = np.sort(probs)
    places = np.empty(truth.num_labels, dtype=np.int64)
    places[_best_first(probs)] = np.arange(truth.num_labels)
    at_or_above = truth.num_labels - np.searchsorted(ordered, probs, side="left")
    above = truth.num_labels - np.searchsorted(ordered, probs, side="right")
    offsets = truth.positives.indptr.astype(np.int64, copy=False)
    positives_at_or_above = np.empty(len(truth.label_ids), dtype=np.int64)
    count_listed(probs[truth.label_ids], offsets, positives_at_or_above)
    weights = truth.inverse_propensities
    return RowRanks(
        offsets=offsets,
        known=truth.row_known,
        cells_at_or_above=at_or_above[truth.label_ids],
        cells_above=above[truth.label_ids],
        positives_at_or_above=positives_at_or_above,
        places=places[truth.label_ids],
        weights=None if weights is None else weights[truth.label_ids],
    )


def _decide(truth: Truth, chosen: Bool[np.ndarray, " l"]) -> tuple[Confusion, Confusion]:
    """Return the counts by label and by row of predicting the chosen labels for every sample."""
    labels = Confusion(
        hits=truth.label_positives * chosen,
        predicted=truth.label_known * chosen,
        positives=truth.label_positives,
        known=truth.label_known,
    )
    rows = Confusion(
        hits=np.bincount(truth.row_ids[chosen[truth.label_ids]], minlength=truth.num_samples).astype(np.int64),
        predicted=np.full(truth.num_samples, int(chosen.sum()), dtype=np.int64),
        positives=truth.row_positives,
        known=truth.row_known,
    )
    return labels, rows


def _proper_scores(
    probs: Float64[np.ndarray, " l"], truth: Truth
) -> tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, " n"]]:
    own = probs[truth.label_ids]
    with np.errstate(divide="ignore"):
        positive, negative = -np.log(own), -np.log1p(-probs)
    squares = np.square(probs).sum() + _sum_rows(np.square(1 - own) - np.square(own), truth)
    # A certain label costs a sample without it infinitely much, and is left out of the sums, where it would make NaN.
    certain = probs == 1
    negative[certain] = 0.0
    losses = negative.sum() + _sum_rows(positive - negative[truth.label_ids], truth)
    missed = certain.sum() > _sum_rows(certain[truth.label_ids].astype(np.float64), truth)
    return squares, np.where(missed, np.inf, losses)


def _sum_rows(values: Float64[np.ndarray, " p"], truth: Truth) -> Float64[np.ndarray, " n"]:
    return np.bincount(truth.row_ids, weights=values, minlength=truth.num_samples).astype(np.float64, copy=False)
