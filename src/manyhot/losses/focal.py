"""Focal and asymmetric losses: binary cross-entropy that looks away from cells which are right already."""

import math
from typing import Unpack

import torch
from jaxtyping import Float
from torch import Tensor

from manyhot.errors import UsageError
from manyhot.losses.cells import CellLoss, CellWeights, Curves, WeightedOptions, cell_loss
from manyhot.losses.fused import softplus
from manyhot.losses.interface import Reduction, Targets
from manyhot.losses.unknown import Unknown


class FocalLoss(CellLoss):
    """Binary cross-entropy times (1 - p)^gamma, p being the probability given to what is true.

    Args:
        gamma: How fast cells that are right lose weight; 0 is binary cross-entropy.
        alpha: Weight of positives, negatives weighing 1 - alpha; None weighs neither.
        options: As in `CellLoss`. The paper divides by positives; `sum` over that number is its mean.

    Raises:
        UsageError: If gamma is negative, or alpha is not between 0 and 1.

    Source: Lin, Goyal, Girshick, He, Dollár 2017.

    >>> FocalLoss(gamma=2.0, alpha=None)(torch.tensor([[0.0, -4.0]]), torch.tensor([[1.0, 0.0]]))
    tensor(0.0866)
    """

    def __init__(
        self,
        gamma: float = 2.0,
        alpha: float | None = 0.25,
        **options: Unpack[WeightedOptions],
    ) -> None:
        super().__init__(**options)
        focal_curves(gamma, alpha)
        self.gamma = gamma
        self.alpha = alpha

    def curves(self) -> Curves:
        """Return alpha (1 - p)^gamma · softplus(-z) and (1 - alpha) p^gamma · softplus(z)."""
        return focal_curves(self.gamma, self.alpha)

    def extra_repr(self) -> str:
        """Return the settings for `repr`."""
        return f"gamma={self.gamma}, alpha={self.alpha}, reduction={self.reduction!r}"


def focal_loss(
    logits: Float[Tensor, "n l"],
    targets: Targets,
    *,
    gamma: float = 2.0,
    alpha: float | None = 0.25,
    weights: CellWeights | None = None,
    label_smoothing: float = 0.0,
    unknown: Unknown = "ignore",
    reduction: Reduction = "mean",
) -> Float[Tensor, ""] | Float[Tensor, "n l"]:
    """Return the focal loss of a batch: see `FocalLoss`.

    >>> focal_loss(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]]), gamma=0.0, alpha=None)
    tensor(0.6931)
    """
    return cell_loss(
        focal_curves(gamma, alpha),
        logits,
        targets,
        weights=weights,
        label_smoothing=label_smoothing,
        unknown=unknown,
        reduction=reduction,
    )


def focal_curves(gamma: float, alpha: float | None) -> Curves:
    """Return the losses of positives and of negatives: see `FocalLoss`.

    Raises:
        UsageError: If gamma is negative, or alpha is not between 0 and 1.

    >>> focal_curves(2.0, 0.25).positive(torch.zeros(1), ...)
    tensor([0.0433])
    """
    _check_focus("gamma", gamma)
    if alpha is not None and not 0 <= alpha <= 1:
        raise UsageError(f"alpha is {alpha!r}; it must be between 0 and 1, or None")
    weights = (1.0, 1.0) if alpha is None else (alpha, 1 - alpha)
    # (1 - p)^gamma = exp(-gamma softplus(z)): never 1 - 1.
    return Curves(
        lambda logits, _: weights[0] * torch.exp(-gamma * softplus(logits)) * softplus(-logits),
        lambda logits, _: weights[1] * torch.exp(-gamma * softplus(-logits)) * softplus(logits),
    )


