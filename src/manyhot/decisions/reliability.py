"""Is a probability what it says? Per label: mean probability beside the share of positives, from the least to the most sure."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Int64

from manyhot.decisions.cells import Cells
from manyhot.errors import UsageError
from manyhot.labels import LabelSets


@dataclass(frozen=True, kw_only=True, eq=False)
class Reliability:
    """The reliability table of each label: bins of equal numbers of known cells, by rising probability.

    Args:
        counts: Known cells in each bin; they differ by one at most.
        mean_probs: Mean probability in each bin; NaN where it is empty.
        shares: Share of positives in each bin; NaN where it is empty.
    """

    counts: Int64[np.ndarray, "l bins"]
    mean_probs: Float64[np.ndarray, "l bins"]
    shares: Float64[np.ndarray, "l bins"]

    def errors(self) -> Float64[np.ndarray, " l"]:
        """Return for each label the mean distance between the two, weighted by cells; NaN without a known cell.

        >>> table = reliability(np.array([[0.25], [0.75]]), LabelSets.from_names([[], ["cat"]]), num_bins=2)
        >>> table.errors()
        array([0.25])
        """
        distances = np.where(self.counts > 0, np.abs(self.mean_probs - self.shares), 0.0)
        total = self.counts.sum(axis=1)
        sums = (distances * self.counts).sum(axis=1)
        return np.divide(sums, total, out=np.full(total.shape, np.nan), where=total > 0)


def reliability(probs: Float[np.ndarray, "n l"], truth: LabelSets, *, num_bins: int = 10) -> Reliability:
    """Return the reliability table of each label.

    Args:
        probs: Probabilities, of samples that they were not fitted on: `cross_fit` gives them for validation samples.
        truth: The labels of the same samples; unknown cells are left out.
        num_bins: Rows of each table.

    Raises:
        ScoreError: If shapes disagree, there is no sample, or a probability is not finite.
        UsageError: If there is no bin.

    >>> table = reliability(np.array([[0.1], [0.3], [0.7], [0.9]]), LabelSets.from_names([[], [], ["cat"], ["cat"]]), num_bins=2)
    >>> table.counts, table.mean_probs.round(6), table.shares
    (array([[2, 2]]), array([[0.2, 0.8]]), array([[0., 1.]]))
    """
    if num_bins < 1:
        raise UsageError(f"there are {num_bins} bins; give at least 1")
    cells = Cells.of(probs, truth)
    counts = np.zeros((truth.num_labels, num_bins), np.int64)
    sums, positives = np.zeros(counts.shape), np.zeros(counts.shape)
    for block in cells.blocks():
        for row, label in enumerate(range(truth.num_labels)[block.labels]):
            known = block.known[row]
            order = np.argsort(block.values[row][known], kind="stable")
            bins = np.arange(order.size) * num_bins // max(order.size, 1)
            counts[label] = np.bincount(bins, minlength=num_bins)
            sums[label] = np.bincount(bins, weights=block.values[row][known][order], minlength=num_bins)
            positives[label] = np.bincount(bins, weights=block.positive[row][known][order], minlength=num_bins)
    empty = np.full(counts.shape, np.nan)
    return Reliability(
        counts=counts,
        mean_probs=np.divide(sums, counts, out=empty.copy(), where=counts > 0),
        shares=np.divide(positives, counts, out=empty, where=counts > 0),
    )
