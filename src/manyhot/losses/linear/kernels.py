"""Loops over the cells of a chunk, compiled by numba; import this inside functions only.

Cells are taken as negatives in loops without a branch, which the compiler turns into vectors: about a nanosecond a cell, where
exponentials and logarithms one by one take nine. Positives are few: they are taken out first and written over afterwards.
"""

# ruff: noqa: PLR0917 - compiled functions are called by position

import math
from typing import no_type_check

import numpy as np
from jaxtyping import Float32, Float64, Int64

from manyhot.compiling import compiled_arithmetic

# A logit so low that loss and gradient of a negative are 0: what stands where a cell does not count as one.
OUT = np.float32(-3e38)
ZERO, HALF, ONE, TWO = np.float32(0), np.float32(0.5), np.float32(1), np.float32(2)
# ln 2 in two parts, the first with so few digits that its product with a small whole number is exact (Cody, Waite 1980).
LN2_HIGH, LN2_LOW, LOG2_E = np.float32(0.693359375), np.float32(-2.12194440e-4), np.float32(1.4426950408889634)
SMALLEST_POWER = np.float32(-126)
LOWEST_EXPONENT = np.float32(-87)
SMALLEST = np.float32(1.2e-38)
# The bits of sqrt(1/2), and those of the exponent: a logarithm takes numbers to between sqrt(1/2) and sqrt(2).
ROOT_BITS, MANTISSA_BITS, EXPONENT_BIAS = np.int32(0x3F3504F3), np.int32(23), np.int32(127)


@compiled_arithmetic
@no_type_check
def binary_negatives(
    logits: Float32[np.ndarray, "n c"],
    bias: Float32[np.ndarray, " c"],
    weights: Float32[np.ndarray, " c"],
    totals: Float64[np.ndarray, " c"],
) -> None:
    """Write the weighted gradient of softplus(z) over the logits, and add the losses to the totals of their labels."""
    for row in range(logits.shape[0]):
        own = logits[row]
        for label in range(len(totals)):
            logit = own[label] + bias[label]
            small = _exp(-abs(logit))
            share = ONE / (ONE + small)
            totals[label] += np.float64(max(logit, ZERO) + _log1p(small))
            own[label] = weights[label] * (share if logit >= ZERO else small * share)


@compiled_arithmetic
@no_type_check
def focal_negatives(
    logits: Float32[np.ndarray, "n c"],
    bias: Float32[np.ndarray, " c"],
    weights: Float32[np.ndarray, " c"],
    totals: Float64[np.ndarray, " c"],
    gamma: np.float32,
    whole: int,
    rest: np.float32 | None,
) -> None:
    """The same for p^gamma softplus(z), gamma being `whole` and a `rest`, or no more than `whole`, which is below 8."""
    for row in range(logits.shape[0]):
        own = logits[row]
        for label in range(len(totals)):
            logit = own[label] + bias[label]
            small = _exp(-abs(logit))
            share = ONE / (ONE + small)
            prob = share if logit >= ZERO else small * share
            other = small * share if logit >= ZERO else share
            loss = max(logit, ZERO) + _log1p(small)
            focus = _power(prob, whole, rest)
            totals[label] += np.float64(focus * loss)
            own[label] = weights[label] * focus * (gamma * other * loss + prob)


@compiled_arithmetic
@no_type_check
def shifted_negatives(
    logits: Float32[np.ndarray, "n c"],
    bias: Float32[np.ndarray, " c"],
    weights: Float32[np.ndarray, " c"],
    totals: Float64[np.ndarray, " c"],
    gamma: np.float32,
    whole: int,
    rest: np.float32 | None,
    clip: np.float32,
) -> None:
    """The same for q^gamma · -log(1 - q), where q = p - clip is above 0, and 0 elsewhere."""
    for row in range(logits.shape[0]):
        own = logits[row]
        for label in range(len(totals)):
            logit = own[label] + bias[label]
            small = _exp(-abs(logit))
            share = ONE / (ONE + small)
            prob = share if logit >= ZERO else small * share
            above = prob > clip
            # A half in place of 0: its quotients are numbers, and nobody looks at them.
            shifted = prob - clip if above else HALF
            loss = -_log1m(shifted)
            focus = _power(shifted, whole, rest) if above else ZERO
            slope = gamma * loss / shifted + ONE / (ONE - shifted)
            totals[label] += np.float64(focus * loss)
            own[label] = weights[label] * focus * slope * (small * share * share)


@compiled_arithmetic
@no_type_check
def take_out(
    logits: Float32[np.ndarray, "n c"],
    rows: Int64[np.ndarray, " p"],
    columns: Int64[np.ndarray, " p"],
    taken: Float32[np.ndarray, " p"],
) -> None:
    """Read the logits of positives, and leave in their place what counts nothing as a negative."""
    for index in range(len(rows)):
        taken[index] = logits[rows[index], columns[index]]
        logits[rows[index], columns[index]] = OUT


