"""Loops that add a sample's weights in all replicates at once, compiled by numba; import this inside functions only.

The innermost loop always runs over replicates: one load, one widening and one addition for many of them at a time.
"""

# ruff: noqa: PLR0917 - compiled functions are called by position

from typing import no_type_check

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, UInt8, UInt16, UInt32

from manyhot.compiling import compiled


@compiled
@no_type_check
def add_reached(
    scores: Float32[np.ndarray, "n k"],
    known: Bool[np.ndarray, "n k_or_0"],
    weights: UInt8[np.ndarray, "n r"],
    values: Float32[np.ndarray, " p"],
    offsets: Int64[np.ndarray, " offsets"],
    reached: UInt32[np.ndarray, "p r"],
    equal: UInt32[np.ndarray, "p r"],
) -> None:
    """Add each cell's weights to the highest positive of its label that it reaches, and to `equal` where it ties.

    Args:
        scores: Some labels' columns.
        known: Which cells are known; no columns where all are.
        weights: Of each sample, in every replicate.
        values: Distinct scores of each label's positives, ascending within the label.
        offsets: Column `j` owns `values[offsets[j]:offsets[j + 1]]`.
        reached: Weights of the cells whose score is at or above this value and below the next.
        equal: Weights of the cells whose score is this value.
    """
    masked = known.shape[1] > 0
    for row in range(scores.shape[0]):
        source = weights[row]
        for column in range(scores.shape[1]):
            first, last = offsets[column], offsets[column + 1]
            score = scores[row, column]
            if first == last or score < values[first] or (masked and not known[row, column]):
                continue
            low, high = first + 1, last
            while low < high:
                middle = (low + high) >> 1
                if values[middle] <= score:
                    low = middle + 1
                else:
                    high = middle
            target = reached[low - 1]
            for replicate in range(len(source)):
                target[replicate] += source[replicate]
            if score == values[low - 1]:
                target = equal[low - 1]
                for replicate in range(len(source)):
                    target[replicate] += source[replicate]


@compiled
@no_type_check
def curves_of_reached(
    reached: UInt32[np.ndarray, "p r"],
    equal: UInt32[np.ndarray, "p r"],
    positive: UInt32[np.ndarray, "p r"],
    offsets: Int64[np.ndarray, " offsets"],
    known: Int64[np.ndarray, "k r"],
    average_precision: Float64[np.ndarray, "k r"],
    auroc: Float64[np.ndarray, "k r"],
) -> None:
    """Fill in the average precision and AUROC of each label in each replicate; NaN where undefined.

    Args:
        reached: As `add_reached` left them.
        equal: Likewise.
        positive: Weights of the positives of each distinct score.
        offsets: As there.
        known: Weights of each label's known cells.
        average_precision: Filled in.
        auroc: Filled in.
    """
    replicates = reached.shape[1]
    cells, hits = np.empty(replicates), np.empty(replicates)
    precision, wrong = np.empty(replicates), np.empty(replicates)
    for column in range(known.shape[0]):
        cells[:] = 0.0
        hits[:] = 0.0
        precision[:] = 0.0
        wrong[:] = 0.0
        for slot in range(offsets[column + 1] - 1, offsets[column] - 1, -1):
            for r in range(replicates):
                own = np.float64(positive[slot, r])
                above = cells[r] + reached[slot, r] - equal[slot, r] - hits[r]
                cells[r] += reached[slot, r]
                hits[r] += own
                # A positive that was drawn is among the cells that reach it: never 0 / 0.
                precision[r] += own * hits[r] / max(cells[r], 1.0)
                wrong[r] += own * (above + cells[r] - hits[r])
        for r in range(replicates):
            pairs = 2 * hits[r] * (known[column, r] - hits[r])
            average_precision[column, r] = precision[r] / hits[r] if hits[r] > 0 else np.nan
            auroc[column, r] = (pairs - wrong[r]) / pairs if pairs > 0 else np.nan


@compiled
@no_type_check
def add_marked(
    marked: Bool[np.ndarray, "n k"], weights: UInt8[np.ndarray, "n r"], sums: UInt32[np.ndarray, "k r"]
) -> None:
    """Add the weights of each marked cell's sample to its label."""
    for row in range(marked.shape[0]):
        source = weights[row]
        for column in range(marked.shape[1]):
            if marked[row, column]:
                target = sums[column]
                for replicate in range(len(source)):
                    target[replicate] += source[replicate]


@compiled
@no_type_check
def add_listed(
    rows: Int64[np.ndarray, " c"],
    places: Int64[np.ndarray, " c"],
    weights: UInt8[np.ndarray, "n r"],
    sums: UInt32[np.ndarray, "k r"],
) -> None:
    """Add the weights of each row to the sums at its place."""
    for index in range(len(rows)):
        source, target = weights[rows[index]], sums[places[index]]
        for replicate in range(len(source)):
            target[replicate] += source[replicate]


@compiled
@no_type_check
def count_coarse(
    scores: Float32[np.ndarray, "n l"],
    known: Bool[np.ndarray, "n l_or_0"],
    bucket_of_key: UInt16[np.ndarray, " keys"],
    shift: UInt32,
    counts: Float32[np.ndarray, "n b"],
) -> None:
    """Count each row's known cells in buckets of their sortable bits, shifted to the right by `shift`."""
    masked = known.shape[1] > 0
    zero = np.float32(0.0)
    for row in range(scores.shape[0]):
        # Adding zero makes one of the two zeros.
        bits = (scores[row] + zero).view(np.uint32)
        target = counts[row]
        for column in range(len(bits)):
            if masked and not known[row, column]:
                continue
            turned = bits[column]
            turned ^= np.uint32(0xFFFFFFFF) if turned >> np.uint32(31) else np.uint32(0x80000000)
            target[bucket_of_key[turned >> shift]] += np.float32(1.0)


@compiled
@no_type_check
def count_between(
    scores: Float32[np.ndarray, "n l"],
    known: Bool[np.ndarray, "n l_or_0"],
    edges: Float32[np.ndarray, " e"],
    counts: Float32[np.ndarray, "n b"],
) -> None:
    """Count each row's known cells by the number of edges that they reach."""
    masked = known.shape[1] > 0
    for row in range(scores.shape[0]):
        target = counts[row]
        for column in range(scores.shape[1]):
            if masked and not known[row, column]:
                continue
            score = scores[row, column]
            low, high = 0, len(edges)
            while low < high:
                middle = (low + high) >> 1
                if edges[middle] <= score:
                    low = middle + 1
                else:
                    high = middle
            target[low] += np.float32(1.0)
