"""Loops over cells, compiled by numba at first use; import this inside functions only.

Every kernel takes a block of rows, adds to counts that the caller keeps, and releases the GIL. `known` has the block's
shape, or no columns at all where every cell is known. `no_type_check` keeps the tests' shape checks out of the
compiler's sight.
"""

# ruff: noqa: PLR0917 - compiled functions are called by position

from typing import no_type_check

import numpy as np
from jaxtyping import Bool, Float, Int64, UInt32

from manyhot.compiling import compiled


@compiled
@no_type_check
def count_by_label(
    scores: Float[np.ndarray, "n l"],
    known: Bool[np.ndarray, "n k"],
    values: Float[np.ndarray, " p"],
    offsets: Int64[np.ndarray, " offsets"],
    reached: Int64[np.ndarray, " p"],
    equal: Int64[np.ndarray, " p"],
) -> None:
    """Count for each label's cells the highest positive that they reach.

    Args:
        scores: Block of rows.
        known: Which of its cells are known.
        values: Scores of each label's positives, ascending within the label.
        offsets: Label `l` owns `values[offsets[l]:offsets[l + 1]]`.
        reached: One count a positive: cells whose score is at or above this positive's, and below the next one's.
        equal: The same for cells whose score equals it.
    """
    masked = known.shape[1] > 0
    for row in range(scores.shape[0]):
        for label in range(scores.shape[1]):
            first, last = offsets[label], offsets[label + 1]
            if first == last:
                continue
            score = scores[row, label]
            if score < values[first] or (masked and not known[row, label]):
                continue
            low, high = first + 1, last
            while low < high:
                middle = (low + high) >> 1
                if values[middle] <= score:
                    low = middle + 1
                else:
                    high = middle
            reached[low - 1] += 1
            equal[low - 1] += score == values[low - 1]


@compiled
@no_type_check
def count_pooled(
    scores: Float[np.ndarray, "n l"],
    keys: UInt32[np.ndarray, "n l"],
    known: Bool[np.ndarray, "n k"],
    values: Float[np.ndarray, " p"],
    starts: Int64[np.ndarray, " b"],
    reached: Int64[np.ndarray, " p"],
    equal: Int64[np.ndarray, " p"],
) -> None:
    """Count for the cells of all labels together the highest positive that they reach.

    Args:
        scores: Block of rows.
        keys: The bucket of each score; a higher bucket holds higher scores only.
        known: Which of its cells are known.
        values: Scores of all positives, ascending.
        starts: For each bucket, and one past the last, how many positives stand in lower buckets.
        reached: One count a positive: cells whose score is at or above this positive's, and below the next one's.
        equal: The same for cells whose score equals it.
    """
    masked = known.shape[1] > 0
    for row in range(scores.shape[0]):
        for label in range(scores.shape[1]):
            if masked and not known[row, label]:
                continue
            score, key = scores[row, label], keys[row, label]
            low, high = starts[key], starts[key + 1]
            while low < high:
                middle = (low + high) >> 1
                if values[middle] <= score:
                    low = middle + 1
                else:
                    high = middle
            if low > 0:
                reached[low - 1] += 1
                equal[low - 1] += score == values[low - 1]


@compiled
@no_type_check
def count_buckets(
    keys: UInt32[np.ndarray, "n l"], known: Bool[np.ndarray, "n k"], counts: Int64[np.ndarray, " b"]
) -> None:
    """Add the known cells of each bucket to `counts`."""
    masked = known.shape[1] > 0
    for row in range(keys.shape[0]):
        for label in range(keys.shape[1]):
            if not masked or known[row, label]:
                counts[keys[row, label]] += 1


