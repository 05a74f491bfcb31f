"""Ranking marks by their last 16 bits among cells that share the first 16, compiled by numba; import inside functions only.

Few pairs of a mark and a cell are all compared, which the compiler turns into vectors; many go through a table of all last
bits. The counts are the same.
"""

# ruff: noqa: PLR0917 - compiled functions are called by position

from typing import no_type_check

import numpy as np
from jaxtyping import Int64, UInt16, UInt32

from manyhot.compiling import compiled

NUM_LAST = 1 << 16
# Comparing so many pairs costs about as much as reading and clearing a table.
DEAR_PAIRS = 1 << 19
PAGE = 16


@compiled
@no_type_check
def compare_lasts(
    cells: UInt16[np.ndarray, " c"],
    wanted: Int64[np.ndarray, " w"],
    begin: int,
    end: int,
    counts: Int64[np.ndarray, "2 w"],
) -> None:
    """Add how many cells are at or above the last bits of some wanted keys, and how many are equal: all pairs are compared."""
    for index in range(begin, end):
        value = np.uint16(wanted[index] & (NUM_LAST - 1))
        reached, equal = np.int32(0), np.int32(0)
        for cell in range(len(cells)):
            reached = np.int32(reached + np.int32(cells[cell] >= value))
            equal = np.int32(equal + np.int32(cells[cell] == value))
        counts[0, index] += reached
        counts[1, index] += equal


@compiled
@no_type_check
def fill_table(cells: UInt16[np.ndarray, " c"], table: UInt32[np.ndarray, " t"]) -> None:
    """Count each value of last bits."""
    for index in range(len(cells)):
        table[cells[index]] += np.uint32(1)


@compiled
@no_type_check
def read_table(
    table: UInt32[np.ndarray, " t"],
    wanted: Int64[np.ndarray, " w"],
    begin: int,
    end: int,
    counts: Int64[np.ndarray, "2 w"],
) -> None:
    """Add what `compare_lasts` adds, from a table of all last bits."""
    above = np.empty(NUM_LAST // PAGE + 1, dtype=np.uint32)
    above[NUM_LAST // PAGE] = 0
    for page in range(NUM_LAST // PAGE - 1, -1, -1):
        part = np.uint32(0)
        for value in range(page * PAGE, (page + 1) * PAGE):
            part = np.uint32(part + table[value])
        above[page] = above[page + 1] + part
    for index in range(begin, end):
        last = wanted[index] & (NUM_LAST - 1)
        page = last // PAGE
        part = above[page + 1]
        for value in range(last, (page + 1) * PAGE):
            part = np.uint32(part + table[value])
        counts[0, index] += part
        counts[1, index] += table[last]


@compiled
@no_type_check
def fold_pool(
    lasts: UInt16[np.ndarray, " c"],
    starts: Int64[np.ndarray, "groups starts"],
    offsets: Int64[np.ndarray, "2 s"],
    marks: Int64[np.ndarray, " m"],
    edge_of: Int64[np.ndarray, " s"],
    counts: Int64[np.ndarray, "2 m"],
    edge_counts: Int64[np.ndarray, "e t"],
) -> None:
    """Rank the marks of all labels among the cells of some groups of labels that share their first bits.

    Args:
        lasts: Of the cells of all groups.
        starts: For each group and slot where its cells start, and one past the last.
        offsets: Slot `s` owns the marks `offsets[0, s]:offsets[1, s]`.
        marks: Keys, ascending.
        edge_of: For each slot the row of `edge_counts` that counts its last bits; -1 for none.
        counts: Is added to: cells of the slot at or above each mark, and at it.
        edge_counts: Is added to.
    """
    table = np.zeros(NUM_LAST, dtype=np.uint32)
    room = np.empty(0, dtype=np.uint16)
    for slot in range(len(edge_of)):
        begin, end, edge, num_cells = offsets[0, slot], offsets[1, slot], edge_of[slot], 0
        if begin == end and edge < 0:
            continue
        for group in range(len(starts)):
            num_cells += starts[group, slot + 1] - starts[group, slot]
        room = room if len(room) >= num_cells else np.empty(2 * num_cells, dtype=np.uint16)
        cells = room[:num_cells]
        _gather(lasts, starts, slot, cells)
        if edge < 0 and (end - begin) * num_cells <= DEAR_PAIRS:
            compare_lasts(cells, marks, begin, end, counts)
            continue
        fill_table(cells, table)
        read_table(table, marks, begin, end, counts)
        if edge >= 0:
            for value in range(NUM_LAST):
                edge_counts[edge, value] += table[value]
        table[:] = 0


@compiled
@no_type_check
def _gather(
    lasts: UInt16[np.ndarray, " c"],
    starts: Int64[np.ndarray, "groups starts"],
    slot: int,
    cells: UInt16[np.ndarray, " c"],
) -> None:
    """Write the cells of a slot one after the other: a loop that need not wait for what it reads from afar."""
    place = 0
    for group in range(len(starts)):
        first = starts[group, slot]
        count = starts[group, slot + 1] - first
        for index in range(count):
            cells[place + index] = lasts[first + index]
        place += count
