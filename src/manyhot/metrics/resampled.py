"""The parts of an evaluation in all replicates of a bootstrap at once.

Figures by label come from the weights of the cells between two positives, so cells below a label's lowest positive are
passed over; figures by row are a product of two matrices; figures of all cells pooled come from at most 4,096 buckets of scores.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int64, UInt8

from manyhot.metrics.counts import Confusion, Decide, divide
from manyhot.metrics.keys import KEY_BITS, NUM_KEYS, score_keys
from manyhot.metrics.rows import Values
from manyhot.metrics.scores import read_block
from manyhot.metrics.truth import Truth

BLOCK_LABELS = 32
NUM_BUCKETS = 4096
BLOCK_CELLS = 1 << 19

Weights = UInt8[np.ndarray, "n r"]
PerReplicate = Float64[np.ndarray, " r"]


def resample_labels(
    scores: Float[np.ndarray, "n l"], truth: Truth, weights: Weights, known: Int64[np.ndarray, "l r"]
) -> tuple[Float64[np.ndarray, "l r"], Float64[np.ndarray, "l r"]]:
    """Return the average precision and the AUROC of each label in each replicate; NaN where undefined.

    Args:
        scores: What ranks.
        truth: The labels of the same samples.
        weights: Of each sample in each replicate.
        known: Weights of each label's known cells: `weigh_known`.
    """
    from manyhot.metrics.bootstrap_kernels import add_listed, add_reached, curves_of_reached

    average_precision, auroc = np.empty((2, truth.num_labels, weights.shape[1]))
    for start in range(0, truth.num_labels, BLOCK_LABELS):
        labels = slice(start, min(start + BLOCK_LABELS, truth.num_labels))
        columns = np.ascontiguousarray(scores[:, labels])
        rows, places, values, offsets = _distinct_positives(columns, truth, labels)
        reached, equal, positive = np.zeros((3, len(values), weights.shape[1]), dtype=np.uint32)
        add_reached(columns, _known_columns(truth, labels), weights, values, offsets, reached, equal)
        add_listed(rows, places, weights, positive)
        own = average_precision[labels], auroc[labels]
        curves_of_reached(reached, equal, positive, offsets, np.ascontiguousarray(known[labels]), *own)
    return average_precision, auroc


def weigh_known(truth: Truth, weights: Weights) -> Int64[np.ndarray, "l r"]:
    """Return the weights of each label's known cells in each replicate."""
    if truth.unlisted_known is None:
        return np.broadcast_to(weights.sum(axis=0, dtype=np.int64), (truth.num_labels, weights.shape[1]))
    return weigh_decided(truth.known_rows, truth, weights)


def weigh_positives(truth: Truth, weights: Weights) -> Int64[np.ndarray, "l r"]:
    """Return the weights of each label's positives in each replicate."""
    from manyhot.metrics.bootstrap_kernels import add_listed

    sums = np.zeros((truth.num_labels, weights.shape[1]), dtype=np.uint32)
    add_listed(truth.row_ids, truth.label_ids, weights, sums)
    return sums.astype(np.int64)


def weigh_decided(decide: Decide, truth: Truth, weights: Weights) -> Int64[np.ndarray, "l r"]:
    """Return the weights of each label's predicted cells, known ones only, in each replicate."""
    from manyhot.metrics.bootstrap_kernels import add_marked

    sums = np.zeros((truth.num_labels, weights.shape[1]), dtype=np.uint32)
    for rows in truth.row_blocks():
        add_marked(_decided_block(decide, truth, rows), weights[rows], sums)
    return sums.astype(np.int64)


