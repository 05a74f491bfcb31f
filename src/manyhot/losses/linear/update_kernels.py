"""Loops that move weights of 16 bits, compiled by numba; import this inside functions only.

Gradients come in float32, or as the bits of bfloat16. A `widen` of None says float32: its type is known when a loop is compiled.
Where a CPU multiplies and adds in one operation, float32 numbers in halves are rounded once a step, as torch's own optimisers
round them: the results are equal bit by bit.
"""

# ruff: noqa: PLR0917 - compiled functions are called by position

from typing import no_type_check

import numpy as np
from jaxtyping import Float32, Int16, Shaped

from manyhot.compiling import compiled, compiled_arithmetic

HALF_BITS = np.int32(16)
ROUND_UP = np.int32(0x8000)
LOW_BITS = np.uint32(0xFFFF)


@compiled_arithmetic
@no_type_check
def descend_split(
    high: Int16[np.ndarray, "c d"],
    low: Int16[np.ndarray, "c d"],
    gradient: Shaped[np.ndarray, "c d"],
    steps: Float32[np.ndarray, " c"],
    widen: bool | None,
) -> None:
    """Take steps · gradient off float32 numbers that are kept as their bfloat16 and what it lacks."""
    for row in range(high.shape[0]):
        own_high, own_low, own_gradient, step = high[row], low[row], gradient[row], steps[row]
        for column in range(len(own_high)):
            bits = np.int32(np.int32(own_high[column]) << HALF_BITS)
            value = np.int32(bits + np.int32(own_low[column])).view(np.float32)
            value = value - step * _number(own_gradient[column], widen)
            bits = np.float32(value).view(np.int32)
            upper = np.int32(np.int32(bits + ROUND_UP) >> HALF_BITS)
            own_high[column] = np.int16(upper)
            own_low[column] = np.int16(np.int32(bits - np.int32(upper << HALF_BITS)))


@compiled
@no_type_check
def descend_rounded(
    weights: Int16[np.ndarray, "c d"],
    gradient: Shaped[np.ndarray, "c d"],
    steps: Float32[np.ndarray, " c"],
    widen: bool | None,
    key: np.uint32,
    first_row: int,
) -> None:
    """Take steps · gradient off bfloat16 numbers, rounded up or down by chance, in proportion to how near each is.

    Each row and column has noise of its own, which depends on nothing but the key and these two. One hash serves two columns.
    """
    half = weights.shape[1] // 2
    for row in range(weights.shape[0]):
        own, own_gradient, step = weights[row], gradient[row], steps[row]
        row_key = _mix(np.uint32(key + _mix(np.uint32(first_row + row))))
        for column in range(half):
            noise = _mix(np.uint32(row_key + np.uint32(column)))
            own[column] = _rounded(own[column], step, _number(own_gradient[column], widen), np.uint32(noise & LOW_BITS))
            other = column + half
            own[other] = _rounded(
                own[other], step, _number(own_gradient[other], widen), np.uint32(noise >> np.uint32(16))
            )
        if weights.shape[1] > 2 * half:
            last = 2 * half
            noise = np.uint32(_mix(np.uint32(row_key + np.uint32(last))) & LOW_BITS)
            own[last] = _rounded(own[last], step, _number(own_gradient[last], widen), noise)


@compiled
@no_type_check
def key_of(seed: int, step: int) -> np.uint32:
    """Return the key of a step's noise."""
    key = _mix(_mix(np.uint32(seed)) + np.uint32(seed >> 32))
    return _mix(_mix(np.uint32(key + np.uint32(step))) + np.uint32(step >> 32))


@compiled
@no_type_check
def _mix(value: np.uint32) -> np.uint32:
    """Return a number that depends on every bit of another one (Wellons 2018, lowbias32)."""
    value = np.uint32(value ^ np.uint32(value >> np.uint32(16)))
    value = np.uint32(value * np.uint32(0x7FEB352D))
    value = np.uint32(value ^ np.uint32(value >> np.uint32(15)))
    value = np.uint32(value * np.uint32(0x846CA68B))
    return np.uint32(value ^ np.uint32(value >> np.uint32(16)))


@compiled
@no_type_check
def _rounded(weight: np.int16, step: np.float32, gradient: np.float32, noise: np.uint32) -> np.int16:
    value = np.int32(np.int32(weight) << HALF_BITS).view(np.float32)
    value = np.float32(value - np.float32(step * gradient))
    bits = np.float32(value).view(np.uint32)
    return np.int16(np.int32(np.uint32(bits + noise)) >> HALF_BITS)


@compiled
@no_type_check
def _number(value: np.float32, widen: bool | None) -> np.float32:
    if widen is None:
        return value
    return np.int32(np.int32(value) << HALF_BITS).view(np.float32)
