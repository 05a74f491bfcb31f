"""The loops behind `split_samples`, compiled by numba: import them only when a split is asked for.

First each unit goes to the part that lacks its labels most, rare labels counting more. That leaves frequent labels and
samples without labels a few samples off where the last to choose had no choice; a second pass exchanges units between
parts as long as that brings labels nearer to their share and takes none beyond what rounding costs.
"""

# ruff: noqa: PLR0917 - compiled functions are called by position

from typing import no_type_check

import numpy as np
from jaxtyping import Float64, Int64, Integer

from manyhot.compiling import compiled

# How many units a part remembers as partners for an exchange, for each other part.
PARTNERS = 8


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
    indptr: Int64[np.ndarray, " offsets"],
    ids: Integer[np.ndarray, " p"],
    amounts: Int64[np.ndarray, " p"],
    sizes: Int64[np.ndarray, " u"],
    lacking: Float64[np.ndarray, "l k"],
    capacity: Float64[np.ndarray, " k"],
    exact: bool,
    size_weight: float,
) -> Int64[np.ndarray, " u"]:
    """Return the part of each unit, given out one by one in `order`.

    A unit's gain in a part is the fall of sum_l (placed - wanted)² / wanted, each label relative to how much of it there
    is, with the unit's size counted as `size_weight` labels more. Ties go to the first part. A part that has what it
    should get takes no more, so that none ends with more than one unit too many.

    Args:
        order: Units, in the order in which they choose.
        indptr: Unit `i` owns `ids[indptr[i]:indptr[i + 1]]`.
        ids: Labels of the units.
        amounts: How many samples of the unit carry the label.
        sizes: Samples of each unit.
        lacking: Samples of each label that each part should get; changed in place to what is still missing.
        capacity: Samples that each part should get; changed likewise. A part that starts at 0 gets none.
        exact: Whether a part takes no unit that exceeds its capacity.
        size_weight: How much the sizes of the parts count beside a label.

    >>> assign_units(np.array([0, 1]), np.array([0, 1, 2]), np.array([0, 0]), np.array([1, 1]), np.array([1, 1]),
    ...     np.array([[1.0, 1.0]]), np.array([1.0, 1.0]), True, 1.0)
    array([0, 1])
    """
    num_parts = len(capacity)
    part_of = np.empty(len(order), np.int64)
    share = lacking.copy()
    room = capacity.copy()
    gains = np.empty(num_parts, np.float64)
    for unit in order:
        size = sizes[unit]
        for part in range(num_parts):
            if capacity[part] <= 1e-9 or (exact and capacity[part] < size):
                gains[part] = -np.inf
            else:
                gains[part] = size_weight * size * (capacity[part] - 0.5 * size) / room[part]
        for entry in range(indptr[unit], indptr[unit + 1]):
            label, amount = ids[entry], amounts[entry]
            for part in range(num_parts):
                # A part of no share lacks nothing and was ruled out above.
                if share[label, part] > 0:
                    gains[part] += amount * (lacking[label, part] - 0.5 * amount) / share[label, part]
        best = np.argmax(gains)
        part_of[unit] = best
        capacity[best] -= size
        for entry in range(indptr[unit], indptr[unit + 1]):
            lacking[ids[entry], best] -= amounts[entry]
    return part_of


@compiled
@no_type_check
def _gain(
    unit: int,
    start: int,
    end: int,
    indptr: Int64[np.ndarray, " offsets"],
    ids: Integer[np.ndarray, " p"],
    amounts: Int64[np.ndarray, " p"],
    lacking: Float64[np.ndarray, "l k"],
) -> float:
    """Return by how much moving a unit lowers the sum of squares of what is lacking; -inf where it may not move.

    It may not where that takes a label further off than it was in both parts, and by a whole sample or more.
    """
    gain = 0.0
    for entry in range(indptr[unit], indptr[unit + 1]):
        label, amount = ids[entry], amounts[entry]
        here, there = lacking[label, start], lacking[label, end]
        before = max(abs(here), abs(there))
        if max(abs(here + amount), abs(there - amount)) > max(before, 1 - 1e-9):
            return -np.inf
        gain += 2 * amount * (there - here - amount)
    return gain


@compiled
@no_type_check
def _move(
    unit: int,
    start: int,
    end: int,
    indptr: Int64[np.ndarray, " offsets"],
    ids: Integer[np.ndarray, " p"],
    amounts: Int64[np.ndarray, " p"],
    lacking: Float64[np.ndarray, "l k"],
) -> None:
    for entry in range(indptr[unit], indptr[unit + 1]):
        lacking[ids[entry], start] += amounts[entry]
        lacking[ids[entry], end] -= amounts[entry]