@compiled
@no_type_check
def count_within(
    bits: UInt32[np.ndarray, "n l"],
    known: Bool[np.ndarray, "n k"],
    slots: Int64[np.ndarray, " b"],
    counts: Int64[np.ndarray, "s w"],
) -> None:
    """Add the known cells to `counts`, by the slot of their first bits and by their last bits; the last slot is waste."""
    masked = known.shape[1] > 0
    width = np.uint32(counts.shape[1])
    waste = counts.shape[0] - 1
    for row in range(bits.shape[0]):
        for label in range(bits.shape[1]):
            slot = slots[bits[row, label] // width]
            if slot < waste and (not masked or known[row, label]):
                counts[slot, bits[row, label] % width] += 1


@compiled
@no_type_check
def sum_bins(
    scores: Float[np.ndarray, "n l"],
    keys: UInt32[np.ndarray, "n l"],
    probs: Float[np.ndarray, "n l"],
    known: Bool[np.ndarray, "n k"],
    edges: Float[np.ndarray, " e"],
    starts: Int64[np.ndarray, " b"],
    sums: Float[np.ndarray, "n e+1"],
) -> None:
    """Add the probabilities of each row's known cells to the bin of their score: the number of edges below it.

    `keys` and `starts` are as in `count_pooled`, with the edges in place of the positives.
    """
    masked = known.shape[1] > 0
    for row in range(scores.shape[0]):
        for label in range(scores.shape[1]):
            if masked and not known[row, label]:
                continue
            score, key = scores[row, label], keys[row, label]
            low, high = starts[key], starts[key + 1]
            while low < high:
                middle = (low + high) >> 1
                if edges[middle] < score:
                    low = middle + 1
                else:
                    high = middle
            sums[row, low] += probs[row, label]


@compiled
@no_type_check
def pick_best(
    scores: Float[np.ndarray, "n l"], known: Bool[np.ndarray, "n k"], count: int, picked: Bool[np.ndarray, "n l"]
) -> None:
    """Mark the `count` best known labels of each row; of tied labels the lowest ids."""
    masked = known.shape[1] > 0
    best = np.empty(count, dtype=np.int64)
    for row in range(scores.shape[0]):
        filled = 0
        for label in range(scores.shape[1]):
            if masked and not known[row, label]:
                continue
            score = scores[row, label]
            if filled == count and score <= scores[row, best[count - 1]]:
                continue
            place = filled if filled < count else count - 1
            while place > 0 and scores[row, best[place - 1]] < score:
                best[place] = best[place - 1]
                place -= 1
            best[place] = label
            filled = min(filled + 1, count)
        for place in range(filled):
            picked[row, best[place]] = True


@compiled
@no_type_check
def rank_by_row(
    scores: Float[np.ndarray, "n l"],
    known: Bool[np.ndarray, "n k"],
    offsets: Int64[np.ndarray, " offsets"],
    label_ids: Int64[np.ndarray, " p"],
    at_or_above: Int64[np.ndarray, " p"],
    above: Int64[np.ndarray, " p"],
    before: Int64[np.ndarray, " p"],
) -> None:
    """Count for each positive how many known cells of its row score at or above it, above it, and tie at a lower id.

    Row `i` of the block owns the positives `offsets[i]:offsets[i + 1]`, whose labels are sorted.
    """
    masked = known.shape[1] > 0
    cells = np.empty(scores.shape[1], dtype=scores.dtype)
    places = np.empty(scores.shape[1], dtype=np.int64)
    for row in range(scores.shape[0]):
        own = slice(offsets[row], offsets[row + 1])
        ids = label_ids[own]
        if len(ids) == 0:
            continue
        if not masked:
            _rank_cells(scores[row], ids, at_or_above[own], above[own], before[own])
            continue
        size = 0
        for label in range(scores.shape[1]):
            places[label] = size
            if known[row, label]:
                cells[size] = scores[row, label]
                size += 1
        _rank_cells(cells[:size], places[ids], at_or_above[own], above[own], before[own])


@compiled
@no_type_check
def _rank_cells(
    cells: Float[np.ndarray, " m"],
    ids: Int64[np.ndarray, " k"],
    at_or_above: Int64[np.ndarray, " k"],
    above: Int64[np.ndarray, " k"],
    before: Int64[np.ndarray, " k"],
) -> None:
    # Few positives: one plain pass each, which the compiler vectorises. Many: one pass that searches among them.
    if len(ids) > 12:
        _rank_many(cells, ids, at_or_above, above, before)
        return
    for index in range(len(ids)):
        place = ids[index]
        value = cells[place]
        reached, higher = 0, 0
        for cell in range(place):
            reached += cells[cell] >= value
            higher += cells[cell] > value
        before[index] = reached - higher
        for cell in range(place, len(cells)):
            reached += cells[cell] >= value
            higher += cells[cell] > value
        at_or_above[index] = reached
        above[index] = higher


@compiled
@no_type_check
def _rank_many(
    cells: Float[np.ndarray, " m"],
    ids: Int64[np.ndarray, " k"],
    at_or_above: Int64[np.ndarray, " k"],
    above: Int64[np.ndarray, " k"],
    before: Int64[np.ndarray, " k"],
) -> None:
    order = np.argsort(cells[ids])
    values = cells[ids][order]
    reached = np.zeros(len(ids), dtype=np.int64)
    equal = np.zeros(len(ids), dtype=np.int64)
    following = 0
    for cell in range(len(cells)):
        score = cells[cell]
        if score < values[0]:
            continue
        slot = np.searchsorted(values, score, side="right") - 1
        reached[slot] += 1
        if score == values[slot]:
            if following < len(ids) and ids[following] == cell:
                before[following] = equal[slot]
                following += 1
            equal[slot] += 1
    total, tied = 0, 0
    for slot in range(len(ids) - 1, -1, -1):
        total += reached[slot]
        # Counts of a run of ties stand at its last place.
        if slot == len(ids) - 1 or values[slot] != values[slot + 1]:
            tied = equal[slot]
        at_or_above[order[slot]] = total
        above[order[slot]] = total - tied
