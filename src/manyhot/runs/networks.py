"""From the settings of encoder, head and branches to a model, and to the weights that it starts from."""

import logging
from pathlib import Path
from typing import assert_never

import torch
from torch import Tensor

from manyhot.config import (
    BranchingConfig,
    CSRAConfig,
    GroupedHeadConfig,
    HeadConfig,
    LabelAttentionConfig,
    LinearHeadConfig,
    LowRankHeadConfig,
    MLDecoderConfig,
    Query2LabelConfig,
    Recipe,
)
from manyhot.config.models import Grouping
from manyhot.labels import LabelSets
from manyhot.labels.grouping import groups_by_cooccurrence, groups_of_space
from manyhot.models.branching import BranchedEncoder
from manyhot.models.build import build_model
from manyhot.models.classifier import Classifier, freeze_encoder
from manyhot.models.cost import count_cost, time_step
from manyhot.models.encoders import create_encoder, load_encoder_weights, preprocessing_of
from manyhot.models.head_specs import (
    CSRASpec,
    GroupedHeadSpec,
    Groups,
    HeadSpec,
    LabelAttentionSpec,
    LinearHeadSpec,
    LowRankHeadSpec,
    MLDecoderSpec,
    Query2LabelSpec,
)
from manyhot.models.initialisation import initialise_head
from manyhot.models.spec import BranchingSpec, ModelSpec

log = logging.getLogger("manyhot")

MANY_LABELS = 1_000
SHOWN_GROUPS = 4
SHOWN_LABELS = 3


def model_spec(recipe: Recipe, labels: LabelSets) -> ModelSpec:
    """Return the plain description of the recipe's model.

    Args:
        recipe: The settings.
        labels: Of the training samples; groups by co-occurrence are found in them.

    Raises:
        LabelError: If the labels cannot be parted as the recipe says.
    """
    return ModelSpec(
        encoder=recipe.encoder.name,
        num_labels=labels.num_labels,
        head=_head_spec(recipe.head, labels),
        branching=_branching_spec(recipe.branching, labels),
        preprocessing=preprocessing_of(recipe.encoder.name, image_size=recipe.images.size),
    )


def make_model(recipe: Recipe, spec: ModelSpec) -> Classifier:
    """Return the model with random weights by the recipe's seed, and the encoder frozen where the recipe says so."""
    torch.manual_seed(recipe.seed)
    model = build_model(spec)
    if recipe.encoder.freeze:
        freeze_encoder(model)
    return model


def start_model(model: Classifier, recipe: Recipe, start: Tensor) -> None:
    """Give a model the weights that training starts from.

    Args:
        model: Changed in place.
        recipe: The encoder's weights are those that it names; all branches start from the same.
        start: The logit of each label that the head starts at: the first steps need not learn that most cells are
            negative.
    """
    choice = recipe.encoder.pretrained
    pretrained = choice if choice in ("auto", "none") else Path(choice)
    if not isinstance(model.encoder, BranchedEncoder):
        load_encoder_weights(model.encoder, recipe.encoder.name, pretrained)
    elif pretrained != "none":
        whole = create_encoder(recipe.encoder.name, image_size=recipe.images.size)
        load_encoder_weights(whole, recipe.encoder.name, pretrained)
        model.encoder.take_weights(whole)
    initialise_head(model.head, start)


def trains_in_chunks(recipe: Recipe, num_labels: int, obstacle: str | None) -> bool:
    """Return whether head and loss are trained in one, as the recipe says, or where it leaves it open as suits.

    Args:
        recipe: The settings.
        num_labels: Of the head.
        obstacle: Why the loss cannot; None where it can.
    """
    if recipe.distributed.head == "sharded":
        return True
    if not isinstance(recipe.head, LinearHeadConfig) or recipe.branching.at is not None:
        return False
    if recipe.head.in_chunks is not None:
        return recipe.head.in_chunks
    chosen = num_labels > MANY_LABELS and obstacle is None
    if chosen:
        log.info(
            "head and loss are one, in chunks of labels: %d are more than %d (head.in_chunks)", num_labels, MANY_LABELS
        )
    return chosen


def describe_model(model: Classifier, names: tuple[str, ...]) -> list[str]:
    """Return what a model is and costs, in lines for the log.

    Args:
        model: The model, on the device that trains it.
        names: Of the labels.
    """
    spec, lines = model.spec, [f"model: {model.spec.encoder}, head {model.spec.head.kind}: {count_cost(model)}"]
    if spec.branching is None or not isinstance(model.encoder, BranchedEncoder):
        return lines
    stages = model.encoder.stages
    groups = [_described(group, names) for group in spec.branching.groups[:SHOWN_GROUPS]]
    more = len(spec.branching.groups) - SHOWN_GROUPS
    where = "before its first stage" if spec.branching.at == 0 else f"after {stages[spec.branching.at - 1]!r}"
    lines.append(
        f"the encoder parts {where} (stage {spec.branching.at} of {len(stages)}) into {len(spec.branching.groups)} "
        f"branches: {'; '.join(groups)}{f'; and {more} more' if more > 0 else ''}"
    )
    lines.append(f"a picture takes {time_step(model) * 1e3:.1f} ms forwards and backwards on {model.mean.device.type}")
    return lines


def _described(group: tuple[int, ...], names: tuple[str, ...]) -> str:
    shown = ", ".join(names[label] for label in group[:SHOWN_LABELS])
    return shown if len(group) <= SHOWN_LABELS else f"{shown} and {len(group) - SHOWN_LABELS} more"


def _branching_spec(config: BranchingConfig, labels: LabelSets) -> BranchingSpec | None:
    if config.at is None:
        return None
    return BranchingSpec(at=config.at, groups=_groups(config.groups, config.num_groups, labels))


def _groups(grouping: Grouping, num_groups: int, labels: LabelSets) -> Groups:
    match grouping:
        case "space":
            return groups_of_space(labels.space)
        case "co-occurrence":
            return groups_by_cooccurrence(labels, num_groups)
        case "labels":
            return tuple((label,) for label in range(labels.num_labels))
        case _:
            assert_never(grouping)


def _head_spec(config: HeadConfig, labels: LabelSets) -> HeadSpec:
    match config:
        case LinearHeadConfig():
            return LinearHeadSpec()
        case LowRankHeadConfig():
            return LowRankHeadSpec(rank=config.rank)
        case GroupedHeadConfig():
            return GroupedHeadSpec(groups=_groups(config.groups, config.num_groups, labels), width=config.width)
        case _:
            return _token_head_spec(config)


def _token_head_spec(
    config: MLDecoderConfig | Query2LabelConfig | CSRAConfig | LabelAttentionConfig,
) -> HeadSpec:
    match config:
        case MLDecoderConfig():
            return MLDecoderSpec(
                queries=config.queries,
                width=config.width,
                attention_heads=config.attention_heads,
                hidden=config.hidden,
            )
        case Query2LabelConfig():
            return Query2LabelSpec(
                layers=config.layers,
                width=config.width,
                attention_heads=config.attention_heads,
                hidden=config.hidden,
            )
        case CSRAConfig():
            return CSRASpec(attention_heads=config.attention_heads, residual=config.residual)
        case LabelAttentionConfig():
            return LabelAttentionSpec()
        case _:
            assert_never(config)
