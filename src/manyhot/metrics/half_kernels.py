"""Loops over columns of 16-bit keys, which are counted one by one, compiled by numba; import this inside functions only."""

# ruff: noqa: PLR0917 - compiled functions are called by position

from typing import no_type_check

import numpy as np
from jaxtyping import Float, Int64, UInt16, UInt32

from manyhot.compiling import compiled
from manyhot.metrics.probability_kernels import write_probs

PAGE, NUM_PAGES = 256, 256
UNIT, TWO_52 = 2.0**40, 2.0**52


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
    columns: Int64[np.ndarray, " w"],
    wanted: Int64[np.ndarray, " w"],
    found: Int64[np.ndarray, "2 w"],
) -> None:
    """Write how many cells of a column are at or above each wanted key, and how many are at it."""
    for index in range(len(wanted)):
        column, value = columns[index], wanted[index]
        if value >= NUM_PAGES * PAGE:
            found[0, index] = found[1, index] = 0
            continue
        page = value // PAGE
        found[0, index] = above[column, page + 1] + _sum_counts(counts[column, value : (page + 1) * PAGE])
        found[1, index] = counts[column, value]


@compiled
@no_type_check
def sum_below(
    counts: UInt32[np.ndarray, "k b"],
    above: Int64[np.ndarray, "k pages"],
    units: Int64[np.ndarray, " b"],
    columns: Int64[np.ndarray, " w"],
    wanted: Int64[np.ndarray, " w"],
    sums: Int64[np.ndarray, " w"],
) -> None:
    """Write the sum of the units of the keys of a column that are below each wanted key.

    Wanted keys of a column that stand side by side are ascending, and are summed up to one after the other.
    """
    total, done = np.int64(0), 0
    for index in range(len(wanted)):
        column, end = columns[index], wanted[index]
        if index == 0 or columns[index - 1] != column:
            total, done = np.int64(0), 0
        while done < end:
            page = done // PAGE
            stop = min(end, (page + 1) * PAGE)
            # Pages without a cell are passed over.
            if above[column, page] > above[column, page + 1]:
                for value in range(done, stop):
                    total += np.int64(counts[column, value]) * units[value]
            done = stop
        sums[index] = total


@compiled
@no_type_check
def write_units(scores: Float[np.ndarray, " c"], are_logits: bool, units: Int64[np.ndarray, " c"]) -> None:
    """Write the probabilities that scores mean, in units of 2⁻⁴⁰, whose sums are exact; 0 for NaN."""
    probs = units.view(np.float64)
    write_probs(scores, are_logits, probs)
    for index in range(len(scores)):
        prob = probs[index] if scores[index] == scores[index] else 0.0
        # The sum's last bits are the nearest whole number.
        probs[index] = prob * UNIT + TWO_52
    for index in range(len(scores)):
        units[index] &= (1 << 52) - 1
