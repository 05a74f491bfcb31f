"""Isotonic calibration: for labels with many positives, the rising step curve that fits them best."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64

from manyhot.decisions.cells import Cells
from manyhot.errors import BundleError


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve:
    """A rising line from logits to probabilities, straight between its knots and level beyond them.

    Args:
        label: The id of the label that it belongs to.
        logits: Of the knots, rising.
        probs: Of the knots, never falling.

    Raises:
        BundleError: If the knots make no such line.

    >>> Curve(label=0, logits=np.array([0.0, 2.0]), probs=np.array([0.1, 0.5])).probs_of(np.array([-1.0, 1.0]))
    array([0.1, 0.3])
    """

    label: int
    logits: Float64[np.ndarray, " knots"]
    probs: Float64[np.ndarray, " knots"]

    def __post_init__(self) -> None:
        steps = np.diff(self.logits), np.diff(self.probs)
        whole = self.logits.size == self.probs.size > 0 and np.isfinite(self.logits).all()
        rises = whole and (steps[0] > 0).all() and (steps[1] >= 0).all()
        if not rises or not (self.probs >= 0).all() or not (self.probs <= 1).all():
            raise BundleError(f"decision: the calibration curve of label {self.label} does not rise from 0 to 1")

    def probs_of(self, logits: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
        """Return the probabilities of some logits."""
        return np.interp(logits, self.logits, self.probs)

    def to_dict(self) -> dict[str, Any]:
        """Return the curve as plain data for JSON."""
        return {"label": self.label, "logits": self.logits.tolist(), "probs": self.probs.tolist()}

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> "Curve":
        """Return the curve that `to_dict` wrote."""
        return Curve(
            label=int(data["label"]),
            logits=np.array(data["logits"], dtype=float),
            probs=np.array(data["probs"], dtype=float),
        )


def fit_curves(cells: Cells, wanted: Bool[np.ndarray, " l"]) -> tuple[Curve, ...]:
    """Return the isotonic curve of each wanted label, fitted on its known cells.

    Every step of the fit gives two knots, its ends; between two steps the line is straight, so that ranks are kept where
    the steps are not level.

    Source: Zadrozny, Elkan 2002; Barlow, Bartholomew, Bremner, Brunk 1972 for pooling adjacent violators.

    >>> from manyhot.labels import LabelSets
    >>> truth = LabelSets.from_names([[], ["cat"], [], ["cat"]])
    >>> cells = Cells.of(np.array([[0.0], [1.0], [2.0], [3.0]]), truth)
    >>> fit_curves(cells, np.array([True]))[0].probs
    array([0. , 0.5, 0.5, 1. ])
    """
    curves: list[Curve] = []
    for block in cells.blocks():
        for row, label in enumerate(range(cells.positive.shape[1])[block.labels]):
            if wanted[label]:
                known = block.known[row]
                curves.append(_fit(label, block.values[row][known], block.positive[row][known]))
    return tuple(curves)


def _fit(label: int, logits: Float64[np.ndarray, " n"], positive: Bool[np.ndarray, " n"]) -> Curve:
    from scipy.optimize import isotonic_regression

    # Equal logits are one point: no curve can part them.
    points, place = np.unique(logits, return_inverse=True)
    weights = np.bincount(place).astype(np.float64)
    shares = np.bincount(place, weights=positive) / weights
    fitted = isotonic_regression(shares, weights=weights)
    starts = fitted.blocks[:-1]
    ends = fitted.blocks[1:] - 1
    knots = np.unique(np.concatenate([starts, ends]))
    # Rounding errors of the pooled means must not make the line fall.
    probs = np.maximum.accumulate(np.clip(fitted.x[knots], 0.0, 1.0))
    return Curve(label=label, logits=points[knots], probs=probs)
