"""Weights against imbalance: by how often a label occurs, and by how it occurs together with others."""

import math
from typing import Unpack

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from manyhot.errors import UsageError
from manyhot.labels import LabelCounts
from manyhot.losses.cells import CellLoss, CellWeights, Curves, LabelIndex, WeightedOptions, cell_losses
from manyhot.losses.fused import softplus
from manyhot.losses.pairs import sum_by_sample
from manyhot.targets import SparseTargets


def class_balanced_weights(counts: LabelCounts, *, beta: float = 0.9999) -> Float32[Tensor, " l"]:
    """Return a weight for each label that falls with its effective number of positives, with a mean of 1.

    The effective number of n positives is (1 - betaⁿ) / (1 - beta): the hundredth positive brings less news than the
    first. Give the weights to any loss as `label_weight`. A label without positives weighs as one with a single one.

    Args:
        counts: Of the training labels.
        beta: Towards 1 the weight falls as 1/n, at 0 all weigh the same.

    Raises:
        UsageError: If beta is not from 0 to below 1.

    Source: Cui, Jia, Lin, Song, Belongie 2019.

    >>> class_balanced_weights(LabelCounts(positives=np.array([1, 100]), known=np.array([200, 200])), beta=0.9)
    tensor([1.8182, 0.1818])
    """
    if not 0 <= beta < 1:
        raise UsageError(f"beta is {beta!r}; it must be at least 0 and below 1")
    positives = np.maximum(counts.positives, 1).astype(np.float64)
    # expm1 and log1p: at beta 0.9999 and one positive 1 - beta¹ would lose half of its digits.
    effective = -np.expm1(positives * math.log(beta)) if beta else np.ones(positives.shape)
    weights = 1 / effective
    return torch.from_numpy((weights / weights.mean() if weights.size else weights).astype(np.float32))


class DistributionBalancedLoss(CellLoss):
    """Binary cross-entropy that corrects for labels which come along with others, and lets sure negatives go.

    Cells of a sample are weighted by how often the sample would have been drawn for that label alone, relative to how
    often it is drawn for all of its labels; logits are shifted by prevalence, and negatives flattened.

    Args:
        counts: Of the training labels.
        smoothing: Lower limit of the weights (the paper's alpha).
        steepness: Of the weights' sigmoid (beta).
        centre: Of the weights' sigmoid (mu).
        negative_scale: How much sharper negatives let go (lambda).
        bias_scale: How far logits are shifted by the log-odds of prevalence (kappa).
        options: As in `CellLoss`.

    Raises:
        UsageError: If the negative scale is not above 0.

    Source: Wu, Huang, Liu, Wang, Lin 2020.

    >>> loss = DistributionBalancedLoss(LabelCounts(positives=np.array([10, 1]), known=np.array([20, 20])))
    >>> loss(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]]))
    tensor(0.5419)
    """

    rarity: Float32[Tensor, " l"]
    shift: Float32[Tensor, " l"]

    def __init__(
        self,
        counts: LabelCounts,
        *,
        smoothing: float = 0.1,
        steepness: float = 10.0,
        centre: float = 0.2,
        negative_scale: float = 2.0,
        bias_scale: float = 0.05,
        **options: Unpack[WeightedOptions],
    ) -> None:
        super().__init__(**options)
        if not 0 < negative_scale < math.inf:
            raise UsageError(f"negative_scale is {negative_scale!r}; it must be above 0")
        self.smoothing = smoothing
        self.steepness = steepness
        self.centre = centre
        self.negative_scale = negative_scale
        odds = np.log((counts.negatives + 1) / (counts.positives + 1))
        self.register_buffer("rarity", _float(1 / np.maximum(counts.positives, 1)), persistent=False)
        self.register_buffer("shift", _float(bias_scale * odds), persistent=False)

    def curves(self) -> Curves:
        """Return softplus(-(z - shift)) and softplus(scale (z - shift)) / scale."""
        scale, shift = self.negative_scale, self.shift

        def positive(logits: Tensor, labels: LabelIndex) -> Tensor:
            return softplus(shift.to(logits.dtype)[labels] - logits)

        def negative(logits: Tensor, labels: LabelIndex) -> Tensor:
            return softplus(scale * (logits - shift.to(logits.dtype)[labels])) / scale

        return Curves(positive, negative, len(shift))

    def cells(
        self, logits: Float[Tensor, "n l"], targets: SparseTargets, weights: CellWeights | None = None
    ) -> Float[Tensor, "n l"]:
        """Return the weighted loss of each cell; unknown cells are computed as negatives."""
        cells = cell_losses(self.curves(), logits, targets, label_smoothing=self.label_smoothing)
        return self.weighted(cells * self.balance(targets).to(cells.dtype), targets, weights)

    def balance(self, targets: SparseTargets) -> Float32[Tensor, "n l"]:
        """Return the weight of each cell: 4 bytes a cell. Of a sample without positives all weigh the most."""
        drawn = sum_by_sample(self.rarity[targets.label_ids.long()], targets)
        # Without positives the share is infinite, and its sigmoid 1.
        share = self.rarity / drawn[:, None]
        return self.smoothing + torch.sigmoid(self.steepness * (share - self.centre))


def _float(values: np.ndarray) -> Float32[Tensor, " l"]:
    return torch.from_numpy(values.astype(np.float32))
