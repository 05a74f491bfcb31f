"""Logits to probabilities with few parameters: a scale and a shift for all labels, an offset for each.

A label with three positives cannot carry a curve of its own. Here it takes the scale and the shift that all labels share,
and its own offset is pulled towards 0 as strongly as the spread of the other labels' offsets says (empirical Bayes).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, assert_never, get_args

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64

from manyhot.decisions.cells import Cells
from manyhot.decisions.curves import Curve, fit_curves
from manyhot.decisions.likelihood import Posterior, offset_variance
from manyhot.decisions.platt import fit_lines, fit_temperature
from manyhot.errors import BundleError, UsageError, did_you_mean
from manyhot.labels import LabelSets

Method = Literal["shrunk", "temperature", "platt", "isotonic"]

# A line of two parameters needs as many positives and negatives before it beats the shared one; a free curve needs more.
ENOUGH_FOR_A_LINE, ENOUGH_FOR_A_CURVE = 20, 100

_MAX_STEPS = 50
_TOLERANCE = 1e-5
# Farther from the maximum the likelihood is no parabola, and the variance of the offsets cannot be read off it.
_SETTLED = 1.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibration:
    """The map from logits to probabilities: sigmoid(scale × slope × logit + shift + offset), or a curve of the label's own.

    Args:
        scale: Above 0; the order of a label's samples never changes.
        shift: Added to every log-odds.
        offsets: Added to the log-odds of each label.
        slopes: Of each label, above 0; None where all are 1.
        curves: Isotonic curves, which stand in the place of the line for their labels.
        method: How it was fitted.

    Raises:
        BundleError: If a number makes no sense.

    >>> Calibration(scale=0.5, shift=0.0, offsets=np.array([0.0, -2.0])).probs(np.array([[2.0, 4.0]])).round(3)
    array([[0.731, 0.5  ]])
    """

    scale: float
    shift: float
    offsets: Float64[np.ndarray, " l"]
    slopes: Float64[np.ndarray, " l"] | None = None
    curves: tuple[Curve, ...] = ()
    method: Method = "shrunk"

    def __post_init__(self) -> None:
        slopes = np.ones_like(self.offsets) if self.slopes is None else self.slopes
        numbers = np.concatenate([[self.scale, self.shift], self.offsets, slopes])
        if not np.isfinite(numbers).all():
            raise BundleError("decision: a number of the calibration is not finite")
        if self.scale <= 0 or slopes.size != self.offsets.size or not (slopes > 0).all():
            raise BundleError("decision: the calibration's scale and slopes must be above 0, one slope a label")
        if any(not 0 <= curve.label < self.offsets.size for curve in self.curves):
            raise BundleError(f"decision: a calibration curve is of none of its {self.offsets.size:,} labels")

    @staticmethod
    def identity(num_labels: int) -> "Calibration":
        """Return the calibration that leaves the sigmoid of the logits as it is."""
        return Calibration(scale=1.0, shift=0.0, offsets=np.zeros(num_labels))

    def probs(self, logits: Float[np.ndarray, "n l"]) -> Float64[np.ndarray, "n l"]:
        """Return calibrated probabilities in float64, 8 bytes a cell."""
        from scipy.special import expit

        log_odds = logits * np.float64(self.scale)
        if self.slopes is not None:
            log_odds *= self.slopes
        log_odds += self.offsets + self.shift
        probs = expit(log_odds, out=log_odds)
        for curve in self.curves:
            probs[:, curve.label] = curve.probs_of(logits[:, curve.label].astype(np.float64))
        return probs

    def to_dict(self) -> dict[str, Any]:
        """Return the calibration as plain data for JSON; what all labels share with the plain form is left out."""
        data: dict[str, Any] = {"scale": self.scale, "shift": self.shift, "offsets": self.offsets.tolist()}
        if self.slopes is not None:
            data["slopes"] = self.slopes.tolist()
        if self.curves:
            data["curves"] = [curve.to_dict() for curve in self.curves]
        return data if self.method == "shrunk" else data | {"method": self.method}

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> "Calibration":
        """Return the calibration that `to_dict` wrote.

        Raises:
            BundleError: If there is a field that this version does not know: leaving it out would change probabilities.
        """
        unknown = sorted(data.keys() - {field.name for field in fields(Calibration)})
        if unknown:
            raise BundleError(f"decision: this version does not know the calibration's field {unknown[0]!r}")
        offsets: Sequence[float] = data["offsets"]
        slopes: Sequence[float] | None = data.get("slopes")
        curves: Sequence[Mapping[str, Any]] = data.get("curves", ())
        return Calibration(
            scale=float(data["scale"]),
            shift=float(data["shift"]),
            offsets=np.array(offsets, dtype=float),
            slopes=None if slopes is None else np.array(slopes, dtype=float),
            curves=tuple(Curve.from_dict(curve) for curve in curves),
            method=method_named(str(data.get("method", "shrunk"))),
        )


def method_named(name: str) -> Method:
    """Return the calibration method of that name.

    Raises:
        UsageError: If there is none.

    >>> method_named("isotonic")
    'isotonic'
    """
    methods: tuple[Method, ...] = get_args(Method)
    for method in methods:
        if method == name:
            return method
    raise UsageError(f"calibration is {name!r}; it must be one of {', '.join(methods)}{did_you_mean(name, methods)}")


def fit_calibration(logits: Float[np.ndarray, "n l"], truth: LabelSets, *, method: Method = "shrunk") -> Calibration:
    """Return the calibration that fits the known cells; the identity without positives.

    There are four methods:

    - `shrunk`: one scale and shift for all labels, and an offset for each, shrunk by empirical Bayes: the variance of the
      offsets is estimated from the labels themselves, by expectation-maximisation in step with Newton's method. Takes
      about ten passes over the cells. With a single label there is no offset beside the shift. The default.
    - `temperature`: one scale for all labels and nothing else.
    - `platt`: scale and offset of each label by itself; `shrunk` for labels of fewer than 20 positives or negatives.
    - `isotonic`: a rising curve of each label; `shrunk` for labels of fewer than 100 positives or negatives.

    Raises:
        ScoreError: If shapes disagree, there is no sample, or a logit is not finite.
        UsageError: If there is no such method.

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
    return calibrate(Cells.of(logits, truth), method_named(method))


