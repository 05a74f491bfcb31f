"""A random order of millions of samples without a list of them: any part of it at once, from a key."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, UInt64

from manyhot.errors import UsageError

ROUNDS = 24
"""Four hide all order in large sizes; in sizes of five or six, where a round moves little, chi-square finds fewer than 16."""

MAX_SIZE = 2**60


@dataclass(frozen=True, eq=False)
class Permutation:
    """A bijection of `0 … size - 1`, as random as its keys; nothing is stored but them.

    A generalised Feistel network: a place is written as `left * width + right`, and each round adds to one part a hash of
    the other. `width` is about the root of the size, so hardly any place falls outside; one that does is sent on until it
    is inside. 256 places of 12 million take about a millisecond.

    Args:
        size: How many places there are.
        keys: One random number a round.

    Raises:
        UsageError: If the size is negative or above 2⁶⁰.

    Source: Black and Rogaway 2002, "Ciphers with arbitrary finite domains", methods 2 and 3.

    >>> order = Permutation(5, np.arange(ROUNDS, dtype=np.uint64))
    >>> order(np.arange(5)).tolist()
    [0, 1, 4, 2, 3]
    """

    size: int
    keys: UInt64[np.ndarray, " rounds"]

    def __post_init__(self) -> None:
        if not 0 <= self.size <= MAX_SIZE:
            raise UsageError(f"a permutation of {self.size} places makes no sense; give 0 to 2⁶⁰")

    def __call__(self, places: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        """Return where each place goes; places must be in `0 … size - 1`."""
        values = self._pass(places.astype(np.uint64))
        outside = np.flatnonzero(values >= self.size)
        while len(outside):
            values[outside] = self._pass(values[outside])
            outside = outside[values[outside] >= self.size]
        return values.astype(np.int64)

    def _pass(self, places: UInt64[np.ndarray, " n"]) -> UInt64[np.ndarray, " n"]:
        height, width = self._sides()
        left, right = np.divmod(places, width)
        for number, key in enumerate(self.keys):
            if number % 2:
                right = (right + _hash(left, key, width)) % width
            else:
                left = (left + _hash(right, key, height)) % height
        return left * width + right

    def _sides(self) -> tuple[np.uint64, np.uint64]:
        height = max(1, int(np.ceil(np.sqrt(self.size))))
        return np.uint64(height), np.uint64(max(1, -(-self.size // height)))


def _hash(values: UInt64[np.ndarray, " n"], key: np.uint64, end: np.uint64) -> UInt64[np.ndarray, " n"]:
    """Return numbers below `end` that look random: the finaliser of SplitMix64, scaled by its upper half."""
    mixed = values + key
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(32)) * end >> np.uint64(32)
