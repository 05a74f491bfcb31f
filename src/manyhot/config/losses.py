"""What a run minimises: a section for each kind of loss. docs/losses.md says which to take. Loads without torch."""

import math
from dataclasses import dataclass
from typing import Literal

from manyhot.config.checks import require, require_between, require_weights
from manyhot.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class ReducedLossConfig:
    """What every loss takes that has one number a cell or a sample."""

    reduction: Literal["mean", "sample_mean"] = "mean"
    """mean: over known cells, or the samples that have a loss; sample_mean: over all samples, as papers that sum over labels."""


@dataclass(frozen=True, kw_only=True)
class CellLossConfig(ReducedLossConfig):
    """What every loss takes that is a sum over cells."""

    label_weight: Literal["none", "class-balanced"] | dict[str, float] = "none"
    """Weight of all cells of a label: none (1), class-balanced (falls with the label's positives), or one for each label named."""
    source_weight: dict[str, float] | None = None
    """Weight of all cells of the samples of a source, for each source named; 1 for the others."""
    label_smoothing: float = 0.0
    """s makes targets of 1 - s/2 and s/2."""
    unknown: Literal["ignore", "negative", "selective"] = "ignore"
    """Unknown cells: left out; taken as negatives; or taken as negatives except where a positive is likely."""
    selective_max_prevalence: float | None = None
    """Of selective: labels more prevalent than this are left out where unknown; 0.05 if it is not given."""
    selective_keep_out: int | None = None
    """Of selective: how many of the likeliest unknown cells of each sample are left out; 5 if it is not given."""
    rejection_rate: float | None = None
    """Share of all cells that is rejected more with each epoch, as positives that nobody listed (0.002, say)."""
    rejection_start: int = 0
    """Epoch after which rejection begins."""

    def __post_init__(self) -> None:
        for name in ("label_weight", "source_weight"):
            weights: str | dict[str, float] | None = getattr(self, name)
            require_weights(f"loss.{name}", weights if isinstance(weights, dict) else {})
        require(0 <= self.label_smoothing < 1, "loss.label_smoothing", self.label_smoothing, "at least 0 and below 1")
        share, rate = self.selective_max_prevalence, self.rejection_rate
        require(share is None or 0 <= share <= 1, "loss.selective_max_prevalence", share, "from 0 to 1")
        require_between(0, 1_000_000, "loss.selective_keep_out", self.selective_keep_out)
        require(rate is None or 0 < rate <= 1, "loss.rejection_rate", rate, "above 0 and at most 1")
        require_between(0, 1_000_000, "loss.rejection_start", self.rejection_start)
        for name in ("selective_max_prevalence", "selective_keep_out"):
            if self.unknown != "selective" and getattr(self, name) is not None:
                raise ConfigError(
                    f"loss.{name} belongs to selective, and loss.unknown is {self.unknown!r}; set one of them"
                )
        if self.rejection_start and rate is None:
            raise ConfigError(
                "loss.rejection_start is set without loss.rejection_rate, which says how much is rejected"
            )


@dataclass(frozen=True, kw_only=True)
class BinaryCrossEntropyConfig(CellLossConfig):
    """One yes-or-no question a label."""

    kind: Literal["binary-cross-entropy"] = "binary-cross-entropy"
    """Name of the loss."""
    pos_weight: Literal["none", "counts"] | dict[str, float] = "none"
    """Weight of a positive: none (1), counts (negatives / positives of the label), or a weight for each label named."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_weights("loss.pos_weight", self.pos_weight if isinstance(self.pos_weight, dict) else {})


@dataclass(frozen=True, kw_only=True)
class SoftMarginConfig(CellLossConfig):
    """Binary cross-entropy under the name that torch gives it as `MultiLabelSoftMarginLoss`."""

    kind: Literal["soft-margin"] = "soft-margin"
    """Name of the loss."""


@dataclass(frozen=True, kw_only=True)
class FocalConfig(CellLossConfig):
    """Binary cross-entropy that looks away from cells which are right already."""

    kind: Literal["focal"] = "focal"
    """Name of the loss."""
    gamma: float = 2.0
    """How fast cells that are right lose weight; 0 is binary cross-entropy."""
    alpha: float = 0.25
    """Weight of positives, negatives weighing 1 - alpha; 0.5 weighs them the same."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_focus("gamma", self.gamma)
        require(0 < self.alpha < 1, "loss.alpha", self.alpha, "between 0 and 1")


