"""Loops over blocks of scores, compiled by numba at first use; import this inside functions only.

Every kernel takes contiguous blocks in which unknown cells are NaN, writes into arrays that the caller keeps, and
releases the GIL. `no_type_check` keeps the tests' shape checks out of the compiler's sight.
"""

# ruff: noqa: PLR0917 - compiled functions are called by position

from typing import no_type_check

import numpy as np
from jaxtyping import Bool, Float, Int32, Int64, UInt32

from manyhot.compiling import compiled
from manyhot.metrics.counting_kernels import (
    CHUNK,
    count_cells,
    find_places,
    sift_cells,
)
from manyhot.metrics.thinning_kernels import compare_cells
from manyhot.metrics.vector_kernels import LANES, turn_tile

# So few pairs of a cell and a positive are compared faster than anything is sorted.
FEW_PAIRS = 1 << 12


@compiled
@no_type_check
def turn_columns(scores: Float[np.ndarray, "n l"], first: int, columns: Float[np.ndarray, "k n"]) -> None:
    """Write the columns of the labels from `first` on as rows."""
    height, width = scores.shape[0], columns.shape[0]
    if height < LANES or width < LANES:
        for row in range(height):
            for column in range(width):
                columns[column, row] = scores[row, first + column]
        return
    for row in range(0, height, LANES):
        for column in range(0, width, LANES):
            # The last tile takes some cells again rather than none beyond the edge.
            top, left = min(row, height - LANES), min(column, width - LANES)
            turn_tile(scores, np.uint64(top), np.uint64(first + left), columns, np.uint64(left))


@compiled
@no_type_check
def rank_columns(
    columns: Float[np.ndarray, "k n"],
    offsets: Int64[np.ndarray, " offsets"],
    row_ids: Int64[np.ndarray, " p"],
    values: Float[np.ndarray, " p"],
    ranks: Int64[np.ndarray, "4 p"],
) -> None:
    """Write the scores of each column's positives, ascending, and their ranks.

    Args:
        columns: One row a label.
        offsets: Column `j` owns the entries `offsets[j]:offsets[j + 1]` of what follows.
        row_ids: The rows in which it is positive.
        values: Is written.
        ranks: Is written: cells at or above and above, positives at or above and above.
    """
    room = np.empty(columns.shape[1], dtype=columns.dtype)
    for column in range(columns.shape[0]):
        own = slice(offsets[column], offsets[column + 1])
        rows, cells, scores = row_ids[own], columns[column], values[own]
        if len(rows) == 0:
            continue
        for index in range(len(rows)):
            scores[index] = cells[rows[index]]
        scores.sort()
        count_cells(cells, scores, ranks[0, own], ranks[1, own], room)
        _count_sorted(scores, ranks[2, own], ranks[3, own])


@compiled
@no_type_check
def _count_sorted(
    scores: Float[np.ndarray, " p"], at_or_above: Int64[np.ndarray, " p"], above: Int64[np.ndarray, " p"]
) -> None:
    first = 0
    for index in range(len(scores)):
        if scores[index] != scores[first]:
            first = index
        at_or_above[index] = len(scores) - first
    last = len(scores) - 1
    for index in range(len(scores) - 1, -1, -1):
        if scores[index] != scores[last]:
            last = index
        above[index] = len(scores) - 1 - last


@compiled
@no_type_check
def rank_rows(
    scores: Float[np.ndarray, "n l"],
    offsets: Int64[np.ndarray, " offsets"],
    label_ids: Int64[np.ndarray, " p"],
    ranks: Int64[np.ndarray, "4 p"],
) -> None:
    """Write the ranks of each row's positives, in the order of their labels.

    Args:
        scores: Block of rows.
        offsets: Row `i` of the block owns the entries `offsets[i]:offsets[i + 1]` of what follows.
        label_ids: Their labels, sorted.
        ranks: Is written: cells at or above and above, positives at or above, and the place from 0 when the best label
            stands first and of tied labels the lowest id.
    """
    most = 0
    for row in range(scores.shape[0]):
        most = max(most, offsets[row + 1] - offsets[row])
    values, counts = np.empty(most, dtype=scores.dtype), np.empty((2, most), dtype=np.int64)
    room = np.empty(scores.shape[1], dtype=scores.dtype)
    for row in range(scores.shape[0]):
        own = slice(offsets[row], offsets[row + 1])
        ids, cells = label_ids[own], scores[row]
        listed = values[: len(ids)]
        for index in range(len(ids)):
            listed[index] = cells[ids[index]]
        if len(ids) * len(cells) <= FEW_PAIRS:
            compare_cells(cells, listed, ranks[0, own], ranks[1, own])
            compare_cells(listed, listed, ranks[2, own], ranks[3, own])
        else:
            listed.sort()
            count_cells(cells, listed, counts[0], counts[1], room)
            _write_sorted(cells, ids, listed, counts, ranks[:, own])
        _write_places(cells, ids, ranks[:, own])


@compiled
@no_type_check
def _write_sorted(
    cells: Float[np.ndarray, " m"],
    ids: Int64[np.ndarray, " p"],
    ordered: Float[np.ndarray, " p"],
    counts: Int64[np.ndarray, "2 r"],
    ranks: Int64[np.ndarray, "4 p"],
) -> None:
    for index in range(len(ids)):
        mark = np.searchsorted(ordered, cells[ids[index]])
        ranks[0, index] = counts[0, mark]
        ranks[1, index] = counts[1, mark]
        ranks[2, index] = len(ids) - mark