def weigh_confusion(
    decide: Decide,
    truth: Truth,
    weights: Weights,
    *,
    positives: Int64[np.ndarray, "l r"],
    known: Int64[np.ndarray, "l r"],
) -> Confusion:
    """Return the counts of a decision by label and replicate, as flat arrays of `l · r` entries.

    Args:
        decide: The decision.
        truth: What is right.
        weights: Of each sample in each replicate.
        positives: `weigh_positives`.
        known: `weigh_known`.
    """
    from manyhot.metrics.bootstrap_kernels import add_listed, add_marked

    predicted, hits = np.zeros((2, truth.num_labels, weights.shape[1]), dtype=np.uint32)
    for rows in truth.row_blocks():
        decided = _decided_block(decide, truth, rows)
        add_marked(decided, weights[rows], predicted)
        own = slice(truth.positives.indptr[rows.start], truth.positives.indptr[rows.stop])
        row_ids, label_ids = truth.row_ids[own], truth.label_ids[own]
        hit = decided[row_ids - rows.start, label_ids]
        add_listed(row_ids[hit], label_ids[hit], weights, hits)
    return Confusion(
        hits=hits.ravel().astype(np.int64),
        predicted=predicted.ravel().astype(np.int64),
        positives=positives.ravel(),
        known=known.ravel(),
    )


def resample_pooled(
    scores: Float[np.ndarray, "n l"], truth: Truth, weights: Weights
) -> tuple[PerReplicate, PerReplicate, float]:
    """Return average precision and AUROC of all known cells in each replicate, and how far the first may be off.

    Exact while the positives have fewer than 2,048 different scores. Beyond that cells fall into buckets of scores that
    hold about as many positives each, and inside a bucket the order is not looked at: the estimate takes the precision
    in its middle, and the last number is the greatest distance between the worst and the best order.
    """
    edges = np.unique(scores[truth.row_ids, truth.label_ids])
    is_exact = 2 * len(edges) < NUM_BUCKETS
    cells, positives = (
        _exact_buckets(scores, truth, weights, edges) if is_exact else _coarse_buckets(scores, truth, weights)
    )
    # From the highest bucket down.
    cells, positives = cells[::-1], positives[::-1]
    cells_below, positives_below = np.cumsum(cells, axis=0), np.cumsum(positives, axis=0)
    cells_above, positives_above = cells_below - cells, positives_below - positives
    total, hits = cells_below[-1], positives_below[-1]
    best = positives_below / np.maximum(cells_above + positives, 1)
    worst = (positives_above + 1) / (cells_below - positives + 1)
    precision = (positives_above + (positives + 1) / 2) / (cells_above + (cells + 1) / 2)
    if is_exact:
        best = worst = precision = positives_below / np.maximum(cells_below, 1)
    negatives_above, negatives = cells_above - positives_above, cells - positives
    wrong = (positives * (negatives_above + negatives / 2)).sum(axis=0)
    average_precision = divide((positives * np.clip(precision, 0, best)).sum(axis=0), hits)
    width = divide((positives * (best - worst)).sum(axis=0), hits)
    auroc = divide(hits * (total - hits) - wrong, hits * (total - hits))
    return average_precision, auroc, float(np.nanmax(width, initial=0.0))


def resample_means(values: Values, weights: Weights) -> dict[str, PerReplicate]:
    """Return the weighted mean over the defined samples of each column, in each replicate."""
    matrix = np.stack(list(values.values()), axis=1)
    defined = ~np.isnan(matrix)
    wide = weights.T.astype(np.float64)
    sums, totals = wide @ np.where(defined, matrix, 0.0), wide @ defined.astype(np.float64)
    means = np.divide(sums, totals, out=np.full(sums.shape, np.nan), where=totals > 0)
    return dict(zip(values, np.ascontiguousarray(means.T), strict=True))


def _decided_block(decide: Decide, truth: Truth, rows: slice) -> Bool[np.ndarray, "k l"]:
    known = truth.known_rows(rows)
    decided = decide(rows)
    return np.ascontiguousarray(decided & known if known.shape[1] else decided)


def _known_columns(truth: Truth, labels: slice) -> Bool[np.ndarray, "n k"]:
    columns = [truth.known_column(label) for label in range(labels.start, labels.stop)]
    listed = [column for column in columns if column is not None]
    return np.stack(listed, axis=1) if listed else np.zeros((truth.num_samples, 0), dtype=bool)


