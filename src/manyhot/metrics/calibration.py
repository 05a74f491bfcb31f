"""How good probabilities are: Brier score, log-likelihood, and the expected calibration error in bins of equal mass."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Float64, UInt32

from manyhot.metrics.keys import LOW_BITS, NUM_KEYS, sortable_bits
from manyhot.metrics.scores import Kind, column_blocks, known_block
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

    @property
    def are_logits(self) -> bool:
        """Whether the values are logits."""
        return self.kind == "logits"

    def block(self, rows: slice, truth: Truth) -> Float32[np.ndarray, "k l"]:
        """Return the values of a block of rows as float32, with NaN in place of unknown cells."""
        return known_block(self.values, truth, rows).astype(np.float32, copy=False)

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


def calibration_errors(predicted: Predicted, truth: Truth) -> Float64[np.ndarray, " l"]:
    """Return the expected calibration error of each label; NaN for labels with fewer than 10 positives.

    The known cells, in ascending order, are cut into 15 bins of equal mass; cells with equal (float32) values go to the bin of
    the first of them together. The error is the mean over cells of |mean probability − share of positives| of the bin.
    """
    from manyhot.metrics.bin_kernels import calibration_error

    errors = np.full(truth.num_labels, np.nan)
    for labels, columns in column_blocks(predicted.values, truth):
        for label in (labels.start + np.flatnonzero(truth.label_positives[labels] >= MIN_POSITIVES)).tolist():
            column = columns[label - labels.start].astype(np.float32, copy=False)
            errors[label] = calibration_error(column, predicted.are_logits, truth.columns.row(label), NUM_BINS)
    return errors


def pooled_calibration_error(predicted: Predicted, truth: Truth) -> float:
    """Return the expected calibration error of all known cells pooled, in 15 bins; NaN without known cells."""
    from manyhot.metrics.bin_kernels import sum_bins

    total = int(truth.label_known.sum())
    if total == 0:
        return math.nan
    edges = _pooled_edges(predicted, truth)
    # The bin of a value's first bits: how many edges have lower first bits.
    keys = np.concatenate(([0], (edges >> LOW_BITS).astype(np.int64) + 1, [NUM_KEYS]))
    bins = np.repeat(np.arange(NUM_BINS, dtype=np.uint8), np.diff(keys))
    ends = np.append(edges, np.uint32(np.iinfo(np.uint32).max))
    sums = np.zeros((truth.num_samples, NUM_BINS))
    for rows in truth.row_blocks():
        sum_bins(predicted.block(rows, truth), predicted.are_logits, ends, LOW_BITS, bins, sums[rows])
    positives = predicted.values[truth.row_ids, truth.label_ids].astype(np.float32)
    found = np.bincount(np.searchsorted(edges, sortable_bits(positives)), minlength=NUM_BINS)
    # Sums by row, rounded once at the end: independent of the order of the rows.
    return math.fsum(abs(math.fsum(column) - count) for column, count in zip(sums.T, found, strict=True)) / total


def _pooled_edges(predicted: Predicted, truth: Truth) -> UInt32[np.ndarray, " e"]:
    """Return the bits of the highest value below each bin but the first: a value's bin is the number of edges below it.

    Bin b begins above the cell of rank ⌈b·M/15⌉. Two passes find these cells exactly, without sorting or copying the
    scores: one counts the cells of each bucket of 20 bits, one the last 12 bits in the buckets that hold an edge.
    """
    from manyhot.metrics.bin_kernels import count_keys, count_last_bits

    counts = np.zeros(NUM_KEYS, dtype=np.int64)
    for rows in truth.row_blocks():
        count_keys(predicted.block(rows, truth).ravel(), LOW_BITS, counts)
    below = np.concatenate(([0], np.cumsum(counts)))
    # Unknown cells have the highest bits of all: no rank of a known cell reaches them.
    places = -(-np.arange(1, NUM_BINS) * int(truth.label_known.sum()) // NUM_BINS) - 1
    buckets = np.searchsorted(below, places, side="right") - 1
    kept, slots = np.unique(buckets, return_inverse=True)
    slot_of_bucket = np.full(NUM_KEYS, len(kept), dtype=np.uint8)
    slot_of_bucket[kept] = np.arange(len(kept))
    within = np.zeros((len(kept), 1 << LOW_BITS), dtype=np.int64)
    for rows in truth.row_blocks():
        count_last_bits(predicted.block(rows, truth).ravel(), LOW_BITS, slot_of_bucket, within)
    sums = np.cumsum(within, axis=1)
    low = [
        np.searchsorted(sums[slot], place, side="right")
        for slot, place in zip(slots, places - below[buckets], strict=True)
    ]
    return (buckets.astype(np.uint32) << LOW_BITS) + np.array(low, dtype=np.uint32)


def proper_scores(predicted: Predicted, truth: Truth) -> tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, " n"]]:
    """Return for each row the sums over its known cells of (p − y)² and of −log-likelihood."""
    from manyhot.metrics.probability_kernels import sum_losses

    offsets = truth.positives.indptr.astype(np.int64, copy=False)
    squares, losses = np.zeros(truth.num_samples), np.zeros(truth.num_samples)
    for rows in truth.row_blocks():
        sum_losses(
            known_block(predicted.values, truth, rows),
            predicted.are_logits,
            offsets[rows.start : rows.stop + 1],
            truth.label_ids,
            squares[rows],
            losses[rows],
        )
    return squares, losses
