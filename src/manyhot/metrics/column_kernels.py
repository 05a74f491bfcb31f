"""Loops over the columns of a score store, compiled by numba; import this inside functions only.

A key is a whole number that sorts like its score; key 0 is below all others and stands for an unknown cell.
"""

# ruff: noqa: PLR0917 - compiled functions are called by position

from typing import no_type_check

import numpy as np
from jaxtyping import Bool, Int64, UInt, UInt16, UInt32

from manyhot.compiling import compiled


@compiled
@no_type_check
def turn_bits(
    bits: UInt[np.ndarray, "n l"], known: Bool[np.ndarray, "n l_or_0"], sign: UInt, keys: UInt[np.ndarray, "l n"]
) -> None:
    """Write the keys of scores with these bits, label by label; 0 where a cell is unknown, one key for the two zeros."""
    masked = known.shape[1] > 0
    # Squares of 64 cells a side: neither reading nor writing leaves the cache.
    for first_row in range(0, bits.shape[0], 64):
        for first_label in range(0, bits.shape[1], 64):
            for row in range(first_row, min(first_row + 64, bits.shape[0])):
                for label in range(first_label, min(first_label + 64, bits.shape[1])):
                    value = bits[row, label]
                    if masked and not known[row, label]:
                        keys[label, row] = 0
                    elif value > sign:
                        keys[label, row] = ~value
                    else:
                        keys[label, row] = value | sign


@compiled
@no_type_check
def sort_columns(keys: UInt32[np.ndarray, "k n"]) -> None:
    """Sort each column (a row of the matrix), lowest first: three rounds of counting, 11 bits each."""
    width = keys.shape[1]
    spare = np.empty(width, dtype=np.uint32)
    places = np.empty((3, 2048), dtype=np.int64)
    for column in range(keys.shape[0]):
        own = keys[column]
        places[:] = 0
        for index in range(width):
            key = own[index]
            places[0, key & np.uint32(2047)] += 1
            places[1, (key >> np.uint32(11)) & np.uint32(2047)] += 1
            places[2, key >> np.uint32(22)] += 1
        for part in range(3):
            total = 0
            for value in range(2048):
                count = places[part, value]
                places[part, value] = total
                total += count
        _scatter(own, spare, places[0], np.uint32(0))
        _scatter(spare, own, places[1], np.uint32(11))
        _scatter(own, spare, places[2], np.uint32(22))
        own[:] = spare


@compiled
@no_type_check
def _scatter(
    source: UInt32[np.ndarray, " n"], target: UInt32[np.ndarray, " n"], places: Int64[np.ndarray, " v"], shift: UInt32
) -> None:
    for index in range(len(source)):
        key = source[index]
        value = (key >> shift) & np.uint32(2047)
        target[places[value]] = key
        places[value] += 1


@compiled
@no_type_check
def count_in_sorted(
    keys: UInt32[np.ndarray, "k n"],
    offsets: Int64[np.ndarray, " offsets"],
    wanted: Int64[np.ndarray, " w"],
    counts: Int64[np.ndarray, " w"],
) -> None:
    """Count the keys of each sorted column that are at or above each wanted key; column `j` owns a slice of these."""
    width = keys.shape[1]
    for column in range(keys.shape[0]):
        own = keys[column]
        for index in range(offsets[column], offsets[column + 1]):
            low, high = 0, width
            while low < high:
                middle = (low + high) >> 1
                if np.int64(own[middle]) < wanted[index]:
                    low = middle + 1
                else:
                    high = middle
            counts[index] = width - low


@compiled
@no_type_check
def add_merged(
    keys: UInt32[np.ndarray, " n"],
    distinct: UInt32[np.ndarray, " v"],
    reached: Int64[np.ndarray, " v"],
    equal: Int64[np.ndarray, " v"],
) -> None:
    """Add sorted keys to the highest of the sorted distinct ones that each reaches, and to `equal` where it is that one."""
    slot = -1
    for index in range(len(keys)):
        key = keys[index]
        while slot + 1 < len(distinct) and distinct[slot + 1] <= key:
            slot += 1
        if slot >= 0:
            reached[slot] += 1
            equal[slot] += key == distinct[slot]


