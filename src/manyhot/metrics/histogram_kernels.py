"""Loops over histograms of each label's scores, compiled by numba; import this inside functions only."""

from typing import no_type_check

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, UInt32

from manyhot.compiling import compiled

BLOCK = 64


@compiled
@no_type_check
def add_cells(
    scores: Float32[np.ndarray, "n l"],
    known: Bool[np.ndarray, "n l_or_0"],
    scales: Float64[np.ndarray, " l"],
    bases: Int64[np.ndarray, " l"],
    counts: UInt32[np.ndarray, "l bins"],
) -> None:
    """Count each label's known cells by bin: the first holds −∞, the last +∞, the others ⌊score · scale⌋ from the base on."""
    masked = known.shape[1] > 0
    last = counts.shape[1] - 1
    # A few labels at a time, whose bins stay in the cache.
    for start in range(0, scores.shape[1], BLOCK):
        stop = min(start + BLOCK, scores.shape[1])
        for row in range(scores.shape[0]):
            for label in range(start, stop):
                if masked and not known[row, label]:
                    continue
                scaled = np.floor(np.float64(scores[row, label]) * scales[label])
                place = min(max(scaled - bases[label], -1.0), last - 1.0)
                counts[label, np.int64(place) + 1] += np.uint32(1)


@compiled
@no_type_check
def move_bins(
    counts: UInt32[np.ndarray, "l bins"],
    bases: Int64[np.ndarray, " l"],
    shifts: Int64[np.ndarray, " l"],
    new_bases: Int64[np.ndarray, " l"],
) -> None:
    """Bring each label's bins to another base, and let 2^shift of them become one, in place."""
    last = counts.shape[1] - 1
    moved = np.empty(counts.shape[1], dtype=np.uint32)
    for label in range(counts.shape[0]):
        if shifts[label] == 0 and bases[label] == new_bases[label]:
            continue
        moved[:] = 0
        moved[0], moved[last] = counts[label, 0], counts[label, last]
        for place in range(last - 1):
            if counts[label, place + 1]:
                moved[((bases[label] + place) >> shifts[label]) - new_bases[label] + 1] += counts[label, place + 1]
        counts[label] = moved


@compiled
@no_type_check
def bound_curves(
    cells: Int64[np.ndarray, "l bins"],
    positives: Int64[np.ndarray, "l bins"],
    precision: Float64[np.ndarray, "l two"],
    auroc: Float64[np.ndarray, "l two"],
) -> None:
    """Fill in the lowest and highest average precision and AUROC that the cells of each label can have; NaN if undefined.

    In the worst order every negative of a bin stands above its positives; in the best one the positives tie above.
    """
    for label in range(cells.shape[0]):
        above, hits = 0.0, 0.0
        low, high, wrong_low, wrong_high = 0.0, 0.0, 0.0, 0.0
        for place in range(cells.shape[1] - 1, -1, -1):
            own = positives[label, place]
            negatives = np.float64(cells[label, place] - own)
            for index in range(own):
                low += (hits + index + 1) / (above + negatives + index + 1)
            if own:
                high += own * (hits + own) / (above + own)
                wrong_high += own * (above - hits)
                wrong_low += own * (above - hits + negatives)
            above += cells[label, place]
            hits += own
        pairs = hits * (above - hits)
        precision[label, 0] = low / hits if hits else np.nan
        precision[label, 1] = high / hits if hits else np.nan
        auroc[label, 0] = 1 - wrong_low / pairs if pairs else np.nan
        auroc[label, 1] = 1 - wrong_high / pairs if pairs else np.nan
