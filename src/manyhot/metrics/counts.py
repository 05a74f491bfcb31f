"""Counts of right and wrong decisions by label and by row, and the figures that need nothing else."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64, Num

from manyhot.metrics.scores import known_block
from manyhot.metrics.truth import Truth

Decide = Callable[[slice], Bool[np.ndarray, "k l"]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Confusion:
    """Counts of decisions over known cells, of each label, of each row, or pooled into one.

    Args:
        hits: Positives that are predicted.
        predicted: Known cells that are predicted.
        positives: Positive cells.
        known: Known cells.

    >>> one = Confusion(hits=np.array([1]), predicted=np.array([2]), positives=np.array([1]), known=np.array([4]))
    >>> one.precision(), one.recall(), one.accuracy()
    (array([0.5]), array([1.]), array([0.75]))
    """

    hits: Int64[np.ndarray, " k"]
    predicted: Int64[np.ndarray, " k"]
    positives: Int64[np.ndarray, " k"]
    known: Int64[np.ndarray, " k"]

    def __add__(self, other: "Confusion") -> "Confusion":
        return Confusion(
            hits=self.hits + other.hits,
            predicted=self.predicted + other.predicted,
            positives=self.positives + other.positives,
            known=self.known + other.known,
        )

    def pooled(self) -> "Confusion":
        """Return the counts summed into one."""
        return Confusion(
            hits=self.hits.sum(keepdims=True),
            predicted=self.predicted.sum(keepdims=True),
            positives=self.positives.sum(keepdims=True),
            known=self.known.sum(keepdims=True),
        )

    def precision(self) -> Float64[np.ndarray, " k"]:
        """Return hits / predicted; NaN where nothing is predicted."""
        return divide(self.hits, self.predicted)

    def recall(self) -> Float64[np.ndarray, " k"]:
        """Return hits / positives; NaN without positives."""
        return divide(self.hits, self.positives)

    def f_beta(self, beta: float) -> Float64[np.ndarray, " k"]:
        """Return (1 + β²)·TP / ((1 + β²)·TP + β²·FN + FP); NaN where nothing is positive and nothing predicted."""
        weight = beta * beta
        return divide((1 + weight) * self.hits, weight * self.positives + self.predicted)

    def jaccard(self) -> Float64[np.ndarray, " k"]:
        """Return TP / (TP + FP + FN); NaN where nothing is positive and nothing predicted."""
        return divide(self.hits, self.positives + self.predicted - self.hits)

    def wrong(self) -> Int64[np.ndarray, " k"]:
        """Return how many known cells are decided wrong."""
        return self.positives + self.predicted - 2 * self.hits

    def accuracy(self) -> Float64[np.ndarray, " k"]:
        """Return the share of known cells that are right; NaN where none is known."""
        return divide(self.known - self.wrong(), self.known)

    def balanced_accuracy(self) -> Float64[np.ndarray, " k"]:
        """Return the mean of the shares of positives and of negatives that are right; NaN where either is missing."""
        negatives = self.known - self.positives
        right = negatives - (self.predicted - self.hits)
        return (divide(self.hits, self.positives) + divide(right, negatives)) / 2

    def mcc(self) -> Float64[np.ndarray, " k"]:
        """Return Matthews' correlation of truth and decision; NaN where either of them is constant.

        Source: Matthews 1975.
        """
        covariance = self.hits * self.known - self.predicted * self.positives
        truth_spread = self.positives * (self.known - self.positives)
        decision_spread = self.predicted * (self.known - self.predicted)
        # Two roots: the product of the spreads can pass 2⁶³.
        return divide(covariance, np.sqrt(truth_spread) * np.sqrt(decision_spread))


@dataclass(frozen=True, kw_only=True, eq=False)
class DecisionCounts:
    """The counts of one decision, by label and by row.

    Args:
        labels: One entry a label.
        rows: One entry a sample.
    """

    labels: Confusion
    rows: Confusion


def count_decisions(decide: Decide, truth: Truth) -> DecisionCounts:
    """Return the counts of a decision, in blocks of rows.

    Args:
        decide: Gives the decisions of a block of rows; those of unknown cells are left out.
        truth: What is right.
    """
    from manyhot.metrics.kernels import count_true

    labels, rows_predicted = np.zeros(truth.num_labels, dtype=np.int64), np.zeros(truth.num_samples, dtype=np.int64)
    hit = np.zeros(len(truth.label_ids), dtype=bool)
    for rows in truth.row_blocks():
        decided = decide(rows)
        known = truth.known_rows(rows)
        if known.shape[1]:
            decided = decided & known
        own = slice(truth.positives.indptr[rows.start], truth.positives.indptr[rows.stop])
        hit[own] = decided[truth.row_ids[own] - rows.start, truth.label_ids[own]]
        count_true(np.require(decided, requirements=("C", "W")), labels, rows_predicted[rows])
    return _of_hits(truth, hit, labels, rows_predicted)


def count_above(scores: Float[np.ndarray, "n l"], thresholds: Float[np.ndarray, " l"], truth: Truth) -> DecisionCounts:
    """Return the counts of the decision score ≥ threshold; a threshold of infinity is reached by infinity alone.

    The thresholds are compared in the type of the scores.
    """
    from manyhot.metrics import kernels

    limits = thresholds.astype(scores.dtype)
    labels, rows_predicted = np.zeros(truth.num_labels, dtype=np.int64), np.zeros(truth.num_samples, dtype=np.int64)
    for rows in truth.row_blocks():
        kernels.count_above(known_block(scores, truth, rows), limits, labels, rows_predicted[rows])
    hit = scores[truth.row_ids, truth.label_ids] >= limits[truth.label_ids]
    return _of_hits(truth, hit, labels, rows_predicted)


def count_best(scores: Float[np.ndarray, "n l"], truth: Truth, count: int) -> DecisionCounts:
    """Return the counts of the decision for the `count` best known labels of each row, of tied labels the lowest ids."""
    from manyhot.metrics.kernels import pick_best

    best = np.empty((truth.num_samples, count), dtype=np.int64)
    for rows in truth.row_blocks():
        pick_best(known_block(scores, truth, rows), best[rows])
    predicted = best >= 0
    cells = (best + np.arange(truth.num_samples)[:, np.newaxis] * truth.num_labels)[predicted]
    # Positives stand in order, and are many more than the best: searched, not sorted once more.
    positives = truth.row_ids * truth.num_labels + truth.label_ids
    hit = np.zeros(len(positives), dtype=bool)
    places = np.searchsorted(positives, cells)
    hit[places[np.append(positives, -1)[places] == cells]] = True
    labels = np.bincount(best[predicted], minlength=truth.num_labels)
    return _of_hits(truth, hit, labels, predicted.sum(axis=1))


def count_constant(truth: Truth, *, predicted: bool) -> DecisionCounts:
    """Return the counts of predicting every label, or none, for every sample."""
    share = int(predicted)
    return _with_truth(
        truth,
        (share * truth.label_positives, share * truth.label_known),
        (share * truth.row_positives, share * truth.row_known),
    )


def decide_above(values: Num[np.ndarray, "n l"], thresholds: Float[np.ndarray, " l"] | float) -> Decide:
    """Return the decision value ≥ threshold; a threshold of infinity is never reached."""
    return lambda rows: values[rows] >= thresholds


def decide_best(scores: Float[np.ndarray, "n l"], truth: Truth, count: int) -> Decide:
    """Return the decision for the `count` best known labels of each row, of tied labels the lowest ids."""
    from manyhot.metrics.kernels import pick_best

    def decide(rows: slice) -> Bool[np.ndarray, "k l"]:
        block = known_block(scores, truth, rows)
        best = np.empty((len(block), count), dtype=np.int64)
        pick_best(block, best)
        # One more column takes the places that no label fills, -1.
        picked = np.zeros((len(block), block.shape[1] + 1), dtype=bool)
        picked[np.arange(len(block))[:, np.newaxis], best] = True
        return picked[:, :-1]

    return decide


def divide(numerator: Num[np.ndarray, " k"], denominator: Num[np.ndarray, " k"]) -> Float64[np.ndarray, " k"]:
    """Return the quotients; NaN where the denominator is zero."""
    undefined = np.full(denominator.shape, np.nan)
    return np.divide(numerator, denominator, out=undefined, where=denominator != 0)


def _of_hits(
    truth: Truth,
    hit: Bool[np.ndarray, " p"],
    labels_predicted: Int64[np.ndarray, " l"],
    rows_predicted: Int64[np.ndarray, " n"],
) -> DecisionCounts:
    label_hits = np.bincount(truth.label_ids[hit], minlength=truth.num_labels)
    row_hits = np.bincount(truth.row_ids[hit], minlength=truth.num_samples)
    return _with_truth(truth, (label_hits, labels_predicted), (row_hits, rows_predicted))


def _with_truth(
    truth: Truth,
    labels: tuple[Int64[np.ndarray, " l"], Int64[np.ndarray, " l"]],
    rows: tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " n"]],
) -> DecisionCounts:
    return DecisionCounts(
        labels=Confusion(
            hits=labels[0].astype(np.int64, copy=False),
            predicted=labels[1],
            positives=truth.label_positives,
            known=truth.label_known,
        ),
        rows=Confusion(
            hits=rows[0].astype(np.int64, copy=False),
            predicted=rows[1],
            positives=truth.row_positives,
            known=truth.row_known,
        ),
    )
