"""The pass over a chunk's cells on the CPU: which compiled loop runs, and with which numbers.

It runs on one thread. A second one would fight for its core with torch's own, which go on spinning after a product: on two
cores the pass took as long as before, and the update of 16-bit weights three times as long.
"""

from dataclasses import dataclass
from typing import assert_never

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64
from torch import Tensor

from manyhot.losses.linear.chunks import ChunkCells
from manyhot.losses.linear.curves import Asymmetric, Binary, CellRule, Curve, Focal

# Powers up to it are products.
MAX_WHOLE = 7


@dataclass(frozen=True, kw_only=True, eq=False)
class Focus:
    """A curve in numbers: positives count `positive · (1 - p)^gamma_pos`, negatives `negative · (p - clip)^gamma_neg`."""

    gamma_neg: float = 0.0
    gamma_pos: float = 0.0
    clip: float = 0.0
    negative: float = 1.0
    positive: float | Float64[np.ndarray, " c"] = 1.0


def logits_to_gradient_on_cpu(
    logits: Float32[Tensor, "n c"], cells: ChunkCells, rule: CellRule, bias: Float[Tensor, " c"] | None
) -> Float64[Tensor, ""]:
    """Do what `logits_to_gradient` does in one pass over the cells and one over the positives."""
    from manyhot.losses.linear import kernels

    focus, width = _focus_of(rule.curve, cells.labels), logits.shape[1]
    label_weight = np.ones(width) if rule.label_weight is None else _numbers(rule.label_weight[cells.labels])
    own_bias = np.zeros(width, np.float32) if bias is None else bias.detach().numpy()
    positives = (cells.rows.numpy(), cells.columns.numpy(), np.empty(len(cells.rows), np.float32))
    matrix, scale = logits.numpy(), float(rule.scale)
    kernels.take_out(matrix, *positives)
    if cells.unknown is not None:
        logits.masked_fill_(cells.unknown, float(kernels.OUT))
    negative = label_weight * focus.negative
    totals = _negatives(focus, matrix, own_bias, (negative * scale).astype(np.float32))
    at_positives = kernels.put_back(
        matrix,
        *positives,
        own_bias,
        np.empty(0, np.float32) if cells.values is None else cells.values.float().numpy(),
        label_weight * focus.positive,
        negative,
        (focus.gamma_pos, focus.gamma_neg, focus.clip),
        scale,
    )
    return torch.from_numpy(np.array(totals @ negative + at_positives))


def _negatives(
    focus: Focus,
    matrix: Float32[np.ndarray, "n c"],
    bias: Float32[np.ndarray, " c"],
    weights: Float32[np.ndarray, " c"],
) -> Float64[np.ndarray, " c"]:
    from manyhot.losses.linear import kernels

    whole = min(int(focus.gamma_neg), MAX_WHOLE)
    rest = None if whole == focus.gamma_neg else np.float32(focus.gamma_neg - whole)
    power = (np.float32(focus.gamma_neg), whole, rest)
    totals = np.zeros(len(weights))
    if focus.clip:
        kernels.shifted_negatives(matrix, bias, weights, totals, *power, np.float32(focus.clip))
    elif focus.gamma_neg:
        kernels.focal_negatives(matrix, bias, weights, totals, *power)
    else:
        kernels.binary_negatives(matrix, bias, weights, totals)
    return totals


def _focus_of(curve: Curve, labels: slice) -> Focus:
    match curve:
        case Binary():
            return Focus() if curve.pos_weight is None else Focus(positive=_numbers(curve.pos_weight[labels]))
        case Focal():
            negative, positive = (1.0, 1.0) if curve.alpha is None else (1 - curve.alpha, curve.alpha)
            return Focus(gamma_neg=curve.gamma, gamma_pos=curve.gamma, negative=negative, positive=positive)
        case Asymmetric():
            return Focus(gamma_neg=curve.gamma_neg, gamma_pos=curve.gamma_pos, clip=curve.clip)
        case _:
            assert_never(curve)


def _numbers(weights: Float[Tensor, " c"]) -> Float64[np.ndarray, " c"]:
    return weights.detach().double().numpy()
