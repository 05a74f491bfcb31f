"""From the logits of a chunk to their gradient, in place, and the sum of the losses: all that lies between two products.

On the CPU in float32 compiled loops do it, in one pass; elsewhere torch differentiates the curves, chunk by chunk.
"""

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from manyhot.losses.linear.chunks import ChunkCells
from manyhot.losses.linear.curves import CellRule, curves_of


def logits_to_gradient(
    logits: Float[Tensor, "n c"], cells: ChunkCells, rule: CellRule, bias: Float[Tensor, " c"] | None = None
) -> Float64[Tensor, ""]:
    """Write the gradient of the scaled loss over the logits, and return the sum of the losses, not scaled, in float64.

    Args:
        logits: Of the chunk, without the bias.
        cells: What is known of the chunk's cells.
        rule: What their loss is.
        bias: Of the chunk's labels.

    >>> from manyhot.losses.linear.chunks import BatchCells
    >>> from manyhot.losses.linear.curves import Binary
    >>> from manyhot.targets import SparseTargets
    >>> logits, cells = torch.zeros(1, 2), BatchCells(SparseTargets.from_lists([[0]], num_labels=2)).of_chunk(0)
    >>> total = logits_to_gradient(logits, cells, CellRule(curve=Binary(), label_weight=None, scale=torch.tensor(0.5)))
    >>> logits, total
    (tensor([[-0.2500,  0.2500]]), tensor(1.3863, dtype=torch.float64))
    """
    if logits.device.type == "cpu" and logits.dtype == torch.float32:
        from manyhot.losses.linear.cpu_pointwise import logits_to_gradient_on_cpu

        return logits_to_gradient_on_cpu(logits, cells, rule, bias)
    return differentiate(logits, cells, rule, bias)


def differentiate(
    logits: Float[Tensor, "n c"], cells: ChunkCells, rule: CellRule, bias: Float[Tensor, " c"] | None = None
) -> Float64[Tensor, ""]:
    """Do what `logits_to_gradient` does by differentiating the curves, on any device and in any dtype.

    Under `torch.inference_mode`, where nobody can want a gradient, the logits are left without one.
    """
    curves, place = curves_of(rule.curve), (cells.rows, cells.columns)
    with torch.enable_grad():
        leaf = (logits if bias is None else logits.add_(bias)).detach()
        leaf.requires_grad_(not torch.is_inference_mode_enabled())
        at_positives = leaf[place]
        losses = curves.positive(at_positives, cells.columns + cells.labels.start)
        if cells.values is not None:
            confidence = cells.values.to(losses.dtype)
            losses = confidence * losses + (1 - confidence) * curves.negative(at_positives, ...)
        # As in `cell_losses`: all are negatives until the positives are written over them.
        each = curves.negative(leaf, ...)
        if cells.unknown is not None:
            each = each.masked_fill(cells.unknown, 0)
        each = each.index_put(place, losses)
        if rule.label_weight is not None:
            each = each * rule.label_weight[cells.labels].to(each.dtype)
        total = each.sum(dtype=torch.float64)
        if not leaf.requires_grad:
            return total
        (gradient,) = torch.autograd.grad(total, leaf)
    torch.mul(gradient, rule.scale.to(gradient.dtype), out=logits)
    return total.detach()