def calibrate(cells: Cells, method: Method = "shrunk") -> Calibration:
    """Return the calibration of some cells: see `fit_calibration`."""
    num_labels = cells.positive.shape[1]
    if not cells.positive.any():
        return Calibration.identity(num_labels)
    match method:
        case "shrunk":
            return _shrunk(cells)
        case "temperature":
            return Calibration(scale=fit_temperature(cells), shift=0.0, offsets=np.zeros(num_labels), method=method)
        case "platt":
            shared, own = _shrunk(cells), cells.fewest >= ENOUGH_FOR_A_LINE
            lines = fit_lines(cells, own)
            return Calibration(
                scale=shared.scale,
                shift=shared.shift,
                offsets=np.where(own, lines.offsets - shared.shift, shared.offsets),
                slopes=np.where(own, lines.scales / shared.scale, 1.0),
                method=method,
            )
        case "isotonic":
            curves = fit_curves(cells, cells.fewest >= ENOUGH_FOR_A_CURVE)
            return replace(_shrunk(cells), curves=curves, method=method)
        case _:
            assert_never(method)


def has_own(calibration: Calibration, fewest: Int64[np.ndarray, " l"]) -> Bool[np.ndarray, " l"]:
    """Return which labels are calibrated by themselves, given the number of the rarer of their two states.

    >>> has_own(Calibration(scale=1.0, shift=0.0, offsets=np.zeros(2), method="platt"), np.array([3, 40]))
    array([False,  True])
    """
    if calibration.method == "isotonic":
        return np.isin(np.arange(fewest.size), [curve.label for curve in calibration.curves])
    return fewest >= ENOUGH_FOR_A_LINE if calibration.method == "platt" else np.zeros(fewest.shape, dtype=bool)


def _shrunk(cells: Cells) -> Calibration:
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
