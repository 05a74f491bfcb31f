"""Losses of whole samples that compare positives with negatives by their logarithmic sums: no pair is ever formed."""

import math

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from manyhot.errors import UsageError
from manyhot.losses.fused import softplus
from manyhot.losses.interface import Reduction, Targets, check_reduction, reduce_samples, reduce_total
from manyhot.losses.pairs import (
    count_positives,
    logsumexp_by,
    logsumexp_where,
    negative_mask,
    read_batch,
)
from manyhot.targets import SparseTargets, as_targets

TWO_WAY_REDUCTIONS = ("mean", "sum")


class PairwiseLogSumExpLoss(nn.Module):
    """log(1 + Σ exp(z⁻ - z⁺)) over all pairs of a positive and a negative of a sample: a smooth ranking loss.

    Only the order within a sample is learnt; a sample without positives or without negatives has no pair and no loss.

    Args:
        reduction: `mean` over samples that have a pair, `sample_mean` over all, of all ranks; `sum`; `none`.

    Source: Li, Song, Luo 2017, equation 4.

    >>> PairwiseLogSumExpLoss()(torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([[1.0, 0.0, 0.0]]))
    tensor(0.2395)
    """

    def __init__(self, *, reduction: Reduction = "mean") -> None:
        super().__init__()
        check_reduction(reduction)
        self.reduction: Reduction = reduction

    def forward(self, logits: Float[Tensor, "n l"], targets: Targets) -> Float[Tensor, ""] | Float[Tensor, " n"]:
        """Return the loss of a batch."""
        return pairwise_logsumexp_loss(logits, targets, reduction=self.reduction)

    def extra_repr(self) -> str:
        """Return the settings for `repr`."""
        return f"reduction={self.reduction!r}"


def pairwise_logsumexp_loss(
    logits: Float[Tensor, "n l"], targets: Targets, *, reduction: Reduction = "mean"
) -> Float[Tensor, ""] | Float[Tensor, " n"]:
    """Return the pairwise loss of a batch: see `PairwiseLogSumExpLoss`.

    >>> pairwise_logsumexp_loss(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]]))
    tensor(0.6931)
    """
    check_reduction(reduction)
    targets = as_targets(targets)
    above, below = _log_sums(logits, targets)
    has_pair = (count_positives(targets) > 0) & negative_mask(targets).any(dim=1)
    return reduce_samples(softplus(above + below), has_pair, reduction=reduction)


class ZLPRLoss(nn.Module):
    """log(1 + Σ exp(z⁻)) + log(1 + Σ exp(-z⁺)): positives above zero, negatives below, by sample.

    As the pairwise loss, with a label of logit zero between the two sides: zero becomes the threshold of every sample,
    and samples without positives teach as well.

    Args:
        reduction: `mean` over samples with a known cell, `sample_mean` over all, of all ranks; `sum`; `none`.

    Source: Su, Zhu, Murtadha, Pan, Han, Jiang, Liu 2022 (ZLPR).

    >>> ZLPRLoss()(torch.tensor([[2.0, -2.0, -2.0]]), torch.tensor([[1.0, 0.0, 0.0]]))
    tensor(0.3665)
    """

    def __init__(self, *, reduction: Reduction = "mean") -> None:
        super().__init__()
        check_reduction(reduction)
        self.reduction: Reduction = reduction

    def forward(self, logits: Float[Tensor, "n l"], targets: Targets) -> Float[Tensor, ""] | Float[Tensor, " n"]:
        """Return the loss of a batch."""
        return zlpr_loss(logits, targets, reduction=self.reduction)

    def extra_repr(self) -> str:
        """Return the settings for `repr`."""
        return f"reduction={self.reduction!r}"


def zlpr_loss(
    logits: Float[Tensor, "n l"], targets: Targets, *, reduction: Reduction = "mean"
) -> Float[Tensor, ""] | Float[Tensor, " n"]:
    """Return the ZLPR loss of a batch: see `ZLPRLoss`.

    >>> zlpr_loss(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]]))
    tensor(1.3863)
    """
    check_reduction(reduction)
    targets = as_targets(targets)
    above, below = _log_sums(logits, targets)
    known = targets.known_mask()
    counted = torch.ones_like(above, dtype=torch.bool) if known is None else known.any(dim=1)
    return reduce_samples(softplus(above) + softplus(below), counted, reduction=reduction)


