"""Loops over the cells of a chunk on a GPU, in Triton; import this inside functions only, where there is Triton.

Three kernels a chunk: positives are taken out, all cells are computed as negatives in place, and positives are written back.
Which positives a chunk owns is read from device memory, so nothing waits for the device and a CUDA graph can hold it all. Each
program adds its losses to a place of its own, in float64: the sum does not depend on which program was first.
"""

from typing import no_type_check

import triton
import triton.language as tl

# A logit so low that loss and gradient of a negative are 0: what stands where a cell does not count as one.
OUT = tl.constexpr(-3.0e38)


@triton.jit
@no_type_check
def take_out(logits, rows, labels, bounds, taken, chunk, first, stride, BLOCK: tl.constexpr):
    """Read the logits of a chunk's positives, and leave in their place what counts nothing as a negative."""
    place = tl.load(bounds + chunk) + tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    own = place < tl.load(bounds + chunk + 1)
    cell = tl.load(rows + place, own, 0).to(tl.int64) * stride + tl.load(labels + place, own, 0) - first
    tl.store(taken + place, tl.load(logits + cell, own, 0.0), own)
    tl.store(logits + cell, tl.full((BLOCK,), OUT, tl.float32), own)


@triton.jit
@no_type_check
def negatives(
    logits, bias, weights, unknown, losses, scale, num_rows, width, stride, gamma, clip,
    HAS_BIAS: tl.constexpr, HAS_UNKNOWN: tl.constexpr, FOCAL: tl.constexpr, SHIFTED: tl.constexpr,
    ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Write the gradient of each cell's loss as a negative over its logit, and add the losses to this program's."""
    column = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    row = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    inside = (row < num_rows)[:, None] & (column < width)[None, :]
    cell = row.to(tl.int64)[:, None] * stride + column[None, :]
    logit = tl.load(logits + cell, inside, OUT)
    if HAS_BIAS:
        logit += tl.load(bias + column, column < width, 0.0)[None, :]
    if HAS_UNKNOWN:
        place = row.to(tl.int64)[:, None] * width + column[None, :]
        logit = tl.where(tl.load(unknown + place, inside, 1) != 0, OUT, logit)
    loss, slope = _negative(logit, gamma, clip, FOCAL, SHIFTED)
    weight = tl.load(weights + column, column < width, 0.0)[None, :]
    tl.store(logits + cell, slope * weight * tl.load(scale), inside)
    program = tl.program_id(1) * tl.num_programs(0) + tl.program_id(0)
    total = tl.sum(tl.where(inside, loss * weight, 0.0).to(tl.float64))
    tl.store(losses + program, tl.load(losses + program) + total)


@triton.jit
@no_type_check
def put_back(
    gradient, rows, labels, bounds, taken, bias, positive_weights, weights, confidence, losses, scale,
    chunk, first, stride, gamma_pos, gamma_neg, clip,
    HAS_BIAS: tl.constexpr, HAS_CONFIDENCE: tl.constexpr, FOCAL_POS: tl.constexpr,
    FOCAL: tl.constexpr, SHIFTED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Write the gradients of positives to their places, and add their losses to this program's."""
    place = tl.load(bounds + chunk) + tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    own = place < tl.load(bounds + chunk + 1)
    column = tl.load(labels + place, own, first) - first
    logit = tl.load(taken + place, own, 0.0)
    if HAS_BIAS:
        logit += tl.load(bias + column, own, 0.0)
    loss, slope = _negative(-logit, gamma_pos, 0.0, FOCAL_POS, False)
    weight = tl.load(positive_weights + column, own, 0.0)
    loss, slope = loss * weight, -slope * weight
    if HAS_CONFIDENCE:
        share = tl.load(confidence + place, own, 1.0)
        other, other_slope = _negative(logit, gamma_neg, clip, FOCAL, SHIFTED)
        rest = (1.0 - share) * tl.load(weights + column, own, 0.0)
        loss, slope = share * loss + rest * other, share * slope + rest * other_slope
    cell = tl.load(rows + place, own, 0).to(tl.int64) * stride + column
    tl.store(gradient + cell, slope * tl.load(scale), own)
    total = tl.sum(tl.where(own, loss, 0.0).to(tl.float64))
    tl.store(losses + tl.program_id(0), tl.load(losses + tl.program_id(0)) + total)


@triton.jit
@no_type_check
def _negative(logit, gamma, clip, FOCAL: tl.constexpr, SHIFTED: tl.constexpr):
    """Return q^gamma · -log(1 - q) with q = max(p - clip, 0), and its slope."""
    small = tl.exp(-tl.abs(logit))
    share = 1.0 / (1.0 + small)
    prob = tl.where(logit >= 0, share, small * share)
    other = tl.where(logit >= 0, small * share, share)
    rest = _log1p(small)
    if SHIFTED:
        above = prob > clip
        # A half in place of 0: its quotients are numbers, and nobody looks at them.
        shifted = tl.where(above, prob - clip, 0.5)
        left = tl.where(above, other + clip, 0.5)
        loss = -tl.log(left)
        focus = tl.where(above, tl.exp(gamma * tl.log(shifted)), 0.0)
        return focus * loss, focus * (gamma * loss / shifted + 1.0 / left) * prob * other
    loss = tl.maximum(logit, 0.0) + rest
    if FOCAL:
        # log p = -softplus(-z): a power of p that is exact where p is near 0.
        focus = tl.exp(-gamma * (tl.maximum(-logit, 0.0) + rest))
        return focus * loss, focus * (gamma * other * loss + prob)
    return loss, prob


@triton.jit
@no_type_check
def _log1p(value):
    """Return log(1 + value) of a value from 0 to 1; after Kahan, the error of the sum is taken back by a quotient."""
    whole = 1.0 + value
    off = whole - 1.0
    return tl.where(off == 0.0, value, tl.log(whole) * (value / tl.where(off == 0.0, 1.0, off)))
