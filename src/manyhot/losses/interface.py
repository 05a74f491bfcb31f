"""What a loss is, and how the losses of cells become one number, on one process or many."""

from typing import Literal, Protocol, get_args, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, distributed

from manyhot.errors import UsageError, did_you_mean
from manyhot.targets import SparseTargets

Reduction = Literal["mean", "sample_mean", "sum"]


@runtime_checkable
class Loss(Protocol):
    """Logits and targets to a scalar: what a training step minimises.

    Each implementation passes `tests/contracts/test_loss_contract.py`: unknown cells change nothing, neither does the
    order of samples or labels, and logits of any size give finite values and gradients.
    """

    def __call__(self, logits: Float[Tensor, "n l"], targets: SparseTargets) -> Float[Tensor, ""]:
        """Return the loss of a batch."""
        ...


def check_reduction(reduction: str) -> None:
    """Check that there is such a reduction.

    Raises:
        UsageError: Naming the nearest one.

    >>> check_reduction("mean")
    """
    known = get_args(Reduction)
    if reduction not in known:
        raise UsageError(f"reduction {reduction!r} is none of {', '.join(known)}{did_you_mean(reduction, known)}")


def reduce_cells(
    cells: Float[Tensor, "n l"], known: Bool[Tensor, "n l"] | None, *, reduction: Reduction
) -> Float[Tensor, ""]:
    """Return the loss of the global batch from the losses of this process's cells.

    `mean` divides by the known cells of the batches of all ranks, `sample_mean` by their samples, `sum` by nothing. The
    mean of the returned values over the ranks is the loss of the global batch, and so is the mean of their gradients,
    which is what DistributedDataParallel applies: ranks with fewer known cells do not count more. Ranks exchange one
    number, and only while gradients are recorded: an evaluation may have more batches on one rank than on another.
    A batch without known cells (or samples) has loss 0.

    Args:
        cells: Loss of each cell; that of an unknown cell is not looked at.
        known: Which cells are known; None when all are.
        reduction: What to divide by.

    >>> cells, known = torch.tensor([[1.0, 2.0, 9.0], [3.0, 4.0, 9.0]]), torch.tensor([[True, True, False]] * 2)
    >>> [reduce_cells(cells, known, reduction=reduction).item() for reduction in ("mean", "sample_mean", "sum")]
    [2.5, 5.0, 10.0]
    """
    # masked_fill rather than a product: an infinite loss times 0 is NaN.
    total = (cells if known is None else cells.masked_fill(~known, 0)).sum()
    if reduction == "sum":
        return total * _num_ranks()
    if reduction == "mean" and known is not None:
        count = known.sum()
    else:
        count = torch.full((), cells.numel() if reduction == "mean" else cells.shape[0], device=cells.device)
    return total * _num_ranks() / _over_ranks(count).clamp(min=1)


def _num_ranks() -> int:
    """Return how many processes share the global batch."""
    shared = distributed.is_available() and distributed.is_initialized() and torch.is_grad_enabled()
    return distributed.get_world_size() if shared else 1


def _over_ranks(count: Int64[Tensor, ""]) -> Int64[Tensor, ""]:
    if _num_ranks() > 1:
        distributed.all_reduce(count)
    return count
