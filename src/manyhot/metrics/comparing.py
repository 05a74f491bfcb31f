"""Two models on the same samples: the difference of each figure, with an interval that knows they are the same samples."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Integer, Num
from torch import Tensor

from manyhot.labels import LabelCounts, LabelSets
from manyhot.metrics.bootstrap import Bootstrap, read_sample_ids
from manyhot.metrics.evaluation import bands_of, judge
from manyhot.metrics.figures import Figure
from manyhot.metrics.parts import figures_of_parts
from manyhot.metrics.protocols import MANYHOT
from manyhot.metrics.replicates import replicate_figures, with_intervals
from manyhot.metrics.scores import Kind
from manyhot.targets import SparseTargets

Matrix = Num[np.ndarray, "n l"] | Num[Tensor, "n l"]
Decisions = Bool[np.ndarray, "n l"] | Bool[Tensor, "n l"]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One figure of two models.

    Args:
        first: Of the first model, with its own interval.
        second: Of the second.
        difference: First minus second; None where either is undefined.
        low: Lower end of the difference's interval; None where there is none.
        high: Upper end. If 0 lies outside the interval, the samples tell the models apart.

    >>> print(Difference(first=Figure(0.5, 3, 3), second=Figure(0.4, 3, 3), difference=0.1, low=0.02, high=0.2))
    +0.1000 [+0.0200, +0.2000]
    """

    first: Figure
    second: Figure
    difference: float | None
    low: float | None
    high: float | None

    def __str__(self) -> str:
        value = "undefined" if self.difference is None else f"{self.difference:+.4f}"
        return value if self.low is None or self.high is None else f"{value} [{self.low:+.4f}, {self.high:+.4f}]"


def compare(
    first: Matrix,
    second: Matrix,
    truth: LabelSets | SparseTargets,
    *,
    kind: Kind,
    preds: tuple[Decisions, Decisions] | None = None,
    train_counts: LabelCounts | None = None,
    min_positives: int = 1,
    intervals: Bootstrap | None = None,
    sample_ids: Integer[np.ndarray, " n"] | Sequence[str] | None = None,
) -> dict[str, Difference]:
    """Return the difference of every figure of two models, first minus second, with its interval.

    Both models are judged on the same samples and each replicate gives a sample the same weight for both, so what makes
    a sample hard for both cancels: the interval is narrower than the two models' own intervals suggest. The bias of small
    samples cancels too: the ends are percentiles of the replicates as they are.

    Args:
        first: Scores of the first model.
        second: Scores of the second.
        truth: The labels of the samples.
        kind: What both scores are.
        preds: The decisions of the two, if figures of decisions are wanted beside those at one half.
        train_counts: As of `evaluate`.
        min_positives: As of `evaluate`.
        intervals: 200 replicates at 95 % unless given.
        sample_ids: As of `evaluate`.

    Raises:
        ScoreError: As `evaluate`.
        UsageError: As `evaluate`.

    >>> truth = LabelSets.from_names([["cat"], ["dog"], ["cat", "dog"], []])
    >>> good = np.array([[2.0, -1.0], [-3.0, 0.5], [1.0, 1.0], [-1.5, -2.0]])
    >>> print(compare(good, -good, truth, kind="logits")["lrap"])
    +0.3333 [+0.0000, +0.5000]
    """
    intervals = intervals or Bootstrap()
    found: list[tuple[dict[str, Figure], dict[str, np.ndarray]]] = []
    for scores, decisions in zip((first, second), preds or (None, None), strict=True):
        judged = judge(scores, truth, kind=kind, preds=decisions, thresholds=None, probs=None, protocol=MANYHOT)
        bands = bands_of(judged.truth, train_counts, min_positives)
        ids = read_sample_ids(sample_ids, judged.truth.num_samples)
        replicates = replicate_figures(judged, intervals, ids, bands)
        found.append((with_intervals(figures_of_parts(judged.parts, bands), replicates, intervals), replicates))
    (figures, replicates), (others, other_replicates) = found
    return {
        name: _difference(
            figure, others[name], replicates[name] - other_replicates[name] if name in replicates else None, intervals
        )
        for name, figure in figures.items()
    }


def _difference(
    first: Figure, second: Figure, replicates: Float64[np.ndarray, " r"] | None, intervals: Bootstrap
) -> Difference:
    if first.value is None or second.value is None:
        return Difference(first=first, second=second, difference=None, low=None, high=None)
    low, high = (None, None) if replicates is None else intervals.percentiles(replicates)
    return Difference(first=first, second=second, difference=first.value - second.value, low=low, high=high)
