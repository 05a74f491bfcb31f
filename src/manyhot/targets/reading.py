"""Targets from what a loss was given."""

from jaxtyping import Bool, Float, Int
from torch import Tensor

from manyhot.errors import TargetError
from manyhot.targets.sparse import SparseTargets

DenseTargets = Float[Tensor, "n l"] | Int[Tensor, "n l"] | Bool[Tensor, "n l"]


def as_targets(targets: SparseTargets | DenseTargets) -> SparseTargets:
    """Return targets from what a loss was given: sparse ones as they are, a dense matrix by `SparseTargets.from_dense`.

    Raises:
        TargetError: If they are neither, or the matrix holds anything else than 1, 0, NaN and confidences.

    >>> import torch
    >>> as_targets(torch.tensor([[0.0, 1.0]])).label_ids
    tensor([1], dtype=torch.int32)
    """
    if isinstance(targets, SparseTargets):
        return targets
    # Lists of ids and arrays are what many have at hand.
    if not isinstance(targets, Tensor):  # pyright: ignore[reportUnnecessaryIsInstance] - callers are not all typed
        raise TargetError(
            f"targets are of type {type(targets).__name__}; give a dense tensor, or of lists of ids "
            "SparseTargets.from_lists(rows, num_labels)"
        )
    return SparseTargets.from_dense(targets)
