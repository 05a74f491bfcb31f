"""What a loss makes of unknown cells: left out, as everywhere; or, where you say so, taken as negatives in part or whole."""

from typing import Literal

import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor, nn

from manyhot.errors import TargetError, UsageError
from manyhot.targets import SparseTargets


class SelectiveUnknown(nn.Module):
    """Take unknown cells as negatives, except where a positive is likely.

    An unknown cell is left out if its label's prevalence is above a threshold, or if it is among the cells of its sample
    that the model itself finds most likely; any other counts as negative.

    Args:
        prevalence: Of each label, from samples in which it is known.
        max_prevalence: Labels more prevalent are left out where unknown.
        keep_out: How many of the likeliest unknown cells of each sample are left out.

    Raises:
        TargetError: If a prevalence is outside 0 to 1, NaN counting as 0.
        UsageError: If another number makes no sense.

    Source: Ben-Baruch, Ridnik, Friedman, Ben-Cohen, Zamir, Noy, Zelnik-Manor 2022.

    >>> selective = SelectiveUnknown(torch.tensor([0.5, 0.01, 0.01]), keep_out=1)
    >>> targets = SparseTargets.from_dense(torch.full((1, 3), torch.nan))
    >>> selective.counted(torch.tensor([[0.0, 2.0, -2.0]]), targets)
    tensor([[False, False,  True]])
    """

    prevalence: Float32[Tensor, " l"]

    def __init__(self, prevalence: Float[Tensor, " l"], *, max_prevalence: float = 0.05, keep_out: int = 5) -> None:
        super().__init__()
        clean = prevalence.detach().float().nan_to_num(nan=0.0)
        if not bool(((clean >= 0) & (clean <= 1)).all()):
            raise TargetError("a prevalence is outside 0 to 1; give the share of samples that carry each label")
        if not 0 <= max_prevalence <= 1 or keep_out < 0:
            raise UsageError(
                f"max_prevalence is {max_prevalence}, keep_out {keep_out}; a share and a number from 0 are expected"
            )
        self.max_prevalence = max_prevalence
        self.keep_out = keep_out
        self.register_buffer("prevalence", clean, persistent=False)

    def counted(self, logits: Float[Tensor, "n l"], targets: SparseTargets) -> Bool[Tensor, "n l"] | None:
        """Return which cells count: the known ones, and the unknown ones that are taken as negatives; None for all."""
        known = targets.known_mask()
        if known is None:
            return None
        if self.prevalence.shape[0] != targets.num_labels:
            raise TargetError(
                f"there are prevalences of {self.prevalence.shape[0]:,} labels for {targets.num_labels:,}; give one each"
            )
        unlikely = (self.prevalence <= self.max_prevalence).expand(known.shape)
        kept_out = min(self.keep_out, targets.num_labels)
        if kept_out:
            unknown_logits = logits.detach().float().masked_fill(known, -torch.inf)
            likeliest = unknown_logits.topk(kept_out, dim=1).indices
            unlikely = unlikely.scatter(1, likeliest, torch.zeros_like(likeliest, dtype=torch.bool))
        return known | unlikely

    def extra_repr(self) -> str:
        """Return the settings for `repr`."""
        return f"max_prevalence={self.max_prevalence}, keep_out={self.keep_out}"


Unknown = Literal["ignore", "negative"] | SelectiveUnknown


def check_unknown(unknown: Unknown) -> None:
    """Check that there is such a way.

    Raises:
        UsageError: If it is neither `ignore` nor `negative` nor a `SelectiveUnknown`.

    >>> check_unknown("ignore")
    """
    if not isinstance(unknown, SelectiveUnknown) and str(unknown) not in ("ignore", "negative"):
        raise UsageError(f"unknown is {unknown!r}; it must be 'ignore', 'negative' or a SelectiveUnknown")


def counted_cells(unknown: Unknown, logits: Float[Tensor, "n l"], targets: SparseTargets) -> Bool[Tensor, "n l"] | None:
    """Return which cells take part in a loss; None for all.

    >>> targets = SparseTargets.from_dense(torch.tensor([[1.0, torch.nan]]))
    >>> counted_cells("ignore", torch.zeros(1, 2), targets), counted_cells("negative", torch.zeros(1, 2), targets)
    (tensor([[ True, False]]), None)
    """
    if isinstance(unknown, SelectiveUnknown):
        return unknown.counted(logits, targets)
    return targets.known_mask() if unknown == "ignore" else None
