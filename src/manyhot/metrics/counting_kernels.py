"""How many cells score at or above each of some values: the loop that every ranking figure comes from, compiled by numba.

Three ways, and the same counts: few cells are compared with every value; for few values, ascending, cells that do not
reach one are dropped before the next comes; among many, each cell is placed by a table of buckets. A cell that is NaN takes part in nothing: unknown cells are handed
in as NaN. Import this inside functions only; `no_type_check` keeps the tests' shape checks out of the compiler's sight.
"""

# ruff: noqa: PLR0917 - compiled functions are called by position

from typing import no_type_check

import numpy as np
from jaxtyping import Float, Int32, Int64, Integer, UInt32

from manyhot.compiling import compiled
from manyhot.metrics.thinning_kernels import keep_cells, thin_cells

# Keeping half of the cells costs about 1/30 of placing them, and of a model worth its name the positives stand high.
MANY_VALUES = 64
# With more marks than this in a bucket, buckets are searched by halves.
CROWDED = 32
BUCKETS_PER_MARK = 8
MAX_BUCKETS = 1 << 13
CHUNK = 1024
# A tally that counts up from here stays negative.
LOWEST = np.int32(-(2**31))


@compiled
@no_type_check
def count_cells(
    cells: Float[np.ndarray, " m"],
    values: Float[np.ndarray, " p"],
    at_or_above: Int64[np.ndarray, " p"],
    above: Int64[np.ndarray, " p"],
    room: Float[np.ndarray, " m"],
) -> None:
    """Write for each of the ascending values, at least one, how many cells score at or above it, and how many above it.

    Cells below the lowest value reach none, and are left out first. `room` is overwritten.
    """
    if len(values) <= MANY_VALUES:
        thin_cells(cells, values, at_or_above, above, room)
    else:
        kept, _ = keep_cells(cells, values[0], room)
        place_cells(room[:kept], values, at_or_above, above)


