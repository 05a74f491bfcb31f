"""Figures of the best labels of each sample, from their ids alone: what a stream over a million labels leaves."""

import numpy as np
from jaxtyping import Int
from torch import Tensor

from manyhot.errors import ScoreError
from manyhot.labels import LabelCounts, LabelSets
from manyhot.metrics.figures import Figure, mean_figure
from manyhot.metrics.propensity import Propensity
from manyhot.metrics.ranking import TOP_COUNTS, RowRanks, best_values
from manyhot.metrics.truth import Truth, check_num_counted, read_truth
from manyhot.targets import SparseTargets


def evaluate_best(
    label_ids: Int[np.ndarray, "n k"] | Int[Tensor, "n k"],
    truth: LabelSets | SparseTargets,
    *,
    train_counts: LabelCounts | None = None,
    propensity: Propensity | None = None,
) -> dict[str, Figure]:
    """Return precision, recall and nDCG at 1, 3 and 5, as far as there are so many labels, weighted by propensity as well.

    They are those of `evaluate` on all scores. All cells must be known: what stands above an unknown cell, or below the
    best k, cannot be told from ids.

    Args:
        label_ids: The best labels of each sample, best first, as `manyhot.losses.linear.top_k` returns them.
        truth: The labels of the same samples.
        train_counts: Counts of the training labels, for the propensities of `psp_at_k` and `psndcg_at_k`.
        propensity: How these weigh labels; as `evaluate` does if not given.

    Raises:
        ScoreError: If there are unknown cells, not one row of ids a sample, a row has an id twice or one of no label, or the
            training counts are of other labels.

    >>> truth = SparseTargets.from_lists([[0, 2], [1]], num_labels=3)
    >>> str(evaluate_best(np.array([[2], [0]]), truth)["precision_at_1"])
    '0.5000 (2 of 2)'
    """
    known, best = read_truth(truth), np.asarray(label_ids.cpu() if isinstance(label_ids, Tensor) else label_ids)
    if best.ndim != 2 or best.dtype.kind not in "iu":
        raise ScoreError(
            f"best labels are {best.dtype} of shape {best.shape}; give whole numbers, a row a sample: top_k(...).label_ids"
        )
    if not _is_complete(known):
        raise ScoreError(
            "there are unknown cells, which ids of the best labels say nothing of; give all scores to evaluate()"
        )
    if len(best) != known.num_samples:
        raise ScoreError(
            f"there are best labels of {len(best):,} samples, and truth of {known.num_samples:,}; give one row each"
        )
    _check_ids(best, known.num_labels)
    if train_counts is not None:
        check_num_counted(len(train_counts.positives), known)
    weights = None if train_counts is None else (propensity or Propensity()).inverse(train_counts)
    ranks = RowRanks(
        offsets=known.positives.indptr.astype(np.int64),
        known=np.full(known.num_samples, known.num_labels),
        cells_at_or_above=np.zeros_like(known.label_ids),
        cells_above=np.zeros_like(known.label_ids),
        positives_at_or_above=np.zeros_like(known.label_ids),
        places=_places(best, known),
        weights=None if weights is None else weights[known.label_ids],
    )
    counts = tuple(count for count in TOP_COUNTS if count <= best.shape[1])
    return {name: mean_figure(values) for name, values in best_values(ranks, counts).items()}


def _is_complete(truth: Truth) -> bool:
    if truth.unlisted_known is None:
        return True
    # Of the sources that these rows have: others may leave cells unknown.
    has_exceptions = truth.exceptions is not None and len(truth.exceptions.ids) > 0
    return bool(truth.unlisted_known[np.unique(truth.source_ids)].all()) and not has_exceptions


def _check_ids(best: Int[np.ndarray, "n k"], num_labels: int) -> None:
    ordered = np.sort(best, axis=1)
    bad = (ordered < 0) | (ordered >= num_labels)
    bad[:, 1:] |= ordered[:, 1:] == ordered[:, :-1]
    if bad.any():
        row = int(bad.any(axis=1).argmax())
        raise ScoreError(
            f"the best labels of sample {row} are {best[row].tolist()}; each must be another one of 0 to {num_labels - 1:,}"
        )


def _places(best: Int[np.ndarray, "n k"], truth: Truth) -> Int[np.ndarray, " p"]:
    """Return where each positive stands among the best of its row; the number of labels where it does not."""
    keys = truth.row_ids * truth.num_labels + truth.label_ids
    found = (np.arange(len(best))[:, None] * truth.num_labels + best).ravel()
    order = np.argsort(found)
    spot = np.minimum(np.searchsorted(found, keys, sorter=order), max(len(found) - 1, 0))
    places = np.full(len(keys), truth.num_labels, dtype=np.int64)
    if len(found):
        hit = found[order[spot]] == keys
        places[hit] = order[spot[hit]] % best.shape[1]
    return places
