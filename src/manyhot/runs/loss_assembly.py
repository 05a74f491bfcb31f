"""From the section `[loss]` to the loss of a run, with what it needs to know of the training labels."""

import logging
from collections.abc import Mapping
from typing import Literal, assert_never

import torch
from jaxtyping import Float32
from torch import Tensor

from manyhot.config import LossConfig
from manyhot.config.losses import (
    AsymmetricConfig,
    BinaryCrossEntropyConfig,
    CellLossConfig,
    DistributionBalancedConfig,
    FocalConfig,
    MarginConfig,
    PairwiseConfig,
    SemanticSoftmaxConfig,
    SoftMarginConfig,
    SoftmaxConfig,
    TwoWayConfig,
    ZLPRConfig,
)
from manyhot.errors import ConfigError, TargetError, did_you_mean
from manyhot.labels import LabelCounts, LabelSets, LabelSpace
from manyhot.labels.expansion import count_violations
from manyhot.labels.hierarchy import Hierarchy
from manyhot.losses import (
    AsymmetricLoss,
    BCEWithLogitsLoss,
    CellLoss,
    CellOptions,
    DistributionBalancedLoss,
    FocalLoss,
    LargeLossRejection,
    Loss,
    MultiLabelMarginLoss,
    MultiLabelSoftMarginLoss,
    PairwiseLogSumExpLoss,
    SelectiveUnknown,
    SemanticSoftmaxLoss,
    SoftmaxLoss,
    TwoWayLoss,
    Unknown,
    ZLPRLoss,
    class_balanced_weights,
    levels_of,
    pos_weight_from_counts,
)
from manyhot.losses.linear.curves import Asymmetric, Binary, Curve, Focal
from manyhot.training.head_loss import LinearHeadLoss

log = logging.getLogger("manyhot")

CellConfig = BinaryCrossEntropyConfig | SoftMarginConfig | FocalConfig | AsymmetricConfig | DistributionBalancedConfig

# Sums of curves that need nothing but a cell's own logit.
HeadLossConfig = BinaryCrossEntropyConfig | FocalConfig | AsymmetricConfig
HEAD_LOSS_LACKS = ("source_weight", "label_smoothing", "unknown", "rejection_rate")

SampleConfig = MarginConfig | PairwiseConfig | ZLPRConfig | TwoWayConfig | SoftmaxConfig | SemanticSoftmaxConfig


def make_loss(config: LossConfig, labels: LabelSets, counts: LabelCounts) -> Loss:
    """Return the loss of a run.

    Args:
        config: Which loss.
        labels: The training labels, for the names of labels and sources, and the hierarchy.
        counts: Of the training labels.

    Raises:
        ConfigError: If the loss needs what the data lack, or a source that is named.
        LabelError: If the recipe names a label that the data lack.
    """
    if not isinstance(config, CellLossConfig):
        return _sample_loss(config, labels)
    loss = _cell_loss(config, labels, counts)
    if config.rejection_rate is None:
        return loss
    return LargeLossRejection(loss, rate=config.rejection_rate, start=config.rejection_start)


def make_head_loss(config: LossConfig, labels: LabelSets, counts: LabelCounts) -> LinearHeadLoss:
    """Return the loss of a run as one of features, for a linear head that never gives logits of all labels.

    Raises:
        ConfigError: If the loss compares labels with each other, or has a setting that such a loss lacks.
        LabelError: If the recipe names a label that the data lack.
    """
    obstacle = head_loss_obstacle(config)
    if obstacle is not None or not isinstance(config, HeadLossConfig):
        raise ConfigError(f"head and loss cannot be one: {obstacle}")
    return LinearHeadLoss(
        _curve(config, counts, labels.space),
        label_weight=_label_weight(config.label_weight, counts, labels.space),
        reduction=config.reduction,
    )


def head_loss_obstacle(config: LossConfig) -> str | None:
    """Return why a loss cannot be one of features; None where it can.

    >>> head_loss_obstacle(BinaryCrossEntropyConfig()) is None
    True
    """
    if not isinstance(config, HeadLossConfig):
        return f"loss.kind is {config.kind!r}; take binary-cross-entropy, focal or asymmetric"
    plain = CellLossConfig()
    given = (name for name in HEAD_LOSS_LACKS if getattr(config, name) != getattr(plain, name))
    return next((f"loss.{name} is set; leave it out" for name in given), None)


def _curve(config: HeadLossConfig, counts: LabelCounts, space: LabelSpace) -> Curve:
    match config:
        case BinaryCrossEntropyConfig():
            return Binary(_pos_weight(config.pos_weight, counts, space))
        case FocalConfig():
            return Focal(config.gamma, config.alpha)
        case AsymmetricConfig():
            return Asymmetric(config.gamma_neg, config.gamma_pos, config.clip)
        case _:
            assert_never(config)


