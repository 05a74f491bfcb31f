"""What comparing the samples of each label gives, from stores of scores: one block of labels at a time, on every rank."""

import numpy as np
from jaxtyping import Float64, Int64

from manyhot.metrics.calibration import MIN_POSITIVES
from manyhot.metrics.coarse_tally import CoarseTally
from manyhot.metrics.curves import auroc, average_precision
from manyhot.metrics.exchange import Exchange
from manyhot.metrics.fine_tally import FineTally
from manyhot.metrics.mass_bins import bin_edges, bin_error
from manyhot.metrics.parts import LabelPart
from manyhot.metrics.positive_keys import DistinctKeys, PositiveKeys, ranks_of_counts
from manyhot.metrics.scores import Kind
from manyhot.metrics.tallies import ColumnBlock, ColumnSource, Tally

BLOCK_CELLS = 1 << 23


def compare_columns(
    source: ColumnSource, num_rows: int, positives: PositiveKeys, exchange: Exchange, kind: Kind
) -> LabelPart:
    """Return what comparing the samples of a label, or all cells, with each other gives.

    Args:
        source: This rank's cells.
        num_rows: How many samples all ranks have together.
        positives: Of all ranks.
        exchange: How ranks put together what they counted.
        kind: What the scores are.
    """
    is_fine = positives.num_bits == 32
    tally: Tally = FineTally(source, positives, kind, exchange) if is_fine else CoarseTally(source, positives, kind)
    distinct, pooled_positives = positives.distinct(), positives.pooled()
    counts = np.zeros((2, len(distinct.keys)), dtype=np.int64)
    errors = np.full(len(positives.known), np.nan)
    for labels in label_blocks(len(positives.known), num_rows):
        block = tally.block(labels)
        counts[:, distinct.offsets[labels.start] : distinct.offsets[labels.stop]] = rank_block(block, distinct, labels)
        errors[labels] = _calibration_errors(block, positives, labels, exchange)
    # Ties are few, and travel in fewer bytes than what is above.
    ranks = ranks_of_counts(positives, distinct, exchange.sum(counts[0]), exchange.sum(counts[1]))
    pooled = tally.pooled(exchange)
    pooled_ranks = ranks_of_counts(pooled_positives, pooled_positives.distinct(), pooled.at_or_above, pooled.tied)
    return LabelPart(
        average_precision=average_precision(ranks),
        auroc=auroc(ranks),
        calibration_error=errors,
        pooled_average_precision=float(average_precision(pooled_ranks)[0]),
        pooled_auroc=float(auroc(pooled_ranks)[0]),
        pooled_calibration_error=pooled.calibration_error,
    )


def label_blocks(num_labels: int, num_rows: int) -> list[slice]:
    """Return slices of labels that hold about 2²³ cells each, the same on every rank.

    >>> label_blocks(130, 10)
    [slice(0, 64, None), slice(64, 128, None), slice(128, 130, None)]
    """
    step = max(1, min(64, BLOCK_CELLS // max(1, num_rows)))
    return [slice(start, min(start + step, num_labels)) for start in range(0, num_labels, step)]


def rank_block(block: ColumnBlock, distinct: DistinctKeys, labels: slice) -> Int64[np.ndarray, "2 w"]:
    """Return how many of this rank's cells are at or above, and at, each distinct key of the positives of a block's labels."""
    offsets = distinct.offsets[labels.start : labels.stop + 1]
    columns = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    return block.ranks(columns, distinct.keys[offsets[0] : offsets[-1]].astype(np.int64))


def _calibration_errors(
    block: ColumnBlock, positives: PositiveKeys, labels: slice, exchange: Exchange
) -> Float64[np.ndarray, " k"]:
    """Return the calibration error of each label with enough positives; NaN for the others."""
    counts = np.diff(positives.offsets[labels.start : labels.stop + 1])
    enough, errors = np.flatnonzero(counts >= MIN_POSITIVES), np.full(len(counts), np.nan)
    if not len(enough):
        return errors
    known = positives.known[labels][enough]

    def at_or_above(wanted: Int64[np.ndarray, "k e"]) -> Int64[np.ndarray, "k e"]:
        columns = np.repeat(enough, wanted.shape[1])
        return exchange.sum(block.ranks(columns, wanted.ravel())[0]).reshape(wanted.shape)

    edges = bin_edges(at_or_above, known, positives.num_bits)
    ends = np.append(edges, np.full((len(enough), 1), 1 << positives.num_bits), axis=1)
    sums = block.sums_below(np.repeat(enough, ends.shape[1]), ends.ravel()).reshape(ends.shape)
    sums = exchange.sum(np.diff(sums, axis=1, prepend=0))
    for place, column in enumerate(enough.tolist()):
        own = positives.of_label(labels.start + column)
        errors[column] = bin_error(sums[place], edges[place], own, int(known[place]))
    return errors
