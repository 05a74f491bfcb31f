"""The pass over the cells of a batch, chunk after chunk: which way of it suits the device."""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from manyhot.gpus import runs_triton
from manyhot.losses.linear.chunks import BatchCells
from manyhot.losses.linear.curves import CellRule
from manyhot.losses.linear.pointwise import logits_to_gradient


@runtime_checkable
class CellPass(Protocol):
    """From logits to gradients, chunk after chunk of one batch."""

    def run(self, index: int, logits: Float[Tensor, "n c"]) -> None:
        """Write the gradient of the scaled loss over the logits of a chunk, which are without the bias."""
        ...

    def total(self) -> Float64[Tensor, ""]:
        """Return the sum of the losses of all chunks so far, not scaled."""
        ...


class ChunkPass:
    """The pass on a CPU, and on any device without Triton.

    Args:
        cells: The batch's targets.
        rule: The loss of a cell.
        bias: Of the head; None where it has none.
    """

    def __init__(self, cells: BatchCells, rule: CellRule, bias: Float[Tensor, " l"] | None) -> None:
        self._cells, self._rule, self._bias = cells, rule, bias
        self._total = torch.zeros((), dtype=torch.float64, device=cells.targets.device)

    def run(self, index: int, logits: Float[Tensor, "n c"]) -> None:
        """Write the gradient of the scaled loss over the logits of a chunk, which are without the bias."""
        bias = None if self._bias is None else self._bias[self._cells.chunks[index]]
        self._total += logits_to_gradient(logits, self._cells.of_chunk(index), self._rule, bias)

    def total(self) -> Float64[Tensor, ""]:
        """Return the sum of the losses of all chunks so far, not scaled."""
        return self._total


def pass_over(cells: BatchCells, rule: CellRule, bias: Float[Tensor, " l"] | None) -> CellPass:
    """Return the pass that suits the device of the targets and the dtype of the rule's scale.

    >>> from manyhot.losses.linear.curves import Binary
    >>> from manyhot.targets import SparseTargets
    >>> rule = CellRule(curve=Binary(), label_weight=None, scale=torch.tensor(1.0))
    >>> one = pass_over(BatchCells(SparseTargets.from_lists([[1]], num_labels=2)), rule, None)
    >>> one.run(0, torch.zeros(1, 2))
    >>> one.total()
    tensor(1.3863, dtype=torch.float64)
    """
    if rule.scale.dtype == torch.float32 and runs_triton(cells.targets.device):
        from manyhot.losses.linear.gpu_pointwise import GpuPass

        return GpuPass(cells, rule, bias)
    return ChunkPass(cells, rule, bias)
