"""Thresholds that reach a stated figure of each label: a precision, a recall, or the label's own frequency.

What is counted is the truth, or, for labels of few positives, what calibrated probabilities expect of it.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from manyhot.decisions.cells import Block, Cells
from manyhot.decisions.rules import MatchPrevalence, PrecisionAtLeast, RecallAtLeast
from manyhot.decisions.thresholds import Ranked

Reaching = PrecisionAtLeast | RecallAtLeast | MatchPrevalence
# Shares such as 9/10 are compared with 0.9.
_ROUNDING = 1e-12


@dataclass(frozen=True, kw_only=True, eq=False)
class Reached:
    """What each label reaches.

    Args:
        thresholds: `inf` where the figure cannot be reached.
        best: The highest precision that any threshold of the label has; NaN without a known cell.
    """

    thresholds: Float64[np.ndarray, " l"]
    best: Float64[np.ndarray, " l"]


def reach(cells: Cells, rule: Reaching, expected: Bool[np.ndarray, " l"]) -> Reached:
    """Return the threshold of each label that reaches what the rule says.

    Args:
        cells: Calibrated probabilities with their truth.
        rule: What to reach.
        expected: Labels for which calibrated probabilities are counted in the place of the truth.

    >>> from manyhot.labels import LabelSets
    >>> cells = Cells.of(np.array([[0.9], [0.8], [0.4], [0.2]]), LabelSets.from_names([["cat"], [], ["cat"], []]))
    >>> few = np.array([False])
    >>> reach(cells, RecallAtLeast(recall=1.0), few).thresholds.round(6)
    array([0.3])
    >>> reach(cells, PrecisionAtLeast(precision=0.9), few).thresholds.round(6)
    array([0.85])
    """
    thresholds, best = np.empty(expected.size), np.empty(expected.size)
    for block in cells.blocks():
        thresholds[block.labels], best[block.labels] = _reach(block, rule, expected[block.labels])
    return Reached(thresholds=thresholds, best=best)


def _reach(
    block: Block, rule: Reaching, expected: Bool[np.ndarray, " b"]
) -> tuple[Float64[np.ndarray, " b"], Float64[np.ndarray, " b"]]:
    values = np.where(block.known, block.values, -1.0)
    counted = np.where(expected[:, None], np.maximum(values, 0.0), block.positive)
    ranked = Ranked.of(values, counted)
    possible = ranked.is_end & (ranked.values >= 0)
    precision = np.where(possible, ranked.hits / ranked.predicted, -np.inf)
    best = precision.max(axis=1)
    total = ranked.hits[:, -1]
    match rule:
        case PrecisionAtLeast():
            good = precision >= rule.precision - _ROUNDING
            # The last of them: the most recall.
            last = good.shape[1] - 1 - good[:, ::-1].argmax(axis=1)
        case RecallAtLeast():
            good = possible & (ranked.hits >= (rule.recall - _ROUNDING) * total[:, None])
            last = good.argmax(axis=1)
        case MatchPrevalence():
            good = possible & (ranked.predicted >= np.maximum(np.round(total), 1.0)[:, None])
            last = good.argmax(axis=1)
    return np.where(good.any(axis=1), ranked.midway(last), np.inf), np.where(np.isfinite(best), best, np.nan)
