"""Probabilities of many logits and what they cost, compiled by numba; import this inside functions only.

The exponential and the logarithm are polynomials whose relative error is below 1e-15, written so that the compiler turns
them into vectors: about ten times as fast as a call for each cell. Sums go over fixed lanes, so a row's sum is the same
in every batch. A cell that is NaN adds nothing.
"""

# ruff: noqa: PLR0917 - compiled functions are called by position

from typing import no_type_check

import numpy as np
from jaxtyping import Float, Float64, Int64

from manyhot.compiling import compiled, compiled_arithmetic

CHUNK = 1024
LANES = 32
LOG2_E = 1.4426950408889634
# The two parts of log 2: the first has few bits, so that its multiples by whole numbers are exact.
LN2_HIGH, LN2_LOW = 0.6931471803691238, 1.9082149292705877e-10
LN2 = 0.6931471805599453
# Added to a small number, it leaves the nearest whole number in the last bits.
ROUNDER = 6755399441055744.0
EXPONENT_BIAS = 1023
LEAST = -700.0
SQRT_2 = 1.4142135623730951
# Chebyshev interpolation of exp on ±log(2) / 2 and of atanh(√t) / √t on [0, 1/9], relative errors 3e-16 and 5e-17.
E1, E2, E3, E4, E5 = 1.0, 0.50000000000000056, 0.16666666666554314, 0.041666666666573068, 0.0083333333856992117
E6, E7, E8 = 0.0013888888932514779, 0.00019841170230570287, 2.4801504313785540e-5
E9, E10 = 2.7640197391694840e-6, 2.7626371065696356e-7
A1, A2, A3, A4 = 0.33333333333341287, 0.19999999997643800, 0.14285714555828580, 0.11111095430673142
A5, A6, A7 = 0.090914299002369555, 0.076818381244458171, 0.067956527427899469
A8, A9 = 0.049403945243823931, 0.088903819130566514


@compiled_arithmetic
@no_type_check
def write_probs(values: Float[np.ndarray, " c"], are_logits: bool, probs: Float64[np.ndarray, " c"]) -> None:
    """Write the probabilities that logits, or probabilities, mean."""
    if not are_logits:
        for index in range(len(values)):
            # NaN is no number at all, and so not at least 0.
            probs[index] = np.float64(values[index]) if values[index] >= 0 else 0.0
        return
    _write_small(values, probs)
    for index in range(len(values)):
        upper = np.divide(1.0, 1 + probs[index])
        probs[index] = upper if values[index] >= 0 else probs[index] * upper


@compiled_arithmetic
@no_type_check
def judge_logits(
    logits: Float[np.ndarray, " c"], probs: Float64[np.ndarray, " c"], losses: Float64[np.ndarray, " c"]
) -> None:
    """Write σ(z) and log(1 + exp(z)), what the cells mean and cost if they are negative."""
    _write_small(logits, probs)
    for index in range(len(logits)):
        logit, small = np.float64(logits[index]), probs[index]
        inverse = np.divide(1.0, (1 + small) * (2 + small))
        upper = inverse * (2 + small)
        probs[index] = upper if logit >= 0 else small * upper
        half = small * inverse * (1 + small)
        losses[index] = (logit if logit > 0 else 0.0) + 2 * half * _atanh_ratio(half * half)


@compiled_arithmetic
@no_type_check
def _write_small(logits: Float[np.ndarray, " c"], small: Float64[np.ndarray, " c"]) -> None:
    """Write exp(−|z|)."""
    bits = np.empty(len(logits), dtype=np.float64)
    for index in range(len(logits)):
        value = -abs(np.float64(logits[index]))
        value = value if value > LEAST else LEAST
        rounded = value * LOG2_E + ROUNDER
        bits[index] = rounded
        power = rounded - ROUNDER
        rest = (value - power * LN2_HIGH) - power * LN2_LOW
        tail = E5 + rest * (E6 + rest * (E7 + rest * (E8 + rest * (E9 + rest * E10))))
        small[index] = 1 + rest * (E1 + rest * (E2 + rest * (E3 + rest * (E4 + rest * tail))))
    whole = bits.view(np.int64)
    for index in range(len(logits)):
        whole[index] = (whole[index] + EXPONENT_BIAS) << 52
    for index in range(len(logits)):
        small[index] *= bits[index]


