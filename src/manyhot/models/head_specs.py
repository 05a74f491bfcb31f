"""What a head is, as plain data. Loads without torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_type_hints

from manyhot.errors import ModelError, did_you_mean
from manyhot.models.plain_data import fields_of, typed

Groups = tuple[tuple[int, ...], ...]
"""Label ids, parted: each label is in one group."""


@dataclass(frozen=True, kw_only=True)
class LinearHeadSpec:
    """One linear layer from features to logits."""

    kind: Literal["linear"] = "linear"


@dataclass(frozen=True, kw_only=True)
class LowRankHeadSpec:
    """Two linear layers with few features between them: rank (d + l) weights in place of d l.

    Args:
        rank: Features between the two.
    """

    kind: Literal["low-rank"] = "low-rank"
    rank: int = 128

    def __post_init__(self) -> None:
        _check("low-rank", rank=self.rank)


@dataclass(frozen=True, kw_only=True)
class GroupedHeadSpec:
    """A hidden layer for each group of labels, and a linear layer on it.

    Args:
        groups: The labels of each group.
        width: Features of each hidden layer.
    """

    kind: Literal["grouped"] = "grouped"
    groups: Groups
    width: int = 128

    def __post_init__(self) -> None:
        _check("grouped", width=self.width)
        check_groups(self.groups, "model.head.groups")


@dataclass(frozen=True, kw_only=True)
class MLDecoderSpec:
    """Queries look at the picture's places; each answers for several labels.

    Args:
        queries: At most so many queries: all answer for equally many labels, but the last for what is left.
        width: Features of a query.
        attention_heads: Parallel attentions; they divide the width.
        hidden: Width of the layer between.
    """

    kind: Literal["ml-decoder"] = "ml-decoder"
    queries: int = 100
    width: int = 256
    attention_heads: int = 8
    hidden: int = 512

    def __post_init__(self) -> None:
        _check("ml-decoder", queries=self.queries, hidden=self.hidden)
        _check_width("ml-decoder", self.width, self.attention_heads)


@dataclass(frozen=True, kw_only=True)
class Query2LabelSpec:
    """A query of its own for each label; queries look at one another and at the picture's places.

    Args:
        layers: Decoder layers, one after the other.
        width: Features of a query.
        attention_heads: Parallel attentions; they divide the width.
        hidden: Width of the layer between.
    """

    kind: Literal["query2label"] = "query2label"
    layers: int = 1
    width: int = 256
    attention_heads: int = 8
    hidden: int = 512

    def __post_init__(self) -> None:
        _check("query2label", layers=self.layers, hidden=self.hidden)
        _check_width("query2label", self.width, self.attention_heads)


@dataclass(frozen=True, kw_only=True)
class CSRASpec:
    """The mean over the picture's places, and on top of it the places where the label is strongest.

    Args:
        attention_heads: 1 takes the strongest place alone; more take softer looks at several, with sharpnesses of
            their own.
        residual: How much the strongest places count beside the mean.
    """

    kind: Literal["csra"] = "csra"
    attention_heads: int = 1
    residual: float = 0.1

    def __post_init__(self) -> None:
        if self.attention_heads not in (1, 2, 4, 6, 8):
            raise ModelError(f"head csra: attention_heads is {self.attention_heads}; it must be 1, 2, 4, 6 or 8")
        if not 0 <= self.residual < float("inf"):
            raise ModelError(f"head csra: residual is {self.residual}; it must be a number from 0")


@dataclass(frozen=True, kw_only=True)
class LabelAttentionSpec:
    """Each label pools the picture's places with weights of its own, and reads the logit from what it pooled."""

    kind: Literal["label-attention"] = "label-attention"