@compiled_arithmetic
@no_type_check
def put_back(
    gradient: Float32[np.ndarray, "n c"],
    rows: Int64[np.ndarray, " p"],
    columns: Int64[np.ndarray, " p"],
    taken: Float32[np.ndarray, " p"],
    bias: Float32[np.ndarray, " c"],
    confidence: Float32[np.ndarray, " p_or_0"],
    positive: Float64[np.ndarray, " c"],
    negative: Float64[np.ndarray, " c"],
    focus: tuple[float, float, float],
    scale: float,
) -> float:
    """Write the gradients of positives to their places, and return the sum of their weighted losses.

    Args:
        gradient: Of the chunk.
        rows: Of positives.
        columns: Of positives.
        taken: Logits of positives, without the bias.
        bias: Of the chunk's labels.
        confidence: Of positives; empty when all are certain.
        positive: What the loss of a label's positives counts, and
        negative: that of its negatives, of which a positive of less confidence has a share.
        focus: gamma of positives, gamma of negatives, and clip.
        scale: What gradients are multiplied by.
    """
    total = 0.0
    for index in range(len(rows)):
        label = columns[index]
        logit = np.float64(taken[index] + bias[label])
        loss, slope = _positive(logit, focus[0])
        loss, slope = loss * positive[label], slope * positive[label]
        if len(confidence):
            share = np.float64(confidence[index])
            other, other_slope = _negative(logit, focus[1], focus[2])
            loss = share * loss + (1 - share) * negative[label] * other
            slope = share * slope + (1 - share) * negative[label] * other_slope
        total += loss
        gradient[rows[index], label] = scale * slope
    return total


@compiled_arithmetic
@no_type_check
def _positive(logit: float, gamma: float) -> tuple[float, float]:
    """Return (1 - p)^gamma softplus(-z) and its slope."""
    loss, slope = _negative(-logit, gamma, 0.0)
    return loss, -slope


@compiled_arithmetic
@no_type_check
def _negative(logit: float, gamma: float, clip: float) -> tuple[float, float]:
    """Return q^gamma · -log(1 - q) with q = max(p - clip, 0), and its slope."""
    small = math.exp(-abs(logit))
    share = 1 / (1 + small)
    prob = share if logit >= 0 else small * share
    other = small * share if logit >= 0 else share
    if clip == 0:
        loss = max(logit, 0.0) + math.log1p(small)
        focus = prob**gamma
        return focus * loss, focus * (gamma * other * loss + prob)
    shifted = prob - clip
    if shifted <= 0:
        return 0.0, 0.0
    loss = -math.log1p(-shifted)
    focus = shifted**gamma
    return focus * loss, focus * (gamma * loss / shifted + 1 / (1 - shifted)) * prob * other


@compiled_arithmetic
@no_type_check
def _exp(value: np.float32) -> np.float32:
    """Return e^value of a value not above 0, to one unit in the last place."""
    power = max(np.rint(value * LOG2_E), SMALLEST_POWER)
    left = (value - power * LN2_HIGH) - power * LN2_LOW
    series = np.float32(1 / 5040) * left + np.float32(1 / 720)
    series = series * left + np.float32(1 / 120)
    series = series * left + np.float32(1 / 24)
    series = series * left + np.float32(1 / 6)
    series = series * left + HALF
    series = series * left + ONE
    series = series * left + ONE
    scale = np.int32((np.int32(power) + EXPONENT_BIAS) << MANTISSA_BITS).view(np.float32)
    return ZERO if value < LOWEST_EXPONENT else series * scale


@compiled_arithmetic
@no_type_check
def _log1p(value: np.float32) -> np.float32:
    """Return log(1 + value) of a value from 0 to 1, as 2 atanh(value / (2 + value))."""
    ratio = value / (TWO + value)
    square = ratio * ratio
    series = np.float32(1 / 15) * square + np.float32(1 / 13)
    series = series * square + np.float32(1 / 11)
    series = series * square + np.float32(1 / 9)
    return TWO * ratio * _atanh_end(series, square)


@compiled_arithmetic
@no_type_check
def _log1m(value: np.float32) -> np.float32:
    """Return log(1 - value) of a value from 0 to below 1."""
    return _log(ONE - value, -value)


@compiled_arithmetic
@no_type_check
def _log(value: np.float32, less_one: np.float32) -> np.float32:
    """Return the logarithm of a value above 0 and not above 1, given the value less 1 with all the digits that it has."""
    bits = np.float32(value).view(np.int32)
    power = np.int32(np.int32(bits - ROOT_BITS) >> MANTISSA_BITS)
    near = np.int32(bits - np.int32(power << MANTISSA_BITS)).view(np.float32)
    off = less_one if power == 0 else near - ONE
    ratio = off / (TWO + off)
    square = ratio * ratio
    series = np.float32(1 / 11) * square + np.float32(1 / 9)
    whole = np.float32(power)
    return whole * LN2_HIGH + (TWO * ratio * _atanh_end(series, square) + whole * LN2_LOW)


@compiled_arithmetic
@no_type_check
def _atanh_end(series: np.float32, square: np.float32) -> np.float32:
    series = series * square + np.float32(1 / 7)
    series = series * square + np.float32(1 / 5)
    series = series * square + np.float32(1 / 3)
    return series * square + ONE


@compiled_arithmetic
@no_type_check
def _power(base: np.float32, whole: int, rest: np.float32 | None) -> np.float32:
    """Return base^(whole + rest) of a base from 0 to 1."""
    square = base * base
    result = (base if whole & 1 else ONE) * (square if whole & 2 else ONE) * (square * square if whole & 4 else ONE)
    # None, not 0: its type is known when this is compiled, and what it leaves out costs nothing.
    if rest is None:
        return result
    return result * _exp(rest * _log(max(base, SMALLEST), base - ONE))
