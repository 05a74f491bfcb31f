"""Rejection of large losses: unlisted cells that the model insists on are taken for positives that nobody listed."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from manyhot.errors import UsageError
from manyhot.losses.cells import CellLoss, CellWeights
from manyhot.losses.interface import Targets
from manyhot.losses.pairs import negative_mask
from manyhot.losses.unknown import counted_cells
from manyhot.targets import SparseTargets, as_targets


class LargeLossRejection(nn.Module):
    """A loss of cells without the unlisted cells of the largest losses, more of them every epoch.

    A network learns what is right before it learns what is wrong. Where lists of labels are incomplete, the cells that
    count as negatives only because nobody listed them, and that a network half trained still disagrees with, are often
    positives. They become unknown, in this batch. Verified negatives are never rejected.

    Each process looks for the largest losses of its own batch: on several ranks each rejects its share there, which are not
    quite the largest of the global batch. What is left is divided by what is left on all ranks.

    Args:
        loss: The loss of the cells that stay; its reduction is kept.
        rate: Share of all cells that is rejected more with each epoch; the first epoch rejects none.
        start: Epoch after which rejection begins.

    Raises:
        UsageError: If the loss is no loss of cells, or the rate not from 0 to 1.

    Source: Kim, Kim, Akata, Lee 2022 (LL-R).

    >>> from manyhot.losses.binary import BCEWithLogitsLoss
    >>> loss = LargeLossRejection(BCEWithLogitsLoss(), rate=0.25)
    >>> loss.start_epoch(1)
    >>> loss(torch.tensor([[3.0, 9.0, -3.0, -3.0]]), torch.tensor([[1.0, 0.0, 0.0, 0.0]]))
    tensor(0.0486)
    """

    def __init__(self, loss: CellLoss, *, rate: float = 0.002, start: int = 0) -> None:
        super().__init__()
        # Losses of samples look the same until the first step.
        if not isinstance(loss, CellLoss):  # pyright: ignore[reportUnnecessaryIsInstance] - callers are not all typed
            raise UsageError(
                f"{type(loss).__name__} has no loss of each cell to reject by; take BCEWithLogitsLoss or its like"
            )
        if not 0 <= rate <= 1 or start < 0:
            raise UsageError(f"rate is {rate!r} and start {start!r}; a share a epoch and an epoch from 0 are expected")
        self.loss = loss
        self.rate = rate
        self.start = start
        self.share = 0.0

    def start_epoch(self, epoch: int) -> None:
        """Set how many cells are rejected from now on; the first epoch is 0."""
        self.share = min(1.0, max(0, epoch - self.start) * self.rate)

    def forward(
        self, logits: Float[Tensor, "n l"], targets: Targets, weights: CellWeights | None = None
    ) -> Float[Tensor, ""] | Float[Tensor, "n l"]:
        """Return the loss of a batch."""
        targets = as_targets(targets)
        cells = self.loss.cells(logits, targets, weights)
        known = counted_cells(self.loss.unknown, logits, targets)
        count = math.ceil(self.share * cells.numel())
        if count:
            kept = ~_largest(cells.detach(), self._candidates(targets, known), count)
            known = kept if known is None else known & kept
        return self.loss.reduced(cells, known)

    def _candidates(self, targets: SparseTargets, known: Bool[Tensor, "n l"] | None) -> Bool[Tensor, "n l"]:
        """Return which cells count as negatives without anybody having said so."""
        candidates, listed = _unlisted_negatives(targets), targets.known_mask()
        if listed is None:
            return candidates
        # Unknown cells that the loss takes as negatives.
        return candidates | (~listed if known is None else known & ~listed)

    def extra_repr(self) -> str:
        """Return the settings for `repr`."""
        return f"rate={self.rate}, start={self.start}"


def _unlisted_negatives(targets: SparseTargets) -> Bool[Tensor, "n l"]:
    """Return the negatives that no list mentions: exceptions that are known were verified."""
    negatives = negative_mask(targets)
    if targets.exception_ids is None or targets.exception_offsets is None:
        return negatives
    lengths = targets.exception_offsets.diff()
    rows = torch.repeat_interleave(
        torch.arange(targets.num_samples, device=targets.device), lengths, output_size=targets.exception_ids.shape[0]
    )
    verified = torch.zeros_like(negatives)
    verified[rows, targets.exception_ids.long()] = True
    return negatives & ~verified


def _largest(cells: Float[Tensor, "n l"], candidates: Bool[Tensor, "n l"], count: int) -> Bool[Tensor, "n l"]:
    """Return which of the candidates have the `count` largest losses."""
    flat = cells.masked_fill(~candidates, -torch.inf).flatten()
    places = flat.topk(count).indices
    chosen = torch.zeros_like(flat, dtype=torch.bool).scatter(0, places, torch.ones_like(places, dtype=torch.bool))
    return chosen.view_as(cells) & candidates