def _distinct_positives(
    columns: Float[np.ndarray, "n k"], truth: Truth, labels: slice
) -> tuple[Int64[np.ndarray, " p"], Int64[np.ndarray, " p"], Float[np.ndarray, " v"], Int64[np.ndarray, " offsets"]]:
    """Return the row of each positive, the place of its score, and the distinct scores with each label's offsets."""
    indptr = truth.columns.indptr[labels.start : labels.stop + 1].astype(np.int64)
    rows = truth.columns.ids[indptr[0] : indptr[-1]].astype(np.int64)
    owners = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    values = columns[rows, owners]
    order = np.lexsort((values, owners))
    rows, owners, values = rows[order], owners[order], values[order]
    fresh = np.ones(len(values), dtype=bool)
    fresh[1:] = (values[1:] != values[:-1]) | (owners[1:] != owners[:-1])
    offsets = np.concatenate(([0], np.cumsum(np.bincount(owners[fresh], minlength=len(indptr) - 1))))
    return rows, np.cumsum(fresh) - 1, values[fresh], offsets.astype(np.int64)


def _exact_buckets(
    scores: Float[np.ndarray, "n l"], truth: Truth, weights: Weights, distinct: Float[np.ndarray, " v"]
) -> tuple[Float64[np.ndarray, "b r"], Float64[np.ndarray, "b r"]]:
    """Return the weights of all known cells, and of the positives: a bucket for each score, and one for what is between."""
    from manyhot.metrics.bootstrap_kernels import add_listed, count_between

    edges = np.stack((distinct, np.nextafter(distinct, np.array(np.inf, dtype=distinct.dtype))), axis=1).ravel()
    places = 2 * np.searchsorted(distinct, scores[truth.row_ids, truth.label_ids]) + 1
    positives = np.zeros((len(edges) + 1, weights.shape[1]), dtype=np.uint32)
    add_listed(truth.row_ids, places, weights, positives)
    cells = _sum_buckets(
        truth,
        weights,
        len(edges) + 1,
        lambda rows, counts: count_between(read_block(scores, rows), truth.known_rows(rows), edges, counts),
    )
    return cells, positives.astype(np.float64)


def _coarse_buckets(
    scores: Float[np.ndarray, "n l"], truth: Truth, weights: Weights
) -> tuple[Float64[np.ndarray, "b r"], Float64[np.ndarray, "b r"]]:
    """Return the weights of all known cells, and of the positives, in each bucket of scores, lowest first."""
    from manyhot.metrics.bootstrap_kernels import add_listed, count_coarse

    keys = score_keys(scores[truth.row_ids, truth.label_ids])
    edges = np.unique(np.sort(keys)[:: -(-len(keys) // (NUM_BUCKETS - 1))])
    bucket_of_key = np.searchsorted(edges, np.arange(NUM_KEYS), side="right").astype(np.uint16)
    positives = np.zeros((len(edges) + 1, weights.shape[1]), dtype=np.uint32)
    add_listed(truth.row_ids, bucket_of_key[keys].astype(np.int64), weights, positives)
    shift = np.uint32(32 - KEY_BITS)

    def count(rows: slice, counts: Float32[np.ndarray, "k b"]) -> None:
        block = read_block(scores, rows).astype(np.float32, copy=False)
        count_coarse(block, truth.known_rows(rows), bucket_of_key, shift, counts)

    return _sum_buckets(truth, weights, len(edges) + 1, count), positives.astype(np.float64)


def _sum_buckets(
    truth: Truth, weights: Weights, num_buckets: int, count: Callable[[slice, Float32[np.ndarray, "k b"]], None]
) -> Float64[np.ndarray, "b r"]:
    """Return the weights of the cells in each bucket, from what `count` adds to the counts of each row."""
    sums = np.zeros((num_buckets, weights.shape[1]))
    step = min(4096, max(1, BLOCK_CELLS // max(1, truth.num_labels)))
    for start in range(0, truth.num_samples, step):
        rows = slice(start, min(start + step, truth.num_samples))
        # Whole numbers below 2²⁴ in each block: float32 is exact, and its product fast.
        counts = np.zeros((rows.stop - rows.start, num_buckets), dtype=np.float32)
        count(rows, counts)
        sums += counts.T @ weights[rows].astype(np.float32)
    return sums
