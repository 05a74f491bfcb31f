"""From the logits of a chunk to their gradient, in place, and the sum of the losses: all that lies between two products."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from manyhot.losses.linear.chunks import ChunkCells
from manyhot.losses.linear.curves import Curve, curves_of


@dataclass(frozen=True, kw_only=True, eq=False)
class CellRule:
    """What the loss of a cell is, and how much it counts.

    Args:
        curve: The loss of positives and of negatives.
        label_weight: How much each label's cells count.
        scale: What gradients are multiplied by: the reduction, known before the first chunk; in the dtype of the computation.
    """

    curve: Curve
    label_weight: Float[Tensor, " l"] | None
    scale: Float[Tensor, ""]


def logits_to_gradient(logits: Float[Tensor, "n c"], cells: ChunkCells, rule: CellRule) -> Float64[Tensor, ""]:
    """Write the gradient of the scaled loss over the logits, and return the sum of the losses, not scaled, in float64.

    >>> from manyhot.losses.linear.chunks import BatchCells
    >>> from manyhot.losses.linear.curves import Binary
    >>> from manyhot.targets import SparseTargets
    >>> logits, cells = torch.zeros(1, 2), BatchCells(SparseTargets.from_lists([[0]], num_labels=2)).of_chunk(0)
    >>> total = logits_to_gradient(logits, cells, CellRule(curve=Binary(), label_weight=None, scale=torch.tensor(0.5)))
    >>> logits, total
    (tensor([[-0.2500,  0.2500]]), tensor(1.3863, dtype=torch.float64))
    """
    curves, place = curves_of(rule.curve), (cells.rows, cells.columns)
    with torch.enable_grad():
        leaf = logits.detach().requires_grad_()
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
        (gradient,) = torch.autograd.grad(total, leaf)
    torch.mul(gradient, rule.scale.to(gradient.dtype), out=logits)
    return total.detach()
