"""Loops over the columns of a score store, compiled by numba; import this inside functions only.

A key is a whole number that sorts like its score; key 0 is below all others and stands for an unknown cell.
"""

# ruff: noqa: PLR0917 - compiled functions are called by position

from typing import no_type_check

import numpy as np
from jaxtyping import Bool, Float, Int8, Int64, UInt, UInt32

from manyhot.compiling import compiled
from manyhot.metrics.counting_kernels import find_places
from manyhot.metrics.probability_kernels import CHUNK, write_probs

TILE = 16
TWO_52 = 4503599627370496.0


@compiled
@no_type_check
def turn_bits(bits: UInt[np.ndarray, "n l"], sign: UInt, keys: UInt[np.ndarray, "l n"]) -> None:
    """Write the keys of scores with these bits, label by label; one key for the two zeros."""
    full = bits.shape[0] - bits.shape[0] % TILE
    for row in range(0, full, TILE):
        source, goal = bits[row : row + TILE], keys[:, row : row + TILE]
        # Sixteen stores side by side fill a cache line; the constant lets the compiler unroll them.
        for label in range(bits.shape[1]):
            for offset in range(TILE):
                value = source[offset, label]
                goal[label, offset] = ~value if value > sign else value | sign
    for row in range(full, bits.shape[0]):
        for label in range(bits.shape[1]):
            value = bits[row, label]
            keys[label, row] = ~value if value > sign else value | sign


@compiled
@no_type_check
def clear_unknown(known: Bool[np.ndarray, "n l"], keys: UInt[np.ndarray, "l n"]) -> None:
    """Write 0 where a cell is unknown."""
    for row in range(known.shape[0]):
        for label in range(known.shape[1]):
            if not known[row, label]:
                keys[label, row] = 0


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
def place_keys(
    keys: UInt32[np.ndarray, "k n"],
    low: float,
    scale: float,
    starts: UInt32[np.ndarray, " b"],
    crowded: bool,
    marks: Float[np.ndarray, " m"],
    counts: Int64[np.ndarray, " e"],
) -> None:
    """Add the cells to `counts`, at what `find_places` writes for them; key 0 reaches no mark."""
    places = np.empty(CHUNK, dtype=np.uint32)
    bits = np.empty(CHUNK, dtype=np.uint32)
    for column in range(keys.shape[0]):
        for start in range(0, keys.shape[1], CHUNK):
            chunk = keys[column, start : start + CHUNK]
            write_bits_of_keys(chunk, bits)
            find_places(bits[: len(chunk)].view(np.float32), low, scale, starts, crowded, marks, places)
            for index in range(len(chunk)):
                counts[places[index]] += 1


@compiled
@no_type_check
def write_bits_of_keys(keys: UInt32[np.ndarray, " c"], bits: UInt32[np.ndarray, " b"]) -> None:
    """Write the bits of the float32 scores that have these keys; key 0 becomes NaN."""
    for index in range(len(keys)):
        key = keys[index]
        bits[index] = key ^ np.uint32(0x80000000) if key >= np.uint32(0x80000000) else ~key


@compiled
@no_type_check
def write_units(scores: Float[np.ndarray, " c"], are_logits: bool, units: Int64[np.ndarray, " c"]) -> None:
    """Write the probabilities that scores mean, in units of 2⁻⁴⁰, whose sums are exact; 0 for NaN."""
    probs = units.view(np.float64)
    write_probs(scores, are_logits, probs)
    for index in range(len(scores)):
        prob = probs[index] if scores[index] == scores[index] else 0.0
        # The sum's last bits are the nearest whole number.
        probs[index] = prob * 1099511627776.0 + TWO_52
    for index in range(len(scores)):
        units[index] &= (1 << 52) - 1


@compiled
@no_type_check
def sum_probs(
    keys: UInt32[np.ndarray, "k n"],
    are_logits: bool,
    edges: Int64[np.ndarray, "k e"],
    sums: Int64[np.ndarray, "k b"],
    pooled_counts: Int64[np.ndarray, " t"],
    pooled_sums: Int64[np.ndarray, " t"],
) -> None:
    """Add the probabilities of sorted keys, in units of 2⁻⁴⁰, to the bin below whose edges they stand, and pooled.

    Args:
        keys: Sorted columns; key 0 is passed over.
        are_logits: Whether the scores are logits; probabilities otherwise.
        edges: For each column the lowest key of each bin but the first.
        sums: For each column the sum of each bin.
        pooled_counts: Number of keys by their first 16 bits.
        pooled_sums: Sum of probabilities by the same.
    """
    bits, units = np.empty(CHUNK, dtype=np.uint32), np.empty(CHUNK, dtype=np.int64)
    for column in range(keys.shape[0]):
        slot = 0
        for start in range(0, keys.shape[1], CHUNK):
            chunk = keys[column, start : start + CHUNK]
            write_bits_of_keys(chunk, bits)
            write_units(bits[: len(chunk)].view(np.float32), are_logits, units[: len(chunk)])
            begin = 0
            while begin < len(chunk):
                end = len(chunk)
                if slot < edges.shape[1] and edges[column, slot] <= np.int64(chunk[end - 1]):
                    end = np.searchsorted(chunk, np.uint32(edges[column, slot]))
                total = np.int64(0)
                for index in range(begin, end):
                    total += units[index]
                sums[column, slot] += total
                begin = end
                slot += begin < len(chunk)
            _add_runs(chunk, units, pooled_counts, pooled_sums)


@compiled
@no_type_check
def _add_runs(
    chunk: UInt32[np.ndarray, " c"],
    units: Int64[np.ndarray, " b"],
    counts: Int64[np.ndarray, " t"],
    sums: Int64[np.ndarray, " t"],
) -> None:
    begin = np.searchsorted(chunk, np.uint32(1))
    while begin < len(chunk):
        # Sorted keys come in runs with the same first bits.
        high, end, total = chunk[begin] >> np.uint32(16), begin, np.int64(0)
        while end < len(chunk) and chunk[end] >> np.uint32(16) == high:
            total += units[end]
            end += 1
        counts[high] += end - begin
        sums[high] += total
        begin = end


@compiled
@no_type_check
def count_low_bits(
    keys: UInt32[np.ndarray, "k n"], slots: Int8[np.ndarray, " t"], counts: Int64[np.ndarray, "s b"]
) -> None:
    """Count the last 16 bits of the keys whose first 16 bits have a slot from 0."""
    for column in range(keys.shape[0]):
        for index in range(keys.shape[1]):
            key = keys[column, index]
            slot = slots[key >> np.uint32(16)]
            if slot >= 0:
                counts[slot, key & np.uint32(0xFFFF)] += 1
