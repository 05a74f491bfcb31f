"""Average precision and the area under the ROC curve, from the ranks of positives."""

import numpy as np
from jaxtyping import Float64, Num
from torch import Tensor

from manyhot.labels import LabelSets
from manyhot.metrics.counts import divide
from manyhot.metrics.device_ranks import rank_on_device
from manyhot.metrics.figures import Figure, mean_figure
from manyhot.metrics.ranks import PositiveRanks, rank_by_label
from manyhot.metrics.scores import read_scores
from manyhot.metrics.truth import read_truth
from manyhot.targets import SparseTargets


def average_precision(ranks: PositiveRanks) -> Float64[np.ndarray, " l"]:
    """Return the average precision of each label; NaN without positives.

    The mean over positives c of TP(s ≥ s_c) / n(s ≥ s_c): tied cells count together.

    >>> truth = LabelSets.from_names([["cat"], ["cat"], []])
    >>> average_precision(rank_positives(np.array([[3.0], [1.0], [2.0]]), truth))
    array([0.833...])
    """
    precision = ranks.positives_at_or_above / ranks.cells_at_or_above
    return divide(np.bincount(ranks.label_ids, weights=precision, minlength=len(ranks.known)), ranks.positives)


def auroc(ranks: PositiveRanks) -> Float64[np.ndarray, " l"]:
    """Return the area under the ROC curve of each label; NaN without positives or without negatives.

    The share of (positive, negative) pairs that are ordered right, tied pairs counting half.

    >>> truth = LabelSets.from_names([["cat"], ["cat"], []])
    >>> auroc(rank_positives(np.array([[3.0], [1.0], [1.0]]), truth))
    array([0.75])
    """
    at_or_above = ranks.cells_at_or_above - ranks.positives_at_or_above
    above = ranks.cells_above - ranks.positives_above
    # Whole numbers in float64: exact below 2⁵³ half pairs.
    wrong = np.bincount(ranks.label_ids, weights=at_or_above + above, minlength=len(ranks.known))
    pairs = 2 * ranks.positives * (ranks.known - ranks.positives)
    return divide(pairs - wrong, pairs)


def precision_recall(ranks: PositiveRanks) -> tuple[Float64[np.ndarray, " p"], Float64[np.ndarray, " p"]]:
    """Return precision and recall when everything is predicted that scores at least as high as each positive.

    The curve of label `l` is `offsets[l]:offsets[l + 1]` of both, in ascending order of the scores: points between
    positives have the recall of the next one and a lower precision, and are left out.

    >>> truth = LabelSets.from_names([["cat"], ["cat"], []])
    >>> precision_recall(rank_positives(np.array([[3.0], [1.0], [2.0]]), truth))
    (array([0.666..., 1.        ]), array([1. , 0.5]))
    """
    return (
        ranks.positives_at_or_above / ranks.cells_at_or_above,
        ranks.positives_at_or_above / ranks.positives[ranks.label_ids],
    )


def roc(ranks: PositiveRanks) -> tuple[Float64[np.ndarray, " p"], Float64[np.ndarray, " p"]]:
    """Return false and true positive rate when everything is predicted that scores at least as high as each positive.

    In the order of `precision_recall`; the false positive rate is NaN for labels without negatives.

    >>> truth = LabelSets.from_names([["cat"], ["cat"], []])
    >>> roc(rank_positives(np.array([[3.0], [1.0], [2.0]]), truth))
    (array([1., 0.]), array([1. , 0.5]))
    """
    negatives = (ranks.known - ranks.positives)[ranks.label_ids]
    false = ranks.cells_at_or_above - ranks.positives_at_or_above
    return divide(false, negatives), ranks.positives_at_or_above / ranks.positives[ranks.label_ids]


def best_f(ranks: PositiveRanks, beta: float = 1.0) -> tuple[Float64[np.ndarray, " l"], Float64[np.ndarray, " l"]]:
    """Return the best F-beta that a threshold on each label's scores can reach, and the highest score that reaches it.

    A threshold is best at a positive's score: lowering it to the next positive adds nothing but errors. Labels without
    positives get NaN. Found on the same samples that it is judged on, the value flatters labels with few positives.

    Args:
        ranks: Of the positives, with their scores.
        beta: Weight of recall relative to precision.

    >>> truth = LabelSets.from_names([["cat"], ["cat"], []])
    >>> best_f(rank_positives(np.array([[3.0], [1.0], [2.0]]), truth))
    (array([0.8]), array([1.]))
    """
    weight = beta * beta
    positives = ranks.positives
    values = (1 + weight) * ranks.positives_at_or_above
    values = values / (weight * positives[ranks.label_ids] + ranks.cells_at_or_above)
    best, score = np.full((2, len(positives)), np.nan)
    filled = positives > 0
    if filled.any():
        best[filled] = np.maximum.reduceat(values, ranks.offsets[:-1][filled])
        reaching = np.flatnonzero(values == best[ranks.label_ids])
        if ranks.scores is not None:
            # Ascending: the last that is written is the highest.
            score[ranks.label_ids[reaching]] = ranks.scores[reaching]
    return best, score


def rank_positives(
    scores: Num[np.ndarray, "n l"] | Num[Tensor, "n l"], truth: LabelSets | SparseTargets
) -> PositiveRanks:
    """Return the ranks of each label's positives: what all its curves, and `average_precision`, are made of.

    Scores on a GPU are ranked there, by torch.

    Args:
        scores: Anything that ranks; logits rather than sigmoids, which tie when they saturate.
        truth: The labels of the same samples; unknown cells are left out.

    Raises:
        ScoreError: If the shapes differ or a score is NaN.

    >>> truth = LabelSets.from_names([["cat"], ["dog"], ["cat", "dog"]])
    >>> ranks = rank_positives(np.array([[2.0, -1.0], [3.0, 0.0], [1.0, 1.0]]), truth)
    >>> average_precision(ranks), auroc(ranks)
    (array([0.583..., 1.        ]), array([0., 1.]))
    """
    known = read_truth(truth)
    if isinstance(scores, Tensor) and scores.device.type != "cpu":
        return rank_on_device(scores, known)
    return rank_by_label(read_scores(scores, known), known)


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
    return mean_figure(average_precision(rank_positives(scores, truth)))
