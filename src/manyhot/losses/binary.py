"""Binary cross-entropy of logits against sparse targets: each cell is a yes-or-no question of its own.

A cell's loss is softplus(z) where it is negative and softplus(-z) where it is positive. All cells are computed as
negatives in one pass and the few positives overwritten, so that no dense target is built, and nothing large is added
only to be subtracted again: the loss keeps its digits when the model is sure.
"""

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn
from torch.nn.functional import softplus

from manyhot.errors import TargetError, UsageError
from manyhot.labels import LabelCounts
from manyhot.losses.interface import Reduction, check_reduction, reduce_cells
from manyhot.targets import SparseTargets

# Above it softplus(z) is z. torch's default of 20 is off by 2e-9, which float64 can tell.
SOFTPLUS_THRESHOLD = 40.0


def binary_cross_entropy_with_logits(
    logits: Float[Tensor, "n l"],
    targets: SparseTargets,
    *,
    pos_weight: Float[Tensor, " l"] | None = None,
    reduction: Reduction = "mean",
) -> Float[Tensor, ""]:
    """Return the binary cross-entropy of a batch over its known cells, in float32 at least.

    Equals `torch.nn.functional.binary_cross_entropy_with_logits` where every cell is known. The model must not end in
    a sigmoid: the loss contains it.

    Args:
        logits: Raw outputs; half precision is computed in float32.
        targets: Positives, with their confidence as soft targets where they have any, and unknown cells.
        pos_weight: How much more a positive of each label counts; 1 if not given.
        reduction: `mean` over known cells, `sample_mean` over samples, of all ranks (see `reduce_cells`), or `sum`.

    Raises:
        TargetError: If logits, targets and pos_weight do not fit together.

    >>> targets = SparseTargets.from_lists([[0], []], num_labels=2)
    >>> binary_cross_entropy_with_logits(torch.zeros(2, 2), targets)
    tensor(0.6931)
    """
    cells = binary_cross_entropy_cells(logits, targets, pos_weight=pos_weight)
    return reduce_cells(cells, targets.known_mask(), reduction=reduction)


def binary_cross_entropy_cells(
    logits: Float[Tensor, "n l"], targets: SparseTargets, *, pos_weight: Float[Tensor, " l"] | None = None
) -> Float[Tensor, "n l"]:
    """Return the binary cross-entropy of each cell; unknown cells are computed as negatives, to be left out later.

    Takes 4 bytes a cell. For arguments and errors see `binary_cross_entropy_with_logits`.

    >>> targets = SparseTargets.from_lists([[0]], num_labels=2)
    >>> binary_cross_entropy_cells(torch.tensor([[0.0, 100.0]]), targets, pos_weight=torch.tensor([3.0, 3.0]))
    tensor([[  2.0794, 100.0000]])
    """
    targets.check_matches(logits)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    rows, ids = targets.row_ids(), targets.label_ids.long()
    positives = logits[rows, ids]
    losses = softplus(-positives, threshold=SOFTPLUS_THRESHOLD)
    if pos_weight is not None:
        _check_pos_weight(pos_weight, targets)
        losses = losses * pos_weight.to(losses.dtype)[ids]
    if targets.values is not None:
        confidence = targets.values.to(losses.dtype)
        losses = confidence * losses + (1 - confidence) * softplus(positives, threshold=SOFTPLUS_THRESHOLD)
    return softplus(logits, threshold=SOFTPLUS_THRESHOLD).index_put_((rows, ids), losses)


class BinaryCrossEntropy(nn.Module):
    """Binary cross-entropy with logits, as a module that keeps its `pos_weight` on the model's device.

    Args:
        pos_weight: How much more a positive of each label counts; 1 if not given. It is not saved with the weights.
        reduction: As in `binary_cross_entropy_with_logits`.

    Raises:
        TargetError: If a weight is negative or not finite.

    >>> loss = BinaryCrossEntropy(pos_weight=torch.tensor([1.0, 3.0]))
    >>> loss(torch.zeros(2, 2), SparseTargets.from_lists([[1], []], num_labels=2))
    tensor(1.0397)
    """

    pos_weight: Float32[Tensor, " l"] | None

    def __init__(self, pos_weight: Float[Tensor, " l"] | None = None, *, reduction: Reduction = "mean") -> None:
        super().__init__()
        check_reduction(reduction)
        if pos_weight is not None and not bool((torch.isfinite(pos_weight) & (pos_weight >= 0)).all()):
            raise TargetError("a pos_weight is negative or not finite; give one number from 0 for each label")
        self.reduction: Reduction = reduction
        weight = None if pos_weight is None else pos_weight.detach().float()
        self.register_buffer("pos_weight", weight, persistent=False)

    def forward(self, logits: Float[Tensor, "n l"], targets: SparseTargets) -> Float[Tensor, ""]:
        """Return the loss of a batch."""
        return binary_cross_entropy_with_logits(logits, targets, pos_weight=self.pos_weight, reduction=self.reduction)

    def extra_repr(self) -> str:
        """Return the settings for `repr`."""
        return f"reduction={self.reduction!r}, weighted={self.pos_weight is not None}"


def pos_weight_from_counts(counts: LabelCounts, *, maximum: float = 100.0) -> Float32[Tensor, " l"]:
    """Return negatives / positives of each label, so that both weigh the same in the loss.

    Weights are kept within 1/maximum and maximum: a weight of thousands makes single positives shake the training,
    and a weight of 0 would teach a constant label nothing. A label without positives gets 1: there is nothing to weigh.

    Weights move the probabilities that the model ends with: fit the decision afterwards.

    Raises:
        UsageError: If `maximum` is below 1.

    >>> pos_weight_from_counts(LabelCounts(positives=np.array([50, 1, 0]), known=np.array([100, 1_000, 100])))
    tensor([  1., 100.,   1.])
    """
    if not 1 <= maximum < float("inf"):
        raise UsageError(f"the maximum of pos_weight is {maximum}; it must be a number from 1")
    weights = np.ones(counts.positives.shape)
    np.divide(counts.negatives, counts.positives, out=weights, where=counts.positives > 0)
    return torch.from_numpy(weights.clip(1 / maximum, maximum).astype(np.float32))


def _check_pos_weight(pos_weight: Tensor, targets: SparseTargets) -> None:
    if pos_weight.shape != (targets.num_labels,):
        raise TargetError(
            f"pos_weight has shape {tuple(pos_weight.shape)} for {targets.num_labels:,} labels; give one weight a label"
        )
