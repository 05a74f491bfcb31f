"""One threshold for all labels with a promise on new samples: few missed positives, or few wrong predictions.

The loss of a sample is the share of its positives that are missed (samples without positives have none and are left out), or
the share of its predictions that are wrong (0 where nothing is predicted). The promise is on the mean loss of samples drawn as
the validation samples were. It needs probabilities that were not fitted on the samples which choose the threshold: half of
the validation samples calibrate, the other half, drawn by seed 0, chooses.

In expectation, conformal risk control: (n × mean loss + 1)/(n + 1) ≤ level, for the false discoveries with the largest loss
of any higher threshold in the place of the loss. The validation split is one of the things that the mean is taken over: a
single split may end above the level. With confidence, fixed-sequence testing from the safe end with Hoeffding–Bentkus
p-values: no more than 1 - confidence of the validation splits end above it.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from manyhot.decisions.cells import Cells
from manyhot.decisions.rules import FalseNegativeRate, Promised

# The thresholds that are looked at, fixed before any sample is seen; equal steps in log-odds.
GRID: Float64[np.ndarray, " t"] = np.concatenate([[0.0], 1.0 / (1.0 + np.exp(-np.linspace(-14.0, 14.0, 1_121)))])
_BLOCK_ROWS = 1_024


@dataclass(frozen=True, kw_only=True)
class Promise:
    """A threshold and what it promises.

    Args:
        threshold: On calibrated probabilities, for all labels; `inf` where only predicting nothing is safe.
        statement: One line: the promise and what it rests on, or why there is none.
    """

    threshold: float
    statement: str


def control(cells: Cells, rule: Promised) -> Promise:
    """Return the threshold that keeps the promise of a rule, the least careful one that does.

    Args:
        cells: Probabilities of samples that took no part in fitting them.
        rule: The rate, its level, and whether it holds in expectation or with confidence.

    Source: Angelopoulos, Bates, Fisch, Lei, Schuster 2022 (conformal risk control); Bates, Angelopoulos, Lei, Malik,
    Jordan 2021 and Angelopoulos, Bates, Candès, Jordan, Lei 2021 (bounds with confidence).

    >>> from manyhot.labels import LabelSets
    >>> truth = LabelSets.from_names([["cat"], []] * 50)
    >>> control(Cells.of(np.array([[0.8], [0.3]] * 50), truth), FalseNegativeRate(level=0.1)).statement
    'promise: false-negative rate at most 0.1 in expectation, from 50 validation samples'
    """
    losses, needed = _losses(cells, rule), samples_needed(rule)
    misses = isinstance(rule, FalseNegativeRate)
    safe = 0.0 if misses else math.inf
    what = f"false-{'negative' if misses else 'discovery'} rate at most {rule.level:g}"
    if losses.count < needed:
        careful = "every label that can be is predicted" if misses else "nothing is predicted"
        statement = f"no promise: {losses.count:,} samples are too few for a {what}, it takes {needed:,}; {careful}"
        return Promise(threshold=safe, statement=statement)
    threshold = _least_careful(_is_safe(losses, rule), rule)
    if threshold is None:
        careful = "not even by predicting every label that can be" if misses else "so nothing is predicted"
        statement = f"no promise: {losses.count:,} samples do not show a {what}, {careful}"
        return Promise(threshold=safe, statement=statement)
    how = "in expectation" if rule.confidence is None else f"with confidence {rule.confidence:g}"
    statement = f"promise: {what} {how}, from {losses.count:,} validation samples"
    return Promise(threshold=threshold, statement=statement)


def samples_needed(rule: Promised) -> int:
    """Return the number of samples below which nothing can be promised, whatever the model.

    >>> samples_needed(FalseNegativeRate(level=0.1)), samples_needed(FalseNegativeRate(level=0.1, confidence=0.95))
    (9, 29)
    """
    if rule.confidence is None:
        return math.ceil(1.0 / rule.level - 1.0 - 1e-9)
    return math.ceil(math.log(1.0 - rule.confidence) / math.log(1.0 - rule.level) - 1e-9)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Losses:
    """Sums of the losses of `count` samples at every threshold of the grid."""

    sums: Float64[np.ndarray, " t"]
    count: int


def _losses(cells: Cells, rule: Promised) -> _Losses:
    sums, count = np.zeros(GRID.size), 0
    for start in range(0, len(cells.scores), _BLOCK_ROWS):
        part = cells.take(np.arange(start, min(start + _BLOCK_ROWS, len(cells.scores))))
        found = _passing(part.scores.astype(np.float64), part.positive)
        if isinstance(rule, FalseNegativeRate):
            positives = part.positive.sum(axis=1)
            with_any = positives > 0
            losses = 1.0 - found[with_any] / positives[with_any, None]
        else:
            known = np.ones_like(part.positive) if part.known is None else part.known
            predicted = _passing(part.scores.astype(np.float64), known)
            losses = 1.0 - np.divide(found, predicted, out=np.ones(found.shape), where=predicted > 0)
            if rule.confidence is None:
                # Conformal risk control needs a loss that never rises with the threshold.
                losses = np.maximum.accumulate(losses[:, ::-1], axis=1)[:, ::-1]
        sums, count = sums + losses.sum(axis=0), count + len(losses)
    return _Losses(sums=sums, count=count)


def _passing(probs: Float64[np.ndarray, "n l"], counted: np.ndarray) -> Int64[np.ndarray, "n t"]:
    """Return for each sample how many of the counted cells reach each threshold of the grid."""
    rows, labels = np.nonzero(counted)
    # The number of thresholds that the cell reaches, at least one: 0 is among them.
    reached = np.searchsorted(GRID, probs[rows, labels], side="right")
    counts = np.bincount(rows * (GRID.size + 1) + reached, minlength=len(probs) * (GRID.size + 1))
    table = counts.reshape(len(probs), GRID.size + 1)
    return table[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:]


def _is_safe(losses: _Losses, rule: Promised) -> np.ndarray:
    """Return at which thresholds the bound on the risk stays within the level."""
    if rule.confidence is None:
        return (losses.sums + 1.0) / (losses.count + 1.0) <= rule.level
    return hoeffding_bentkus(losses.sums / losses.count, losses.count, rule.level) <= 1.0 - rule.confidence


def hoeffding_bentkus(risks: Float64[np.ndarray, " t"], count: int, level: float) -> Float64[np.ndarray, " t"]:
    """Return p-values of the hypotheses that the true mean loss is above a level, given the means of `count` losses in [0, 1].

    Source: Bates et al. 2021, proposition 4 and 5: the smaller of Hoeffding's and Bentkus' bound.

    >>> hoeffding_bentkus(np.array([0.0, 0.05, 0.2]), 100, 0.1).round(4)
    array([0.    , 0.1565, 1.    ])
    """
    from scipy.special import xlogy
    from scipy.stats import binom

    seen = np.minimum(risks, level)
    distance = xlogy(seen, seen / level) + xlogy(1.0 - seen, (1.0 - seen) / (1.0 - level))
    hoeffding = np.exp(-count * distance)
    # Rounded up: 3.0000000001 of 4 losses are 3.
    bentkus = math.e * binom.cdf(np.ceil(count * risks - 1e-9), count, level)
    return np.minimum(1.0, np.minimum(hoeffding, bentkus))


def _least_careful(good: np.ndarray, rule: Promised) -> float | None:
    """Return the last threshold, from the safe end on, before the first that is not safe."""
    order = np.arange(GRID.size) if isinstance(rule, FalseNegativeRate) else np.arange(GRID.size)[::-1]
    failing = np.flatnonzero(~good[order])
    passed = GRID.size if failing.size == 0 else int(failing[0])
    return None if passed == 0 else float(GRID[order[passed - 1]])
