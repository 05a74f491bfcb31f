"""How many cells score at or above each of few values, compiled by numba; import this inside functions only.

Few cells are compared with every value. Of many, those that do not reach a value are dropped before the next comes: the
cost is the sum of the values' ranks, and of a model worth its name the positives stand high. A cell that is NaN takes part
in nothing.
"""

from typing import no_type_check

import numpy as np
from jaxtyping import Float, Int64

from manyhot.compiling import compiled
from manyhot.metrics.vector_kernels import keep_reached


@compiled
@no_type_check
def compare_cells(
    cells: Float[np.ndarray, " m"],
    values: Float[np.ndarray, " p"],
    at_or_above: Int64[np.ndarray, " p"],
    above: Int64[np.ndarray, " p"],
) -> None:
    """Count as `count_cells` does, by comparing every value with every cell; the values may stand in any order.

    The fastest where cells are few: nothing is written that must be read again.
    """
    for index in range(len(values)):
        value = values[index]
        # 32 bits: twice as many cells in a vector as with 64.
        reached, higher = np.int32(0), np.int32(0)
        for cell in range(len(cells)):
            reached = np.int32(reached + np.int32(cells[cell] >= value))
            higher = np.int32(higher + np.int32(cells[cell] > value))
        at_or_above[index] = reached
        above[index] = higher


@compiled
@no_type_check
def thin_cells(
    cells: Float[np.ndarray, " m"],
    values: Float[np.ndarray, " p"],
    at_or_above: Int64[np.ndarray, " p"],
    above: Int64[np.ndarray, " p"],
    room: Float[np.ndarray, " m"],
) -> None:
    """Count as `count_cells` does, by keeping the cells that reach a value, and of these those that reach the next."""
    for index in range(len(values)):
        kept, higher = keep_cells(cells, values[index], room)
        at_or_above[index] = kept
        above[index] = higher
        cells = room[:kept]


@compiled
@no_type_check
def keep_cells(cells: Float[np.ndarray, " m"], mark: float, room: Float[np.ndarray, " r"]) -> tuple[int, int]:
    """Write the cells that are at least `mark` to `room`, in their order, which may be where they stand already.

    Returns how many they are, and how many are above the mark.
    """
    counts, low = np.uint64(0), np.uint64((1 << 32) - 1)
    lanes = 64 // cells.itemsize
    full = np.uint64(len(cells) - len(cells) % lanes)
    for start in range(np.uint64(0), full, np.uint64(lanes)):
        counts += keep_reached(cells, start, room, counts & low, mark)
    for index in range(full, np.uint64(len(cells))):
        cell = cells[index]
        room[counts & low] = cell
        counts += np.uint64(cell >= mark) + (np.uint64(cell > mark) << np.uint64(32))
    return np.int64(counts & low), np.int64(counts >> np.uint64(32))
