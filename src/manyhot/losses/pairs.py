"""What losses of whole samples share: which cells are negatives, and sums over each sample's positives."""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from manyhot.targets import SparseTargets

# Stands for the logarithm of an empty sum. Finite: the gradient of a logsumexp of infinities is NaN.
EMPTY = -1e30


def read_batch(logits: Float[Tensor, "n l"], targets: SparseTargets) -> Float[Tensor, "n l"]:
    """Return the logits in float32 at least, checked against the targets.

    >>> read_batch(torch.zeros(1, 2, dtype=torch.bfloat16), SparseTargets.from_lists([[0]], num_labels=2)).dtype
    torch.float32
    """
    targets.check_matches(logits)
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def positive_mask(targets: SparseTargets) -> Bool[Tensor, "n l"]:
    """Return which cells are positive: one byte a cell.

    >>> positive_mask(SparseTargets.from_lists([[1]], num_labels=2))
    tensor([[False,  True]])
    """
    mask = torch.zeros(targets.num_samples, targets.num_labels, dtype=torch.bool, device=targets.device)
    true = torch.ones((), dtype=torch.bool, device=targets.device)
    return mask.index_put_((targets.row_ids(), targets.label_ids.long()), true)


def negative_mask(targets: SparseTargets) -> Bool[Tensor, "n l"]:
    """Return which cells are known to be negative: one byte a cell.

    >>> negative_mask(SparseTargets.from_dense(torch.tensor([[1.0, 0.0, torch.nan]])))
    tensor([[False,  True, False]])
    """
    known, positives = targets.known_mask(), positive_mask(targets)
    return ~positives if known is None else known & ~positives


def count_positives(targets: SparseTargets) -> Int64[Tensor, " n"]:
    """Return the number of positives of each sample.

    >>> count_positives(SparseTargets.from_lists([[0, 1], []], num_labels=2))
    tensor([2, 0])
    """
    return targets.row_offsets.diff()


def sum_by_sample(values: Float[Tensor, " p"], targets: SparseTargets) -> Float[Tensor, " n"]:
    """Return the sum of the values of each sample's positives.

    >>> sum_by_sample(torch.tensor([1.0, 2.0]), SparseTargets.from_lists([[0, 1], []], num_labels=2))
    tensor([3., 0.])
    """
    return values.new_zeros(targets.num_samples).index_add(0, targets.row_ids(), values)


def logsumexp_by(values: Float[Tensor, " p"], groups: Int64[Tensor, " p"], num_groups: int) -> Float[Tensor, " g"]:
    """Return the logarithm of the sum of exponentials of each group's values; about -1e30 for an empty group.

    >>> logsumexp_by(torch.zeros(2), torch.tensor([0, 0]), 2)
    tensor([ 6.9315e-01, -1.0000e+30])
    """
    # The largest of each group, taken off first, is a constant to the gradient.
    largest = values.new_full((num_groups,), EMPTY)
    largest = largest.scatter_reduce(0, groups, values.detach(), "amax", include_self=True)
    sums = torch.zeros_like(largest).index_add(0, groups, torch.exp(values - largest[groups]))
    return largest + torch.log(torch.where(sums > 0, sums, 1.0))


def logsumexp_where(values: Float[Tensor, "n l"], mask: Bool[Tensor, "n l"], *, dim: int) -> Float[Tensor, " k"]:
    """Return the logarithm of the sum of exponentials over the cells of a mask; about -1e30 where there is none.

    >>> logsumexp_where(torch.zeros(1, 3), torch.tensor([[True, True, False]]), dim=1)
    tensor([0.6931])
    """
    if values.shape[dim] == 0:
        return values.new_full((values.shape[1 - dim],), EMPTY)
    # masked_fill stops the gradient of the other cells.
    return values.masked_fill(~mask, EMPTY).logsumexp(dim)