@compiled_arithmetic
@no_type_check
def judge_probs(
    given: Float[np.ndarray, " c"], probs: Float64[np.ndarray, " c"], losses: Float64[np.ndarray, " c"]
) -> None:
    """Write p and −log(1 − p), what the cells mean and cost if they are negative."""
    rest = np.empty(len(given), dtype=np.float64)
    for index in range(len(given)):
        value = np.float64(given[index])
        probs[index] = value if value >= 0 else 0.0
        rest[index] = 1 - probs[index]
    whole = rest.view(np.int64)
    for index in range(len(given)):
        value = probs[index]
        is_small = value <= 0.5
        exponent = np.float64((whole[index] >> 52) - EXPONENT_BIAS)
        left = rest[index]
        whole[index] = (whole[index] & ((1 << 52) - 1)) | (EXPONENT_BIAS << 52)
        is_upper = rest[index] > SQRT_2
        mantissa = rest[index] * (0.5 if is_upper else 1.0)
        exponent = 0.0 if is_small else exponent + (1.0 if is_upper else 0.0)
        half = np.divide(-value if is_small else mantissa - 1, 2 - value if is_small else mantissa + 1)
        loss = -(exponent * LN2 + 2 * half * _atanh_ratio(half * half))
        losses[index] = np.inf if left == 0 else loss


@compiled_arithmetic
@no_type_check
def _atanh_ratio(square: float) -> float:
    tail = A5 + square * (A6 + square * (A7 + square * (A8 + square * A9)))
    return 1 + square * (A1 + square * (A2 + square * (A3 + square * (A4 + square * tail))))


@compiled
@no_type_check
def sum_losses(
    values: Float[np.ndarray, "n l"],
    are_logits: bool,
    offsets: Int64[np.ndarray, " offsets"],
    label_ids: Int64[np.ndarray, " p"],
    squares: Float64[np.ndarray, " n"],
    losses: Float64[np.ndarray, " n"],
) -> None:
    """Write for each row of a block the sums over its cells of (p − y)² and of −log-likelihood.

    Args:
        values: Logits or probabilities, NaN where unknown.
        are_logits: Which of the two.
        offsets: Row `i` of the block owns the positives `offsets[i]:offsets[i + 1]`.
        label_ids: Their labels, sorted.
        squares: Is written.
        losses: Is written.
    """
    probs, costs = np.empty(CHUNK, dtype=np.float64), np.empty(CHUNK, dtype=np.float64)
    sums = np.empty((2, LANES), dtype=np.float64)
    for row in range(values.shape[0]):
        sums[:] = 0
        following = offsets[row]
        for start in range(0, values.shape[1], CHUNK):
            cells = values[row, start : start + CHUNK]
            _judge(cells, are_logits, probs, costs)
            while following < offsets[row + 1] and label_ids[following] < start + len(cells):
                index = label_ids[following] - start
                probs[index], costs[index] = _judge_positive(np.float64(cells[index]), are_logits)
                following += 1
            _add_lanes(probs, costs, sums)
        squares[row], losses[row] = _fold(sums[0]), _fold(sums[1])


@compiled
@no_type_check
def _judge(
    cells: Float[np.ndarray, " m"], are_logits: bool, probs: Float64[np.ndarray, " c"], costs: Float64[np.ndarray, " c"]
) -> None:
    count = len(cells)
    if are_logits:
        judge_logits(cells, probs[:count], costs[:count])
    else:
        judge_probs(cells, probs[:count], costs[:count])
    probs[count:] = 0
    costs[count:] = 0


@compiled
@no_type_check
def _judge_positive(value: float, are_logits: bool) -> tuple[float, float]:
    """Return 1 − p and −log p."""
    if not are_logits:
        return 1 - value, -np.log(value)
    small = np.exp(-abs(value))
    return np.divide(small if value >= 0 else 1.0, 1 + small), max(-value, 0.0) + np.log1p(small)


@compiled_arithmetic
@no_type_check
def _add_lanes(
    probs: Float64[np.ndarray, " c"], costs: Float64[np.ndarray, " c"], sums: Float64[np.ndarray, "2 lanes"]
) -> None:
    squares, losses = sums[0], sums[1]
    for start in range(0, CHUNK, LANES):
        own, cost = probs[start : start + LANES], costs[start : start + LANES]
        for lane in range(LANES):
            squares[lane] += own[lane] * own[lane]
            losses[lane] += cost[lane]


@compiled
@no_type_check
def _fold(lanes: Float64[np.ndarray, " lanes"]) -> float:
    total = 0.0
    for lane in range(len(lanes)):
        total += lanes[lane]
    return total
