"""The average precisions of other protocols, each from the ranks of positives: interpolated, enveloped, by position."""

import numpy as np
from jaxtyping import Float, Float64, Int64

from manyhot.metrics.counts import divide
from manyhot.metrics.ranks import PositiveRanks
from manyhot.metrics.truth import Truth

# In the denominator of the published code of ASL: a label without positives gets 0 / 1e-8 = 0.
ASL_EPSILON = 1e-8
PERCENT = 100


def enveloped_precision(ranks: PositiveRanks) -> Float64[np.ndarray, " l"]:
    """Return the area under the envelope of each label's precision-recall curve; NaN without positives.

    The envelope at a recall is the best precision at that recall or a higher one. Each positive is a step of 1 / P in
    recall, so the area is the mean over positives of the envelope there: ranks of positives suffice.

    Source: Everingham et al. 2010, the development kit of VOC 2010.
    """
    best = _best_from_below(ranks)
    return divide(np.bincount(ranks.label_ids, weights=best, minlength=len(ranks.known)), ranks.positives)


def interpolated_precision(ranks: PositiveRanks, num_levels: int) -> Float64[np.ndarray, " l"]:
    """Return the mean of the envelope at equally spaced levels of recall from 0 to 1; NaN for labels without positives.

    Levels and recalls are compared as float64, as the usual codes do: the level 0.30000000000000004 of `linspace(0, 1,
    11)` is not reached by 3 positives of 10.

    Args:
        ranks: Ranks of each label's positives.
        num_levels: 11 for VOC 2007, 101 for COCO.

    Source: Everingham et al. 2010, section 4.2; Lin et al. 2014.
    """
    best = _best_from_below(ranks)
    labels, positives = ranks.label_ids, ranks.positives
    recall = ranks.positives_at_or_above / positives[labels]
    filled = positives > 0
    total = np.zeros(len(positives))
    for level in np.linspace(0, 1, num_levels):
        # Recall falls along each label's positives: those that reach the level come first.
        reaching = np.bincount(labels[recall >= level], minlength=len(positives))
        total[filled] += best[(ranks.offsets[:-1] + reaching - 1)[filled]]
    return np.where(filled, total / num_levels, np.nan)


def sorted_precision(ranks: PositiveRanks, scores: Float[np.ndarray, "n l"], truth: Truth) -> Float64[np.ndarray, " l"]:
    """Return the average precision of each label in per cent, of tied samples the later first; 0 without positives.

    Positives count one by one, in the order of a stable ascending sort read backwards, so the value depends on the
    order of tied samples. Labels whose positives tie with nothing need their ranks alone; only the others are sorted.

    Source: the published code of Ben-Baruch et al. 2020 (ASL), which sorts ties in no defined order.
    """
    sums = np.bincount(
        ranks.label_ids, weights=ranks.positives_at_or_above / ranks.cells_at_or_above, minlength=len(ranks.known)
    )
    tied = ranks.cells_at_or_above - ranks.cells_above > 1
    for label in np.unique(ranks.label_ids[tied]).tolist():
        places = _places_of_positives(scores, truth, label)
        sums[label] = (np.arange(1, len(places) + 1) / places).sum()
    return PERCENT * sums / (ranks.positives + ASL_EPSILON)


def _places_of_positives(scores: Float[np.ndarray, "n l"], truth: Truth, label: int) -> Int64[np.ndarray, " p"]:
    """Return the places of a label's positives from 1, best first, when later samples come first among ties."""
    column, known = scores[:, label], truth.known_column(label)
    positive = np.zeros(len(column), dtype=bool)
    positive[truth.columns.row(label)] = True
    if known is not None:
        column, positive = column[known], positive[known]
    return np.flatnonzero(positive[np.argsort(column, kind="stable")[::-1]]) + 1


def _best_from_below(ranks: PositiveRanks) -> Float64[np.ndarray, " p"]:
    """Return for each positive the best precision at its recall or a higher one: among the positives up to it."""
    precision = ranks.positives_at_or_above / ranks.cells_at_or_above
    # A running maximum that starts afresh at each label: of whole numbers that grow by label and by precision.
    order = np.argsort(precision, kind="stable")
    places = np.empty(len(order), dtype=np.int64)
    places[order] = np.arange(len(order))
    best = np.maximum.accumulate(ranks.label_ids * len(order) + places) % max(1, len(order))
    return precision[order[best]]