@compiled
@no_type_check
def place_cells(
    cells: Float[np.ndarray, " m"],
    values: Float[np.ndarray, " p"],
    at_or_above: Int64[np.ndarray, " p"],
    above: Int64[np.ndarray, " p"],
) -> None:
    """Count as `count_cells` does, by finding for every cell the highest value that it reaches."""
    marks = np.empty(len(values) + 2, dtype=cells.dtype)
    num_marks = fill_marks(values, marks)
    num_buckets = 256
    # A table that is larger than what it counts would cost more than it spares.
    while num_buckets < min(BUCKETS_PER_MARK * num_marks, len(cells) // 2, MAX_BUCKETS):
        num_buckets *= 2
    starts = np.empty(num_buckets + 1, dtype=np.uint32)
    low, scale, crowded = fill_starts(marks, num_marks, starts)
    # Two tallies take turns: neighbours often fall on the same one, and each would wait for the last to be written.
    tallies = np.empty((2, num_buckets), dtype=np.int32)
    start_tallies(starts, tallies)
    counts = np.zeros(2 * num_marks + 2, dtype=np.int32)
    kept, places = np.empty(CHUNK, dtype=cells.dtype), np.empty(CHUNK, dtype=np.uint32)
    for start in range(0, len(cells), CHUNK):
        chunk = cells[start : start + CHUNK]
        num_kept = sift_cells(chunk, low, scale, tallies, kept, places)
        find_places(kept[:num_kept], low, scale, starts, crowded, marks, places)
        for index in range(num_kept):
            counts[places[index]] += np.int32(1)
    add_tallies(starts, tallies, counts)
    total, equal, mark = 0, 0, num_marks
    for index in range(len(values) - 1, -1, -1):
        while mark > 0 and marks[mark] >= values[index]:
            equal = counts[2 * mark + 1]
            total += counts[2 * mark] + equal
            mark -= 1
        at_or_above[index] = total
        above[index] = total - equal


@compiled
@no_type_check
def start_tallies(starts: UInt32[np.ndarray, " starts"], tallies: Int32[np.ndarray, "t b"]) -> None:
    """Write the tally of each bucket before any cell: 0, and the lowest number of all where the bucket holds marks."""
    for bucket in range(tallies.shape[1]):
        tally = LOWEST if starts[bucket + 1] > starts[bucket] else np.int32(0)
        for turn in range(len(tallies)):
            tallies[turn, bucket] = tally


@compiled
@no_type_check
def sift_cells(
    cells: Float[np.ndarray, " m"],
    low: float,
    scale: float,
    tallies: Int32[np.ndarray, "t b"],
    kept: Float[np.ndarray, " c"],
    buckets: UInt32[np.ndarray, " c"],
) -> int:
    """Count the cells of each bucket, and return how many stand in buckets with marks, which are written to `kept`.

    Most cells share their bucket with no mark: which marks they reach is known from the bucket alone. Rows of `tallies`,
    as many as a power of two, take turns.
    """
    write_buckets(cells, low, scale, tallies.shape[1], buckets)
    num_kept, others = np.uint64(0), np.uint64(len(tallies) - 1)
    for index in range(len(cells)):
        bucket, turn = np.uint64(buckets[index]), np.uint64(index) & others
        tally = tallies[turn, bucket]
        tallies[turn, bucket] = tally + np.int32(1)
        # Written in any case, and kept by counting on: a branch would often be guessed wrong.
        kept[num_kept] = cells[index]
        num_kept += np.uint64(tally < 0)
    return num_kept


@compiled
@no_type_check
def add_tallies(
    starts: UInt32[np.ndarray, " starts"], tallies: Int32[np.ndarray, "t b"], counts: Integer[np.ndarray, " e"]
) -> None:
    """Add the tallies of buckets without marks to `counts`, at what `find_places` would write for their cells."""
    for bucket in range(tallies.shape[1]):
        if starts[bucket + 1] == starts[bucket]:
            for turn in range(len(tallies)):
                counts[2 * starts[bucket]] += tallies[turn, bucket]


@compiled
@no_type_check
def find_places(
    cells: Float[np.ndarray, " m"],
    low: float,
    scale: float,
    starts: UInt32[np.ndarray, " b"],
    crowded: bool,
    marks: Float[np.ndarray, " k"],
    places: UInt32[np.ndarray, " c"],
) -> None:
    """Write for each cell twice the number of marks that it reaches, and one more where it equals the highest of them.

    Args:
        cells: At most as many as `places`.
        low: As `fill_starts` returns it.
        scale: Likewise.
        starts: As `fill_starts` fills it.
        crowded: As `fill_starts` returns it.
        marks: As `fill_marks` fills it.
        places: Is written.
    """
    one = np.uint64(1)
    write_buckets(cells, low, scale, len(starts) - 1, places)
    if crowded:
        for index in range(len(cells)):
            bucket, score = places[index], cells[index]
            places[index] = _search(marks, score, np.uint64(starts[bucket]), np.uint64(starts[bucket + one]))
    else:
        # Three loops: the loads of one cell need not wait for those of the cell before.
        for index in range(len(cells)):
            places[index] = starts[places[index]]
        for index in range(len(cells)):
            place, score = np.uint64(places[index]), cells[index]
            # Added rather than asked: most buckets hold one mark or none, and a branch guessed wrong is dear.
            place += np.uint64(marks[place + one] <= score)
            while marks[place + one] <= score:
                place += one
            places[index] = place
    for index in range(len(cells)):
        place = np.uint64(places[index])
        places[index] = (place << one) + np.uint64(marks[place] == cells[index])


@compiled
@no_type_check
def _search(marks: Float[np.ndarray, " k"], score: float, place: int, end: int) -> int:
    one = np.uint64(1)
    while place < end:
        middle = (place + end) >> one
        if marks[middle + one] <= score:
            place = middle + one
        else:
            end = middle
    return place


@compiled
@no_type_check
def write_buckets(
    cells: Float[np.ndarray, " m"],
    low: Float[np.ndarray, ""],
    scale: Float[np.ndarray, ""],
    num_buckets: int,
    buckets: UInt32[np.ndarray, " c"],
) -> None:
    """Write the bucket of each cell: a higher bucket holds higher scores only; NaN goes to the lowest."""
    # Called from Python, float32 comes as float64, and cells beside an edge would be rounded otherwise than the marks.
    lowest, per_unit = cells.dtype.type(low), cells.dtype.type(scale)
    top = np.float32(num_buckets - 1)
    for index in range(len(cells)):
        bucket = np.float32((cells[index] - lowest) * per_unit)
        bucket = bucket if bucket > np.float32(0) else np.float32(0)
        bucket = bucket if bucket < top else top
        buckets[index] = np.int32(bucket)


@compiled
@no_type_check
def fill_marks(values: Float[np.ndarray, " p"], marks: Float[np.ndarray, " k"]) -> int:
    """Write the distinct values of the ascending ones from index 1, NaN on both sides, and return how many they are."""
    marks[0] = np.nan
    count = 0
    for index in range(len(values)):
        if count == 0 or values[index] != marks[count]:
            count += 1
            marks[count] = values[index]
    marks[count + 1] = np.nan
    return count


@compiled
@no_type_check
def fill_starts(
    marks: Float[np.ndarray, " k"], num_marks: int, starts: UInt32[np.ndarray, " b"]
) -> tuple[float, float, bool]:
    """Write for each bucket, and one past the last, how many marks stand in lower buckets.

    Returns where the first bucket begins, how many buckets go to a unit so that the finite marks fill all but the first
    and the last, which hold the cells beyond, and whether a bucket holds so many marks that they are better searched by
    halves.
    """
    first, last = 1, num_marks
    while first < last and np.isinf(marks[first]):
        first += 1
    while first < last and np.isinf(marks[last]):
        last -= 1
    low, width = marks[first], marks[last] - marks[first]
    # Where the width is zero or infinite, all stand in one bucket, which is searched by halves.
    scale = np.float32(max(0, len(starts) - 4)) / width if width > 0 else width * 0
    # The lowest mark stands in the midst of the second bucket.
    low -= np.float32(1.5) * width / np.float32(len(starts)) if np.isfinite(width) else width * 0
    buckets = np.empty(num_marks, dtype=np.uint32)
    write_buckets(marks[1 : num_marks + 1], low, scale, len(starts) - 1, buckets)
    mark, largest = 0, 0
    for bucket in range(len(starts)):
        before = mark
        while mark < num_marks and buckets[mark] < bucket:
            mark += 1
        largest = max(largest, mark - before)
        starts[bucket] = mark
    return low, scale, largest > CROWDED
