"""Thresholds on probabilities that make F-beta large: from calibrated probabilities alone, or from the truth.

With β = 1 the best threshold of a label is half of the best F that it reaches: calibrated probabilities tell that F without
a look at which cells are positive, so rare labels have nothing to overfit.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64

from manyhot.decisions.cells import Cells
from manyhot.labels import LabelSets

# Dinkelbach's iteration converges faster than Newton's: six or seven rounds in practice.
_MAX_ROUNDS = 100


def plug_in_thresholds(
    probs: Float[np.ndarray, "n l"], known: Bool[np.ndarray, "n l"] | None = None, *, beta: float = 1.0
) -> Float64[np.ndarray, " l"]:
    """Return F*/(1 + β²) of each label, with F* the best F-beta that calibrated probabilities expect.

    Never above 1/(1 + β²). Where probabilities say nothing, F* is that of predicting every cell, and the threshold lets
    every cell pass. A label without a known cell, or of probability 0, gets `inf`.

    Args:
        probs: Calibrated probabilities.
        known: Which cells take part; all, if not given.
        beta: Weight of recall relative to precision; 2 counts recall twice.

    Source: Lipton, Elkan, Naryanaswamy 2014, theorem 1, with expected counts; Dinkelbach 1967 for the iteration.

    >>> plug_in_thresholds(np.array([[0.9, 0.2], [0.1, 0.2]])).round(3)
    array([0.45 , 0.167])
    """
    cells = Cells(scores=probs, positive=np.zeros(probs.shape, dtype=bool), known=known)
    thresholds = np.empty(probs.shape[1])
    for block in cells.blocks():
        masked = np.where(block.known, block.values, 0.0)
        thresholds[block.labels] = _plug_in(masked, block.known, beta)
    return thresholds


def _plug_in(
    probs: Float64[np.ndarray, "b n"], known: Bool[np.ndarray, "b n"], beta: float
) -> Float64[np.ndarray, " b"]:
    weight = 1.0 + beta**2
    expected = probs.sum(axis=1)
    best = np.zeros(len(probs))
    for _ in range(_MAX_ROUNDS):
        chosen = (probs >= best[:, None] / weight) & known
        found = np.einsum("bn,bn->b", probs, chosen)
        total = chosen.sum(axis=1) + beta**2 * expected
        better = np.divide(weight * found, total, out=np.zeros_like(best), where=expected > 0)
        if (better <= best * (1.0 + 1e-12)).all():
            break
        best = np.maximum(best, better)
    return np.where(best > 0, best / weight, np.inf)


def best_thresholds(
    probs: Float[np.ndarray, "n l"], truth: LabelSets, *, beta: float = 1.0
) -> Float64[np.ndarray, " l"]:
    """Return the threshold of each label that maximises F-beta on the given samples.

    It stands midway between the last probability that passes and the next; of several as good, the highest. Labels
    without positives get `inf`. Labels with few positives overfit: `fit_decision` does not use it for them.

    Args:
        probs: Probabilities, or any scores of at least 0.
        truth: The labels of the same samples.
        beta: Weight of recall relative to precision.

    >>> truth = LabelSets.from_names([["cat"], [], ["cat"], []])
    >>> best_thresholds(np.array([[0.9], [0.1], [0.4], [0.2]]), truth)
    array([0.3])
    """
    return search(Cells.of(probs, truth), beta)


def search(cells: Cells, beta: float) -> Float64[np.ndarray, " l"]:
    """Return the best threshold of each label of some cells: see `best_thresholds`."""
    thresholds = np.empty(cells.positive.shape[1])
    for block in cells.blocks():
        # Unknown cells stand behind all others, where they count as predicted last.
        values = np.where(block.known, block.values, -1.0)
        thresholds[block.labels] = _search(values, block.positive, beta)
    return thresholds


def search_pooled(cells: Cells, beta: float) -> float:
    """Return the one threshold that maximises F-beta of all known cells pooled; `inf` without positives."""
    known = np.ones_like(cells.positive) if cells.known is None else cells.known
    values = np.where(known, cells.scores, -1.0).reshape(1, -1)
    return float(_search(values, cells.positive.reshape(1, -1), beta)[0])


def _search(
    values: Float64[np.ndarray, "b n"], positive: Bool[np.ndarray, "b n"], beta: float
) -> Float64[np.ndarray, " b"]:
    ranked = Ranked.of(values, positive)
    positives = positive.sum(axis=1)
    scores = (1.0 + beta**2) * ranked.hits / (ranked.predicted + beta**2 * positives[:, None])
    scores[~ranked.is_end] = -1.0
    return np.where(positives > 0, ranked.midway(scores.argmax(axis=1)), np.inf)


@dataclass(frozen=True, kw_only=True, eq=False)
class Ranked:
    """The cells of some labels from the most to the least probable; unknown ones stand last, with a value of -1.

    Args:
        values: Falling.
        hits: Positives (or expected positives) up to and with each cell.
        is_end: Whether a threshold can stand behind the cell: it cannot part equal values.
    """

    values: Float64[np.ndarray, "b n"]
    hits: Float64[np.ndarray, "b n"] | Int64[np.ndarray, "b n"]
    is_end: Bool[np.ndarray, "b n"]

    @staticmethod
    def of(
        values: Float64[np.ndarray, "b n"], counted: Bool[np.ndarray, "b n"] | Float64[np.ndarray, "b n"]
    ) -> "Ranked":
        """Return the cells in order, with what they count: 1 for a positive, or its probability."""
        order = np.argsort(-values, axis=1, kind="stable")
        values, counted = np.take_along_axis(values, order, axis=1), np.take_along_axis(counted, order, axis=1)
        is_end = np.ones(values.shape, dtype=bool)
        is_end[:, :-1] = values[:, :-1] > values[:, 1:]
        return Ranked(values=values, hits=counted.cumsum(axis=1), is_end=is_end)

    @property
    def predicted(self) -> Int64[np.ndarray, " n"]:
        """Number of cells up to and with each."""
        return np.arange(1, self.values.shape[1] + 1)

    def midway(self, last: Int64[np.ndarray, " b"]) -> Float64[np.ndarray, " b"]:
        """Return the threshold midway between the last value that passes and the next; the next of the very last is 0."""
        behind = np.concatenate([self.values[:, 1:], np.zeros((len(self.values), 1))], axis=1)
        lower = np.maximum(np.take_along_axis(behind, last[:, None], axis=1)[:, 0], 0.0)
        upper = np.take_along_axis(self.values, last[:, None], axis=1)[:, 0]
        return 0.5 * (lower + upper)