def _sample_loss(config: SampleConfig, labels: LabelSets) -> Loss:
    match config:
        case MarginConfig():
            loss = MultiLabelMarginLoss(margin=config.margin, reduction=config.reduction)
        case PairwiseConfig():
            loss = PairwiseLogSumExpLoss(reduction=config.reduction)
        case ZLPRConfig():
            loss = ZLPRLoss(reduction=config.reduction)
        case TwoWayConfig():
            loss = TwoWayLoss(config.positive_temperature, config.negative_temperature)
        case SoftmaxConfig():
            loss = SoftmaxLoss(reduction=config.reduction)
        case SemanticSoftmaxConfig():
            loss = _semantic_softmax(config, labels)
        case _:
            assert_never(config)
    return loss


def _cell_loss(config: CellConfig, labels: LabelSets, counts: LabelCounts) -> CellLoss:
    weight = _label_weight(config.label_weight, counts, labels.space)
    options = CellOptions(
        source_weight=_source_weight(config.source_weight, labels),
        label_smoothing=config.label_smoothing,
        unknown=_unknown(config, counts),
        reduction=config.reduction,
    )
    match config:
        case BinaryCrossEntropyConfig():
            pos_weight = _pos_weight(config.pos_weight, counts, labels.space)
            loss = BCEWithLogitsLoss(pos_weight=pos_weight, label_weight=weight, **options)
        case SoftMarginConfig():
            loss = MultiLabelSoftMarginLoss(weight, **options)
        case FocalConfig():
            loss = FocalLoss(config.gamma, config.alpha, label_weight=weight, **options)
        case AsymmetricConfig():
            loss = AsymmetricLoss(config.gamma_neg, config.gamma_pos, config.clip, label_weight=weight, **options)
        case DistributionBalancedConfig():
            loss = DistributionBalancedLoss(
                counts,
                smoothing=config.smoothing,
                steepness=config.steepness,
                centre=config.centre,
                negative_scale=config.negative_scale,
                bias_scale=config.bias_scale,
                label_weight=weight,
                **options,
            )
        case _:
            assert_never(config)
    return loss


def _pos_weight(
    choice: Literal["none", "counts"] | dict[str, float], counts: LabelCounts, space: LabelSpace
) -> Float32[Tensor, " l"] | None:
    if choice == "counts":
        return pos_weight_from_counts(counts)
    return None if isinstance(choice, str) else _by_name(choice, space)


def _label_weight(
    choice: Literal["none", "class-balanced"] | dict[str, float], counts: LabelCounts, space: LabelSpace
) -> Float32[Tensor, " l"] | None:
    if choice == "class-balanced":
        return class_balanced_weights(counts)
    return None if isinstance(choice, str) else _by_name(choice, space)


def _by_name(weights: Mapping[str, float], space: LabelSpace) -> Float32[Tensor, " l"]:
    values = torch.ones(len(space))
    for name, weight in weights.items():
        values[space.id_of(name)] = weight
    return values


def _source_weight(weights: Mapping[str, float] | None, labels: LabelSets) -> Float32[Tensor, " s"] | None:
    if weights is None:
        return None
    names = [source.name for source in labels.sources]
    for name in weights:
        if name not in names:
            near = did_you_mean(name, names) or f"; there are: {', '.join(names)}"
            raise ConfigError(f"loss.source_weight.{name}: the data have no such source{near}")
    return torch.tensor([weights.get(name, 1.0) for name in names])


def _unknown(config: CellConfig, counts: LabelCounts) -> Unknown:
    if config.unknown != "selective":
        return config.unknown
    share, keep_out = config.selective_max_prevalence, config.selective_keep_out
    return SelectiveUnknown(
        torch.from_numpy(counts.prevalence),
        max_prevalence=0.05 if share is None else share,
        keep_out=5 if keep_out is None else keep_out,
    )


def _semantic_softmax(config: SemanticSoftmaxConfig, labels: LabelSets) -> SemanticSoftmaxLoss:
    hierarchy = Hierarchy.of(labels.space)
    if not hierarchy.parents.size:
        raise ConfigError(
            "loss.kind is 'semantic-softmax', which needs parents of labels, and the data name none; "
            "give them (data.hierarchy), or take softmax"
        )
    missing = int(count_violations(hierarchy, labels).sum())
    if missing:
        log.warning(
            "warning: %d positives stand without one of their parents, which semantic-softmax does not learn then; "
            "data.expand = 'ancestors' adds them",
            missing,
        )
    weight = None if config.level_weight is None else torch.tensor(config.level_weight)
    try:
        return SemanticSoftmaxLoss(levels_of(hierarchy), weight)
    except TargetError as error:
        raise ConfigError(f"loss.level_weight: {error}") from None
