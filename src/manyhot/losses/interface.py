"""What a loss is, and how the losses of cells or samples become one number, on one process or many."""

from typing import Literal, Protocol, get_args, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, distributed

from manyhot.errors import TargetError, UsageError, did_you_mean
from manyhot.targets import DenseTargets, SparseTargets

Reduction = Literal["mean", "sample_mean", "sum", "none"]
Targets = SparseTargets | DenseTargets
"""What a loss is given: sparse targets, or a dense matrix of 1, 0 and NaN (unknown) for a loop of your own."""


@runtime_checkable
class Loss(Protocol):
    """Logits and targets to a scalar: what a training step minimises.

    Each implementation passes `tests/contracts/test_loss_contract.py`: unknown cells change nothing, neither does the
    order of samples or labels, and logits of any size give finite values and gradients.
    """

    def __call__(self, logits: Float[Tensor, "n l"], targets: SparseTargets) -> Float[Tensor, ""]:
        """Return the loss of a batch."""
        ...


@runtime_checkable
class EpochAware(Protocol):
    """A loss that changes as training goes on: told by the training at the start of each epoch."""

    def start_epoch(self, epoch: int) -> None:
        """Take note that an epoch begins; the first is 0."""
        ...


def check_reduction(reduction: str, known: tuple[str, ...] = get_args(Reduction)) -> None:
    """Check that there is such a reduction.

    Raises:
        UsageError: Naming the nearest one.

    >>> check_reduction("mean")
    """
    if reduction not in known:
        raise UsageError(f"reduction {reduction!r} is none of {', '.join(known)}{did_you_mean(str(reduction), known)}")


def reduce_cells(
    cells: Float[Tensor, "n l"], known: Bool[Tensor, "n l"] | None, *, reduction: Reduction
) -> Float[Tensor, ""] | Float[Tensor, "n l"]:
    """Return the loss of the global batch from the losses of this process's cells.

    `mean` divides by the known cells of the batches of all ranks, `sample_mean` by their samples, `sum` by nothing. The
    mean of the returned values over the ranks is the loss of the global batch, and so is the mean of their gradients,
    which is what DistributedDataParallel applies: ranks with fewer known cells do not count more. Ranks exchange one
    number, and only while gradients are recorded: an evaluation may have more batches on one rank than on another.
    A batch without known cells (or samples) has loss 0. `none` returns the cells of this process, 0 where unknown.

    Args:
        cells: Loss of each cell; that of an unknown cell is not looked at.
        known: Which cells are known; None when all are.
        reduction: What to divide by.

    >>> cells, known = torch.tensor([[1.0, 2.0, 9.0], [3.0, 4.0, 9.0]]), torch.tensor([[True, True, False]] * 2)
    >>> [reduce_cells(cells, known, reduction=reduction).item() for reduction in ("mean", "sample_mean", "sum")]
    [2.5, 5.0, 10.0]
    """
    # masked_fill rather than a product: an infinite loss times 0 is NaN.
    kept = cells if known is None else cells.masked_fill(~known, 0)
    if reduction == "none":
        return kept
    if reduction == "mean" and known is not None:
        return reduce_total(kept.sum(), known.sum(), reduction=reduction)
    return reduce_total(kept.sum(), cells.numel() if reduction == "mean" else cells.shape[0], reduction=reduction)


def reduce_samples(
    samples: Float[Tensor, " n"], counted: Bool[Tensor, " n"], *, reduction: Reduction
) -> Float[Tensor, ""] | Float[Tensor, " n"]:
    """Return the loss of the global batch from the losses of this process's samples.

    `mean` divides by the samples that have a loss, on all ranks, `sample_mean` by all samples; for the rest see
    `reduce_cells`. `none` returns the losses of this process's samples, 0 for those without one.

    Args:
        samples: Loss of each sample; that of a sample that does not count is not looked at.
        counted: Which samples have a loss: those with a positive, say.
        reduction: What to divide by.

    >>> samples, counted = torch.tensor([2.0, 4.0, 9.0]), torch.tensor([True, True, False])
    >>> [reduce_samples(samples, counted, reduction=reduction).item() for reduction in ("mean", "sample_mean", "sum")]
    [3.0, 2.0, 6.0]
    """
    kept = samples.masked_fill(~counted, 0)
    if reduction == "none":
        return kept
    return reduce_total(kept.sum(), counted.sum() if reduction == "mean" else samples.shape[0], reduction=reduction)


def reduce_means(
    sums: Float[Tensor, " n"], counts: Int64[Tensor, " n"], *, reduction: Reduction
) -> Float[Tensor, ""] | Float[Tensor, " n"]:
    """Return the loss of the global batch from each sample's sum over its known cells, as torch's multi-label losses do.

    `mean` and `sample_mean` are those of `reduce_cells`. `none` returns the mean over the known cells of each of this
    process's samples, 0 for those without one, and `sum` sums these means.

    Args:
        sums: Over the known cells of each sample.
        counts: How many cells of each sample are known.
        reduction: What to divide by.

    >>> sums, counts = torch.tensor([2.0, 4.0]), torch.tensor([2, 1])
    >>> [reduce_means(sums, counts, reduction=reduction).item() for reduction in ("mean", "sample_mean", "sum")]
    [2.0, 3.0, 5.0]
    """
    if reduction in ("mean", "sample_mean"):
        return reduce_total(sums.sum(), counts.sum() if reduction == "mean" else len(sums), reduction=reduction)
    means = sums / counts.clamp(min=1)
    return means if reduction == "none" else reduce_total(means.sum(), 1, reduction=reduction)


def reduce_total(
    total: Float[Tensor, ""], count: Int64[Tensor, ""] | int, *, reduction: Reduction
) -> Float[Tensor, ""]:
    """Return this process's share of a sum over the global batch, divided by a count over it unless it is to be a `sum`.

    >>> reduce_total(torch.tensor(6.0), torch.tensor(4), reduction="mean")
    tensor(1.5000)
    """
    ranks = num_ranks()
    total = total if ranks == 1 else total * ranks
    if reduction == "sum":
        return total
    if isinstance(count, int):
        if ranks == 1:
            # No tensor is made of it: in a small batch that is a tenth of the whole loss.
            return total / max(count, 1)
        count = torch.full((), count, device=total.device)
    return total / over_ranks(count).clamp(min=1)


def check_numbers(weights: object, name: str) -> None:
    """Check that weights are a tensor with more than a number for all: a single number or a list is what many try first.

    Raises:
        TargetError: If they are not.

    >>> check_numbers(torch.ones(2), "pos_weight")
    """
    if not isinstance(weights, Tensor):
        raise TargetError(f"{name} is of type {type(weights).__name__}; give a tensor with one number for each")
    if weights.ndim == 0:
        raise TargetError(f"{name} is a single number, {weights.item():g}; give a tensor with one number for each")


def num_ranks() -> int:
    """Return how many processes share the global batch: 1 while no gradients are recorded.

    >>> num_ranks()
    1
    """
    shared = distributed.is_available() and distributed.is_initialized() and torch.is_grad_enabled()
    return distributed.get_world_size() if shared else 1


def over_ranks(count: Int64[Tensor, "*shape"]) -> Int64[Tensor, "*shape"]:
    """Return a count summed over the processes that share the global batch.

    >>> over_ranks(torch.tensor(3))
    tensor(3)
    """
    if num_ranks() > 1:
        distributed.all_reduce(count)
    return count
