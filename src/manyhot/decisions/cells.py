"""Logits beside their truth, label by label: what calibration and thresholds are fitted on."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64

from manyhot.errors import ScoreError
from manyhot.labels import LabelSets

# Cells worked on at once: a block of float64 stays at 16 MB, however many labels there are.
_BLOCK_CELLS = 2**21


@dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """The cells of some labels, one row a label; in `positive` and `known` unknown cells are False.

    Args:
        labels: Which labels.
        values: Logits or probabilities of their cells.
        positive: Which cells are positive.
        known: Which cells are known.
    """

    labels: slice
    values: Float64[np.ndarray, "b n"]
    positive: Bool[np.ndarray, "b n"]
    known: Bool[np.ndarray, "b n"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Cells:
    """Scores of `n` samples and `l` labels with their truth: two bytes a cell beside the scores.

    Args:
        scores: Logits or probabilities.
        positive: Which cells are positive.
        known: Which cells are known; None when all are.
    """

    scores: Float[np.ndarray, "n l"]
    positive: Bool[np.ndarray, "n l"]
    known: Bool[np.ndarray, "n l"] | None

    @staticmethod
    def of(logits: Float[np.ndarray, "n l"], truth: LabelSets) -> "Cells":
        """Return the cells of some logits.

        Raises:
            ScoreError: If the shapes disagree, there is no sample, or a logit is not finite.
        """
        if logits.shape != (truth.num_samples, truth.num_labels):
            raise ScoreError(
                f"logits have shape {logits.shape}, but the truth has {truth.num_samples:,} samples × "
                f"{truth.num_labels:,} labels; give one row a sample"
            )
        if not truth.num_samples:
            raise ScoreError("there is no sample to fit a decision on; give validation samples")
        check_finite(logits, truth.space.names)
        known = None if truth.is_complete else truth.known_mask()
        return Cells(scores=logits, positive=truth.positives.contains(truth.num_labels), known=known)

    @property
    def positives(self) -> Int64[np.ndarray, " l"]:
        """Number of positive cells of each label."""
        return self.positive.sum(axis=0)

    @property
    def fewest(self) -> Int64[np.ndarray, " l"]:
        """Number of positive or of negative cells of each label, whichever is smaller."""
        positives = self.positives
        known = len(self.positive) if self.known is None else self.known.sum(axis=0)
        return np.minimum(positives, known - positives)

    def take(self, rows: Int64[np.ndarray, " k"]) -> "Cells":
        """Return the cells of some samples."""
        known = None if self.known is None else self.known[rows]
        return Cells(scores=self.scores[rows], positive=self.positive[rows], known=known)

    def blocks(self) -> Iterator[Block]:
        """Yield the cells of a few labels at a time."""
        num_samples, num_labels = self.scores.shape
        width = max(1, _BLOCK_CELLS // max(num_samples, 1))
        for start in range(0, num_labels, width):
            labels = slice(start, start + width)
            positive = np.ascontiguousarray(self.positive[:, labels].T)
            yield Block(
                labels=labels,
                values=np.ascontiguousarray(self.scores[:, labels].T, dtype=np.float64),
                positive=positive,
                known=np.ones_like(positive) if self.known is None else np.ascontiguousarray(self.known[:, labels].T),
            )


def check_finite(logits: Float[np.ndarray, "n l"], names: tuple[str, ...] | None = None) -> None:
    """Check that every logit is a finite number.

    Raises:
        ScoreError: Naming the first cell that is not.

    >>> check_finite(np.zeros((2, 3)))
    """
    if np.isfinite(logits).all():
        return
    row, label = (int(index) for index in np.argwhere(~np.isfinite(logits))[0])
    name = label if names is None else repr(names[label])
    raise ScoreError(
        f"the logit of row {row} and label {name} is {logits[row, label]}; logits must be finite: did training diverge?"
    )
