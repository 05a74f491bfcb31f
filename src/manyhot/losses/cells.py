"""Losses that are a sum over cells: two curves, one for positives and one for negatives, and what weighs each cell.

All cells are computed as negatives in one pass and the few positives overwritten, so that no dense target is built, and
nothing large is added only to be subtracted again: the loss keeps its digits when the model is sure.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from types import EllipsisType
from typing import TypedDict

import torch
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor, nn

from manyhot.errors import TargetError, UsageError
from manyhot.losses.interface import Reduction, Targets, check_numbers, check_reduction, reduce_cells
from manyhot.losses.unknown import Unknown, check_unknown, counted_cells
from manyhot.targets import SparseTargets, as_targets

LabelIndex = Int64[Tensor, " p"] | EllipsisType
Curve = Callable[[Tensor, LabelIndex], Tensor]
"""Logits, and which labels they belong to (`weights[labels]` picks a setting of a label for each), to losses."""
Fused = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Logits of all cells, places of the positives in them when flattened, and their labels, to the losses of all cells."""


@dataclass(frozen=True)
class Curves:
    """The loss of a cell as a function of its logit.

    The last step of either must be one that does not keep its result for the backward pass, as a product or a sum.

    Args:
        positive: Where the cell is positive.
        negative: Where it is negative.
        num_labels: How many labels have settings of their own in the curves; None where all share one curve.
        fused: Both curves in one pass, where there is such a pass and all targets are 0 or 1.
    """

    positive: Curve
    negative: Curve
    num_labels: int | None = None
    fused: Fused | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class CellWeights:
    """How much cells of a batch count; all that is given is multiplied. The divisor of a mean stays the number of cells.

    Args:
        label: One weight a label.
        sample: One weight a sample.
        positive: One weight a listed positive, in the order of `SparseTargets.label_ids`.
        cell: One weight a cell; 4 bytes each.

    >>> weights = CellWeights(sample=torch.tensor([1.0, 3.0]))
    >>> weights.apply(torch.ones(2, 2), SparseTargets.from_lists([[0], []], num_labels=2))
    tensor([[1., 1.],
            [3., 3.]])
    """

    label: Float[Tensor, " l"] | None = None
    sample: Float[Tensor, " n"] | None = None
    positive: Float[Tensor, " p"] | None = None
    cell: Float[Tensor, "n l"] | None = None

    def apply(self, cells: Float[Tensor, "n l"], targets: SparseTargets) -> Float[Tensor, "n l"]:
        """Return the weighted losses of cells.

        Raises:
            TargetError: If there is not one weight for each.
        """
        if self.positive is not None:
            _check_length("positive", self.positive, targets.label_ids.shape)
            place = (targets.row_ids(), targets.label_ids.long())
            cells = cells.index_put(place, cells[place] * self.positive.to(cells.dtype))
        if self.cell is not None:
            _check_length("cell", self.cell, cells.shape)
            cells = cells * self.cell.to(cells.dtype)
        if self.label is not None:
            _check_length("label", self.label, cells.shape[1:])
            cells = cells * self.label.to(cells.dtype)
        if self.sample is not None:
            _check_length("sample", self.sample, cells.shape[:1])
            cells = cells * self.sample.to(cells.dtype)[:, None]
        return cells


