"""What comparing the samples of each label gives, from stores of scores: one block of labels at a time, on every rank."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64, Int64, UInt

from manyhot.metrics.calibration import MIN_POSITIVES, NUM_BINS
from manyhot.metrics.curves import auroc, average_precision
from manyhot.metrics.exchange import Exchange
from manyhot.metrics.parts import LabelPart
from manyhot.metrics.ranks import PositiveRanks
from manyhot.metrics.scores import Kind
from manyhot.metrics.stores import decode

BLOCK_CELLS = 1 << 23
UNIT = 2.0**40

Keys = UInt[np.ndarray, "k n"]
Columns = Callable[[slice], Keys]


@dataclass(frozen=True, kw_only=True, eq=False)
class PositiveKeys:
    """The keys of all positives of all ranks.

    Args:
        keys: Of each positive; those of a label stand together, in ascending order.
        offsets: Label `l` owns `keys[offsets[l]:offsets[l + 1]]`.
        known: Known cells of each label.
    """

    keys: UInt[np.ndarray, " p"]
    offsets: Int64[np.ndarray, " offsets"]
    known: Int64[np.ndarray, " l"]

    @staticmethod
    def of(
        keys: UInt[np.ndarray, " p"], label_ids: Int64[np.ndarray, " p"], known: Int64[np.ndarray, " l"]
    ) -> "PositiveKeys":
        """Return the keys, sorted by label and value."""
        counts = np.bincount(label_ids, minlength=len(known))
        offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
        return PositiveKeys(keys=keys[np.lexsort((keys, label_ids))], offsets=offsets, known=known)

    def pooled(self) -> "PositiveKeys":
        """Return the keys as of one label that holds every cell."""
        offsets = np.array([0, len(self.keys)], dtype=np.int64)
        return PositiveKeys(keys=np.sort(self.keys), offsets=offsets, known=self.known.sum(keepdims=True))

    def distinct(self) -> "DistinctKeys":
        """Return the distinct keys of each label."""
        fresh = np.ones(len(self.keys), dtype=bool)
        fresh[1:] = self.keys[1:] != self.keys[:-1]
        fresh[self.offsets[:-1][self.offsets[:-1] < len(self.keys)]] = True
        sums = np.concatenate(([0], np.cumsum(fresh))).astype(np.int64)
        return DistinctKeys(keys=self.keys[fresh], offsets=sums[self.offsets], slots=sums[1:] - 1)


@dataclass(frozen=True, kw_only=True, eq=False)
class DistinctKeys:
    """Distinct keys of positives.

    Args:
        keys: Ascending within each label.
        offsets: Label `l` owns `keys[offsets[l]:offsets[l + 1]]`.
        slots: For each positive the place of its key.
    """

    keys: UInt[np.ndarray, " v"]
    offsets: Int64[np.ndarray, " offsets"]
    slots: Int64[np.ndarray, " p"]


@runtime_checkable
class ColumnBlock(Protocol):
    """This rank's cells of some labels, ready to be counted."""

    def at_or_above(self, wanted: Int64[np.ndarray, "k e"]) -> Int64[np.ndarray, "k e"]:
        """Return how many cells of each label are at or above each wanted key."""
        ...

    def listed_at_or_above(
        self, offsets: Int64[np.ndarray, " offsets"], wanted: Int64[np.ndarray, " w"]
    ) -> Int64[np.ndarray, " w"]:
        """Return the same for as many wanted keys of each label as its offsets say."""
        ...

    def bin_sums(self, edges: Int64[np.ndarray, "k e"]) -> Int64[np.ndarray, "k bins"]:
        """Return the sums of the probabilities in each bin, in units of 2⁻⁴⁰; edges are the lowest keys of all but the first."""
        ...


@runtime_checkable
class PooledTally(Protocol):
    """What the blocks of all labels add to, for the figures of all cells pooled."""

    def block(self, keys: Keys) -> ColumnBlock:
        """Return a block of cells, which is added to the tally."""
        ...

    def counts(self, exchange: Exchange) -> tuple[Int64[np.ndarray, " v"], Int64[np.ndarray, " v"]]:
        """Return the cells at or above, and at, each distinct key of all positives."""
        ...

    def calibration_error(
        self, positives: PositiveKeys, columns: Columns, blocks: Sequence[slice], exchange: Exchange
    ) -> float:
        """Return the expected calibration error of all cells; there must be some."""
        ...