@compiled
@no_type_check
def count_keys(
    keys: UInt16[np.ndarray, "k n"], counts: UInt32[np.ndarray, "k b"], pooled: Int64[np.ndarray, " b"]
) -> None:
    """Count the keys of each column at or above every key, and add the number of each key to the pool; key 0 is left out."""
    for column in range(keys.shape[0]):
        own, target = keys[column], counts[column]
        target[:] = 0
        for index in range(len(own)):
            target[own[index]] += np.uint32(1)
        target[0] = 0
        total = np.uint32(0)
        for value in range(len(target) - 1, -1, -1):
            count = target[value]
            pooled[value] += count
            total += count
            target[value] = total


@compiled
@no_type_check
def sum_counted(
    counts: UInt32[np.ndarray, "k b"],
    units: Int64[np.ndarray, " b"],
    edges: Int64[np.ndarray, "k e"],
    sums: Int64[np.ndarray, "k bins"],
) -> None:
    """Add the units of the keys of each column to the bin that they stand in; counts are of keys at or above."""
    for column in range(counts.shape[0]):
        own = counts[column]
        start = 1
        for slot in range(sums.shape[1]):
            stop = edges[column, slot] if slot < edges.shape[1] else len(own)
            total = np.int64(0)
            for value in range(start, min(stop, len(own) - 1)):
                total += np.int64(own[value] - own[value + 1]) * units[value]
            if start < stop == len(own):
                total += np.int64(own[len(own) - 1]) * units[len(own) - 1]
            sums[column, slot] = total
            start = max(start, stop)


@compiled
@no_type_check
def sum_probs(
    keys: UInt32[np.ndarray, "k n"],
    is_logit: bool,
    edges: Int64[np.ndarray, "k e"],
    sums: Int64[np.ndarray, "k b"],
    pooled_counts: Int64[np.ndarray, " t"],
    pooled_sums: Int64[np.ndarray, " t"],
) -> None:
    """Add the probabilities of sorted keys, in units of 2⁻⁴⁰, to the bin below whose edges they stand, and pooled.

    Args:
        keys: Sorted columns; key 0 is passed over.
        is_logit: Whether the scores are logits; probabilities otherwise.
        edges: For each column the lowest key of each bin but the first.
        sums: For each column the sum of each bin.
        pooled_counts: Number of keys by their first 16 bits.
        pooled_sums: Sum of probabilities by the same.
    """
    bits = np.empty(1, dtype=np.uint32)
    score = bits.view(np.float32)
    for column in range(keys.shape[0]):
        slot = 0
        for index in range(keys.shape[1]):
            key = keys[column, index]
            if key == 0:
                continue
            while slot < edges.shape[1] and edges[column, slot] <= np.int64(key):
                slot += 1
            bits[0] = key ^ np.uint32(0x80000000) if key >> np.uint32(31) else ~key
            prob = np.float64(score[0])
            if is_logit:
                small = np.exp(-abs(prob))
                prob = (1.0 if prob >= 0 else small) / (1.0 + small)
            unit = np.int64(np.rint(prob * 1099511627776.0))
            sums[column, slot] += unit
            pooled_counts[key >> np.uint32(16)] += 1
            pooled_sums[key >> np.uint32(16)] += unit


@compiled
@no_type_check
def count_low_bits(
    keys: UInt32[np.ndarray, "k n"], slots: Int64[np.ndarray, " t"], counts: Int64[np.ndarray, "s b"]
) -> None:
    """Count the last 16 bits of the keys whose first 16 bits have a slot from 0."""
    for column in range(keys.shape[0]):
        for index in range(keys.shape[1]):
            key = keys[column, index]
            slot = slots[key >> np.uint32(16)]
            if slot >= 0:
                counts[slot, key & np.uint32(0xFFFF)] += 1
