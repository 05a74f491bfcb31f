"""The rounds of a permutation, compiled by numba; import this inside functions only."""

from typing import no_type_check

import numpy as np
from jaxtyping import Int64, UInt64

from manyhot.compiling import compiled


@compiled
@no_type_check
def permute(
    places: Int64[np.ndarray, " n"],
    keys: UInt64[np.ndarray, " rounds"],
    size: np.uint64,
    sides: tuple[np.uint64, np.uint64],
) -> Int64[np.ndarray, " n"]:
    """Return where each place goes.

    Args:
        places: Places below `size`.
        keys: One random number a round.
        size: How many places there are.
        sides: Rows and columns of the table that they stand in, which may have more.

    Raises:
        IndexError: If a place is none of those.
    """
    found = np.empty(len(places), dtype=np.int64)
    for index in range(len(places)):
        # What is not one of the places would be sent on for ever.
        if not 0 <= places[index] < np.int64(size):
            raise IndexError("a place is out of range")
        value = _send(np.uint64(places[index]), keys, sides)
        while value >= size:
            value = _send(value, keys, sides)
        found[index] = value
    return found


@compiled
@no_type_check
def _send(place: np.uint64, keys: UInt64[np.ndarray, " rounds"], sides: tuple[np.uint64, np.uint64]) -> np.uint64:
    height, width = sides
    left, right = place // width, place % width
    for number in range(len(keys)):
        if number % 2:
            right = (right + _hash(left, keys[number], width)) % width
        else:
            left = (left + _hash(right, keys[number], height)) % height
    return left * width + right


@compiled
@no_type_check
def _hash(value: np.uint64, key: np.uint64, end: np.uint64) -> np.uint64:
    """Return a number below `end` that looks random: the finaliser of SplitMix64, scaled by its upper half."""
    mixed = value + key
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(32)) * end >> np.uint64(32)
