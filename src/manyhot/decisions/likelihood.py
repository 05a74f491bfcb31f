"""The posterior that calibration maximises, and Newton's step on it: its Hessian is an arrow, solved label by label."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from manyhot.decisions.cells import Block, Cells

# Standard deviations of the priors, in log-odds (for the scale: a standard deviation of the logits). They are wide, and
# speak only where an error-free ranking leaves the likelihood without a maximum.
SCALE_PRIOR = 10.0
SHIFT_PRIOR = 100.0
# Logits that rank worse than chance get this scale: next to no information, but their order stays.
SMALLEST_SCALE = 1e-3
_MAX_HALVINGS = 12
_MAX_ROUNDS = 1_000
_SMALLEST_VARIANCE, _LARGEST_VARIANCE = 1e-4, 100.0
# How far an offset moves by itself in one step, at most. Where the curve is flat Newton's step is boundless, and one such
# label would hold the step of all others back.
_LONGEST_STEP = 2.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Parameters:
    """Scale and shift of the standardised logits, and the offset of each label; also a step of them."""

    scale: float
    shift: float
    offsets: Float64[np.ndarray, " l"]

    def moved(self, step: "Parameters", size: float) -> "Parameters":
        """Return these parameters moved by a part of a step."""
        return Parameters(
            scale=self.scale + size * step.scale,
            shift=self.shift + size * step.shift,
            offsets=self.offsets + size * step.offsets,
        )

    @property
    def largest(self) -> float:
        """The largest change among all of them, for a step."""
        return max(abs(self.scale), abs(self.shift), float(np.abs(self.offsets).max()))


@dataclass(frozen=True, kw_only=True, eq=False)
class Moments:
    """Log-likelihood, and by label the sums over known cells that its first and second derivatives are made of.

    Args:
        log_likelihood: Of all known cells.
        error: Sum of y - p.
        error_logit: Sum of (y - p) u, with u the standardised logit.
        weight: Sum of p (1 - p).
        weight_logit: Sum of p (1 - p) u.
        weight_square: Sum of p (1 - p) u².
    """

    log_likelihood: float
    error: Float64[np.ndarray, " l"]
    error_logit: Float64[np.ndarray, " l"]
    weight: Float64[np.ndarray, " l"]
    weight_logit: Float64[np.ndarray, " l"]
    weight_square: Float64[np.ndarray, " l"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Posterior:
    """The posterior of calibration parameters on some cells.

    Args:
        cells: Logits and truth.
        centre: Mean of the known logits.
        spread: Root mean square distance of the known logits from their label's mean; 1 where there is none.
    """

    cells: Cells
    centre: float
    spread: float

    @staticmethod
    def of(cells: Cells) -> "Posterior":
        """Return the posterior on some cells, standardised by their logits."""
        total, within, count = 0.0, 0.0, 0
        for block in cells.blocks():
            known = block.known.sum(axis=1)
            sums = np.where(block.known, block.values, 0.0).sum(axis=1)
            means = sums / np.maximum(known, 1)
            within += float((np.where(block.known, block.values - means[:, None], 0.0) ** 2).sum())
            total, count = total + float(sums.sum()), count + int(known.sum())
        # A spread of rounding errors is none.
        spread = float(np.sqrt(within / max(count, 1)))
        centre = total / max(count, 1)
        return Posterior(cells=cells, centre=centre, spread=spread if spread > 1e-9 * (1 + abs(centre)) else 1.0)

    def start(self) -> Parameters:
        """Return the parameters of no information: the pooled prevalence for every label."""
        counts = np.array([(int(block.positive.sum()), int(block.known.sum())) for block in self.cells.blocks()])
        positives, known = counts.sum(axis=0)
        shift = float(np.log(positives + 1.0) - np.log(known - positives + 1.0))
        return Parameters(scale=SMALLEST_SCALE, shift=shift, offsets=np.zeros(self.cells.positive.shape[1]))

    def moments(self, parameters: Parameters) -> Moments:
        """Return the sums over all known cells: one pass."""
        parts = [self._block_moments(block, parameters) for block in self.cells.blocks()]
        sums = np.concatenate([by_label for _, by_label in parts], axis=1)
        error, error_logit, weight, weight_logit, weight_square = sums
        return Moments(
            log_likelihood=float(sum(likelihood for likelihood, _ in parts)),
            error=error,
            error_logit=error_logit,
            weight=weight,
            weight_logit=weight_logit,
            weight_square=weight_square,
        )

    def _block_moments(self, block: Block, parameters: Parameters) -> tuple[float, Float64[np.ndarray, "5 b"]]:
        from scipy.special import expit

        units = np.where(block.known, (block.values - self.centre) / self.spread, 0.0)
        log_odds = parameters.scale * units + (parameters.shift + parameters.offsets[block.labels])[:, None]
        probs = expit(log_odds)
        # log(1 + exp(x)) without overflow.
        softplus = np.maximum(log_odds, 0.0) - np.log(np.maximum(probs, 1.0 - probs))
        likelihood = float(log_odds[block.positive].sum()) - float(softplus[block.known].sum())
        errors = np.where(block.known, block.positive - probs, 0.0)
        weights = np.where(block.known, probs * (1.0 - probs), 0.0)
        weighted = weights * units
        sums = [
            errors.sum(axis=1),
            np.einsum("bn,bn->b", errors, units),
            weights.sum(axis=1),
            weighted.sum(axis=1),
            np.einsum("bn,bn->b", weighted, units),
        ]
        return likelihood, np.stack(sums)

    @staticmethod
    def newton_step(parameters: Parameters, moments: Moments, variance: float) -> Parameters:
        """Return Newton's step for a given variance of the offsets; the scale never goes below its smallest value."""
        gain = moments.error - parameters.offsets / variance
        # Damped where the curve is so flat that the step would be longer than sense: still uphill for all labels together.
        curvature = np.maximum(moments.weight + 1.0 / variance, np.abs(gain) / _LONGEST_STEP)
        # The offsets are eliminated: each is coupled with scale and shift only (Schur complement).
        coupling = np.stack([moments.weight_logit, moments.weight])
        gradient = np.array(
            [
                moments.error_logit.sum() - parameters.scale / SCALE_PRIOR**2,
                moments.error.sum() - parameters.shift / SHIFT_PRIOR**2,
            ]
        )
        mixed = moments.weight_logit.sum()
        hessian = np.array(
            [
                [moments.weight_square.sum() + SCALE_PRIOR**-2, mixed],
                [mixed, moments.weight.sum() + SHIFT_PRIOR**-2],
            ]
        )
        hessian = hessian - (coupling / curvature) @ coupling.T
        gradient = gradient - coupling @ (gain / curvature)
        scale, shift = np.linalg.solve(hessian, gradient)
        if parameters.scale + scale < SMALLEST_SCALE:
            scale = SMALLEST_SCALE - parameters.scale
            shift = (gradient[1] - hessian[1, 0] * scale) / hessian[1, 1]
        offsets = (gain - coupling[0] * scale - coupling[1] * shift) / curvature
        return Parameters(scale=float(scale), shift=float(shift), offsets=offsets)

    def walk(
        self, parameters: Parameters, moments: Moments, step: Parameters, variance: float
    ) -> tuple[Parameters, Moments]:
        """Return the parameters after the step, halved until the posterior does not fall."""
        before = _log_posterior(parameters, moments, variance)
        for halving in range(_MAX_HALVINGS):
            moved = parameters.moved(step, 0.5**halving)
            moved_moments = self.moments(moved)
            if _log_posterior(moved, moved_moments, variance) >= before - 1e-9 * abs(before):
                return moved, moved_moments
        return parameters, moments


def offset_variance(parameters: Parameters, moments: Moments, variance: float) -> float:
    """Return the variance of the offsets that explains them best, by expectation-maximisation to its end.

    Each label's likelihood is taken as the parabola that Newton's step takes it for, so no pass over cells is needed.
    """
    seen = moments.weight > 0
    if not seen.any():
        return variance
    weight = moments.weight[seen]
    evidence = weight * parameters.offsets[seen] + moments.error[seen]
    for _ in range(_MAX_ROUNDS):
        precision = weight + 1.0 / variance
        previous, variance = variance, float(((evidence / precision) ** 2 + 1.0 / precision).mean())
        variance = min(max(variance, _SMALLEST_VARIANCE), _LARGEST_VARIANCE)
        if abs(variance - previous) <= 1e-7 * previous:
            break
    return variance


def _log_posterior(parameters: Parameters, moments: Moments, variance: float) -> float:
    return (
        moments.log_likelihood
        - 0.5 * (parameters.scale / SCALE_PRIOR) ** 2
        - 0.5 * (parameters.shift / SHIFT_PRIOR) ** 2
        - 0.5 * float((parameters.offsets**2).sum()) / variance
    )
