"""Columns of 32-bit keys, parted by their first 16 bits, so that a key is compared with the few cells that share these."""

from functools import cached_property

import numpy as np
from jaxtyping import Int64, UInt16, UInt32

from manyhot.metrics.scores import Kind
from manyhot.metrics.stores import NUM_FIRST
from manyhot.metrics.unit_terms import unit_terms

# Two bytes each: labels that are parted together stay in a second-level cache.
GROUP_CELLS = 1 << 18


class FirstBits:
    """Which values the first bits of keys have, and what belongs to each.

    Args:
        used: Ascending.
        kind: What the scores are.

    `slots` is the first of the used values at or above each; `arrays` are both, and the terms of `unit_terms`.

    >>> bits = FirstBits(np.array([3, 5]), "logits")
    >>> bits.slots[[0, 3, 4, 5, 6]]
    array([0, 0, 1, 1, 2], dtype=int32)
    """

    def __init__(self, used: Int64[np.ndarray, " s"], kind: Kind) -> None:
        self.used = used
        # 32 bits: half the table stays in the cache.
        self.slots = np.searchsorted(used, np.arange(NUM_FIRST + 1)).astype(np.int32)
        self.arrays = (self.slots, used, unit_terms(used, kind))


class PartedBlock:
    """Columns of 32-bit keys, parted into runs.

    Args:
        keys: One row a label; each value of their first bits is in use.
        bits: Which these are.
        lasts: Room for the last bits of all cells; belongs to the block.
    """

    def __init__(self, keys: UInt32[np.ndarray, "k n"], bits: FirstBits, lasts: UInt16[np.ndarray, " c"]) -> None:
        from manyhot.metrics.fine_kernels import part_cells

        self._bits, self._lasts = bits, lasts
        self._group = 1 << max(0, (GROUP_CELLS // max(1, keys.shape[1])).bit_length() - 1)
        self._starts = np.empty(len(bits.used) * len(keys) + 1, dtype=np.int64)
        self._above = np.empty((len(keys), len(bits.used) + 1), dtype=np.int64)
        parted = part_cells(keys, bits.used, self._group, self._starts, lasts, self._above)
        assert parted == keys.size, f"{keys.size - parted} cells have first bits that were not counted"

    def ranks(self, columns: Int64[np.ndarray, " w"], wanted: Int64[np.ndarray, " w"]) -> Int64[np.ndarray, "2 w"]:
        """Return how many cells of a column are at or above a wanted key, and how many are at it."""
        from manyhot.metrics.fine_kernels import rank_in_runs

        counts = np.empty((2, len(wanted)), dtype=np.int64)
        rank_in_runs(self._lasts, self._starts, self._bits.arrays, self._group, self._above, columns, wanted, counts)
        return counts

    def sums_below(self, columns: Int64[np.ndarray, " w"], wanted: Int64[np.ndarray, " w"]) -> Int64[np.ndarray, " w"]:
        """Return the sum of the probabilities of a column's cells below a wanted key, in units of 2⁻⁴⁰."""
        from manyhot.metrics.fine_kernels import sum_below

        sums = np.empty(len(wanted), dtype=np.int64)
        sum_below(self._lasts, self._starts, self._bits.arrays, self._group, self.below, columns, wanted, sums)
        return sums

    @cached_property
    def below(self) -> Int64[np.ndarray, "k slots"]:
        """For each label the sum of the probabilities of its cells in lower slots, in units of 2⁻⁴⁰."""
        from manyhot.metrics.fine_kernels import sum_runs

        below = np.empty_like(self._above)
        sum_runs(self._lasts, self._starts, self._bits.arrays[2], self._group, below)
        return below

    def group_starts(self) -> list[Int64[np.ndarray, " slots"]]:
        """Return for each group of labels where the cells of each slot start, and one past the last."""
        num_slots, num_labels = len(self._bits.used), len(self._above)
        found = []
        for first in range(0, num_labels, self._group):
            width = min(self._group, num_labels - first)
            found.append(self._starts[first * num_slots : (first + width) * num_slots + 1 : width])
        return found
