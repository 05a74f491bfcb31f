"""Loops that turn batches into the columns of a score store, compiled by numba; import this inside functions only.

A key is a whole number that sorts like its score; key 0 is below all others and stands for an unknown cell.
"""

from typing import no_type_check

import numpy as np
from jaxtyping import Bool, Int64, UInt, UInt32

from manyhot.compiling import compiled

TILE = 16


@compiled
@no_type_check
def turn_bits(bits: UInt[np.ndarray, "n l"], sign: UInt, keys: UInt[np.ndarray, "l n"]) -> None:
    """Write the keys of scores with these bits, label by label; one key for the two zeros."""
    full = bits.shape[0] - bits.shape[0] % TILE
    for row in range(0, full, TILE):
        source, goal = bits[row : row + TILE], keys[:, row : row + TILE]
        # Sixteen stores side by side fill a cache line; the constant lets the compiler unroll them.
        for label in range(bits.shape[1]):
            for offset in range(TILE):
                value = source[offset, label]
                goal[label, offset] = ~value if value > sign else value | sign
    for row in range(full, bits.shape[0]):
        for label in range(bits.shape[1]):
            value = bits[row, label]
            keys[label, row] = ~value if value > sign else value | sign


@compiled
@no_type_check
def clear_unknown(known: Bool[np.ndarray, "n l"], keys: UInt[np.ndarray, "l n"]) -> None:
    """Write 0 where a cell is unknown."""
    for row in range(known.shape[0]):
        for label in range(known.shape[1]):
            if not known[row, label]:
                keys[label, row] = 0


@compiled
@no_type_check
def count_first_bits(keys: UInt32[np.ndarray, "l n"], counts: Int64[np.ndarray, " f"]) -> None:
    """Add the known cells to `counts`, at the first 16 bits of their keys."""
    for label in range(keys.shape[0]):
        for row in range(keys.shape[1]):
            counts[keys[label, row] >> np.uint32(16)] += 1
    # Only the key of unknown cells begins so.
    counts[0] = 0
