"""Softmax losses: labels of a sample compete, all of them or those of each level of a hierarchy."""

import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor, nn

from manyhot.errors import TargetError
from manyhot.labels.hierarchy import Hierarchy
from manyhot.losses.cells import checked_weights
from manyhot.losses.interface import (
    Reduction,
    Targets,
    check_reduction,
    num_ranks,
    over_ranks,
    reduce_samples,
)
from manyhot.losses.pairs import EMPTY, count_positives, logsumexp_where, read_batch, sum_by_sample
from manyhot.targets import SparseTargets, as_targets

SEMANTIC_REDUCTIONS = ("mean", "sum")


class SoftmaxLoss(nn.Module):
    """Cross-entropy of a softmax over all known labels, each of a sample's k positives being right with 1/k.

    For tags of which one sample names some that it might have named. Probabilities of labels compete, so they cannot be
    cut at a threshold each; a sample without positives has no loss.

    Args:
        reduction: `mean` over samples with a positive, `sample_mean` over all, of all ranks; `sum`; `none`.

    Source: Mahajan, Girshick, Ramanathan, He, Paluri, Li, Bharambe, van der Maaten 2018, section 2.2.

    >>> SoftmaxLoss()(torch.zeros(1, 4), torch.tensor([[1.0, 0.0, 1.0, 0.0]]))
    tensor(1.3863)
    """

    def __init__(self, *, reduction: Reduction = "mean") -> None:
        super().__init__()
        check_reduction(reduction)
        self.reduction: Reduction = reduction

    def forward(self, logits: Float[Tensor, "n l"], targets: Targets) -> Float[Tensor, ""] | Float[Tensor, " n"]:
        """Return the loss of a batch."""
        return softmax_loss(logits, targets, reduction=self.reduction)

    def extra_repr(self) -> str:
        """Return the settings for `repr`."""
        return f"reduction={self.reduction!r}"


def softmax_loss(
    logits: Float[Tensor, "n l"], targets: Targets, *, reduction: Reduction = "mean"
) -> Float[Tensor, ""] | Float[Tensor, " n"]:
    """Return the softmax loss of a batch: see `SoftmaxLoss`.

    >>> softmax_loss(torch.zeros(2, 2), torch.tensor([[1.0, 0.0], [0.0, 0.0]]), reduction="none")
    tensor([0.6931, 0.0000])
    """
    check_reduction(reduction)
    targets = as_targets(targets)
    logits = read_batch(logits, targets)
    rows, known = targets.row_ids(), targets.known_mask()
    normalisers = logits.logsumexp(dim=1) if known is None else logsumexp_where(logits, known, dim=1)
    positives = count_positives(targets)
    losses = sum_by_sample(normalisers[rows] - logits[rows, targets.label_ids.long()], targets)
    return reduce_samples(losses / positives.clamp(min=1), positives > 0, reduction=reduction)


