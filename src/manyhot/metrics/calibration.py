"""How good probabilities are: Brier score, log-likelihood, and the expected calibration error in bins of equal mass."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Float64, Int64

from manyhot.metrics.bands import Bands, macro_figures
from manyhot.metrics.figures import Figure, ratio_figure
from manyhot.metrics.keys import NUM_KEYS, NUM_LOW_KEYS, bucket_starts, score_keys, scores_of_bits, sortable_bits
from manyhot.metrics.scores import Kind, read_block
from manyhot.metrics.truth import Truth

NUM_BINS = 15
MIN_POSITIVES = 10


@dataclass(frozen=True, kw_only=True, eq=False)
class Predicted:
    """What the probabilities come from: logits, or the probabilities themselves.

    Args:
        values: One value a cell.
        kind: What the values are.
        is_half_positive: Whether a probability of exactly one half is predicted.
    """

    values: Float[np.ndarray, "n l"]
    kind: Kind
    is_half_positive: bool = True

    def probs(self, values: Float[np.ndarray, "*shape"]) -> Float64[np.ndarray, "*shape"]:
        """Return the probabilities that some of the values mean."""
        wide = values.astype(np.float64)
        return wide if self.kind == "probs" else sigmoid(wide)

    def block(self, rows: slice) -> Float32[np.ndarray, "k l"]:
        """Return the values of a block of rows, as float32 and contiguous."""
        return read_block(self.values, rows).astype(np.float32, copy=False)

    def judge(
        self, values: Float64[np.ndarray, "*shape"], *, positive: bool
    ) -> tuple[Float64[np.ndarray, "*shape"], Float64[np.ndarray, "*shape"]]:
        """Return 1 − the probability of what is so, and −log of that probability, for cells of one state."""
        if self.kind == "logits":
            away = -values if positive else values
            return sigmoid(away), np.maximum(away, 0.0) + np.log1p(np.exp(-np.abs(away)))
        with np.errstate(divide="ignore"):
            return (1 - values, -np.log(values)) if positive else (values.copy(), -np.log1p(-values))

    @property
    def half(self) -> float:
        """The least value that is predicted at one half: the sigmoid of 0 is 0.5."""
        value = self.values.dtype.type(0.5 if self.kind == "probs" else 0.0)
        # The next number of the same type: in float32 that of float64 would be one half again.
        return float(value if self.is_half_positive else np.nextafter(value, value + 1))


def sigmoid(logits: Float64[np.ndarray, "*shape"]) -> Float64[np.ndarray, "*shape"]:
    """Return 1 / (1 + exp(−z)), without overflow at either end.

    >>> sigmoid(np.array([-1000.0, 0.0, 1000.0]))
    array([0. , 0.5, 1. ])
    """
    small = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1.0, small) / (1 + small)


def calibration_figures(predicted: Predicted, truth: Truth, bands: Bands) -> dict[str, Figure]:
    """Return `brier`, `bce`, `ece_micro` and `ece_macro` with its bands."""
    squares, losses = proper_scores(predicted, truth)
    total, cells = int(truth.label_known.sum()), truth.num_samples * truth.num_labels
    return {
        "brier": ratio_figure(math.fsum(squares), total, total, cells),
        "bce": ratio_figure(math.fsum(losses), total, total, cells),
        "ece_micro": _pooled_figure(pooled_calibration_error(predicted, truth), truth),
        **macro_figures("ece_macro", calibration_errors(predicted, truth), bands),
    }


def calibration_errors(predicted: Predicted, truth: Truth) -> Float64[np.ndarray, " l"]:
    """Return the expected calibration error of each label; NaN for labels with fewer than 10 positives.

    The known cells, in ascending order, are cut into 15 bins of equal mass; cells with equal (float32) values go to the bin of
    the first of them together. The error is the mean over cells of |mean probability − share of positives| of the bin.
    """
    errors = np.full(truth.num_labels, np.nan)
    for label in np.flatnonzero(truth.label_positives >= MIN_POSITIVES):
        column = predicted.values[:, label].astype(np.float32)
        known = truth.known_column(int(label))
        values = np.sort(column if known is None else column[known])
        bins = _bins_of_sorted(values)
        found = bins[np.searchsorted(values, column[truth.columns.row(int(label))], side="left")]
        sums = np.bincount(bins, weights=predicted.probs(values), minlength=NUM_BINS)
        errors[label] = np.abs(sums - np.bincount(found, minlength=NUM_BINS)).sum() / len(values)
    return errors


def pooled_calibration_error(predicted: Predicted, truth: Truth) -> float:
    """Return the expected calibration error of all known cells pooled, in 15 bins; NaN without known cells."""
    from manyhot.metrics.probability_kernels import sum_bins

    total = int(truth.label_known.sum())
    if total == 0:
        return math.nan
    edges = _pooled_edges(predicted, truth)
    starts = bucket_starts(edges)
    sums = np.zeros((truth.num_samples, NUM_BINS))
    for rows in truth.row_blocks():
        values = predicted.block(rows)
        sum_bins(values, score_keys(values), predicted.probs(values), truth.known_rows(rows), edges, starts, sums[rows])
    positives = predicted.values[truth.row_ids, truth.label_ids].astype(np.float32)
    found = np.bincount(np.searchsorted(edges, positives, side="left"), minlength=NUM_BINS)
    # Sums by row, rounded once at the end: independent of the order of the rows.
    return math.fsum(abs(math.fsum(column) - count) for column, count in zip(sums.T, found, strict=True)) / total


def _bins_of_sorted(values: Float[np.ndarray, " m"]) -> Int64[np.ndarray, " m"]:
    """Return the bin of each of the sorted values: that of the first of its equals."""
    first = np.searchsorted(values, values, side="left")
    return first * NUM_BINS // len(values)


def _pooled_edges(predicted: Predicted, truth: Truth) -> Float32[np.ndarray, " e"]:
    """Return the highest value below each bin but the first: a value's bin is the number of edges below it.

    Bin b begins above the cell of rank ⌈b·M/15⌉. Two passes find these cells exactly, without sorting or copying the
    scores: one counts the cells of each bucket of 20 bits, one the last 12 bits in the buckets that hold an edge.
    """
    from manyhot.metrics.probability_kernels import count_buckets, count_within

    counts = np.zeros(NUM_KEYS, dtype=np.int64)
    for rows in truth.row_blocks():
        count_buckets(score_keys(predicted.block(rows)), truth.known_rows(rows), counts)
    below = np.concatenate(([0], np.cumsum(counts)))
    places = -(-np.arange(1, NUM_BINS) * below[-1] // NUM_BINS) - 1
    buckets = np.searchsorted(below, places, side="right") - 1
    kept, slots = np.unique(buckets, return_inverse=True)
    slot_of_bucket = np.full(NUM_KEYS, len(kept), dtype=np.int64)
    slot_of_bucket[kept] = np.arange(len(kept))
    within = np.zeros((len(kept) + 1, NUM_LOW_KEYS), dtype=np.int64)
    for rows in truth.row_blocks():
        count_within(sortable_bits(predicted.block(rows)), truth.known_rows(rows), slot_of_bucket, within)
    sums = np.cumsum(within, axis=1)
    low = [
        np.searchsorted(sums[slot], place, side="right")
        for slot, place in zip(slots, places - below[buckets], strict=True)
    ]
    return scores_of_bits(buckets.astype(np.uint32) * NUM_LOW_KEYS + np.array(low, dtype=np.uint32))


def proper_scores(predicted: Predicted, truth: Truth) -> tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, " n"]]:
    """Return for each row the sums over its known cells of (p − y)² and of −log-likelihood."""
    squares, losses = np.zeros((2, truth.num_samples))
    for rows in truth.row_blocks():
        values = predicted.block(rows).astype(np.float64)
        own = slice(truth.positives.indptr[rows.start], truth.positives.indptr[rows.stop])
        positive = (truth.row_ids[own] - rows.start, truth.label_ids[own])
        misses, surprises = predicted.judge(values, positive=False)
        misses[positive], surprises[positive] = predicted.judge(values[positive], positive=True)
        known = truth.known_rows(rows)
        if known.shape[1]:
            misses[~known] = surprises[~known] = 0.0
        squares[rows], losses[rows] = np.square(misses).sum(axis=1), surprises.sum(axis=1)
    return squares, losses


def _pooled_figure(value: float, truth: Truth) -> Figure:
    cells = truth.num_samples * truth.num_labels
    return Figure(None if math.isnan(value) else value, int(truth.label_known.sum()), cells)