def compare_columns(
    columns: Columns, num_rows: int, positives: PositiveKeys, exchange: Exchange, kind: Kind
) -> LabelPart:
    """Return what comparing the samples of a label, or all cells, with each other gives.

    Args:
        columns: Gives this rank's keys of some labels, one row a label; 0 for cells that take no part.
        num_rows: How many samples all ranks have together.
        positives: Of all ranks.
        exchange: How ranks put together what they counted.
        kind: What the scores are.
    """
    from manyhot.metrics.column_tallies import CoarseTally, FineTally

    pooled = positives.pooled()
    tally: PooledTally = (FineTally if positives.keys.dtype == np.uint32 else CoarseTally)(pooled, kind)
    blocks = label_blocks(len(positives.known), num_rows)
    distinct = positives.distinct()
    at_or_above, tied = np.zeros((2, len(distinct.keys)), dtype=np.int64)
    errors = np.full(len(positives.known), np.nan)
    for labels in blocks:
        block = tally.block(columns(labels))
        own = slice(distinct.offsets[labels.start], distinct.offsets[labels.stop])
        offsets, wanted = (
            distinct.offsets[labels.start : labels.stop + 1] - own.start,
            distinct.keys[own].astype(np.int64),
        )
        at_or_above[own] = block.listed_at_or_above(offsets, wanted)
        tied[own] = at_or_above[own] - block.listed_at_or_above(offsets, wanted + 1)
        errors[labels] = _calibration_errors(block, positives, labels, exchange)
    # Ties are few, and travel in fewer bytes than what is above.
    ranks = ranks_of_counts(positives, distinct, exchange.sum(at_or_above), exchange.sum(tied))
    pooled_ranks = ranks_of_counts(pooled, pooled.distinct(), *tally.counts(exchange))
    return LabelPart(
        average_precision=average_precision(ranks),
        auroc=auroc(ranks),
        calibration_error=errors,
        pooled_average_precision=float(average_precision(pooled_ranks)[0]),
        pooled_auroc=float(auroc(pooled_ranks)[0]),
        pooled_calibration_error=tally.calibration_error(pooled, columns, blocks, exchange)
        if pooled.known[0]
        else float("nan"),
    )


def label_blocks(num_labels: int, num_rows: int) -> list[slice]:
    """Return slices of labels that hold about 2²³ cells each, the same on every rank."""
    step = max(1, min(64, BLOCK_CELLS // max(1, num_rows)))
    return [slice(start, min(start + step, num_labels)) for start in range(0, num_labels, step)]


def ranks_of_counts(
    positives: PositiveKeys,
    distinct: DistinctKeys,
    at_or_above: Int64[np.ndarray, " v"],
    tied: Int64[np.ndarray, " v"],
) -> PositiveRanks:
    """Return the ranks of positives from how many cells are at or above, and at, each distinct key."""
    lasts = np.concatenate((np.flatnonzero(np.diff(distinct.slots)), [len(distinct.slots) - 1]))[: len(distinct.keys)]
    firsts = np.concatenate(([0], lasts[:-1] + 1))[: len(distinct.keys)].astype(np.int64)
    ends = np.repeat(positives.offsets[1:], np.diff(positives.offsets))
    return PositiveRanks(
        offsets=positives.offsets,
        known=positives.known,
        cells_at_or_above=at_or_above[distinct.slots],
        cells_above=(at_or_above - tied)[distinct.slots],
        positives_at_or_above=ends - firsts[distinct.slots],
        positives_above=ends - lasts[distinct.slots] - 1,
    )


def bin_edges(
    at_or_above: Callable[[Int64[np.ndarray, "k e"]], Int64[np.ndarray, "k e"]],
    known: Int64[np.ndarray, " k"],
    num_bits: int,
) -> Int64[np.ndarray, "k e"]:
    """Return the lowest key of each of 15 bins of equal mass but the first, found by halving the range of keys.

    Bin b begins at the cell of rank ⌈b·M/15⌉, or behind the run of equal keys that this cell is in if the run began before.

    Args:
        at_or_above: Counts the cells of all ranks at or above keys.
        known: Cells of each label.
        num_bits: Of a key.
    """
    ranks = -(-np.arange(1, NUM_BINS) * known[:, None] // NUM_BINS)
    low, high = np.ones(ranks.shape, dtype=np.int64), np.full(ranks.shape, (1 << num_bits) - 1, dtype=np.int64)
    for _ in range(num_bits):
        middle = (low + high) >> 1
        # The cell of this rank is at or below the middle when more cells than its rank are.
        reached = known[:, None] - at_or_above(middle + 1) > ranks
        low, high = np.where(reached, low, np.minimum(middle + 1, high)), np.where(reached, middle, high)
    begun_before = known[:, None] - at_or_above(low) < ranks
    return low + begun_before


def _calibration_errors(
    block: ColumnBlock, positives: PositiveKeys, labels: slice, exchange: Exchange
) -> Float64[np.ndarray, " k"]:
    known = positives.known[labels]
    edges = bin_edges(lambda wanted: exchange.sum(block.at_or_above(wanted)), known, positives.keys.dtype.itemsize * 8)
    sums = exchange.sum(block.bin_sums(edges))
    errors = np.full(len(known), np.nan)
    for place, label in enumerate(range(labels.start, labels.stop)):
        own = positives.keys[positives.offsets[label] : positives.offsets[label + 1]]
        if len(own) >= MIN_POSITIVES:
            errors[place] = calibration_error(sums[place], edges[place], own, int(known[place]))
    return errors


def calibration_error(
    sums: Int64[np.ndarray, " bins"], edges: Int64[np.ndarray, " e"], positives: UInt[np.ndarray, " p"], known: int
) -> float:
    """Return the mean over cells of |mean probability − share of positives| of their bin."""
    found = np.bincount(np.searchsorted(edges, positives.astype(np.int64), side="right"), minlength=NUM_BINS)
    return float(np.abs(sums / UNIT - found).sum() / known)


def probability_units(keys: UInt[np.ndarray, "*shape"], kind: Kind) -> Int64[np.ndarray, "*shape"]:
    """Return the probabilities that keys mean, in units of 2⁻⁴⁰, whose sums are exact; 0 for what is no probability."""
    from manyhot.metrics.column_kernels import write_units

    scores = decode(keys).ravel()
    units = np.empty(len(scores), dtype=np.int64)
    # Among all 16-bit keys are some of no number at all.
    write_units(scores, kind == "logits", units)
    return units.reshape(keys.shape)