class SemanticSoftmaxLoss(nn.Module):
    """One softmax for each level of a hierarchy: the labels of a level compete with one another, and with no other level.

    Targets must hold the ancestors of each positive (`manyhot.labels.expand_positives` adds them); a sample teaches the
    levels on which it has a positive, and each level counts by its weight, however few samples reach it.

    Args:
        levels: The level of each label: see `levels_of`.
        level_weight: How much each level counts; all the same if not given.
        reduction: `mean` over the samples that reach each level, of all ranks, then over levels; or `sum` over both.

    Raises:
        TargetError: If a level is below 0, a weight negative or not finite, or there is not one a level.

    Source: Ridnik, Ben-Baruch, Noy, Zelnik-Manor 2021, section 2.2.2.

    >>> loss = SemanticSoftmaxLoss(torch.tensor([0, 1, 1]))
    >>> loss(torch.zeros(1, 3), torch.tensor([[1.0, 1.0, 0.0]]))
    tensor(0.3466)
    """

    levels: Int64[Tensor, " l"]
    level_weight: Float32[Tensor, " k"]

    def __init__(
        self,
        levels: Int64[Tensor, " l"],
        level_weight: Float[Tensor, " k"] | None = None,
        *,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        check_reduction(reduction, SEMANTIC_REDUCTIONS)
        if bool((levels < 0).any()):
            raise TargetError("a level is below 0; levels count from 0 at the top, as levels_of gives them")
        num_levels = int(levels.max()) + 1 if levels.numel() else 1
        weight = torch.ones(num_levels) if level_weight is None else checked_weights(level_weight, "level_weight")
        if weight is None or weight.shape != (num_levels,):
            raise TargetError(f"there are {num_levels} levels; give one level_weight for each")
        self.reduction: Reduction = reduction
        self.register_buffer("levels", levels.detach().long(), persistent=False)
        self.register_buffer("level_weight", weight, persistent=False)

    def forward(self, logits: Float[Tensor, "n l"], targets: Targets) -> Float[Tensor, ""]:
        """Return the loss of a batch."""
        return semantic_softmax_loss(
            logits, targets, levels=self.levels, level_weight=self.level_weight, reduction=self.reduction
        )

    def extra_repr(self) -> str:
        """Return the settings for `repr`."""
        return f"levels={len(self.level_weight)}, reduction={self.reduction!r}"


def semantic_softmax_loss(
    logits: Float[Tensor, "n l"],
    targets: Targets,
    *,
    levels: Int64[Tensor, " l"],
    level_weight: Float[Tensor, " k"],
    reduction: Reduction = "mean",
) -> Float[Tensor, ""]:
    """Return the semantic softmax loss of a batch: see `SemanticSoftmaxLoss`.

    Raises:
        TargetError: If there is not one level a label.

    >>> levels = torch.tensor([0, 1, 1])
    >>> semantic_softmax_loss(torch.zeros(1, 3), torch.tensor([[1, 1, 0]]), levels=levels, level_weight=torch.ones(2))
    tensor(0.3466)
    """
    check_reduction(reduction, SEMANTIC_REDUCTIONS)
    targets = as_targets(targets)
    if levels.shape != (targets.num_labels,):
        raise TargetError(f"there are levels of {len(levels):,} labels for {targets.num_labels:,}; give one each")
    losses, positives = _by_level(read_batch(logits, targets), targets, levels, len(level_weight))
    # One mean for each level: (samples, levels) to (levels).
    sums = (losses / positives.clamp(min=1)).sum(dim=0) * num_ranks()
    weight = level_weight.to(sums.dtype)
    if reduction == "sum":
        return (sums * weight).sum()
    counts = over_ranks((positives > 0).sum(dim=0))
    weight = weight * (counts > 0)
    total = weight.sum()
    return (weight * sums / counts.clamp(min=1)).sum() / torch.where(total > 0, total, 1)


def levels_of(hierarchy: Hierarchy) -> Int64[Tensor, " l"]:
    """Return how many steps each label stands below a label without parents, on its longest way up.

    >>> from manyhot.labels import LabelSpace
    >>> levels_of(Hierarchy.of(LabelSpace(names=("tabby", "cat", "animal"), parents=((1,), (2,), ()))))
    tensor([2, 1, 0])
    """
    levels = torch.zeros(len(hierarchy.space), dtype=torch.int64)
    for label in hierarchy.order.tolist():
        parents = hierarchy.parents.row(label)
        if len(parents):
            levels[label] = 1 + max(int(levels[int(parent)]) for parent in parents)
    return levels


def _by_level(
    logits: Float[Tensor, "n l"], targets: SparseTargets, levels: Int64[Tensor, " l"], num_levels: int
) -> tuple[Float[Tensor, "n k"], Int64[Tensor, "n k"]]:
    """Return the summed cross-entropies of the positives of each sample on each level, and how many they are."""
    known = targets.known_mask()
    if known is not None:
        logits = logits.masked_fill(~known, EMPTY)
    size = (targets.num_samples, num_levels)
    index = levels.expand(targets.num_samples, -1)
    largest = logits.new_full(size, EMPTY).scatter_reduce(1, index, logits.detach(), "amax", include_self=True)
    sums = logits.new_zeros(size).scatter_add(1, index, torch.exp(logits - largest.gather(1, index)))
    normalisers = largest + torch.log(torch.where(sums > 0, sums, 1.0))
    rows, ids = targets.row_ids(), targets.label_ids.long()
    place = rows * num_levels + levels[ids]
    losses = normalisers.flatten()[place] - logits[rows, ids]
    flat = logits.new_zeros(size[0] * size[1]).index_add(0, place, losses)
    counts = torch.zeros_like(flat, dtype=torch.int64).index_add(0, place, torch.ones_like(place))
    return flat.view(size), counts.view(size)