def cell_losses(
    curves: Curves, logits: Float[Tensor, "n l"], targets: SparseTargets, *, label_smoothing: float = 0.0
) -> Float[Tensor, "n l"]:
    """Return the loss of each cell from the curves of positives and negatives, in float32 at least.

    Unknown cells are computed as negatives, to be left out later. A positive of confidence c is a soft target: c of the
    one curve and 1 - c of the other. Label smoothing s makes targets of 1 - s/2 and s/2. Takes 4 bytes a cell beside
    what the curves keep.

    >>> targets = SparseTargets.from_lists([[0]], num_labels=2)
    >>> cell_losses(Curves(lambda z, _: 10 * z, lambda z, _: -z), torch.tensor([[1.0, 2.0]]), targets)
    tensor([[10., -2.]])
    """
    targets.check_matches(logits)
    if curves.num_labels not in (None, targets.num_labels):
        raise TargetError(
            f"the loss has weights of {curves.num_labels:,} labels for {targets.num_labels:,}; give one weight a label"
        )
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32)).contiguous()
    ids = targets.label_ids.long()
    # One index a positive: the way back of two, a row and a label, is the slowest part of a small batch.
    places = targets.row_ids() * targets.num_labels + ids
    is_soft = targets.values is not None or label_smoothing > 0
    if curves.fused is not None and not is_soft:
        return curves.fused(logits, places, ids)
    at_positives = logits.view(-1).gather(0, places)
    losses = curves.positive(at_positives, ids)
    cells = curves.negative(logits, ...)
    if is_soft:
        confidence = torch.ones_like(at_positives) if targets.values is None else targets.values.to(losses.dtype)
        confidence = confidence * (1 - label_smoothing) + label_smoothing / 2
        losses = confidence * losses + (1 - confidence) * curves.negative(at_positives, ids)
    if label_smoothing:
        smooth = label_smoothing / 2
        cells = (1 - smooth) * cells + smooth * curves.positive(logits, ...)
    # In place: curves do not keep their result.
    return cells.view(-1).scatter_(0, places, losses).view(logits.shape)


def cell_loss(
    curves: Curves,
    logits: Float[Tensor, "n l"],
    targets: Targets,
    *,
    weights: CellWeights | None = None,
    label_smoothing: float = 0.0,
    unknown: Unknown = "ignore",
    reduction: Reduction = "mean",
) -> Float[Tensor, ""] | Float[Tensor, "n l"]:
    """Return the loss of a batch whose cells have the given curves.

    Raises:
        TargetError: If logits, targets and weights do not fit together.
        UsageError: If a setting makes no sense.

    >>> curves = Curves(lambda z, _: 10 * z, lambda z, _: -z)
    >>> cell_loss(curves, torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 0.0]]))
    tensor(4.)
    """
    _check_options(label_smoothing, unknown, reduction)
    targets = as_targets(targets)
    cells = cell_losses(curves, logits, targets, label_smoothing=label_smoothing)
    cells = _weighted(cells, targets, weights)
    return reduce_cells(cells, counted_cells(unknown, logits, targets), reduction=reduction)


class CellOptions(TypedDict, total=False):
    """What every loss of cells takes by keyword, besides settings of its own: see `CellLoss`.

    The losses pass these on as typed `**options`: users write `FocalLoss(reduction="sum")` as of torch's losses, and the
    list stands here once.
    """

    source_weight: Float[Tensor, " s"] | None
    label_smoothing: float
    unknown: Unknown
    reduction: Reduction


class WeightedOptions(CellOptions, total=False):
    """The same with a weight a label, which one loss takes by torch's name for it."""

    label_weight: Float[Tensor, " l"] | None