@dataclass(frozen=True, kw_only=True)
class AsymmetricConfig(CellLossConfig):
    """Focal loss with a focus of its own for positives and negatives."""

    kind: Literal["asymmetric"] = "asymmetric"
    """Name of the loss."""
    gamma_neg: float = 4.0
    """How fast negatives that are right lose weight."""
    gamma_pos: float = 1.0
    """The same for positives."""
    clip: float = 0.05
    """Probability below which a negative weighs nothing."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_focus("gamma_neg", self.gamma_neg)
        _require_focus("gamma_pos", self.gamma_pos)
        require(0 <= self.clip < 1, "loss.clip", self.clip, "at least 0 and below 1")


@dataclass(frozen=True, kw_only=True)
class DistributionBalancedConfig(CellLossConfig):
    """Binary cross-entropy that corrects for labels which come along with others, and lets sure negatives go."""

    kind: Literal["distribution-balanced"] = "distribution-balanced"
    """Name of the loss."""
    smoothing: float = 0.1
    """Lower limit of the weights."""
    steepness: float = 10.0
    """Of the weights' sigmoid."""
    centre: float = 0.2
    """Of the weights' sigmoid."""
    negative_scale: float = 2.0
    """How much sharper negatives let go."""
    bias_scale: float = 0.05
    """How far logits are shifted by the log-odds of prevalence."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("smoothing", "steepness", "centre", "bias_scale"):
            value: float = getattr(self, name)
            require(0 <= value < math.inf, f"loss.{name}", value, "a number from 0")
        require(0 < self.negative_scale < math.inf, "loss.negative_scale", self.negative_scale, "above 0 and finite")


@dataclass(frozen=True, kw_only=True)
class MarginConfig(ReducedLossConfig):
    """Every positive one margin above every negative of its sample."""

    kind: Literal["margin"] = "margin"
    """Name of the loss."""
    margin: float = 1.0
    """How far above."""

    def __post_init__(self) -> None:
        require(0 < self.margin < math.inf, "loss.margin", self.margin, "above 0 and finite")


@dataclass(frozen=True, kw_only=True)
class PairwiseConfig(ReducedLossConfig):
    """Pairs of a positive and a negative of a sample, smoothly: a ranking loss."""

    kind: Literal["pairwise"] = "pairwise"
    """Name of the loss."""


@dataclass(frozen=True, kw_only=True)
class ZLPRConfig(ReducedLossConfig):
    """The pairwise loss with zero as the threshold of every sample."""

    kind: Literal["zlpr"] = "zlpr"
    """Name of the loss."""


@dataclass(frozen=True, kw_only=True)
class TwoWayConfig:
    """The pairwise loss within each sample, and within each label over the batch."""

    kind: Literal["two-way"] = "two-way"
    """Name of the loss."""
    positive_temperature: float = 4.0
    """Above 1 looks at all positives, not at the worst alone."""
    negative_temperature: float = 1.0
    """The same of negatives."""

    def __post_init__(self) -> None:
        for name in ("positive_temperature", "negative_temperature"):
            value: float = getattr(self, name)
            require(0 < value < math.inf, f"loss.{name}", value, "above 0 and finite")


@dataclass(frozen=True, kw_only=True)
class SoftmaxConfig(ReducedLossConfig):
    """A softmax over all labels, shared by the positives of a sample."""

    kind: Literal["softmax"] = "softmax"
    """Name of the loss."""


@dataclass(frozen=True, kw_only=True)
class SemanticSoftmaxConfig:
    """A softmax over each level of the label space's hierarchy."""

    kind: Literal["semantic-softmax"] = "semantic-softmax"
    """Name of the loss."""
    level_weight: tuple[float, ...] | None = None
    """How much each level counts, from the top; all the same if it is not given."""

    def __post_init__(self) -> None:
        weights = self.level_weight
        sound = weights is None or (len(weights) > 0 and all(0 <= weight < math.inf for weight in weights))
        require(
            sound and (weights is None or sum(weights) > 0), "loss.level_weight", weights, "numbers from 0, not all 0"
        )


LossConfig = (
    BinaryCrossEntropyConfig
    | SoftMarginConfig
    | FocalConfig
    | AsymmetricConfig
    | DistributionBalancedConfig
    | MarginConfig
    | PairwiseConfig
    | ZLPRConfig
    | TwoWayConfig
    | SoftmaxConfig
    | SemanticSoftmaxConfig
)


def _require_focus(name: str, gamma: float) -> None:
    require(0 <= gamma < math.inf, f"loss.{name}", gamma, "a number from 0")