TokenHeadSpec = MLDecoderSpec | Query2LabelSpec | CSRASpec | LabelAttentionSpec
HeadSpec = LinearHeadSpec | LowRankHeadSpec | GroupedHeadSpec | TokenHeadSpec
HEAD_SPECS: tuple[type[HeadSpec], ...] = (
    LinearHeadSpec,
    LowRankHeadSpec,
    GroupedHeadSpec,
    MLDecoderSpec,
    Query2LabelSpec,
    CSRASpec,
    LabelAttentionSpec,
)


def reads_tokens(spec: HeadSpec) -> bool:
    """Return whether a head takes features of each place of a picture, rather than of the picture.

    >>> reads_tokens(CSRASpec())
    True
    """
    return isinstance(spec, TokenHeadSpec)


def read_head(data: object) -> HeadSpec:
    """Return the head that plain data describe: what `dataclasses.asdict` made of it, through JSON.

    Raises:
        ModelError: If a field is missing, unknown or of another type.

    >>> read_head({"kind": "low-rank", "rank": 16})
    LowRankHeadSpec(kind='low-rank', rank=16)
    """
    if not isinstance(data, Mapping):
        raise ModelError(f"model.head is {data!r}; it must be a table of fields")
    kinds = {str(get_args(get_type_hints(spec)["kind"])[0]): spec for spec in HEAD_SPECS}
    kind = str(data.get("kind"))
    if kind not in kinds:
        near = did_you_mean(kind, tuple(kinds))
        raise ModelError(f"model.head.kind is {kind!r}; this version knows {', '.join(kinds)}{near}")
    types = get_type_hints(kinds[kind])
    values = fields_of(data, kinds[kind], "model.head")
    return kinds[kind](**{name: _read(value, types[name], f"model.head.{name}") for name, value in values.items()})


def _read(value: object, kind: object, place: str) -> Any:  # noqa: ANN401 - the type is the field's
    if kind == Groups:
        return read_groups(value, place)
    if kind is float:
        return typed(float(value) if type(value) is int else value, float, place)
    return typed(value, int, place) if kind is int else value


def read_groups(data: object, place: str) -> Groups:
    """Return groups of labels from lists of lists of ids.

    Raises:
        ModelError: If they are anything else.

    >>> read_groups([[0, 2], [1]], "model.head.groups")
    ((0, 2), (1,))
    """
    if not isinstance(data, list | tuple) or not all(isinstance(group, list | tuple) for group in data):
        raise ModelError(f"{place} must be a list of lists of label ids")
    return tuple(tuple(typed(label, int, place) for label in group) for group in data)


def check_groups(groups: Groups, place: str) -> None:
    """Check that groups part the labels: none is empty, and each id from 0 stands in one of them.

    Raises:
        ModelError: Naming a label that stands in none or in two.

    >>> check_groups(((0, 2), (1,)), "model.head.groups")
    """
    ids = [label for group in groups for label in group]
    if not groups or not all(groups):
        raise ModelError(f"{place}: a group is empty; leave it out")
    if sorted(ids) != list(range(len(ids))):
        strange = next(label for label in range(len(ids) + 1) if ids.count(label) != 1)
        raise ModelError(f"{place}: label {strange} is in {ids.count(strange)} groups; put each label into one")


def check_width_of_groups(groups: Groups, num_labels: int, place: str) -> None:
    """Check that groups part this many labels.

    Raises:
        ModelError: Saying both numbers.

    >>> check_width_of_groups(((0, 2), (1,)), 3, "model.head.groups")
    """
    count = sum(len(group) for group in groups)
    if count != num_labels:
        raise ModelError(f"{place} part {count:,} labels, the model has {num_labels:,}")


def _check(head: str, **numbers: int) -> None:
    for name, number in numbers.items():
        if number < 1:
            raise ModelError(f"head {head}: {name} is {number}; it must be at least 1")


def _check_width(head: str, width: int, attention_heads: int) -> None:
    _check(head, width=width, attention_heads=attention_heads)
    if width % attention_heads:
        raise ModelError(f"head {head}: {attention_heads} attention_heads do not divide a width of {width}")
