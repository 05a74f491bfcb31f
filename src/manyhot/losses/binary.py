"""Binary cross-entropy of logits against sparse targets: each cell is a yes-or-no question of its own.

A cell's loss is softplus(z) where it is negative and softplus(-z) where it is positive.
"""

from typing import Unpack

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor

from manyhot.errors import UsageError
from manyhot.labels import LabelCounts
from manyhot.losses.cells import (
    CellLoss,
    CellOptions,
    CellWeights,
    Curves,
    LabelIndex,
    WeightedOptions,
    cell_loss,
    cell_losses,
    checked_weights,
)
from manyhot.losses.fused import binary_cells, softplus
from manyhot.losses.interface import Reduction, Targets, check_numbers, check_reduction, reduce_means
from manyhot.losses.unknown import Unknown
from manyhot.targets import as_targets


class BCEWithLogitsLoss(CellLoss):
    """Binary cross-entropy with logits, the value of `torch.nn.BCEWithLogitsLoss` where every cell is known.

    The model must not end in a sigmoid: the loss contains it. What torch calls `weight` is `label_weight` here where it
    has one number a label, else a part of `CellWeights`.

    Args:
        pos_weight: How much more a positive of each label counts; 1 if not given. It is not saved with the weights.
        options: As in `CellLoss`.

    Raises:
        TargetError: If a weight is negative or not finite.

    >>> loss = BCEWithLogitsLoss(pos_weight=torch.tensor([1.0, 3.0]))
    >>> loss(torch.zeros(2, 2), torch.tensor([[0.0, 1.0], [0.0, 0.0]]))
    tensor(1.0397)
    """

    pos_weight: Float32[Tensor, " l"] | None

    def __init__(
        self,
        # By keyword only: torch's first argument is another weight.
        *,
        pos_weight: Float[Tensor, " l"] | None = None,
        **options: Unpack[WeightedOptions],
    ) -> None:
        super().__init__(**options)
        self.register_buffer("pos_weight", checked_weights(pos_weight, "pos_weight"), persistent=False)

    def curves(self) -> Curves:
        """Return pos_weight · softplus(-z) and softplus(z)."""
        return binary_curves(self.pos_weight)

    def extra_repr(self) -> str:
        """Return the settings for `repr`."""
        return f"reduction={self.reduction!r}, weighted={self.pos_weight is not None}"


class MultiLabelSoftMarginLoss(CellLoss):
    """`torch.nn.MultiLabelSoftMarginLoss` from sparse targets: binary cross-entropy with logits under its other name.

    Args:
        weight: How much all cells of each label count.
        options: As in `CellLoss`, but `none` gives one number a sample, the mean over its known labels, and `sum` the
            sum of these, as torch's do.

    >>> MultiLabelSoftMarginLoss()(torch.zeros(2, 3), torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]))
    tensor(0.6931)
    """

    def __init__(self, weight: Float[Tensor, " l"] | None = None, **options: Unpack[CellOptions]) -> None:
        super().__init__(label_weight=weight, **options)

    def curves(self) -> Curves:
        """Return softplus(-z) and softplus(z)."""
        return binary_curves()

    def reduced(
        self, cells: Float[Tensor, "n l"], counted: Bool[Tensor, "n l"] | None
    ) -> Float[Tensor, ""] | Float[Tensor, " n"]:
        """Return the loss of a batch from those of its cells, as far as they count; None when all do."""
        return _reduce_as_soft_margin(cells, counted, self.reduction)


def binary_cross_entropy_with_logits(
    logits: Float[Tensor, "n l"],
    targets: Targets,
    *,
    pos_weight: Float[Tensor, " l"] | None = None,
    weights: CellWeights | None = None,
    label_smoothing: float = 0.0,
    unknown: Unknown = "ignore",
    reduction: Reduction = "mean",
) -> Float[Tensor, ""] | Float[Tensor, "n l"]:
    """Return the binary cross-entropy of a batch over its known cells, in float32 at least.

    Equals `torch.nn.functional.binary_cross_entropy_with_logits` where every cell is known. The model must not end in
    a sigmoid: the loss contains it.

    Args:
        logits: Raw outputs; half precision is computed in float32.
        targets: Positives, with their confidence as soft targets where they have any, and unknown cells; or a dense
            matrix.
        pos_weight: How much more a positive of each label counts; 1 if not given.
        weights: Of labels, samples and cells.
        label_smoothing: s makes targets of 1 - s/2 and s/2.
        unknown: What becomes of unknown cells: see `manyhot.losses.unknown`.
        reduction: `mean` over known cells, `sample_mean` over samples, of all ranks (see `reduce_cells`), `sum`, `none`.

    Raises:
        TargetError: If logits, targets and weights do not fit together.

    >>> binary_cross_entropy_with_logits(torch.zeros(2, 2), torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
    tensor(0.6931)
    """
    return cell_loss(
        binary_curves(pos_weight),
        logits,
        targets,
        weights=weights,
        label_smoothing=label_smoothing,
        unknown=unknown,
        reduction=reduction,
    )


def multilabel_soft_margin_loss(
    logits: Float[Tensor, "n l"],
    targets: Targets,
    *,
    weight: Float[Tensor, " l"] | None = None,
    reduction: Reduction = "mean",
) -> Float[Tensor, ""] | Float[Tensor, " n"]:
    """Return what `torch.nn.functional.multilabel_soft_margin_loss` does: see `MultiLabelSoftMarginLoss`.

    >>> multilabel_soft_margin_loss(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]]))
    tensor(0.6931)
    """
    check_reduction(reduction)
    targets = as_targets(targets)
    cells = CellWeights(label=weight).apply(cell_losses(binary_curves(), logits, targets), targets)
    return _reduce_as_soft_margin(cells, targets.known_mask(), reduction)


def _reduce_as_soft_margin(
    cells: Float[Tensor, "n l"], counted: Bool[Tensor, "n l"] | None, reduction: Reduction
) -> Float[Tensor, ""] | Float[Tensor, " n"]:
    kept = cells if counted is None else cells.masked_fill(~counted, 0)
    known = torch.ones_like(cells, dtype=torch.bool) if counted is None else counted
    return reduce_means(kept.sum(dim=1), known.sum(dim=1), reduction=reduction)


def binary_curves(pos_weight: Float[Tensor, " l"] | None = None) -> Curves:
    """Return pos_weight · softplus(-z) for positives and softplus(z) for negatives.

    Raises:
        TargetError: If pos_weight is no tensor with one number a label.

    >>> cell_loss(binary_curves(), torch.zeros(1, 1), torch.ones(1, 1))
    tensor(0.6931)
    """
    if pos_weight is not None:
        check_numbers(pos_weight, "pos_weight")

    def positive(logits: Tensor, labels: LabelIndex) -> Tensor:
        losses = softplus(-logits)
        return losses if pos_weight is None else losses * pos_weight.to(losses.dtype)[labels]

    def fused(logits: Tensor, places: Tensor, labels: Tensor) -> Tensor:
        return binary_cells(logits, places, None if pos_weight is None else pos_weight.to(logits.dtype)[labels])

    num_labels = None if pos_weight is None else len(pos_weight)
    return Curves(positive, lambda logits, _: softplus(logits), num_labels, fused)


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
