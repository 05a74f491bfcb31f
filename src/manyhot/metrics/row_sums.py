"""What the rows of any number of batches and ranks give, as sums: exact, so that no split of the samples changes a bit."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from manyhot.metrics.counts import Confusion
from manyhot.metrics.exact_sums import ExactSum, add_sums, sums_of
from manyhot.metrics.parts import DecisionPart, LabelPart, Parts
from manyhot.metrics.rows import RowPart


@dataclass(frozen=True, kw_only=True, eq=False)
class DecisionSums:
    """What a decision gives.

    Args:
        labels: Counts by label.
        samples: Sums of `sample_values`.
        num_empty: Samples without a positive for which nothing is predicted.
    """

    labels: Confusion
    samples: dict[str, ExactSum]
    num_empty: int

    @staticmethod
    def of(
        labels: Confusion, values: dict[str, Float64[np.ndarray, " n"]], is_empty: Bool[np.ndarray, " n"]
    ) -> "DecisionSums":
        """Return the sums of one batch."""
        # Without a positive, F1 is 1 exactly where nothing is predicted.
        empty = int((is_empty & (values["f1_samples"] == 1)).sum())
        return DecisionSums(labels=labels, samples=sums_of(values), num_empty=empty)

    def __add__(self, other: "DecisionSums") -> "DecisionSums":
        return DecisionSums(
            labels=self.labels + other.labels,
            samples=add_sums([self.samples, other.samples]),
            num_empty=self.num_empty + other.num_empty,
        )

    def __neg__(self) -> "DecisionSums":
        samples = {name: -value for name, value in self.samples.items()}
        return DecisionSums(labels=_negative(self.labels), samples=samples, num_empty=-self.num_empty)

    def part(self) -> DecisionPart:
        """Return the means."""
        means = {name: value.mean() for name, value in self.samples.items()}
        return DecisionPart(labels=self.labels, samples=means, num_empty=self.num_empty)


@dataclass(frozen=True, kw_only=True, eq=False)
class RowSums:
    """What rows give.

    Args:
        num_samples: Rows.
        values: Sums of `ranking_values`, and of `squared_error` and `surprise`.
        half: The decision p ≥ 0.5.
        decided: The decision; None where none was given.
        three_best: Counts by label of the three best labels of each row.
    """

    num_samples: int
    values: dict[str, ExactSum]
    half: DecisionSums
    decided: DecisionSums | None
    three_best: Confusion

    @staticmethod
    def of(rows: RowPart) -> "RowSums":
        """Return the sums of one batch."""
        samples = rows.samples
        is_empty = np.isnan(samples.ranking["lrap"])
        errors = {"squared_error": samples.squared_error, "surprise": samples.surprise}
        return RowSums(
            num_samples=len(samples.known),
            values=sums_of(samples.ranking | errors),
            half=DecisionSums.of(rows.half, samples.half, is_empty),
            decided=None if rows.decided is None else DecisionSums.of(rows.decided, samples.decided, is_empty),
            three_best=rows.three_best,
        )

    def __add__(self, other: "RowSums") -> "RowSums":
        return RowSums(
            num_samples=self.num_samples + other.num_samples,
            values=add_sums([self.values, other.values]),
            half=self.half + other.half,
            decided=None if self.decided is None or other.decided is None else self.decided + other.decided,
            three_best=self.three_best + other.three_best,
        )

    def __neg__(self) -> "RowSums":
        return RowSums(
            num_samples=-self.num_samples,
            values={name: -value for name, value in self.values.items()},
            half=-self.half,
            decided=None if self.decided is None else -self.decided,
            three_best=_negative(self.three_best),
        )

    def parts(self, labels: LabelPart) -> Parts:
        """Return what all figures are made of, with what comparing samples gave."""
        means = {name: value.mean() for name, value in self.values.items()}
        rows = {name: figure for name, figure in means.items() if name not in ("squared_error", "surprise")}
        return Parts(
            num_samples=self.num_samples,
            positives=self.half.labels.positives,
            known=self.half.labels.known,
            average_precision=labels.average_precision,
            auroc=labels.auroc,
            calibration_error=labels.calibration_error,
            pooled_average_precision=labels.pooled_average_precision,
            pooled_auroc=labels.pooled_auroc,
            pooled_calibration_error=labels.pooled_calibration_error,
            rows=rows,
            squared_error=self.values["squared_error"].value,
            surprise=self.values["surprise"].value,
            half=self.half.part(),
            decided=None if self.decided is None else self.decided.part(),
            three_best=self.three_best,
        )


def add_rows(sums: Sequence[RowSums]) -> RowSums:
    """Return the sum of some sums, which must not be none."""
    total = sums[0]
    for other in sums[1:]:
        total += other
    return total


def _negative(counts: Confusion) -> Confusion:
    return Confusion(hits=-counts.hits, predicted=-counts.predicted, positives=-counts.positives, known=-counts.known)
