"""Counting 32-bit keys: parted by their first 16 bits, and within these by their last.

A block of labels is parted once. A label's positives, and the edges of its bins, are then compared with the few cells that
share their first bits; the positives of all labels are ranked among the last bits of many blocks at once.
"""

import math

import numpy as np

from manyhot.metrics.exchange import Exchange
from manyhot.metrics.mark_pool import MarkPool
from manyhot.metrics.parted_block import FirstBits, PartedBlock
from manyhot.metrics.pooled_edges import PooledEdges
from manyhot.metrics.positive_keys import PositiveKeys
from manyhot.metrics.scores import Kind
from manyhot.metrics.stores import NUM_FIRST
from manyhot.metrics.tallies import ColumnSource, PooledCounts


class FineTally:
    """Pooled counts of 32-bit keys: cells among the positives of all labels, and probabilities by their first bits.

    Args:
        source: This rank's cells.
        positives: Of all ranks.
        kind: What the scores are.
        exchange: How ranks put together what they counted.
    """

    def __init__(self, source: ColumnSource, positives: PositiveKeys, kind: Kind, exchange: Exchange) -> None:
        self._source = source
        self._kind: Kind = kind
        own = source.first_bits()
        self._counts = exchange.sum(own)
        # 0 always: cells that take no part have it.
        self._bits = FirstBits(np.union1d([0], np.flatnonzero(own)), kind)
        self._positives = positives.pooled()
        marks = self._positives.distinct().keys.astype(np.int64)
        self._edges = PooledEdges(self._counts) if self._counts.any() else None
        self._pool = MarkPool(
            self._bits, marks, np.empty(0, dtype=np.int64) if self._edges is None else self._edges.firsts
        )
        self._sums = np.zeros(len(self._bits.used), dtype=np.int64)

    def block(self, labels: slice) -> PartedBlock:
        """Return the cells of some labels; it may be used until the next is asked for."""
        keys = self._source.columns(labels)
        block = PartedBlock(keys, self._bits, self._pool.room(keys.size))
        self._pool.add(block)
        self._sums += np.diff(block.below.sum(axis=0))
        return block

    def pooled(self, exchange: Exchange) -> PooledCounts:
        """Return what the cells of all blocks give."""
        self._pool.fold()
        reached, tied, last_counts = (exchange.sum(counts) for counts in (*self._pool.counts, self._pool.edge_counts))
        sums = np.zeros(NUM_FIRST, dtype=np.int64)
        sums[self._bits.used] = self._sums
        sums = exchange.sum(sums)
        above = np.append(np.cumsum(self._counts[::-1])[::-1], 0)
        return PooledCounts(
            at_or_above=reached + above[(self._pool.marks >> 16) + 1],
            tied=tied,
            calibration_error=math.nan
            if self._edges is None
            else self._edges.error(last_counts, sums, self._positives.keys, self._kind),
        )
