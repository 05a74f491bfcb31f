"""Loops over columns of 16-bit keys, which are counted one by one, compiled by numba; import this inside functions only."""

from typing import no_type_check

import numpy as np
from jaxtyping import Int64, UInt16, UInt32

from manyhot.compiling import compiled

PAGE, NUM_PAGES = 256, 256


@compiled
@no_type_check
def count_keys(
    keys: UInt16[np.ndarray, "k n"],
    counts: UInt32[np.ndarray, "k b"],
    above: Int64[np.ndarray, "k pages"],
    pooled: Int64[np.ndarray, " b"],
) -> None:
    """Count each key of each column, and those at or above each page of 256 keys; key 0 is left out.

    Passes over all keys are loops that the compiler turns into vectors; pages without a cell are passed over.
    """
    for column in range(keys.shape[0]):
        own, target = keys[column], counts[column]
        target[:] = 0
        for index in range(len(own)):
            target[own[index]] += np.uint32(1)
        target[0] = 0
        total = 0
        above[column, NUM_PAGES] = 0
        for page in range(NUM_PAGES - 1, -1, -1):
            cells = _sum_counts(target[page * PAGE : (page + 1) * PAGE])
            total += cells
            above[column, page] = total
            if cells:
                for value in range(page * PAGE, (page + 1) * PAGE):
                    pooled[value] += target[value]


@compiled
@no_type_check
def _sum_counts(counts: UInt32[np.ndarray, " v"]) -> int:
    total = np.uint32(0)
    for index in range(len(counts)):
        total = np.uint32(total + counts[index])
    return np.int64(total)


@compiled
@no_type_check
def count_in_pages(
    counts: UInt32[np.ndarray, "k b"],
    above: Int64[np.ndarray, "k pages"],
    offsets: Int64[np.ndarray, " offsets"],
    wanted: Int64[np.ndarray, " w"],
    found: Int64[np.ndarray, " w"],
) -> None:
    """Write how many cells of each column are at or above each wanted key; column `j` owns a slice of these."""
    for column in range(len(offsets) - 1):
        for index in range(offsets[column], offsets[column + 1]):
            value = wanted[index]
            if value >= NUM_PAGES * PAGE:
                found[index] = 0
                continue
            page = value // PAGE
            found[index] = above[column, page + 1] + _sum_counts(counts[column, value : (page + 1) * PAGE])


@compiled
@no_type_check
def sum_counted(
    counts: UInt32[np.ndarray, "k b"],
    above: Int64[np.ndarray, "k pages"],
    units: Int64[np.ndarray, " b"],
    edges: Int64[np.ndarray, "k e"],
    sums: Int64[np.ndarray, "k bins"],
) -> None:
    """Add the units of the keys of each column to the bin that they stand in."""
    for column in range(counts.shape[0]):
        own, bins = counts[column], sums[column]
        for page in range(NUM_PAGES):
            if above[column, page] == above[column, page + 1]:
                continue
            start, end = page * PAGE, (page + 1) * PAGE
            slot = np.searchsorted(edges[column], start, side="right")
            while start < end:
                stop = min(edges[column, slot], end) if slot < edges.shape[1] else end
                total = np.int64(0)
                for value in range(start, stop):
                    total += np.int64(own[value]) * units[value]
                bins[slot] += total
                start = stop
                slot += 1
