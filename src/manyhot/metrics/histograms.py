"""Evaluate from histograms of each label's scores: memory that does not grow with the scores, and bounds that always hold.

Bins are as wide as a power of two and stand at its multiples, for each label the smallest power with which its scores
fit. So the bins follow scores of any scale, and bins of two states nest: histograms of all samples are the same however
these were split.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt32

from manyhot.metrics.exchange import Exchange
from manyhot.metrics.scores import Kind
from manyhot.metrics.truth import Truth

# Bounds are widened by what sums of float64 may be off.
ROUNDING = 1e-12
# Zero has no exponent of its own: it takes that of the smallest ordinary float32.
SMALLEST = 2.0**-126


@dataclass(frozen=True, kw_only=True, eq=False)
class Bounds:
    """The lowest and the highest value that a figure can have, given the counts in each bin; NaN where it is undefined.

    Args:
        low: Of each label.
        high: Of each label.
    """

    low: Float64[np.ndarray, " l"]
    high: Float64[np.ndarray, " l"]

    @property
    def middle(self) -> Float64[np.ndarray, " l"]:
        """The estimates: halfway."""
        return (self.low + self.high) / 2


@dataclass(frozen=True, kw_only=True, eq=False)
class Histograms:
    """Counts of each label's known cells and positives.

    Args:
        lowest: Lowest finite score of each label; +∞ without one.
        highest: Highest finite score; −∞ without one.
        cells: Known cells by bin: first −∞, last +∞, between them bins from ⌊lowest / width⌋ · width on.
        positives: Positives by the same bins.
    """

    lowest: Float64[np.ndarray, " l"]
    highest: Float64[np.ndarray, " l"]
    cells: UInt32[np.ndarray, "l bins"]
    positives: UInt32[np.ndarray, "l bins"]

    @staticmethod
    def empty(num_labels: int, num_bins: int) -> "Histograms":
        """Return histograms without cells; 8 bytes a bin.

        >>> Histograms.empty(3, 1024).nbytes
        24624
        """
        cells, positives = np.zeros((2, num_labels, num_bins + 2), dtype=np.uint32)
        lowest, highest = np.full(num_labels, np.inf), np.full(num_labels, -np.inf)
        return Histograms(lowest=lowest, highest=highest, cells=cells, positives=positives)

    @property
    def nbytes(self) -> int:
        """Size of the counts."""
        return self.cells.nbytes + self.positives.nbytes

    def add(self, scores: Float32[np.ndarray, "n l"], truth: Truth) -> "Histograms":
        """Return the histograms with a batch added; the counts of these are taken over, so use these no more."""
        from manyhot.metrics.histogram_kernels import add_cells

        grown = self.widened(*_ranges(scores, truth))
        exponents, bases = grown.bins()
        scales = np.ldexp(1.0, -exponents)
        for rows in [slice(0, len(scores))] if truth.unlisted_known is None else truth.row_blocks():
            add_cells(np.ascontiguousarray(scores[rows]), truth.known_rows(rows), scales, bases, grown.cells)
        labels = truth.label_ids
        values = scores[truth.row_ids, labels].astype(np.float64)
        places = np.clip(np.floor(values * scales[labels]) - bases[labels], -1, grown.cells.shape[1] - 2)
        np.add.at(grown.positives, (labels, places.astype(np.int64) + 1), np.uint32(1))
        return grown

    def widened(self, lowest: Float64[np.ndarray, " l"], highest: Float64[np.ndarray, " l"]) -> "Histograms":
        """Return the same counts in bins that have room for scores in these ranges; the counts are taken over."""
        from manyhot.metrics.histogram_kernels import move_bins

        grown = replace(self, lowest=np.minimum(self.lowest, lowest), highest=np.maximum(self.highest, highest))
        (exponents, bases), (new_exponents, new_bases) = self.bins(), grown.bins()
        # Without a score yet there is nothing to move.
        has_scores = self.lowest <= self.highest
        # Whole numbers below 2³² end after 62 shifts where they would after more.
        shifts = np.where(has_scores, np.minimum(new_exponents - exponents, 62), 0)
        old_bases = np.where(has_scores, bases, new_bases)
        for counts in (self.cells, self.positives):
            move_bins(counts, old_bases, shifts, new_bases)
        return grown

    def bins(self) -> tuple[Int64[np.ndarray, " l"], Int64[np.ndarray, " l"]]:
        """Return for each label the exponent of the bins' width, and which multiple of it the bins begin at."""
        has_scores = self.lowest <= self.highest
        low, high = np.where(has_scores, self.lowest, 0.0), np.where(has_scores, self.highest, 0.0)
        room = self.cells.shape[1] - 2
        # Finer than 2⁻³⁰ of the largest score, no float32 would be parted from its neighbour.
        largest = np.maximum(np.maximum(np.abs(low), np.abs(high)), SMALLEST)
        exponents = np.frexp(largest)[1].astype(np.int64) - 30
        exponents = np.maximum(exponents, np.frexp(np.maximum(high - low, SMALLEST * 2.0**-30) / room)[1] - 1)
        for _ in range(3):
            scale = np.ldexp(1.0, -exponents)
            exponents = exponents + (np.floor(high * scale) - np.floor(low * scale) >= room)
        return exponents, np.floor(low * np.ldexp(1.0, -exponents)).astype(np.int64)

    def merge(self, other: "Histograms") -> "Histograms":
        """Return the histograms of both; the counts of both are taken over."""
        mine, others = self.widened(other.lowest, other.highest), other.widened(self.lowest, self.highest)
        return replace(mine, cells=mine.cells + others.cells, positives=mine.positives + others.positives)

    def gathered(self, exchange: Exchange) -> "Histograms":
        """Return the histograms of all ranks; every rank calls this."""
        ranges = exchange.gather((self.lowest, self.highest))
        lowest, highest = np.min([pair[0] for pair in ranges], axis=0), np.max([pair[1] for pair in ranges], axis=0)
        if exchange.num_ranks == 1:
            return self
        copied = replace(self, cells=self.cells.copy(), positives=self.positives.copy()).widened(lowest, highest)
        cells, positives = (exchange.sum(counts.astype(np.int64)) for counts in (copied.cells, copied.positives))
        return replace(copied, cells=cells.astype(np.uint32), positives=positives.astype(np.uint32))

    def bounds(self) -> tuple[Bounds, Bounds]:
        """Return the bounds of each label's average precision and AUROC, between which the exact value always lies."""
        return _bounds(self.cells.astype(np.int64), self.positives.astype(np.int64))

    def pooled_bounds(self) -> tuple[Bounds, Bounds]:
        """Return the bounds of average precision and AUROC of all cells together, as of one label."""
        exponents, bases = self.bins()
        has_scores = self.lowest <= self.highest
        if not has_scores.any():
            return _bounds(
                *(counts.sum(axis=0, dtype=np.int64, keepdims=True) for counts in (self.cells, self.positives))
            )
        exponent = int(exponents[has_scores].max())
        lowest, highest = float(self.lowest[has_scores].min()), float(self.highest[has_scores].max())
        # No more than 2²⁰ bins, for labels far from each other.
        exponent = max(exponent, int(np.frexp(highest - lowest)[1]) - 19)
        base = int(np.floor(np.ldexp(lowest, -exponent)))
        size = int(np.floor(np.ldexp(highest, -exponent))) - base + 3
        room = self.cells.shape[1] - 2
        places = ((bases[:, None] + np.arange(room)) >> np.minimum(exponent - exponents, 62)[:, None]) - base + 1
        places = np.clip(places, 0, size - 1)
        totals = np.zeros((2, 1, size), dtype=np.int64)
        for total, counts in zip(totals, (self.cells, self.positives), strict=True):
            total[0] = np.bincount(places.ravel(), weights=counts[:, 1:-1].ravel(), minlength=size).astype(np.int64)
            total[0, 0] += int(counts[:, 0].sum(dtype=np.int64))
            total[0, -1] += int(counts[:, -1].sum(dtype=np.int64))
        return _bounds(*totals)


