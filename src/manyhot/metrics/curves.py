"""Average precision and the area under the ROC curve, from the ranks of positives."""

import numpy as np
from jaxtyping import Float64, Num
from torch import Tensor

from manyhot.labels import LabelSets
from manyhot.metrics.counts import divide
from manyhot.metrics.figures import Figure, mean_figure
from manyhot.metrics.ranks import PositiveRanks, rank_by_label
from manyhot.metrics.scores import read_scores
from manyhot.metrics.truth import read_truth
from manyhot.targets import SparseTargets


def average_precision(ranks: PositiveRanks) -> Float64[np.ndarray, " l"]:
    """Return the average precision of each label; NaN without positives.

    The mean over positives c of TP(s ≥ s_c) / n(s ≥ s_c): tied cells count together.
    """
    precision = ranks.positives_at_or_above / ranks.cells_at_or_above
    return divide(np.bincount(ranks.label_ids, weights=precision, minlength=len(ranks.known)), ranks.positives)


def auroc(ranks: PositiveRanks) -> Float64[np.ndarray, " l"]:
    """Return the area under the ROC curve of each label; NaN without positives or without negatives.

    The share of (positive, negative) pairs that are ordered right, tied pairs counting half.
    """
    at_or_above = ranks.cells_at_or_above - ranks.positives_at_or_above
    above = ranks.cells_above - ranks.positives_above
    # Whole numbers in float64: exact below 2⁵³ half pairs.
    wrong = np.bincount(ranks.label_ids, weights=at_or_above + above, minlength=len(ranks.known))
    pairs = 2 * ranks.positives * (ranks.known - ranks.positives)
    return divide(pairs - wrong, pairs)


def mean_average_precision(
    scores: Num[np.ndarray, "n l"] | Num[Tensor, "n l"], truth: LabelSets | SparseTargets
) -> Figure:
    """Return `map_macro`: the mean over labels with positives of their average precision, over the whole split.

    Args:
        scores: Anything that ranks; logits rather than sigmoids, which tie when they saturate.
        truth: The labels of the same samples; unknown cells are left out.

    Raises:
        ScoreError: If the shapes differ or a score is NaN.

    >>> truth = LabelSets.from_names([["cat"], ["dog"], ["cat", "dog"]])
    >>> mean_average_precision(np.array([[2.0, -1.0], [3.0, 0.0], [1.0, 1.0]]), truth)
    Figure(value=0.791666..., defined=2, total=2, low=None, high=None)
    """
    known_truth = read_truth(truth)
    return mean_figure(average_precision(rank_by_label(read_scores(scores, known_truth), known_truth)))
