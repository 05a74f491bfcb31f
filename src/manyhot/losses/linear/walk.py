"""The walk over label chunks: logits, their gradient in place, and a visitor that uses it up before the next chunk comes."""

from collections.abc import Callable

from jaxtyping import Float, Float64
from torch import Tensor

from manyhot.losses.linear.chunks import BatchCells
from manyhot.losses.linear.curves import CellRule
from manyhot.losses.linear.passes import pass_over
from manyhot.losses.linear.products import Products

Read = Callable[[slice], Float[Tensor, "c d"]]
"""Weights of a slice of labels, in the dtype of the products."""
Visit = Callable[[slice, Float[Tensor, "n c"], Float[Tensor, "c d"]], None]
"""What becomes of a chunk: its labels, the gradient of its logits, and its weights as they were read."""


def walk(
    features: Float[Tensor, "n d"],
    read: Read,
    cells: BatchCells,
    rule: CellRule,
    products: Products,
    *,
    bias: Float[Tensor, " l"] | None = None,
    visit: Visit | None = None,
) -> Float64[Tensor, ""]:
    """Return the sum of all losses, not scaled; the visitor sees each chunk once, and the gradient is overwritten after it.

    Logits and what lies between the products are in the dtype of the rule's scale, whatever the dtype of the products.

    >>> import torch
    >>> from manyhot.losses.linear.curves import Binary
    >>> from manyhot.losses.linear.products import TORCH
    >>> from manyhot.targets import SparseTargets
    >>> weight, targets = torch.zeros(2, 3), SparseTargets.from_lists([[1]], num_labels=2)
    >>> rule = CellRule(curve=Binary(), label_weight=None, scale=torch.tensor(1.0))
    >>> walk(torch.ones(1, 3), lambda labels: weight[labels], BatchCells(targets), rule, TORCH)
    tensor(1.3863, dtype=torch.float64)
    """
    cell_pass = pass_over(cells, rule, bias)
    for index, labels in enumerate(cells.chunks):
        weight = read(labels)
        logits = products.project(features, weight).to(rule.scale.dtype)
        cell_pass.run(index, logits)
        if visit is not None:
            visit(labels, logits.to(features.dtype), weight)
    return cell_pass.total()