class AsymmetricLoss(CellLoss):
    """Focal loss with a focus of its own for positives and negatives; negatives of p below `clip` weigh nothing at all.

    The gradient is that of the loss as the paper writes it: the focus is part of it.

    Args:
        gamma_neg: How fast negatives that are right lose weight.
        gamma_pos: The same for positives.
        clip: Probability that is taken off negatives.
        options: As in `CellLoss`. The paper sums.

    Raises:
        UsageError: If a focus is negative, or clip is not from 0 to below 1.

    Source: Ridnik, Ben-Baruch, Zamir, Noy, Friedman, Protter, Zelnik-Manor 2021.

    >>> AsymmetricLoss()(torch.tensor([[0.0, -4.0]]), torch.tensor([[1.0, 0.0]]))
    tensor(0.1733)
    """

    def __init__(
        self,
        gamma_neg: float = 4.0,
        gamma_pos: float = 1.0,
        clip: float = 0.05,
        **options: Unpack[WeightedOptions],
    ) -> None:
        super().__init__(**options)
        asymmetric_curves(gamma_neg, gamma_pos, clip)
        self.gamma_neg = gamma_neg
        self.gamma_pos = gamma_pos
        self.clip = clip

    def curves(self) -> Curves:
        """Return (1 - p)^gamma_pos · softplus(-z), and q^gamma_neg · -log(1 - q) with q = max(p - clip, 0)."""
        return asymmetric_curves(self.gamma_neg, self.gamma_pos, self.clip)

    def extra_repr(self) -> str:
        """Return the settings for `repr`."""
        return f"gamma_neg={self.gamma_neg}, gamma_pos={self.gamma_pos}, clip={self.clip}, reduction={self.reduction!r}"


def asymmetric_loss(
    logits: Float[Tensor, "n l"],
    targets: Targets,
    *,
    gamma_neg: float = 4.0,
    gamma_pos: float = 1.0,
    clip: float = 0.05,
    weights: CellWeights | None = None,
    label_smoothing: float = 0.0,
    unknown: Unknown = "ignore",
    reduction: Reduction = "mean",
) -> Float[Tensor, ""] | Float[Tensor, "n l"]:
    """Return the asymmetric loss of a batch: see `AsymmetricLoss`.

    >>> asymmetric_loss(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]]), gamma_neg=0.0, gamma_pos=0.0, clip=0.0)
    tensor(0.6931)
    """
    return cell_loss(
        asymmetric_curves(gamma_neg, gamma_pos, clip),
        logits,
        targets,
        weights=weights,
        label_smoothing=label_smoothing,
        unknown=unknown,
        reduction=reduction,
    )


def asymmetric_curves(gamma_neg: float, gamma_pos: float, clip: float) -> Curves:
    """Return the losses of positives and of negatives: see `AsymmetricLoss`.

    Raises:
        UsageError: If a focus is negative, or clip is not from 0 to below 1.

    >>> asymmetric_curves(4.0, 1.0, 0.05).negative(torch.tensor([-4.0, 0.0]), ...)
    tensor([0.0000, 0.0245])
    """
    _check_focus("gamma_neg", gamma_neg)
    _check_focus("gamma_pos", gamma_pos)
    if not 0 <= clip < 1:
        raise UsageError(f"clip is {clip!r}; it must be at least 0 and below 1")

    def positive(logits: Tensor, _: object) -> Tensor:
        return torch.exp(-gamma_pos * softplus(logits)) * softplus(-logits)

    def negative(logits: Tensor, _: object) -> Tensor:
        if not clip:
            return torch.exp(-gamma_neg * softplus(-logits)) * softplus(logits)
        shifted = torch.sigmoid(logits) - clip
        # Below the clip the loss is 0, and so is its gradient: a half in place of 0, whose power may have an infinite slope.
        above = shifted > 0
        safe = torch.where(above, shifted, 0.5)
        return torch.where(above, safe**gamma_neg, 0.0) * -torch.log1p(-safe)

    return Curves(positive, negative)


def _check_focus(name: str, gamma: float) -> None:
    if not 0 <= gamma < math.inf:
        raise UsageError(f"{name} is {gamma!r}; it must be a number from 0")
