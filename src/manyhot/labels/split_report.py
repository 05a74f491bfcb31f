"""How well a split keeps each label's share: the deviation of every label, and the worst."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64, Integer

from manyhot.errors import LabelError
from manyhot.labels.sets import LabelSets
from manyhot.labels.space import LabelSpace

# Rows counted at a time, so that no temporary is as large as the data.
BLOCK_ROWS = 1 << 20


@dataclass(frozen=True, kw_only=True, eq=False)
class SplitReport:
    """The positives of each label in each part of a split, beside its share of them.

    Args:
        space: The labels.
        sizes: Samples of each part.
        counts: Positives of each label in each part.
        empty_counts: Samples without positives in each part.
        fractions: The share of each part that was asked for.

    >>> sets = LabelSets.from_names([["cat"], ["cat"], ["cat"], []])
    >>> print(report_split(sets, np.array([0, 0, 1, 1]), (0.5, 0.5)))
    2 parts of 2 to 2 samples; a label is off by 0.50 positives in its worst part on average, at most by 0.5 ('cat', part 0)
    """

    space: LabelSpace
    sizes: Int64[np.ndarray, " k"]
    counts: Int64[np.ndarray, "k l"]
    empty_counts: Int64[np.ndarray, " k"]
    fractions: Float64[np.ndarray, " k"]

    @property
    def deviations(self) -> Float64[np.ndarray, "k l"]:
        """By how many positives each label is off its share in each part; positive where it has too many."""
        return self.counts - self.fractions[:, None] * self.counts.sum(axis=0)

    @property
    def worst_deviations(self) -> Float64[np.ndarray, " l"]:
        """By how many positives each label is off in its worst part."""
        return np.abs(self.deviations).max(axis=0, initial=0.0)

    @property
    def mean_worst_deviation(self) -> float:
        """Mean over the labels of the deviation in their worst part; NaN without labels."""
        return float(self.worst_deviations.mean()) if len(self.space) else float("nan")

    @property
    def missing(self) -> Int64[np.ndarray, " m"]:
        """Ids of labels that a part of the split lacks though there are positives enough for all parts."""
        wanted = self.fractions[:, None] * self.counts.sum(axis=0)
        return np.flatnonzero(((self.counts == 0) & (wanted >= 1)).any(axis=0))

    def worst(self, k: int = 10) -> list[tuple[str, int, float]]:
        """Return the labels that are furthest off, each with its worst part and its deviation there."""
        order = np.argsort(-self.worst_deviations, kind="stable")[:k]
        parts = np.abs(self.deviations).argmax(axis=0)
        return [
            (self.space.names[label], int(parts[label]), float(self.deviations[parts[label], label]))
            for label in order.tolist()
        ]

    def __str__(self) -> str:
        sizes = f"{len(self.sizes)} parts of {self.sizes.min():,} to {self.sizes.max():,} samples"
        if not len(self.space):
            return sizes
        name, part, deviation = self.worst(1)[0]
        return (
            f"{sizes}; a label is off by {self.mean_worst_deviation:.2f} positives in its worst part on average, "
            f"at most by {abs(deviation):.1f} ({name!r}, part {part})"
        )


def report_split(sets: LabelSets, part_of: Integer[np.ndarray, " n"], fractions: Sequence[float]) -> SplitReport:
    """Return how far each label is off its share in each part.

    Raises:
        LabelError: If there is not one part a sample, or a part is outside the fractions.

    >>> sets = LabelSets.from_names([["cat"], ["dog"], ["cat"], []])
    >>> report_split(sets, np.array([0, 0, 1, 1]), (0.5, 0.5)).worst()
    [('dog', 0, 0.5), ('cat', 0, 0.0)]
    """
    if part_of.shape != (sets.num_samples,):
        raise LabelError(f"parts have shape {part_of.shape} for {sets.num_samples:,} samples; give one part a sample")
    num_parts = len(fractions)
    sets.check_unread()
    if part_of.size and not 0 <= int(part_of.min()) <= int(part_of.max()) < num_parts:
        raise LabelError(f"parts run from {part_of.min()} to {part_of.max()}; there are {num_parts} fractions")
    counts = np.zeros(num_parts * sets.num_labels, dtype=np.int64)
    indptr, ids = sets.positives.indptr, sets.positives.ids
    for start in range(0, sets.num_samples, BLOCK_ROWS):
        end = min(start + BLOCK_ROWS, sets.num_samples)
        parts = np.repeat(part_of[start:end].astype(np.int64) * sets.num_labels, np.diff(indptr[start : end + 1]))
        counts += np.bincount(parts + ids[indptr[start] : indptr[end]], minlength=len(counts))
    is_empty = sets.positives.lengths() == 0
    return SplitReport(
        space=sets.space,
        sizes=np.bincount(part_of, minlength=num_parts).astype(np.int64, copy=False),
        counts=counts.reshape(num_parts, sets.num_labels),
        empty_counts=np.bincount(part_of[is_empty], minlength=num_parts).astype(np.int64, copy=False),
        fractions=np.asarray(fractions, dtype=np.float64),
    )
