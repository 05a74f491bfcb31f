"""Loops over cells, compiled by numba at first use and cached on disk; import this inside functions only.

Every kernel takes a block of rows, adds to counts that the caller keeps, and releases the GIL. `known` has the block's
shape, or no columns at all where every cell is known. `no_type_check` keeps the tests' shape checks out of the
compiler's sight.
"""

# ruff: noqa: PLR0917 - compiled functions are called by position

from typing import no_type_check

import numpy as np
from jaxtyping import Bool, Float, Int64
from numba import njit


@njit(cache=True, nogil=True)
@no_type_check
def count_by_label(
    scores: Float[np.ndarray, "n l"],
    known: Bool[np.ndarray, "n k"],
    values: Float[np.ndarray, " p"],
    offsets: Int64[np.ndarray, " l+1"],
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