class CellLoss(nn.Module, ABC):
    """A loss that is a sum over cells: what every one of them can do besides its own curves.

    Args:
        label_weight: How much each label's cells count; 1 if not given. It is not saved with the weights.
        source_weight: How much the cells of each source's samples count, by `SparseTargets.source_ids`.
        label_smoothing: s makes targets of 1 - s/2 and s/2.
        unknown: What becomes of unknown cells: see `manyhot.losses.unknown`.
        reduction: `mean` over known cells, `sample_mean` over samples, of all ranks (see `reduce_cells`), `sum`, or `none`.

    Raises:
        TargetError: If a weight is negative or not finite.
        UsageError: If a setting makes no sense.
    """

    label_weight: Float32[Tensor, " l"] | None
    source_weight: Float32[Tensor, " s"] | None

    def __init__(
        self,
        *,
        label_weight: Float[Tensor, " l"] | None = None,
        source_weight: Float[Tensor, " s"] | None = None,
        label_smoothing: float = 0.0,
        unknown: Unknown = "ignore",
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        _check_options(label_smoothing, unknown, reduction)
        self.label_smoothing = label_smoothing
        self.unknown: Unknown = unknown
        self.reduction: Reduction = reduction
        self.register_buffer("label_weight", checked_weights(label_weight, "label_weight"), persistent=False)
        self.register_buffer("source_weight", checked_weights(source_weight, "source_weight"), persistent=False)

    @abstractmethod
    def curves(self) -> Curves:
        """Return the loss of a cell as a function of its logit."""

    def cells(
        self, logits: Float[Tensor, "n l"], targets: SparseTargets, weights: CellWeights | None = None
    ) -> Float[Tensor, "n l"]:
        """Return the weighted loss of each cell; unknown cells are computed as negatives."""
        cells = cell_losses(self.curves(), logits, targets, label_smoothing=self.label_smoothing)
        return self.weighted(cells, targets, weights)

    def weighted(
        self, cells: Float[Tensor, "n l"], targets: SparseTargets, weights: CellWeights | None
    ) -> Float[Tensor, "n l"]:
        """Return the losses of cells times the weights of their labels, of their sources, and the ones given."""
        sample = None if self.source_weight is None else self.source_weight[_sources_of(targets)]
        cells = CellWeights(label=self.label_weight, sample=sample).apply(cells, targets)
        return _weighted(cells, targets, weights)

    def forward(
        self, logits: Float[Tensor, "n l"], targets: Targets, weights: CellWeights | None = None
    ) -> Float[Tensor, ""] | Float[Tensor, "n l"] | Float[Tensor, " n"]:
        """Return the loss of a batch: a scalar, or by `reduction="none"` one loss a cell (a sample in soft margin)."""
        targets = as_targets(targets)
        cells = self.cells(logits, targets, weights)
        return self.reduced(cells, counted_cells(self.unknown, logits, targets))

    def reduced(
        self, cells: Float[Tensor, "n l"], counted: Bool[Tensor, "n l"] | None
    ) -> Float[Tensor, ""] | Float[Tensor, "n l"] | Float[Tensor, " n"]:
        """Return the loss of a batch from those of its cells, as far as they count; None when all do."""
        return reduce_cells(cells, counted, reduction=self.reduction)

    def extra_repr(self) -> str:
        """Return the settings for `repr`."""
        return f"reduction={self.reduction!r}"


def checked_weights(weights: Float[Tensor, " k"] | None, name: str) -> Float32[Tensor, " k"] | None:
    """Return weights of labels, sources or levels as a loss keeps them, in float32.

    Raises:
        TargetError: If they are no tensor, or one is negative or not finite.

    >>> checked_weights(torch.tensor([1.0, 2.0]), "label_weight")
    tensor([1., 2.])
    """
    if weights is None:
        return None
    check_numbers(weights, name)
    if not bool((torch.isfinite(weights) & (weights >= 0)).all()):
        raise TargetError(f"a {name} is negative or not finite; give one number from 0 for each")
    return weights.detach().float()


def _check_options(label_smoothing: float, unknown: Unknown, reduction: Reduction) -> None:
    check_reduction(reduction)
    check_unknown(unknown)
    if not 0 <= label_smoothing < 1:
        raise UsageError(f"label_smoothing is {label_smoothing!r}; it must be at least 0 and below 1")


def _weighted(cells: Float[Tensor, "n l"], targets: SparseTargets, weights: CellWeights | None) -> Float[Tensor, "n l"]:
    if weights is None:
        return cells
    # A plain tensor, which is torch's way, does not say what it weighs.
    if not isinstance(weights, CellWeights):  # pyright: ignore[reportUnnecessaryIsInstance] - callers are not all typed
        raise TargetError(
            f"weights are of type {type(weights).__name__}; say what they weigh: CellWeights(label=…), (sample=…), "
            "(positive=…) or (cell=…)"
        )
    return weights.apply(cells, targets)


def _sources_of(targets: SparseTargets) -> Int64[Tensor, " n"]:
    return torch.zeros_like(targets.row_offsets[1:]) if targets.source_ids is None else targets.source_ids


def _check_length(name: str, weights: Tensor, expected: tuple[int, ...]) -> None:
    if tuple(weights.shape) != tuple(expected):
        given = ", ".join(str(size) for size in weights.shape)
        raise TargetError(f"{name} weights have shape ({given}); expected {tuple(expected)}, one a {name}")
