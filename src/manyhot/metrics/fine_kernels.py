"""Loops over blocks of columns of 32-bit keys, compiled by numba; import this inside functions only.

Cells are parted by their first 16 bits and never sorted: cells that share these, and their label, are a run, of which only
the last 16 bits are kept. Labels stand together in groups whose cells fit the cache; in a group runs stand by first bits and
then by label. A slot is the place of a value of the first bits among those that are in use.
"""

# ruff: noqa: PLR0917 - compiled functions are called by position

from typing import no_type_check

import numpy as np
from jaxtyping import Float64, Int32, Int64, UInt16, UInt32

from manyhot.compiling import compiled
from manyhot.metrics.last_kernels import DEAR_PAIRS, NUM_LAST, compare_lasts, fill_table, read_table


@compiled
@no_type_check
def part_cells(
    keys: UInt32[np.ndarray, "k n"],
    used: Int64[np.ndarray, " s"],
    group: int,
    starts: Int64[np.ndarray, " runs"],
    lasts: UInt16[np.ndarray, " c"],
    above: Int64[np.ndarray, "k slots"],
) -> int:
    """Write where each run starts, and the last bits of all cells; return how many cells have a run, which must be all.

    Args:
        keys: One row a label.
        used: Ascending, every value that the first bits of a key have.
        group: How many labels stand together.
        starts: Is written: labels × slots + 1.
        lasts: Is written.
        above: Is written: how many cells of a label have a slot, or a higher one.
    """
    num_slots, place = len(used), 0
    table = np.zeros(1 << 16, dtype=np.uint32)
    for first in range(0, keys.shape[0], group):
        end = min(first + group, keys.shape[0])
        for label in range(first, end):
            _count_firsts(keys[label], used, table, above[label])
        for slot in range(num_slots):
            for label in range(first, end):
                starts[first * num_slots + slot * (end - first) + label - first] = place
                place += above[label, slot] - above[label, slot + 1]
        if place != end * keys.shape[1]:
            return place
        for label in range(first, end):
            own = starts[first * num_slots + label - first : end * num_slots : end - first]
            _scatter(keys[label], used, own, table, lasts)
    starts[keys.shape[0] * num_slots] = place
    return place


@compiled
@no_type_check
def _count_firsts(
    cells: UInt32[np.ndarray, " n"],
    used: Int64[np.ndarray, " s"],
    table: UInt32[np.ndarray, " t"],
    above: Int64[np.ndarray, " slots"],
) -> None:
    for index in range(len(cells)):
        table[cells[index] >> np.uint32(16)] += np.uint32(1)
    total = np.int64(0)
    above[len(used)] = 0
    for slot in range(len(used) - 1, -1, -1):
        total += table[used[slot]]
        above[slot] = total
        table[used[slot]] = 0


@compiled
@no_type_check
def _scatter(
    cells: UInt32[np.ndarray, " n"],
    used: Int64[np.ndarray, " s"],
    starts: Int64[np.ndarray, " s"],
    table: UInt32[np.ndarray, " t"],
    lasts: UInt16[np.ndarray, " c"],
) -> None:
    for slot in range(len(used)):
        table[used[slot]] = starts[slot]
    for index in range(len(cells)):
        key = cells[index]
        place = table[key >> np.uint32(16)]
        lasts[place] = np.uint16(key & np.uint32(0xFFFF))
        table[key >> np.uint32(16)] = place + np.uint32(1)
    for slot in range(len(used)):
        table[used[slot]] = 0


@compiled
@no_type_check
def find_run(label: int, slot: int, shape: tuple[int, int, int]) -> int:
    """Return the run of a label and slot, of so many labels, slots, and labels in a group: a power of two."""
    num_labels, num_slots, group = shape
    first = label & ~(group - 1)
    return first * num_slots + slot * min(group, num_labels - first) + label - first