class TwoWayLoss(nn.Module):
    """The pairwise loss in two ways: positives against negatives of each sample, and of each label over the batch.

    The value depends on how samples are batched, and on several ranks labels are compared within the batch of each
    process alone: twice the ranks at half the batch compare fewer pairs of a label.

    Args:
        positive_temperature: Temperature of positives; above 1 looks at all of them, not at the worst alone.
        negative_temperature: The same of negatives.
        reduction: `mean` over the samples that have a pair plus mean over the labels that have one, or `sum`.

    Raises:
        UsageError: If a temperature is not above 0.

    Source: Kobayashi 2023.

    >>> TwoWayLoss()(torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    tensor(0.4402)
    """

    def __init__(
        self,
        positive_temperature: float = 4.0,
        negative_temperature: float = 1.0,
        *,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        check_reduction(reduction, TWO_WAY_REDUCTIONS)
        _check_temperatures(positive_temperature, negative_temperature)
        self.positive_temperature = positive_temperature
        self.negative_temperature = negative_temperature
        self.reduction: Reduction = reduction

    def forward(self, logits: Float[Tensor, "n l"], targets: Targets) -> Float[Tensor, ""]:
        """Return the loss of a batch."""
        return two_way_loss(
            logits,
            targets,
            positive_temperature=self.positive_temperature,
            negative_temperature=self.negative_temperature,
            reduction=self.reduction,
        )

    def extra_repr(self) -> str:
        """Return the settings for `repr`."""
        return (
            f"positive_temperature={self.positive_temperature}, negative_temperature={self.negative_temperature}, "
            f"reduction={self.reduction!r}"
        )


def two_way_loss(
    logits: Float[Tensor, "n l"],
    targets: Targets,
    *,
    positive_temperature: float = 4.0,
    negative_temperature: float = 1.0,
    reduction: Reduction = "mean",
) -> Float[Tensor, ""]:
    """Return the two-way loss of a batch: see `TwoWayLoss`.

    >>> two_way_loss(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]]), positive_temperature=1.0)
    tensor(0.6931)
    """
    check_reduction(reduction, TWO_WAY_REDUCTIONS)
    _check_temperatures(positive_temperature, negative_temperature)
    targets = as_targets(targets)
    logits = read_batch(logits, targets)
    rows, ids, negatives = targets.row_ids(), targets.label_ids.long(), negative_mask(targets)
    positives = -logits[rows, ids] / positive_temperature
    total = logits.new_zeros(())
    for dim, groups, size in ((1, rows, targets.num_samples), (0, ids, targets.num_labels)):
        below = positive_temperature * logsumexp_by(positives, groups, size)
        above = negative_temperature * logsumexp_where(logits / negative_temperature, negatives, dim=dim)
        has_pair = _seen(groups, size) & negatives.any(dim=dim)
        losses = softplus(above + below).masked_fill(~has_pair, 0)
        total = total + reduce_total(losses.sum(), has_pair.sum(), reduction=reduction)
    return total


def _log_sums(logits: Float[Tensor, "n l"], targets: SparseTargets) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """Return log Σ exp(z⁻) over negatives and log Σ exp(-z⁺) over positives of each sample; about -1e30 for none."""
    logits = read_batch(logits, targets)
    rows = targets.row_ids()
    above = logsumexp_where(logits, negative_mask(targets), dim=1)
    return above, logsumexp_by(-logits[rows, targets.label_ids.long()], rows, targets.num_samples)


def _seen(groups: Int64[Tensor, " p"], num_groups: int) -> Bool[Tensor, " g"]:
    counts = torch.zeros(num_groups, dtype=torch.int64, device=groups.device)
    return counts.index_add(0, groups, torch.ones_like(groups)) > 0


def _check_temperatures(*temperatures: float) -> None:
    if not all(0 < temperature < math.inf for temperature in temperatures):
        raise UsageError(f"temperatures are {temperatures}; each must be above 0")
