"""Two ways to count a block of columns: 32-bit keys are sorted, 16-bit keys are counted one by one."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64, UInt16, UInt32

from manyhot.metrics.calibration import NUM_BINS
from manyhot.metrics.column_pass import (
    Columns,
    PositiveKeys,
    bin_edges,
    calibration_error,
    probability_units,
)
from manyhot.metrics.exchange import Exchange
from manyhot.metrics.ranks import POOLED_BUCKETS
from manyhot.metrics.scores import Kind
from manyhot.metrics.stores import decode

NUM_HIGH = 1 << 16


class SortedBlock:
    """Columns of 32-bit keys, sorted, with what their probabilities add to the pool."""

    def __init__(self, keys: UInt32[np.ndarray, "k n"], tally: "FineTally") -> None:
        from manyhot.metrics.column_kernels import sort_columns

        self._keys = keys
        self._tally = tally
        sort_columns(keys)
        tally.place(keys)

    def at_or_above(self, wanted: Int64[np.ndarray, "k e"]) -> Int64[np.ndarray, "k e"]:
        """Return how many cells of each label are at or above each wanted key."""
        offsets = np.arange(len(wanted) + 1, dtype=np.int64) * wanted.shape[1]
        return self.listed_at_or_above(offsets, wanted.ravel()).reshape(wanted.shape)

    def listed_at_or_above(
        self, offsets: Int64[np.ndarray, " offsets"], wanted: Int64[np.ndarray, " w"]
    ) -> Int64[np.ndarray, " w"]:
        """Return the same for as many wanted keys of each label as its offsets say."""
        from manyhot.metrics.column_kernels import count_in_sorted

        counts = np.zeros(len(wanted), dtype=np.int64)
        count_in_sorted(self._keys, offsets, wanted, counts)
        return counts

    def bin_sums(self, edges: Int64[np.ndarray, "k e"]) -> Int64[np.ndarray, "k bins"]:
        """Return the sums of the probabilities in each bin, in units of 2⁻⁴⁰."""
        from manyhot.metrics.column_kernels import sum_probs

        sums = np.zeros((len(edges), edges.shape[1] + 1), dtype=np.int64)
        sum_probs(self._keys, self._tally.kind == "logits", edges, sums, self._tally.high_counts, self._tally.high_sums)
        return sums


class FineTally:
    """Pooled counts of 32-bit keys: cells between the distinct positives, and probabilities by the first 16 bits."""

    def __init__(self, pooled: PositiveKeys, kind: Kind) -> None:
        from manyhot.metrics.counting_kernels import fill_starts

        self.kind: Kind = kind
        marks = decode(pooled.distinct().keys)
        self._marks = np.concatenate(([np.float32(np.nan)], marks, [np.float32(np.nan)])).astype(np.float32)
        self._starts = np.empty(max(2, min(POOLED_BUCKETS, 8 * len(marks))) + 1, dtype=np.uint32)
        self._scale = fill_starts(self._marks, len(marks), self._starts) if len(marks) else None
        self._counts = np.zeros(2 * len(marks) + 2, dtype=np.int64)
        self.high_counts, self.high_sums = np.zeros((2, NUM_HIGH), dtype=np.int64)

    def block(self, keys: UInt32[np.ndarray, "k n"]) -> SortedBlock:
        """Return a block of cells, which is added to the tally; the keys are sorted in place."""
        return SortedBlock(keys, self)

    def place(self, keys: UInt32[np.ndarray, "k n"]) -> None:
        """Add cells to what the positives of all labels are ranked among."""
        from manyhot.metrics.column_kernels import place_keys

        if self._scale is not None:
            low, scale, crowded = self._scale
            # As float32, as the marks were placed: from Python, floats come as float64.
            low, scale = np.float32(low), np.float32(scale)
            place_keys(keys, low, scale, self._starts, crowded, self._marks, self._counts)

    def counts(self, exchange: Exchange) -> tuple[Int64[np.ndarray, " v"], Int64[np.ndarray, " v"]]:
        """Return the cells at or above, and at, each distinct key of all positives."""
        counts = self._counts.reshape(-1, 2)[1:]
        reached, equal = exchange.sum(counts.sum(axis=1)), exchange.sum(counts[:, 1])
        return np.cumsum(reached[::-1])[::-1], equal

    def calibration_error(
        self, positives: PositiveKeys, columns: Columns, blocks: Sequence[slice], exchange: Exchange
    ) -> float:
        """Return the expected calibration error of all cells, of which there must be some: a pass for each edge's last bits."""
        from manyhot.metrics.column_kernels import count_low_bits

        counts, sums = exchange.sum(self.high_counts), exchange.sum(self.high_sums)
        below = np.concatenate(([0], np.cumsum(counts)))
        ranks = -(-np.arange(1, NUM_BINS) * below[-1] // NUM_BINS)
        # Fewer than 15 cells leave the last bins empty: no cell has their rank.
        ranks = ranks[ranks < below[-1]]
        highs, places = np.unique(np.searchsorted(below, ranks, side="right") - 1, return_inverse=True)
        slots = np.full(NUM_HIGH, -1, dtype=np.int8)
        slots[highs] = np.arange(len(highs))
        low_counts = np.zeros((len(highs), NUM_HIGH), dtype=np.int64)
        for labels in blocks:
            count_low_bits(columns(labels), slots, low_counts)
        low_counts = exchange.sum(low_counts)
        keys = (highs[:, None] << 16) + np.arange(NUM_HIGH)
        sums_below = np.concatenate(([0], np.cumsum(sums)))
        edges, edge_sums = [], [0]
        for rank, place in zip(ranks, places, strict=True):
            within = np.concatenate(([0], np.cumsum(low_counts[place])))
            low = int(np.searchsorted(within, rank - below[highs[place]], side="right")) - 1
            # A run of equal keys that began before this rank stays in the bin below, whole.
            edge = low + int(below[highs[place]] + within[low] < rank)
            units = probability_units(keys[place, :edge].astype(np.uint32), self.kind)
            edges.append(int(keys[place, 0]) + edge)
            edge_sums.append(int(sums_below[highs[place]]) + int((low_counts[place, :edge] * units).sum()))
        missing = NUM_BINS - 1 - len(ranks)
        found = np.diff([*edge_sums, *[int(sums_below[-1])] * (missing + 1)])
        edges += [NUM_HIGH << 16] * missing
        return calibration_error(found, np.array(edges), positives.keys, int(below[-1]))


class CountedBlock:
    """Columns of 16-bit keys, counted."""

    def __init__(self, keys: UInt16[np.ndarray, "k n"], tally: "CoarseTally") -> None:
        from manyhot.metrics.half_kernels import NUM_PAGES, count_keys

        self._tally = tally
        self._counts = tally.buffer(len(keys))
        self._above = np.empty((len(keys), NUM_PAGES + 1), dtype=np.int64)
        count_keys(keys, self._counts, self._above, tally.pooled)

    def at_or_above(self, wanted: Int64[np.ndarray, "k e"]) -> Int64[np.ndarray, "k e"]:
        """Return how many cells of each label are at or above each wanted key."""
        offsets = np.arange(len(wanted) + 1, dtype=np.int64) * wanted.shape[1]
        return self.listed_at_or_above(offsets, wanted.ravel()).reshape(wanted.shape)

    def listed_at_or_above(
        self, offsets: Int64[np.ndarray, " offsets"], wanted: Int64[np.ndarray, " w"]
    ) -> Int64[np.ndarray, " w"]:
        """Return the same for as many wanted keys of each label as its offsets say."""
        from manyhot.metrics.half_kernels import count_in_pages

        found = np.empty(len(wanted), dtype=np.int64)
        count_in_pages(self._counts, self._above, offsets, wanted, found)
        return found

    def bin_sums(self, edges: Int64[np.ndarray, "k e"]) -> Int64[np.ndarray, "k bins"]:
        """Return the sums of the probabilities in each bin, in units of 2⁻⁴⁰."""
        from manyhot.metrics.half_kernels import sum_counted

        sums = np.zeros((len(edges), edges.shape[1] + 1), dtype=np.int64)
        sum_counted(self._counts, self._above, self._tally.units, edges, sums)
        return sums


class CoarseTally:
    """Pooled counts of each 16-bit key."""

    def __init__(self, pooled: PositiveKeys, kind: Kind) -> None:
        self._distinct = pooled.distinct().keys.astype(np.int64)
        self.units = probability_units(np.arange(NUM_HIGH, dtype=np.uint16), kind)
        self.pooled = np.zeros(NUM_HIGH, dtype=np.int64)
        self._buffer = np.empty((0, NUM_HIGH), dtype=np.uint32)

    def buffer(self, num_columns: int) -> UInt32[np.ndarray, "k b"]:
        """Return room for the counts of a block, the same for one block after the other."""
        if len(self._buffer) < num_columns:
            self._buffer = np.empty((num_columns, NUM_HIGH), dtype=np.uint32)
        return self._buffer[:num_columns]

    def block(self, keys: UInt16[np.ndarray, "k n"]) -> CountedBlock:
        """Return a block of cells, which is added to the tally."""
        return CountedBlock(keys, self)

    def counts(self, exchange: Exchange) -> tuple[Int64[np.ndarray, " v"], Int64[np.ndarray, " v"]]:
        """Return the cells at or above, and at, each distinct key of all positives."""
        counts = exchange.sum(self.pooled)
        at_or_above = np.append(np.cumsum(counts[::-1])[::-1], 0)
        return at_or_above[self._distinct], counts[self._distinct]

    def calibration_error(
        self,
        positives: PositiveKeys,
        columns: Columns,  # noqa: ARG002 - the other tally reads them again
        blocks: Sequence[slice],  # noqa: ARG002 - likewise
        exchange: Exchange,
    ) -> float:
        """Return the expected calibration error of all cells; there must be some."""
        counts = exchange.sum(self.pooled)
        at_or_above = np.append(np.cumsum(counts[::-1])[::-1], 0)
        edges = bin_edges(lambda wanted: at_or_above[wanted], at_or_above[:1], 16)[0]
        sums = np.append(0, np.cumsum(counts * self.units))[[0, *edges, NUM_HIGH]]
        return calibration_error(np.diff(sums), edges, positives.keys, int(at_or_above[0]))
