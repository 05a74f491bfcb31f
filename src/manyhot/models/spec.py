"""What a model is, as plain data: enough to build it again from nothing. Loads without torch."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from manyhot.errors import ModelError
from manyhot.models.head_specs import (
    GroupedHeadSpec,
    Groups,
    HeadSpec,
    LinearHeadSpec,
    check_groups,
    check_width_of_groups,
    read_groups,
    read_head,
)
from manyhot.models.plain_data import fields_of, typed


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How uint8 pictures become the encoder's input: resized, divided by 255, less `mean`, over `std`.

    Args:
        image_size: Height and width in pixels.
        mean: Mean of red, green and blue, in units of 255.
        std: Standard deviation of red, green and blue, in units of 255.

    Raises:
        ModelError: If a number makes no sense.
    """

    image_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __post_init__(self) -> None:
        if self.image_size < 1:
            raise ModelError(f"preprocessing: image_size is {self.image_size}; it must be at least 1 pixel")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != 3 or not all(math.isfinite(value) for value in values):
                raise ModelError(f"preprocessing: {name} is {values}; it must be three finite numbers, one a channel")
        if min(self.std) <= 0:
            raise ModelError(f"preprocessing: std is {self.std}; each must be above 0")


@dataclass(frozen=True, kw_only=True)
class BranchingSpec:
    """Which labels part from which, and where.

    Args:
        at: After how many stages of the encoder (`manyhot.models.branching.stages_of`) each group has its own copy of
            the rest: 0 shares nothing, the number of stages shares all but the heads.
        groups: The labels of each group.

    Raises:
        ModelError: If the groups do not part the labels.
    """

    at: int
    groups: Groups

    def __post_init__(self) -> None:
        if self.at < 0:
            raise ModelError(f"model.branching.at is {self.at}; it must be at least 0")
        check_groups(self.groups, "model.branching.groups")


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """A model as plain data: training and bundles both build from it, so they cannot differ.

    Args:
        encoder: Name of a timm encoder.
        num_labels: Number of logits of a sample.
        head: The head on top of the encoder; with branches, of each.
        branching: Where the encoder parts between groups of labels; None where it does not.
        preprocessing: How pictures reach the encoder.

    Raises:
        ModelError: If a field makes no sense.

    >>> plain = Preprocessing(image_size=64, mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2))
    >>> spec = ModelSpec(encoder="resnet18", num_labels=3, preprocessing=plain)
    >>> ModelSpec.from_dict(spec.to_dict()) == spec
    True
    """

    encoder: str
    num_labels: int
    head: HeadSpec = field(default_factory=LinearHeadSpec)
    branching: BranchingSpec | None = None
    preprocessing: Preprocessing

    def __post_init__(self) -> None:
        if not self.encoder:
            raise ModelError("model: the encoder has no name; give one of timm's, resnet50 for example")
        if self.num_labels < 1:
            raise ModelError(f"model: num_labels is {self.num_labels}; a model needs at least one label")
        if self.branching is not None:
            check_width_of_groups(self.branching.groups, self.num_labels, "model.branching.groups")
            if isinstance(self.head, GroupedHeadSpec):
                raise ModelError("a grouped head parts the labels itself; with branches take another head")

    def to_dict(self) -> dict[str, Any]:
        """Return the specification as plain data for JSON."""
        data = asdict(self)
        preprocessing = data["preprocessing"]
        preprocessing["mean"], preprocessing["std"] = list(self.preprocessing.mean), list(self.preprocessing.std)
        return data

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> "ModelSpec":
        """Return the specification that `to_dict` wrote.

        Raises:
            ModelError: If a field is missing, unknown or of another type.
        """
        model = fields_of(data, ModelSpec, "model")
        preprocessing = fields_of(model["preprocessing"], Preprocessing, "model.preprocessing")
        return ModelSpec(
            encoder=typed(model["encoder"], str, "model.encoder"),
            num_labels=typed(model["num_labels"], int, "model.num_labels"),
            head=read_head(model["head"]),
            branching=_read_branching(model["branching"]),
            preprocessing=Preprocessing(
                image_size=typed(preprocessing["image_size"], int, "model.preprocessing.image_size"),
                mean=_three_numbers(preprocessing["mean"], "model.preprocessing.mean"),
                std=_three_numbers(preprocessing["std"], "model.preprocessing.std"),
            ),
        )


def _read_branching(data: object) -> BranchingSpec | None:
    if data is None:
        return None
    values = fields_of(data, BranchingSpec, "model.branching")
    return BranchingSpec(
        at=typed(values["at"], int, "model.branching.at"),
        groups=read_groups(values["groups"], "model.branching.groups"),
    )


def _three_numbers(value: object, place: str) -> tuple[float, float, float]:
    if not isinstance(value, list | tuple) or len(value) != 3:
        raise ModelError(f"{place} is {value!r}; it must be three numbers, one a channel")
    red, green, blue = (typed(float(item) if type(item) is int else item, float, place) for item in value)
    return red, green, blue