@compiled
@no_type_check
def _best_partner(
    partners: Int64[np.ndarray, " partners"],
    start: int,
    end: int,
    least: float,
    part_of: Int64[np.ndarray, " u"],
    indptr: Int64[np.ndarray, " offsets"],
    ids: Integer[np.ndarray, " p"],
    amounts: Int64[np.ndarray, " p"],
    lacking: Float64[np.ndarray, "l k"],
) -> int:
    """Return the place of the partner that gains most by moving, -1 where none gains more than `least`."""
    best = -1
    for place in range(len(partners)):
        unit = partners[place]
        if unit >= 0 and part_of[unit] == start:
            gain = _gain(unit, start, end, indptr, ids, amounts, lacking)
            if gain > least:
                best, least = place, gain
    return best


@compiled
@no_type_check
def exchange_units(
    order: Int64[np.ndarray, " u"],
    indptr: Int64[np.ndarray, " offsets"],
    ids: Integer[np.ndarray, " p"],
    amounts: Int64[np.ndarray, " p"],
    lacking: Float64[np.ndarray, "l k"],
    is_open: Integer[np.ndarray, " k"],
    max_labels: int,
    part_of: Int64[np.ndarray, " u"],
) -> int:
    """Exchange units of one size between parts where that brings labels nearer to their share; return how many times.

    Each unit of at most `max_labels` labels looks for a part that lacks its labels more, and there for a unit among the
    last few seen that may go the other way. Units of many labels hardly ever gain by moving.
    """
    num_parts = lacking.shape[1]
    partners = np.full((num_parts, num_parts, PARTNERS), -1, np.int64)
    at = np.zeros((num_parts, num_parts), np.int64)
    exchanged = 0
    for unit in order:
        if indptr[unit + 1] - indptr[unit] > max_labels:
            continue
        start = part_of[unit]
        for end in range(num_parts):
            if end == start or not is_open[end]:
                continue
            gain = _gain(unit, start, end, indptr, ids, amounts, lacking)
            if gain == -np.inf:
                continue
            # Whoever may go there is a partner for those that want to leave there.
            slot = at[start, end] % PARTNERS
            partners[start, end, slot] = unit
            at[start, end] += 1
            if gain <= 1e-9:
                continue
            _move(unit, start, end, indptr, ids, amounts, lacking)
            best = _best_partner(partners[end, start], end, start, -gain + 1e-9, part_of, indptr, ids, amounts, lacking)
            if best < 0:
                _move(unit, end, start, indptr, ids, amounts, lacking)
                continue
            other = partners[end, start, best]
            _move(other, end, start, indptr, ids, amounts, lacking)
            part_of[unit], part_of[other] = end, start
            partners[end, start, best] = -1
            exchanged += 1
            break
    return exchanged


@compiled
@no_type_check
def move_units(
    order: Int64[np.ndarray, " u"],
    indptr: Int64[np.ndarray, " offsets"],
    ids: Integer[np.ndarray, " p"],
    amounts: Int64[np.ndarray, " p"],
    sizes: Int64[np.ndarray, " u"],
    lacking: Float64[np.ndarray, "l k"],
    capacity: Float64[np.ndarray, " k"],
    is_open: Integer[np.ndarray, " k"],
    part_of: Int64[np.ndarray, " u"],
) -> int:
    """Move units of any size where that brings labels and sizes nearer to their share; return how many moved."""
    moved = 0
    for unit in order:
        start, size = part_of[unit], sizes[unit]
        best, best_gain = -1, 1e-9
        for end in range(lacking.shape[1]):
            here, there = capacity[start], capacity[end]
            if end == start or not is_open[end]:
                continue
            if max(abs(here + size), abs(there - size)) > max(abs(here), abs(there), 1 - 1e-9):
                continue
            gain = _gain(unit, start, end, indptr, ids, amounts, lacking) + 2 * size * (there - here - size)
            if gain > best_gain:
                best, best_gain = end, gain
        if best >= 0:
            _move(unit, start, best, indptr, ids, amounts, lacking)
            capacity[start] += size
            capacity[best] -= size
            part_of[unit] = best
            moved += 1
    return moved


@compiled
@no_type_check
def fill_parts(
    order: Int64[np.ndarray, " u"],
    indptr: Int64[np.ndarray, " offsets"],
    ids: Integer[np.ndarray, " p"],
    amounts: Int64[np.ndarray, " p"],
    sizes: Int64[np.ndarray, " u"],
    lacking: Float64[np.ndarray, "l k"],
    capacity: Float64[np.ndarray, " k"],
    part_of: Int64[np.ndarray, " u"],
) -> None:
    """Move units out of parts that have too much until no part lacks more than the largest unit."""
    largest = sizes.max()
    for unit in order[::-1]:
        needy = np.argmax(capacity)
        if capacity[needy] <= largest:
            return
        start, size = part_of[unit], sizes[unit]
        if capacity[start] < 0:
            _move(unit, start, needy, indptr, ids, amounts, lacking)
            capacity[start] += size
            capacity[needy] -= size
            part_of[unit] = needy
