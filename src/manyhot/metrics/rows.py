"""What whole rows give on their own: values of each sample and counts of decisions; those of batches add up."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Int64

from manyhot.metrics.calibration import Predicted, proper_scores
from manyhot.metrics.counts import Confusion, Decide, DecisionCounts, count_above, count_best, count_decisions
from manyhot.metrics.decided import sample_values
from manyhot.metrics.ranking import RowRanks, rank_by_row, ranking_values
from manyhot.metrics.truth import Truth

Values = dict[str, Float64[np.ndarray, " n"]]
RowValues = Callable[[RowRanks], Values]


@dataclass(frozen=True, kw_only=True, eq=False)
class SampleValues:
    """Values of each sample, whose means over samples or cells are figures; NaN where one is undefined.

    Args:
        known: Known cells of each row.
        squared_error: Sum over the row's known cells of (p − y)².
        surprise: Sum over the row's known cells of −log-likelihood.
        ranking: `ranking_values`.
        half: `sample_values` of the decision p ≥ 0.5.
        decided: `sample_values` of the decision; empty where none was given.
    """

    known: Int64[np.ndarray, " n"]
    squared_error: Float64[np.ndarray, " n"]
    surprise: Float64[np.ndarray, " n"]
    ranking: Values
    half: Values
    decided: Values

    @staticmethod
    def concatenate(batches: Sequence["SampleValues"]) -> "SampleValues":
        """Return the values of all batches, which must not be none, one after the other."""
        return SampleValues(
            known=np.concatenate([batch.known for batch in batches]),
            squared_error=np.concatenate([batch.squared_error for batch in batches]),
            surprise=np.concatenate([batch.surprise for batch in batches]),
            ranking=_joined([batch.ranking for batch in batches]),
            half=_joined([batch.half for batch in batches]),
            decided=_joined([batch.decided for batch in batches]),
        )

    def take(self, rows: Int64[np.ndarray, " k"]) -> "SampleValues":
        """Return the values of some rows, in the order asked for."""
        return SampleValues(
            known=self.known[rows],
            squared_error=self.squared_error[rows],
            surprise=self.surprise[rows],
            ranking={name: values[rows] for name, values in self.ranking.items()},
            half={name: values[rows] for name, values in self.half.items()},
            decided={name: values[rows] for name, values in self.decided.items()},
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class RowPart:
    """What the rows of a batch give.

    Args:
        samples: Values of each sample.
        half: Counts by label of the decision p ≥ 0.5.
        decided: Counts by label of the decision; None where none was given.
        three_best: Counts by label of the three best labels of each row.
    """

    samples: SampleValues
    half: Confusion
    decided: Confusion | None
    three_best: Confusion

    @staticmethod
    def concatenate(batches: Sequence["RowPart"]) -> "RowPart":
        """Return the part of all batches, which must not be none."""
        decided = [batch.decided for batch in batches if batch.decided is not None]
        return RowPart(
            samples=SampleValues.concatenate([batch.samples for batch in batches]),
            half=_added([batch.half for batch in batches]),
            decided=_added(decided) if decided else None,
            three_best=_added([batch.three_best for batch in batches]),
        )


def count_rows(
    scores: Float[np.ndarray, "n l"],
    predicted: Predicted,
    truth: Truth,
    *,
    decide: Decide | None = None,
    row_values: RowValues = ranking_values,
) -> RowPart:
    """Return what the rows give: every figure that does not compare samples with each other.

    Args:
        scores: What ranks.
        predicted: What gives the probabilities.
        truth: The labels of the same samples.
        decide: The decision, if there is one.
        row_values: What the order of a row's labels gives.
    """
    half = count_at_half(predicted, truth)
    decided = None if decide is None else count_decisions(decide, truth)
    squares, losses = proper_scores(predicted, truth)
    samples = SampleValues(
        known=truth.row_known,
        squared_error=squares,
        surprise=losses,
        ranking=row_values(rank_by_row(scores, truth)),
        half=sample_values(half.rows),
        decided={} if decided is None else sample_values(decided.rows),
    )
    return RowPart(
        samples=samples,
        half=half.labels,
        decided=None if decided is None else decided.labels,
        three_best=count_best(scores, truth, 3).labels,
    )


def count_at_half(predicted: Predicted, truth: Truth) -> DecisionCounts:
    """Return the counts of the decision p ≥ 0.5."""
    return count_above(predicted.values, np.full(truth.num_labels, predicted.half), truth)


def _joined(batches: Sequence[Values]) -> Values:
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def _added(counts: Sequence[Confusion]) -> Confusion:
    return sum(counts[1:], start=counts[0])
