"""Dice loss for multi-label masks: the overlap of what is there and what is predicted, whatever the size of either."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from manyhot.errors import TargetError, UsageError
from manyhot.losses.interface import check_reduction, num_ranks, over_ranks

DICE_REDUCTIONS = ("mean", "sum", "none")


class DiceLoss(nn.Module):
    """One minus the Dice coefficient of each label's pixels over the batch, with probabilities in place of decisions.

    Pixels of the batch are pooled, so a picture without the label costs nothing but what is predicted on it. Ranks
    pool their own pixels; the mean over labels is the mean over ranks.

    Args:
        smooth: Added above and below: a label neither there nor predicted has loss 0.
        reduction: `mean` over labels that have a known pixel, `sum` over them, or `none`: one loss a label.

    Raises:
        UsageError: If `smooth` is not above 0.

    Source: Milletari, Navab, Ahmadi 2016, with the plain sum of Sudre et al. 2017 below the line.

    >>> loss = DiceLoss(smooth=1e-6)
    >>> loss(torch.tensor([[[[9.0, -9.0]]]]), torch.tensor([[[[True, False]]]]))
    tensor(0.0001)
    """

    def __init__(self, *, smooth: float = 1.0, reduction: str = "mean") -> None:
        super().__init__()
        _check_settings(smooth, reduction)
        self.smooth = smooth
        self.reduction = reduction

    def forward(
        self,
        logits: Float[Tensor, "n l *pixels"],
        targets: Bool[Tensor, "n l *pixels"] | Float[Tensor, "n l *pixels"],
        known: Bool[Tensor, "n l *pixels"] | None = None,
    ) -> Float[Tensor, ""] | Float[Tensor, " l"]:
        """Return the loss of a batch of masks.

        Args:
            logits: Of each label and pixel, before any sigmoid.
            targets: Which pixels carry which label; or shares between 0 and 1, NaN where nobody knows.
            known: Which cells are known; all that are not NaN, if not given.
        """
        return dice_loss(logits, targets, known, smooth=self.smooth, reduction=self.reduction)

    def extra_repr(self) -> str:
        """Return the settings for `repr`."""
        return f"smooth={self.smooth}, reduction={self.reduction!r}"


def dice_loss(
    logits: Float[Tensor, "n l *pixels"],
    targets: Bool[Tensor, "n l *pixels"] | Float[Tensor, "n l *pixels"],
    known: Bool[Tensor, "n l *pixels"] | None = None,
    *,
    smooth: float = 1.0,
    reduction: str = "mean",
) -> Float[Tensor, ""] | Float[Tensor, " l"]:
    """Return the Dice loss of a batch of masks: see `DiceLoss`.

    Raises:
        TargetError: If the shapes differ, or masks are whole numbers: those of files go up to 255.
        UsageError: If `smooth` is not above 0, or there is no such reduction.

    >>> dice_loss(torch.full((1, 1, 2), -50.0), torch.zeros(1, 1, 2, dtype=torch.bool))
    tensor(0.)
    """
    _check_settings(smooth, reduction)
    if logits.ndim < 2 or targets.shape != logits.shape or (known is not None and known.shape != logits.shape):
        raise TargetError(
            f"logits have shape {tuple(logits.shape)}, targets {tuple(targets.shape)}; expected the same "
            "(samples, labels, height, width) for both, and for known pixels where there are some"
        )
    if not (targets.is_floating_point() or targets.dtype == torch.bool):
        raise TargetError(f"masks are {targets.dtype}; give them as booleans (masks > 0), or as shares between 0 and 1")
    if targets.is_floating_point():
        known = ~targets.isnan() if known is None else known & ~targets.isnan()
    axes = [axis for axis in range(logits.ndim) if axis != 1]
    probs = torch.sigmoid(logits.to(torch.promote_types(logits.dtype, torch.float32)))
    shares = targets.to(probs.dtype)
    if known is not None:
        probs, shares = probs.masked_fill(~known, 0), shares.masked_fill(~known, 0)
    both = (probs * shares).sum(dim=axes)
    losses = 1 - (2 * both + smooth) / (probs.sum(dim=axes) + shares.sum(dim=axes) + smooth)
    if reduction == "none":
        return losses
    counted = torch.ones_like(losses, dtype=torch.bool) if known is None else known.any(dim=axes)
    total = losses.masked_fill(~counted, 0).sum() * num_ranks()
    return total if reduction == "sum" else total / over_ranks(counted.sum()).clamp(min=1)


def _check_settings(smooth: float, reduction: str) -> None:
    if not 0 < smooth < float("inf"):
        raise UsageError(f"smooth is {smooth!r}; it must be above 0")
    check_reduction(reduction, DICE_REDUCTIONS)
