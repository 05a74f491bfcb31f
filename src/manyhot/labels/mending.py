"""The loops that mend a split, compiled by numba: import them only when a split is asked for.

Giving units out one by one leaves frequent labels and samples without labels a few samples off where the last to choose
had no choice. These exchange or move units between parts as long as that brings labels nearer to their share and takes
none beyond what rounding costs.
"""

# ruff: noqa: PLR0917 - compiled functions are called by position

from typing import no_type_check

import numpy as np
from jaxtyping import Float64, Int64, Integer

from manyhot.compiling import compiled
from manyhot.labels.assignment import UnitLabels

# How many units a part remembers as partners for an exchange, for each other part.
PARTNERS = 8


@compiled
@no_type_check
def _gain(
    unit: int,
    start: int,
    end: int,
    held: UnitLabels,
    lacking: Float64[np.ndarray, "l k"],
) -> float:
    """Return by how much moving a unit lowers the sum of squares of what is lacking; -inf where it may not move.

    It may not where that takes a label further off than it was in both parts, and by a whole sample or more.
    """
    gain = 0.0
    for entry in range(held.indptr[unit], held.indptr[unit + 1]):
        label, amount = held.ids[entry], held.amounts[entry]
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
    held: UnitLabels,
    lacking: Float64[np.ndarray, "l k"],
) -> None:
    for entry in range(held.indptr[unit], held.indptr[unit + 1]):
        lacking[held.ids[entry], start] += held.amounts[entry]
        lacking[held.ids[entry], end] -= held.amounts[entry]


@compiled
@no_type_check
def _best_partner(
    partners: Int64[np.ndarray, " partners"],
    start: int,
    end: int,
    least: float,
    part_of: Int64[np.ndarray, " u"],
    held: UnitLabels,
    lacking: Float64[np.ndarray, "l k"],
) -> int:
    """Return the place of the partner that gains most by moving, -1 where none gains more than `least`."""
    best = -1
    for place in range(len(partners)):
        unit = partners[place]
        if unit >= 0 and part_of[unit] == start:
            gain = _gain(unit, start, end, held, lacking)
            if gain > least:
                best, least = place, gain
    return best


@compiled
@no_type_check
def exchange_units(
    order: Int64[np.ndarray, " u"],
    held: UnitLabels,
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
        if held.indptr[unit + 1] - held.indptr[unit] > max_labels:
            continue
        start = part_of[unit]
        for end in range(num_parts):
            if end == start or not is_open[end]:
                continue
            gain = _gain(unit, start, end, held, lacking)
            if gain == -np.inf:
                continue
            # Whoever may go there is a partner for those that want to leave there.
            slot = at[start, end] % PARTNERS
            partners[start, end, slot] = unit
            at[start, end] += 1
            if gain <= 1e-9:
                continue
            _move(unit, start, end, held, lacking)
            best = _best_partner(partners[end, start], end, start, -gain + 1e-9, part_of, held, lacking)
            if best < 0:
                _move(unit, end, start, held, lacking)
                continue
            other = partners[end, start, best]
            _move(other, end, start, held, lacking)
            part_of[unit], part_of[other] = end, start
            partners[end, start, best] = -1
            exchanged += 1
            break
    return exchanged


@compiled
@no_type_check
def move_units(
    order: Int64[np.ndarray, " u"],
    held: UnitLabels,
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
            gain = _gain(unit, start, end, held, lacking) + 2 * size * (there - here - size)
            if gain > best_gain:
                best, best_gain = end, gain
        if best >= 0:
            _move(unit, start, best, held, lacking)
            capacity[start] += size
            capacity[best] -= size
            part_of[unit] = best
            moved += 1
    return moved


@compiled
@no_type_check
def fill_parts(
    order: Int64[np.ndarray, " u"],
    held: UnitLabels,
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
            _move(unit, start, needy, held, lacking)
            capacity[start] += size
            capacity[needy] -= size
            part_of[unit] = needy
