"""Bins of equal mass over keys, for calibration errors: where they begin, and what the sums of their cells mean.

Probabilities are summed in units of 2⁻⁴⁰, as whole numbers, so that no split of the samples changes a bit.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Int64, UInt

from manyhot.metrics.calibration import NUM_BINS

UNIT = 2.0**40


def bin_ranks(known: Int64[np.ndarray, " k"]) -> Int64[np.ndarray, "k e"]:
    """Return the rank of the cell with which each bin but the first begins, ⌈b·M/15⌉, for labels of `known` cells.

    >>> bin_ranks(np.array([30]))
    array([[ 2,  4,  6,  8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28]])
    """
    return -(-np.arange(1, NUM_BINS) * known[:, None] // NUM_BINS)


def bin_edges(
    at_or_above: Callable[[Int64[np.ndarray, "k e"]], Int64[np.ndarray, "k e"]],
    known: Int64[np.ndarray, " k"],
    num_bits: int,
) -> Int64[np.ndarray, "k e"]:
    """Return the lowest key of each of 15 bins of equal mass but the first, found by halving the range of keys.

    A bin begins at the cell of its rank, or behind the run of equal keys that this cell is in if the run began before.

    Args:
        at_or_above: Counts the cells of all ranks at or above keys.
        known: Cells of each label.
        num_bits: Of a key.

    >>> keys = np.arange(1, 31)
    >>> bin_edges(lambda wanted: (keys >= wanted[..., None]).sum(axis=-1), np.array([30]), 16)[0, :4]
    array([3, 5, 7, 9])
    """
    ranks = bin_ranks(known)
    low, high = np.ones(ranks.shape, dtype=np.int64), np.full(ranks.shape, (1 << num_bits) - 1, dtype=np.int64)
    for _ in range(num_bits):
        middle = (low + high) >> 1
        # The cell of this rank is at or below the middle when more cells than its rank are.
        reached = known[:, None] - at_or_above(middle + 1) > ranks
        low, high = np.where(reached, low, np.minimum(middle + 1, high)), np.where(reached, middle, high)
    begun_before = known[:, None] - at_or_above(low) < ranks
    return low + begun_before


def bin_error(
    sums: Int64[np.ndarray, " bins"], edges: Int64[np.ndarray, " e"], positives: UInt[np.ndarray, " p"], known: int
) -> float:
    """Return the mean over cells of |mean probability − share of positives| of their bin.

    Args:
        sums: Of the probabilities in each bin, in units of 2⁻⁴⁰.
        edges: The lowest key of each bin but the first.
        positives: Keys of the positives.
        known: How many cells there are.

    >>> sums, edges = np.zeros(15, dtype=np.int64), np.arange(1, 15)
    >>> bin_error(sums, edges, np.array([3], dtype=np.uint16), 20)
    0.05
    """
    found = np.bincount(np.searchsorted(edges, positives.astype(np.int64), side="right"), minlength=NUM_BINS)
    return float(np.abs(sums / UNIT - found).sum() / known)
