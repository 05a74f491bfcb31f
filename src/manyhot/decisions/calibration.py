"""Logits to probabilities with few parameters: a scale and a shift for all labels, an offset for each.

A label with three positives cannot carry a curve of its own. Here it takes the scale and the shift that all labels share,
and its own offset is pulled towards 0 as strongly as the spread of the other labels' offsets says (empirical Bayes).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Float64

from manyhot.decisions.cells import Cells
from manyhot.decisions.likelihood import Posterior, offset_variance
from manyhot.errors import BundleError
from manyhot.labels import LabelSets

_MAX_STEPS = 50
_TOLERANCE = 1e-5
# Farther from the maximum the likelihood is no parabola, and the variance of the offsets cannot be read off it.
_SETTLED = 1.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibration:
    """The map from logits to probabilities: sigmoid(scale × logit + shift + the label's offset).

    Args:
        scale: Above 0; the order of a label's samples never changes.
        shift: Added to every log-odds.
        offsets: Added to the log-odds of each label.

    >>> Calibration(scale=0.5, shift=0.0, offsets=np.array([0.0, -2.0])).probs(np.array([[2.0, 4.0]])).round(3)
    array([[0.731, 0.5  ]])
    """

    scale: float
    shift: float
    offsets: Float64[np.ndarray, " l"]

    @staticmethod
    def identity(num_labels: int) -> "Calibration":
        """Return the calibration that leaves the sigmoid of the logits as it is."""
        return Calibration(scale=1.0, shift=0.0, offsets=np.zeros(num_labels))

    def probs(self, logits: Float[np.ndarray, "n l"]) -> Float64[np.ndarray, "n l"]:
        """Return calibrated probabilities in float64, 8 bytes a cell."""
        from scipy.special import expit

        log_odds = logits * np.float64(self.scale)
        log_odds += self.offsets + self.shift
        return expit(log_odds, out=log_odds)

    def to_dict(self) -> dict[str, Any]:
        """Return the calibration as plain data for JSON."""
        return {"scale": self.scale, "shift": self.shift, "offsets": self.offsets.tolist()}

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> "Calibration":
        """Return the calibration that `to_dict` wrote.

        Raises:
            BundleError: If there is a field that this version does not know: leaving it out would change probabilities.
        """
        unknown = sorted(data.keys() - {"scale", "shift", "offsets"})
        if unknown:
            raise BundleError(f"decision: this version does not know the calibration's field {unknown[0]!r}")
        offsets: Sequence[float] = data["offsets"]
        return Calibration(
            scale=float(data["scale"]), shift=float(data["shift"]), offsets=np.array(offsets, dtype=float)
        )


def fit_calibration(logits: Float[np.ndarray, "n l"], truth: LabelSets) -> Calibration:
    """Return the calibration of highest posterior probability on the known cells; the identity without positives.

    The variance of the offsets is estimated from the labels themselves, by expectation-maximisation in step with
    Newton's method. With a single label there is no offset beside the shift. Takes about ten passes over the cells.

    Raises:
        ScoreError: If shapes disagree, there is no sample, or a logit is not finite.

    Source: Platt 1999 for the logistic map; Dempster, Laird, Rubin 1977 for the variance.

    >>> rng = np.random.default_rng(0)
    >>> log_odds = rng.normal(-2.0, 2.0, size=(2_000, 4))
    >>> from manyhot.labels import LabelSpace
    >>> truth = LabelSets.from_dense((rng.random(log_odds.shape) < 1 / (1 + np.exp(-log_odds))) * 1.0,
    ...     LabelSpace(names=("a", "b", "c", "d")))
    >>> calibration = fit_calibration(3.0 * log_odds + 6.0, truth)
    >>> round(calibration.scale, 1), round(calibration.shift, 0)
    (0.3, -2.0)
    """
    return calibrate(Cells.of(logits, truth))


def calibrate(cells: Cells) -> Calibration:
    """Return the calibration of some cells: see `fit_calibration`."""
    if not cells.positive.any():
        return Calibration.identity(cells.positive.shape[1])
    posterior = Posterior.of(cells)
    parameters, variance = posterior.start(), 1.0
    moments = posterior.moments(parameters)
    for _ in range(_MAX_STEPS):
        step = posterior.newton_step(parameters, moments, variance)
        parameters, moments = posterior.walk(parameters, moments, step, variance)
        if step.largest < _TOLERANCE:
            break
        if step.largest < _SETTLED:
            variance = offset_variance(parameters, moments, variance)
    scale = parameters.scale / posterior.spread
    return Calibration(scale=scale, shift=parameters.shift - scale * posterior.centre, offsets=parameters.offsets)
