"""Calibrations with one or two parameters each: a temperature for all labels, or a line in log-odds for every label."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from manyhot.decisions.cells import Block, Cells

_MAX_STEPS = 60
_TOLERANCE = 1e-8
# Of the temperature's logarithm and of a label's two parameters in standardised logits: no step is longer.
_LONGEST_STEP = 2.0
# A label whose logits rank worse than chance keeps their order.
_SMALLEST_SLOPE = 1e-3


@dataclass(frozen=True, kw_only=True, eq=False)
class Lines:
    """Scale and offset of the logits of each label."""

    scales: Float64[np.ndarray, " l"]
    offsets: Float64[np.ndarray, " l"]


def fit_temperature(cells: Cells) -> float:
    """Return the scale of highest likelihood on all known cells, 1 over the temperature; 1 without positives.

    Source: Guo, Pleiss, Sun, Weinberger 2017, for one sigmoid a label.

    >>> from manyhot.labels import LabelSets
    >>> truth = LabelSets.from_names([["cat"], ["cat"], ["cat"], []] * 10)
    >>> round(fit_temperature(Cells.of(np.full((40, 1), 4.0), truth)), 3)
    0.275
    """
    if not cells.positive.any():
        return 1.0
    log_scale = 0.0
    for _ in range(_MAX_STEPS):
        scale = np.exp(log_scale)
        slope, curvature = 0.0, 0.0
        for block in cells.blocks():
            found = _temperature_sums(block, scale)
            slope, curvature = slope + found[0], curvature + found[1]
        # In the logarithm of the scale, where it cannot turn negative; Gauss-Newton.
        step = float(np.clip(slope / max(scale * curvature, 1e-12), -_LONGEST_STEP, _LONGEST_STEP))
        log_scale = float(np.clip(log_scale + step, np.log(_SMALLEST_SLOPE), -np.log(_SMALLEST_SLOPE)))
        if abs(step) < _TOLERANCE:
            break
    return float(np.exp(log_scale))


def _temperature_sums(block: Block, scale: float) -> tuple[float, float]:
    from scipy.special import expit

    probs = expit(scale * block.values)
    errors = np.where(block.known, (block.positive - probs) * block.values, 0.0)
    weights = np.where(block.known, probs * (1.0 - probs) * block.values**2, 0.0)
    return float(errors.sum()), float(weights.sum())


def fit_lines(cells: Cells, wanted: Bool[np.ndarray, " l"]) -> Lines:
    """Return scale and offset of each wanted label by itself; 1 and 0 for the others.

    Targets are (P + 1)/(P + 2) and 1/(N + 2) rather than 1 and 0, so that the fit stays finite whatever the data.

    Source: Platt 1999; Lin, Lin, Weng 2007.

    >>> from manyhot.labels import LabelSets
    >>> truth = LabelSets.from_names([["cat"], ["cat"], ["cat"], []] * 10)
    >>> lines = fit_lines(Cells.of(np.array([[2.0], [1.0], [1.0], [-1.0]] * 10), truth), np.array([True]))
    >>> lines.scales.round(2), lines.offsets.round(2)
    (array([2.57]), array([0.34]))
    """
    lines = Lines(scales=np.ones(wanted.size), offsets=np.zeros(wanted.size))
    for block in cells.blocks():
        chosen = wanted[block.labels]
        if chosen.any():
            part = Block(
                labels=block.labels,
                values=block.values[chosen],
                positive=block.positive[chosen],
                known=block.known[chosen],
            )
            scales, offsets = _fit(part)
            lines.scales[block.labels][chosen] = scales
            lines.offsets[block.labels][chosen] = offsets
    return lines


def _fit(block: Block) -> tuple[Float64[np.ndarray, " b"], Float64[np.ndarray, " b"]]:
    from scipy.special import expit

    known, count = block.known, block.known.sum(axis=1)
    positives = block.positive.sum(axis=1)
    centres = np.where(known, block.values, 0.0).sum(axis=1) / count
    spreads = np.sqrt((np.where(known, block.values - centres[:, None], 0.0) ** 2).sum(axis=1) / count)
    spreads = np.where(spreads > 1e-9, spreads, 1.0)
    units = np.where(known, (block.values - centres[:, None]) / spreads[:, None], 0.0)
    high, low = (positives + 1.0) / (positives + 2.0), 1.0 / (count - positives + 2.0)
    targets = np.where(block.positive, high[:, None], low[:, None])
    slopes, shifts = np.zeros(len(units)), np.log(positives + 1.0) - np.log(count - positives + 1.0)
    for _ in range(_MAX_STEPS):
        probs = expit(slopes[:, None] * units + shifts[:, None])
        errors = np.where(known, targets - probs, 0.0)
        weights = np.where(known, probs * (1.0 - probs), 0.0)
        gradient = np.stack([(errors * units).sum(axis=1), errors.sum(axis=1)], axis=1)
        mixed = (weights * units).sum(axis=1)
        # The small number keeps a label of equal logits solvable.
        hessian = np.stack([(weights * units**2).sum(axis=1) + 1e-6, mixed, mixed, weights.sum(axis=1) + 1e-6], axis=1)
        steps = np.linalg.solve(hessian.reshape(-1, 2, 2), gradient[:, :, None])[:, :, 0]
        steps = np.clip(steps, -_LONGEST_STEP, _LONGEST_STEP)
        slopes, shifts = np.maximum(slopes + steps[:, 0], _SMALLEST_SLOPE), shifts + steps[:, 1]
        if np.abs(steps).max() < _TOLERANCE:
            break
    return slopes / spreads, shifts - slopes * centres / spreads