def binned_scores(scores: Float32[np.ndarray, "n l"], kind: Kind) -> Float32[np.ndarray, "n l"]:
    """Return what is binned: the logits; of probabilities their logits, which part those near 0 and 1."""
    if kind == "logits":
        return scores
    with np.errstate(divide="ignore"):
        return (np.log(scores, dtype=np.float32) - np.log1p(-scores, dtype=np.float32)).astype(np.float32, copy=False)


def _bounds(cells: Int64[np.ndarray, "l bins"], positives: Int64[np.ndarray, "l bins"]) -> tuple[Bounds, Bounds]:
    from manyhot.metrics.histogram_kernels import bound_curves

    precision, auroc = np.empty((2, len(cells), 2))
    bound_curves(cells, positives, precision, auroc)
    return _widened(precision), _widened(auroc)


def _widened(found: Float64[np.ndarray, "l two"]) -> Bounds:
    return Bounds(low=np.clip(found[:, 0] - ROUNDING, 0, 1), high=np.clip(found[:, 1] + ROUNDING, 0, 1))


def _ranges(
    scores: Float32[np.ndarray, "n l"], truth: Truth
) -> tuple[Float64[np.ndarray, " l"], Float64[np.ndarray, " l"]]:
    """Return each label's lowest and highest finite score among its known cells."""
    lowest, highest = np.full(truth.num_labels, np.inf), np.full(truth.num_labels, -np.inf)
    for rows in truth.row_blocks():
        block, known = scores[rows], truth.known_rows(rows)
        low, high = block.min(axis=0), block.max(axis=0)
        if known.shape[1] or not (np.isfinite(low).all() and np.isfinite(high).all()):
            taken = np.isfinite(block) & known if known.shape[1] else np.isfinite(block)
            low = np.where(taken, block, np.float32(np.inf)).min(axis=0)
            high = np.where(taken, block, np.float32(-np.inf)).max(axis=0)
        lowest, highest = np.minimum(lowest, low), np.maximum(highest, high)
    return lowest, highest