@compiled
@no_type_check
def _write_places(
    cells: Float[np.ndarray, " m"], ids: Int64[np.ndarray, " p"], ranks: Int64[np.ndarray, "4 p"]
) -> None:
    for index in range(len(ids)):
        place = ranks[1, index]
        if ranks[0, index] - place > 1:
            # Another cell ties: those of lower ids stand before it.
            for label in range(ids[index]):
                place += cells[label] == cells[ids[index]]
        ranks[3, index] = place


@compiled
@no_type_check
def count_listed(
    values: Float[np.ndarray, " p"], offsets: Int64[np.ndarray, " offsets"], at_or_above: Int64[np.ndarray, " p"]
) -> None:
    """Write for each value how many of its row are at or above it; row `i` owns `offsets[i]:offsets[i + 1]`."""
    for row in range(len(offsets) - 1):
        ordered = np.sort(values[offsets[row] : offsets[row + 1]])
        for index in range(offsets[row], offsets[row + 1]):
            at_or_above[index] = len(ordered) - np.searchsorted(ordered, values[index])


@compiled
@no_type_check
def place_rows(
    scores: Float[np.ndarray, "n l"],
    low: float,
    scale: float,
    starts: UInt32[np.ndarray, " starts"],
    crowded: bool,
    marks: Float[np.ndarray, " k"],
    tallies: Int32[np.ndarray, "t b"],
    counts: Int32[np.ndarray, " e"],
) -> None:
    """Add the cells of a block to `tallies`, and those in buckets with marks to `counts` as well, where `find_places` says."""
    kept, places = np.empty(CHUNK, dtype=scores.dtype), np.empty(CHUNK, dtype=np.uint32)
    cells = scores.ravel()
    for start in range(0, len(cells), CHUNK):
        num_kept = sift_cells(cells[start : start + CHUNK], low, scale, tallies, kept, places)
        find_places(kept[:num_kept], low, scale, starts, crowded, marks, places)
        for index in range(num_kept):
            counts[places[index]] += np.int32(1)


@compiled
@no_type_check
def count_above(
    scores: Float[np.ndarray, "n l"],
    thresholds: Float[np.ndarray, " l"],
    labels: Int64[np.ndarray, " l"],
    rows: Int64[np.ndarray, " n"],
) -> None:
    """Add the cells at or above their label's threshold to the counts of their label and of their row."""
    counts = np.zeros(scores.shape[1], dtype=np.int32)
    for row in range(scores.shape[0]):
        total = np.int32(0)
        for label in range(scores.shape[1]):
            reached = np.int32(scores[row, label] >= thresholds[label])
            counts[label] = np.int32(counts[label] + reached)
            total = np.int32(total + reached)
        rows[row] += total
    for label in range(scores.shape[1]):
        labels[label] += counts[label]


@compiled
@no_type_check
def count_true(
    decided: Bool[np.ndarray, "n l"], labels: Int64[np.ndarray, " l"], rows: Int64[np.ndarray, " n"]
) -> None:
    """Add the true cells to the counts of their label and of their row."""
    counts = np.zeros(decided.shape[1], dtype=np.int32)
    for row in range(decided.shape[0]):
        total = np.int32(0)
        for label in range(decided.shape[1]):
            reached = np.int32(decided[row, label])
            counts[label] = np.int32(counts[label] + reached)
            total = np.int32(total + reached)
        rows[row] += total
    for label in range(decided.shape[1]):
        labels[label] += counts[label]


@compiled
@no_type_check
def pick_best(scores: Float[np.ndarray, "n l"], best: Int64[np.ndarray, "n k"]) -> None:
    """Write the labels of each row's best cells, best first and of tied labels the lowest id first; -1 where none is."""
    count = best.shape[1]
    highest = np.empty(64, dtype=scores.dtype)
    for row in range(scores.shape[0]):
        cells, own = scores[row], best[row]
        own[:] = -1
        # As many different cells reach the lowest of these; without so many known ones, all cells are looked at.
        lowest = _write_highest(cells, highest, count)
        for start in range(0, len(cells), 64):
            chunk = cells[start : start + 64]
            # Most stretches hold nothing that good: the compiler compares them as vectors.
            passed = np.int32(0)
            for index in range(len(chunk)):
                passed = np.int32(passed + np.int32(chunk[index] >= lowest))
            if passed == 0:
                continue
            for index in range(len(chunk)):
                if chunk[index] >= lowest:
                    _insert(cells, start + index, own)


@compiled
@no_type_check
def _write_highest(cells: Float[np.ndarray, " m"], highest: Float[np.ndarray, " lanes"], count: int) -> float:
    """Write the highest cell of each of 64 lanes, and return the one that so many lanes reach."""
    highest[:] = -np.inf
    full = len(cells) - len(cells) % len(highest)
    for start in range(0, full, len(highest)):
        chunk = cells[start : start + len(highest)]
        for lane in range(len(highest)):
            highest[lane] = chunk[lane] if chunk[lane] > highest[lane] else highest[lane]
    highest.sort()
    return highest[max(0, len(highest) - count)]


@compiled
@no_type_check
def _insert(cells: Float[np.ndarray, " m"], label: int, own: Int64[np.ndarray, " k"]) -> None:
    score, place = cells[label], len(own)
    if np.isnan(score):
        return
    while place > 0 and (own[place - 1] < 0 or cells[own[place - 1]] < score):
        if place < len(own):
            own[place] = own[place - 1]
        place -= 1
    if place < len(own):
        own[place] = label
