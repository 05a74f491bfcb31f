"""Bins of equal mass over the 32-bit keys of all cells, found by their first bits and, where an edge is, by their last."""

import numpy as np
from jaxtyping import Int64, UInt32

from manyhot.metrics.calibration import NUM_BINS
from manyhot.metrics.mass_bins import bin_error, bin_ranks
from manyhot.metrics.scores import Kind
from manyhot.metrics.unit_terms import units_of


class PooledEdges:
    """Where bins of equal mass begin among all cells, found in two steps: first bits here, last bits by a count.

    Args:
        counts: How many cells of all ranks have each value of the first bits; there must be some.

    `firsts` are the values of the first bits that hold an edge.
    """

    def __init__(self, counts: Int64[np.ndarray, " f"]) -> None:
        self._below = np.concatenate(([0], np.cumsum(counts)))
        self.num_cells = int(self._below[-1])
        ranks = bin_ranks(self._below[-1:])[0]
        # Fewer than 15 cells leave the last bins empty: no cell has their rank.
        self._ranks = ranks[ranks < self.num_cells]
        holding = np.searchsorted(self._below, self._ranks, side="right") - 1
        self.firsts, self._places = np.unique(holding, return_inverse=True)

    def error(
        self,
        last_counts: Int64[np.ndarray, "e t"],
        sums: Int64[np.ndarray, " f"],
        positives: UInt32[np.ndarray, " p"],
        kind: Kind,
    ) -> float:
        """Return the expected calibration error.

        Args:
            last_counts: For each of `firsts` how many cells have each value of the last bits.
            sums: Of the probabilities of the cells with each value of the first bits, in units of 2⁻⁴⁰.
            positives: Keys of all positives.
            kind: What the scores are.
        """
        units = units_of(self.firsts, kind)
        sums_below = np.concatenate(([0], np.cumsum(sums)))
        edges, edge_sums = [], [0]
        for rank, place in zip(self._ranks, self._places, strict=True):
            first = int(self.firsts[place])
            within = self._below[first] + np.concatenate(([0], np.cumsum(last_counts[place])))
            last = int(np.searchsorted(within, rank, side="right")) - 1
            # A run of equal keys that began before this rank stays in the bin below, whole.
            last += int(within[last] < rank)
            edges.append((first << 16) + last)
            edge_sums.append(int(sums_below[first]) + int((last_counts[place] * units[place])[:last].sum()))
        missing = NUM_BINS - 1 - len(self._ranks)
        found = np.diff([*edge_sums, *[int(sums_below[-1])] * (missing + 1)])
        return bin_error(found, np.array(edges + [1 << 32] * missing), positives, self.num_cells)