@compiled
@no_type_check
def sum_runs(
    lasts: UInt16[np.ndarray, " c"],
    starts: Int64[np.ndarray, " runs"],
    terms: Float64[np.ndarray, "s 5"],
    group: int,
    below: Int64[np.ndarray, "k slots"],
) -> None:
    """Write the sum of the probabilities of a label's cells in lower slots, in units of 2⁻⁴⁰.

    The terms of a slot make a polynomial in the last bits.
    """
    num_labels, num_slots = below.shape[0], len(terms)
    below[:, 0] = 0
    for first in range(0, num_labels, group):
        run = first * num_slots
        for slot in range(num_slots):
            own = terms[slot]
            t0, t1, t2, t3, t4 = own[0], own[1], own[2], own[3], own[4]
            for label in range(first, min(first + group, num_labels)):
                cells, total = lasts[starts[run] : starts[run + 1]], below[label, slot]
                for index in range(len(cells)):
                    last = np.float64(cells[index])
                    total += np.int64(t0 + last * (t1 + last * (t2 + last * (t3 + last * t4))))
                below[label, slot + 1] = total
                run += 1


@compiled
@no_type_check
def sum_below(
    lasts: UInt16[np.ndarray, " c"],
    starts: Int64[np.ndarray, " runs"],
    bits: tuple[Int32[np.ndarray, " f"], Int64[np.ndarray, " s"], Float64[np.ndarray, "s 5"]],
    group: int,
    below: Int64[np.ndarray, "k slots"],
    columns: Int64[np.ndarray, " w"],
    wanted: Int64[np.ndarray, " w"],
    sums: Int64[np.ndarray, " w"],
) -> None:
    """Write the sum of the probabilities of a column's cells below a wanted key, in units of 2⁻⁴⁰.

    Args:
        lasts: As `part_cells` writes them.
        starts: Likewise.
        bits: The first slot at or above each value of first bits, the value of each slot, and its terms.
        group: How many labels stand together.
        below: As `sum_runs` writes it.
        columns: The label of each wanted key.
        wanted: Keys, up to 2³².
        sums: Is written.
    """
    slots, used, terms = bits
    shape = (below.shape[0], len(used), group)
    for index in range(len(wanted)):
        first, column = wanted[index] >> 16, columns[index]
        slot = slots[first]
        sums[index] = below[column, slot]
        if slot == len(used) or used[slot] != first:
            continue
        run, limit, own = find_run(column, slot, shape), wanted[index] & (NUM_LAST - 1), terms[slot]
        cells, total = lasts[starts[run] : starts[run + 1]], np.int64(0)
        t0, t1, t2, t3, t4 = own[0], own[1], own[2], own[3], own[4]
        for cell in range(len(cells)):
            last = np.float64(cells[cell])
            units = np.int64(t0 + last * (t1 + last * (t2 + last * (t3 + last * t4))))
            total += units if np.int64(cells[cell]) < limit else np.int64(0)
        sums[index] += total


@compiled
@no_type_check
def rank_in_runs(
    lasts: UInt16[np.ndarray, " c"],
    starts: Int64[np.ndarray, " runs"],
    bits: tuple[Int32[np.ndarray, " f"], Int64[np.ndarray, " s"], Float64[np.ndarray, "s 5"]],
    group: int,
    above: Int64[np.ndarray, "k slots"],
    columns: Int64[np.ndarray, " w"],
    wanted: Int64[np.ndarray, " w"],
    counts: Int64[np.ndarray, "2 w"],
) -> None:
    """Write how many cells of a column are at or above a wanted key, and how many are at it.

    Args:
        lasts: As `part_cells` writes them.
        starts: Likewise.
        bits: As of `sum_below`.
        group: How many labels stand together.
        above: As `part_cells` writes it.
        columns: The label of each wanted key.
        wanted: Keys, up to 2³²; those of a label that stand side by side are ascending.
        counts: Is written.
    """
    slots, used, _ = bits
    shape = (above.shape[0], len(used), group)
    begin = 0
    while begin < len(wanted):
        column, first, end = columns[begin], wanted[begin] >> 16, begin + 1
        while end < len(wanted) and columns[end] == column and wanted[end] >> 16 == first:
            end += 1
        slot = slots[first]
        is_used = slot < len(used) and used[slot] == first
        counts[0, begin:end] = above[column, slot + is_used]
        counts[1, begin:end] = 0
        if is_used:
            run = find_run(column, slot, shape)
            cells = lasts[starts[run] : starts[run + 1]]
            if len(cells) * (end - begin) <= DEAR_PAIRS:
                compare_lasts(cells, wanted, begin, end, counts)
            else:
                table = np.zeros(NUM_LAST, dtype=np.uint32)
                fill_table(cells, table)
                read_table(table, wanted, begin, end, counts)
        begin = end
