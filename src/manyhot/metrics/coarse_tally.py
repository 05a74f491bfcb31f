"""Counting 16-bit keys: each key of each column, and of all columns together, one by one."""

import math

import numpy as np
from jaxtyping import Int64, UInt16, UInt32

from manyhot.metrics.exchange import Exchange
from manyhot.metrics.mass_bins import bin_edges, bin_error
from manyhot.metrics.positive_keys import PositiveKeys
from manyhot.metrics.scores import Kind
from manyhot.metrics.stores import decode
from manyhot.metrics.tallies import ColumnSource, PooledCounts

NUM_KEYS = 1 << 16


class CountedBlock:
    """Columns of 16-bit keys, counted.

    Args:
        keys: One row a label.
        counts: Room for the count of each key of each label; belongs to the block.
        units: The probability of each key, in units of 2⁻⁴⁰.
        pooled: The counts of the columns are added to it.
    """

    def __init__(
        self,
        keys: UInt16[np.ndarray, "k n"],
        counts: UInt32[np.ndarray, "k b"],
        units: Int64[np.ndarray, " b"],
        pooled: Int64[np.ndarray, " b"],
    ) -> None:
        from manyhot.metrics.half_kernels import NUM_PAGES, count_keys

        self._counts, self._units = counts, units
        self._above = np.empty((len(keys), NUM_PAGES + 1), dtype=np.int64)
        count_keys(keys, counts, self._above, pooled)

    def ranks(self, columns: Int64[np.ndarray, " w"], wanted: Int64[np.ndarray, " w"]) -> Int64[np.ndarray, "2 w"]:
        """Return how many cells of a column are at or above a wanted key, and how many are at it."""
        from manyhot.metrics.half_kernels import count_in_pages

        found = np.empty((2, len(wanted)), dtype=np.int64)
        count_in_pages(self._counts, self._above, columns, wanted, found)
        return found

    def sums_below(self, columns: Int64[np.ndarray, " w"], wanted: Int64[np.ndarray, " w"]) -> Int64[np.ndarray, " w"]:
        """Return the sum of the probabilities of a column's cells below a wanted key, in units of 2⁻⁴⁰."""
        from manyhot.metrics.half_kernels import sum_below

        sums = np.empty(len(wanted), dtype=np.int64)
        sum_below(self._counts, self._above, self._units, columns, wanted, sums)
        return sums


class CoarseTally:
    """Pooled counts of each 16-bit key.

    Args:
        source: This rank's cells.
        positives: Of all ranks.
        kind: What the scores are.
    """

    def __init__(self, source: ColumnSource, positives: PositiveKeys, kind: Kind) -> None:
        self._source = source
        self._positives = positives.pooled()
        self._units = key_units(kind)
        self._pooled = np.zeros(NUM_KEYS, dtype=np.int64)
        self._room = np.empty((0, NUM_KEYS), dtype=np.uint32)

    def block(self, labels: slice) -> CountedBlock:
        """Return the cells of some labels; it may be used until the next is asked for."""
        keys = self._source.columns(labels)
        if len(self._room) < len(keys):
            self._room = np.empty((len(keys), NUM_KEYS), dtype=np.uint32)
        return CountedBlock(keys, self._room[: len(keys)], self._units, self._pooled)

    def pooled(self, exchange: Exchange) -> PooledCounts:
        """Return what the cells of all blocks give."""
        counts, distinct = exchange.sum(self._pooled), self._positives.distinct().keys.astype(np.int64)
        at_or_above = np.append(np.cumsum(counts[::-1])[::-1], 0)
        return PooledCounts(
            at_or_above=at_or_above[distinct],
            tied=counts[distinct],
            calibration_error=self._error(counts, at_or_above) if at_or_above[0] else math.nan,
        )

    def _error(self, counts: Int64[np.ndarray, " b"], at_or_above: Int64[np.ndarray, " keys"]) -> float:
        edges = bin_edges(lambda wanted: at_or_above[wanted], at_or_above[:1], 16)[0]
        sums = np.append(0, np.cumsum(counts * self._units))[[0, *edges, NUM_KEYS]]
        return bin_error(np.diff(sums), edges, self._positives.keys, int(at_or_above[0]))


def key_units(kind: Kind) -> Int64[np.ndarray, " b"]:
    """Return the probability of each 16-bit key, in units of 2⁻⁴⁰; 0 for a key of no number."""
    from manyhot.metrics.half_kernels import write_units

    units = np.empty(NUM_KEYS, dtype=np.int64)
    write_units(decode(np.arange(NUM_KEYS, dtype=np.uint16)), kind == "logits", units)
    return units
