"""Bins of equal mass for calibration errors, compiled by numba; import this inside functions only.

Cells are never sorted: counts of their first bits tell in which bin they are, and only those that share their first bits
with an edge between bins are looked at again. Sums do not depend on the order of the cells.
"""

# ruff: noqa: PLR0917 - compiled functions are called by position

from typing import no_type_check

import numpy as np
from jaxtyping import Float, Float64, Int32, Int64, UInt8, UInt32

from manyhot.compiling import compiled
from manyhot.metrics.counting_kernels import write_buckets
from manyhot.metrics.probability_kernels import CHUNK, write_probs

MAX_BUCKETS = 4096
SPLIT = 255


@compiled
@no_type_check
def calibration_error(
    cells: Float[np.ndarray, " n"], are_logits: bool, rows: Int64[np.ndarray, " p"], bins: int
) -> float:
    """Return the calibration error of one label in bins of equal mass.

    Args:
        cells: Its logits or probabilities, NaN where unknown; at least one is known.
        are_logits: Which of the two.
        rows: Where it is positive.
        bins: How many, at most 200.
    """
    known = _known(cells)
    num_buckets = 64
    while num_buckets < min(len(known) // 4, MAX_BUCKETS):
        num_buckets *= 2
    low, scale = _bucket_scale(known, num_buckets)
    buckets = np.empty(len(known), dtype=np.uint32)
    write_buckets(known, low, scale, num_buckets, buckets)
    below = np.zeros(num_buckets + 1, dtype=np.int32)
    for index in range(len(known)):
        below[buckets[index] + np.uint32(1)] += np.int32(1)
    place_of = _bin_buckets(below, bins)
    # Whole multiples of a small share: their sum is exact, and so the same in any order.
    share = 2.0 ** (62 - np.ceil(np.log2(len(known) + 1)))
    sums = np.zeros(bins, dtype=np.int64)
    _add_shares(known, are_logits, buckets, place_of, share, sums)
    positives = cells[rows]
    places = np.empty(len(rows), dtype=np.uint32)
    write_buckets(positives, low, scale, num_buckets, places)
    found = np.zeros(bins, dtype=np.int64)
    for index in range(len(rows)):
        place = place_of[places[index]]
        if place != SPLIT:
            found[place] += 1
    listed = (positives, places, low, scale, num_buckets)
    _add_split(known, are_logits, (buckets, place_of, below), listed, share, sums, found)
    total = 0.0
    for place in range(bins):
        total += abs(sums[place] / share - found[place])
    return total / len(known)


@compiled
@no_type_check
def _bucket_scale(known: Float[np.ndarray, " m"], num_buckets: int) -> tuple[float, float]:
    low, high = known.dtype.type(np.inf), known.dtype.type(-np.inf)
    for index in range(len(known)):
        value = known[index]
        is_finite = abs(value) < np.inf
        low = value if is_finite and value < low else low
        high = value if is_finite and value > high else high
    width = high - low
    return low, np.float32(num_buckets - 1) / width if width > 0 else np.float32(0)


@compiled
@no_type_check
def _bin_buckets(below: Int32[np.ndarray, " b"], bins: int) -> UInt8[np.ndarray, " b"]:
    """Turn counts, each standing one place late, into sums, and return the bin of each bucket; `SPLIT` where it has two."""
    for bucket in range(1, len(below)):
        below[bucket] += below[bucket - 1]
    total = np.int64(below[-1])
    place_of = np.empty(len(below) - 1, dtype=np.uint8)
    # A bin ends below the first rank of the next: walked to, as a division for each bucket would cost more than its cells.
    place, end = 0, (total + bins - 1) // bins
    for bucket in range(len(place_of)):
        while place < bins - 1 and below[bucket] >= end:
            place += 1
            end = ((place + 1) * total + bins - 1) // bins
        # An empty bucket is in whichever bin.
        place_of[bucket] = place if below[bucket + 1] <= end else SPLIT
    return place_of


@compiled
@no_type_check
def _add_shares(
    known: Float[np.ndarray, " m"],
    are_logits: bool,
    buckets: UInt32[np.ndarray, " m"],
    place_of: UInt8[np.ndarray, " b"],
    share: float,
    sums: Int64[np.ndarray, " bins"],
) -> None:
    probs = np.empty(CHUNK, dtype=np.float64)
    parts = np.zeros((4, 256), dtype=np.int64)
    for start in range(0, len(known), CHUNK):
        chunk, own = known[start : start + CHUNK], buckets[start : start + CHUNK]
        write_probs(chunk, are_logits, probs[: len(chunk)])
        for index in range(len(chunk)):
            parts[index & 3, place_of[own[index]]] += np.int64(probs[index] * share)
    for place in range(len(sums)):
        sums[place] += parts[0, place] + parts[1, place] + parts[2, place] + parts[3, place]


@compiled
@no_type_check
def _known(cells: Float[np.ndarray, " n"]) -> Float[np.ndarray, " m"]:
    count = np.int32(0)
    for index in range(len(cells)):
        count = np.int32(count + np.int32(cells[index] == cells[index]))
    return cells if count == len(cells) else cells[~np.isnan(cells)]


@compiled
@no_type_check
def _add_split(known, are_logits, table, listed, share, sums, found) -> None:  # noqa: ANN001 - pairs of arrays
    """Add the cells and the positives of buckets that an edge splits: a cell's bin is that of the first of its equals."""
    buckets, place_of, below = table
    own = np.empty(len(known), dtype=known.dtype)
    count = 0
    for index in range(len(known)):
        # Written in any case, and kept by counting on: a branch would often be guessed wrong.
        own[count] = known[index]
        count += place_of[buckets[index]] == SPLIT
    own = np.sort(own[:count])
    places_of_own = np.empty(count, dtype=np.int64)
    low, scale, num_buckets = listed[2:]
    write_buckets(own, low, scale, num_buckets, buckets)
    start, first = 0, 0
    for index in range(count):
        start = index if buckets[index] != buckets[start] else start
        first = index if own[index] != own[first] else first
        places_of_own[index] = (below[buckets[index]] + first - start) * len(sums) // len(known)
    probs = np.empty(count, dtype=np.float64)
    write_probs(own, are_logits, probs)
    for index in range(count):
        sums[places_of_own[index]] += np.int64(probs[index] * share)
    positives, places = listed[:2]
    for index in range(len(positives)):
        if place_of[places[index]] == SPLIT:
            found[places_of_own[np.searchsorted(own, positives[index])]] += 1


@compiled
@no_type_check
def write_bits(cells: Float[np.ndarray, " m"], bits: UInt32[np.ndarray, " c"]) -> None:
    """Write the bits of the cells as float32, turned so that they sort as the cells do; the two zeros are one."""
    narrow = np.empty(len(cells), dtype=np.float32)
    for index in range(len(cells)):
        narrow[index] = np.float32(cells[index]) + np.float32(0)
    whole = narrow.view(np.int32)
    for index in range(len(cells)):
        # All bits are turned where the sign is set, else the sign alone.
        bits[index] = whole[index] ^ ((whole[index] >> 31) | np.int32(-(2**31)))


@compiled
@no_type_check
def count_keys(cells: Float[np.ndarray, " m"], shift: int, counts: Int64[np.ndarray, " b"]) -> None:
    """Add each cell to `counts`, at the first of its sortable bits; NaN has the highest."""
    keys = np.empty(CHUNK, dtype=np.uint32)
    for start in range(0, len(cells), CHUNK):
        chunk = cells[start : start + CHUNK]
        write_bits(chunk, keys)
        for index in range(len(chunk)):
            counts[keys[index] >> np.uint32(shift)] += 1


@compiled
@no_type_check
def count_last_bits(
    cells: Float[np.ndarray, " m"], shift: int, slots: UInt8[np.ndarray, " b"], counts: Int64[np.ndarray, "s w"]
) -> None:
    """Add the cells whose first bits have a slot to `counts`, at their last bits; the last slot is no slot."""
    keys = np.empty(CHUNK, dtype=np.uint32)
    none = len(counts)
    last = np.uint32((1 << shift) - 1)
    for start in range(0, len(cells), CHUNK):
        chunk = cells[start : start + CHUNK]
        write_bits(chunk, keys)
        for index in range(len(chunk)):
            slot = slots[keys[index] >> np.uint32(shift)]
            if slot != none:
                counts[slot, keys[index] & last] += 1


@compiled
@no_type_check
def sum_bins(
    values: Float[np.ndarray, "n l"],
    are_logits: bool,
    edges: UInt32[np.ndarray, " e"],
    shift: int,
    bins: UInt8[np.ndarray, " b"],
    sums: Float64[np.ndarray, "n bins"],
) -> None:
    """Add the probabilities of each row's cells to the bin of their value: the number of edges below it.

    Args:
        values: Logits or probabilities, NaN where unknown.
        are_logits: Which of the two.
        edges: Sortable bits of the edges, ascending, and above them the highest number of all.
        shift: How many of the last bits are left out of `bins`.
        bins: For the first bits of a value how many edges have lower first bits.
        sums: Is added to.
    """
    probs = np.empty(CHUNK, dtype=np.float64)
    keys = np.empty(CHUNK, dtype=np.uint32)
    # Four sums take turns, so that one addition need not wait for the last.
    parts = np.empty((4, sums.shape[1]), dtype=np.float64)
    for row in range(values.shape[0]):
        parts[:] = 0
        for start in range(0, values.shape[1], CHUNK):
            cells = values[row, start : start + CHUNK]
            write_probs(cells, are_logits, probs[: len(cells)])
            write_bits(cells, keys)
            for index in range(len(cells)):
                place = bins[keys[index] >> np.uint32(shift)]
                while edges[place] < keys[index]:
                    place += 1
                # NaN, which is unknown, has the highest bits, and so the last bin: of waste.
                parts[index & 3, place] += probs[index]
        for place in range(sums.shape[1]):
            sums[row, place] += (parts[0, place] + parts[1, place]) + (parts[2, place] + parts[3, place])
