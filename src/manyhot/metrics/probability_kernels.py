"""Loops for figures of probabilities, compiled by numba at first use; import this inside functions only."""

# ruff: noqa: PLR0917 - compiled functions are called by position
from typing import no_type_check

import numpy as np
from jaxtyping import Bool, Float, Int64, UInt32

from manyhot.compiling import compiled


@compiled
@no_type_check
def count_buckets(
    keys: UInt32[np.ndarray, "n l"], known: Bool[np.ndarray, "n k"], counts: Int64[np.ndarray, " b"]
) -> None:
    """Add the known cells of each bucket to `counts`."""
    masked = known.shape[1] > 0
    for row in range(keys.shape[0]):
        for label in range(keys.shape[1]):
            if not masked or known[row, label]:
                counts[keys[row, label]] += 1


@compiled
@no_type_check
def count_within(
    bits: UInt32[np.ndarray, "n l"],
    known: Bool[np.ndarray, "n k"],
    slots: Int64[np.ndarray, " b"],
    counts: Int64[np.ndarray, "s w"],
) -> None:
    """Add the known cells to `counts`, by the slot of their first bits and by their last bits; the last slot is waste."""
    masked = known.shape[1] > 0
    width = np.uint32(counts.shape[1])
    waste = counts.shape[0] - 1
    for row in range(bits.shape[0]):
        for label in range(bits.shape[1]):
            slot = slots[bits[row, label] // width]
            if slot < waste and (not masked or known[row, label]):
                counts[slot, bits[row, label] % width] += 1


@compiled
@no_type_check
def sum_bins(
    scores: Float[np.ndarray, "n l"],
    keys: UInt32[np.ndarray, "n l"],
    probs: Float[np.ndarray, "n l"],
    known: Bool[np.ndarray, "n k"],
    edges: Float[np.ndarray, " e"],
    starts: Int64[np.ndarray, " b"],
    sums: Float[np.ndarray, "n e+1"],
) -> None:
    """Add the probabilities of each row's known cells to the bin of their score: the number of edges below it.

    `keys` and `starts` are as in `count_pooled`, with the edges in place of the positives.
    """
    masked = known.shape[1] > 0
    for row in range(scores.shape[0]):
        for label in range(scores.shape[1]):
            if masked and not known[row, label]:
                continue
            score, key = scores[row, label], keys[row, label]
            low, high = starts[key], starts[key + 1]
            while low < high:
                middle = (low + high) >> 1
                if edges[middle] < score:
                    low = middle + 1
                else:
                    high = middle
            sums[row, low] += probs[row, label]
