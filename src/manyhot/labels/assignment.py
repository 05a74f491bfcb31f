"""The loops that give samples to the parts of a split, compiled by numba: import them only when a split is asked for.

Each unit goes to the part that lacks its labels most, rare labels counting more; `mending` goes over the result.
"""

# ruff: noqa: PLR0917 - compiled functions are called by position

from typing import NamedTuple, no_type_check

import numpy as np
from jaxtyping import Float64, Int64, Integer

from manyhot.compiling import compiled

# Parts whose gains are added up at once; one after the other takes half as long again.
LANES = 4


class UnitLabels(NamedTuple):
    """The labels of what is given out as a whole: a sample, or a group of them.

    Args:
        indptr: Unit `i` owns `ids[indptr[i]:indptr[i + 1]]`.
        ids: Labels of the units.
        amounts: How many samples of the unit carry the label.
    """

    indptr: Int64[np.ndarray, " offsets"]
    ids: Integer[np.ndarray, " p"]
    amounts: Int64[np.ndarray, " p"]


@compiled
@no_type_check
def copy_with_extra(
    indptr: Int64[np.ndarray, " offsets"],
    ids: Integer[np.ndarray, " p"],
    extra: int,
    new_indptr: Int64[np.ndarray, " offsets"],
    new_ids: Integer[np.ndarray, " q"],
) -> None:
    """Write the rows with one label `extra` in each that has none; `new_indptr` says where they go."""
    for row in range(len(indptr) - 1):
        start, length = new_indptr[row], indptr[row + 1] - indptr[row]
        for place in range(length):
            new_ids[start + place] = ids[indptr[row] + place]
        if not length:
            new_ids[start] = extra


@compiled
@no_type_check
def sum_amounts(
    ids: Integer[np.ndarray, " p"], amounts: Int64[np.ndarray, " p"], totals: Float64[np.ndarray, " l"]
) -> None:
    """Add the amount of each entry to its label's total; without the temporaries of `np.bincount`."""
    for entry in range(len(ids)):
        totals[ids[entry]] += amounts[entry]


@compiled
@no_type_check
def rarest_levels(
    indptr: Int64[np.ndarray, " offsets"],
    ids: Integer[np.ndarray, " p"],
    level_of: Int64[np.ndarray, " l"],
    levels: Int64[np.ndarray, " u"],
) -> None:
    """Write for each unit, which has at least one label, the lowest level of its labels."""
    for unit in range(len(indptr) - 1):
        lowest = level_of[ids[indptr[unit]]]
        for entry in range(indptr[unit] + 1, indptr[unit + 1]):
            lowest = min(lowest, level_of[ids[entry]])
        levels[unit] = lowest


@compiled
@no_type_check
def order_by_level(
    first: Int64[np.ndarray, " u"],
    levels: Int64[np.ndarray, " u"],
    starts: Int64[np.ndarray, " levels"],
    order: Int64[np.ndarray, " u"],
) -> None:
    """Write the units by level, those of a level in the order of `first`; `starts` is where each level begins.

    A stable sort in two passes: 12M units in 0.6 s, where sorting by comparison takes 4 s.
    """
    for unit in first:
        level = levels[unit]
        order[starts[level]] = unit
        starts[level] += 1


@compiled
@no_type_check
def assign_units(
    order: Int64[np.ndarray, " u"],
    held: UnitLabels,
    sizes: Int64[np.ndarray, " u"],
    lacking: Float64[np.ndarray, "l k"],
    capacity: Float64[np.ndarray, " k"],
    weights: Float64[np.ndarray, "l k"],
    size_weights: Float64[np.ndarray, " k"],
    exact: bool,
    part_of: Int64[np.ndarray, " u"],
) -> None:
    """Write the part of each unit, given out one by one in `order`, which may be a piece of all.

    A unit's gain in a part is the fall of sum_l (placed - wanted)² / wanted, each label relative to how much of it there
    is, with the unit's size counted as a label of its own. Ties go to the first part. A part that has what it
    should get takes no more, so that none ends with more than one unit too many.

    Args:
        order: Units, in the order in which they choose.
        held: The labels of the units.
        sizes: Samples of each unit.
        lacking: Samples of each label that each part should get; changed in place to what is still missing.
        capacity: Samples that each part should get; changed likewise. A part that starts at 0 gets none.
        weights: 1 / wanted of each label in each part; 0 where none is wanted, of labels and of parts.
        size_weights: The same of sizes, times how much they count beside a label.
        exact: Whether a part takes no unit that exceeds its capacity.
        part_of: The part of each unit; what is in `order` is written.

    >>> held, part_of = UnitLabels(np.array([0, 1, 2]), np.array([0, 0]), np.array([1, 1])), np.zeros(2, dtype=np.int64)
    >>> lacking, capacity = np.ones((1, 2)), np.ones(2)
    >>> assign_units(
    ...     np.arange(2), held, np.ones(2, np.int64), lacking, capacity, np.ones((1, 2)), np.ones(2), True, part_of
    ... )
    >>> part_of
    array([0, 1])
    """
    num_parts = len(capacity)
    # What one sample more would gain, in columns of whole lanes.
    width = (num_parts + LANES - 1) // LANES * LANES
    next_gain, gains = np.zeros((len(lacking), width)), np.empty(width)
    next_gain[:, :num_parts] = (lacking - 0.5) * weights
    for unit in order:
        size, start, end = sizes[unit], held.indptr[unit], held.indptr[unit + 1]
        _add_up(held.ids[start:end], held.amounts[start:end], next_gain, gains)
        for entry in range(start, end if size > 1 else start):
            # That was for samples one by one, as if the label lacked as much for the last of them as for the first.
            gains[:num_parts] -= 0.5 * held.amounts[entry] * (held.amounts[entry] - 1) * weights[held.ids[entry]]
        best, most = 0, -np.inf
        for part in range(num_parts):
            gain = gains[part] + size * (capacity[part] - 0.5 * size) * size_weights[part]
            is_better = gain > most and capacity[part] > 1e-9 and not (exact and capacity[part] < size)
            best, most = (part, gain) if is_better else (best, most)
        part_of[unit] = best
        capacity[best] -= size
        for entry in range(start, end):
            label = held.ids[entry]
            lacking[label, best] -= held.amounts[entry]
            next_gain[label, best] = (lacking[label, best] - 0.5) * weights[label, best]


@compiled
@no_type_check
def _add_up(
    ids: Integer[np.ndarray, " p"],
    amounts: Int64[np.ndarray, " p"],
    next_gain: Float64[np.ndarray, "l width"],
    gains: Float64[np.ndarray, " width"],
) -> None:
    """Write the sum over labels of what a sample more gains in each part; `LANES` parts at once, kept in registers."""
    for part in range(0, len(gains), LANES):
        first, second, third, fourth = 0.0, 0.0, 0.0, 0.0
        for entry in range(len(ids)):
            label, amount = ids[entry], amounts[entry]
            first += amount * next_gain[label, part]
            second += amount * next_gain[label, part + 1]
            third += amount * next_gain[label, part + 2]
            fourth += amount * next_gain[label, part + 3]
        gains[part], gains[part + 1], gains[part + 2], gains[part + 3] = first, second, third, fourth
