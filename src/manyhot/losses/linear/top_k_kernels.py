"""The loop that keeps the best of a stream of logits, compiled by numba; import this inside functions only."""

from typing import no_type_check

import numpy as np
from jaxtyping import Float32, Int64

from manyhot.compiling import compiled


@compiled
@no_type_check
def keep_best(
    logits: Float32[np.ndarray, "n c"],
    bias: Float32[np.ndarray, " c"],
    first_label: int,
    scores: Float32[np.ndarray, "n k"],
    label_ids: Int64[np.ndarray, "n k"],
) -> int:
    """Merge a chunk into the best of each sample so far, in falling order; return the first sample with a NaN, or -1.

    Equal scores keep the order of labels. Most cells cost one comparison.
    """
    last = scores.shape[1] - 1
    for row in range(logits.shape[0]):
        own_scores, own_ids = scores[row], label_ids[row]
        for column in range(logits.shape[1]):
            score = logits[row, column] + bias[column]
            if score <= own_scores[last] and own_ids[last] >= 0:
                continue
            if np.isnan(score):
                return row
            place = last
            while place > 0 and (own_ids[place - 1] < 0 or own_scores[place - 1] < score):
                own_scores[place], own_ids[place] = own_scores[place - 1], own_ids[place - 1]
                place -= 1
            own_scores[place], own_ids[place] = score, first_label + column
    return -1
