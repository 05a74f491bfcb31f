"""The network of a run: encoder, head, and where it parts. Loads without torch."""

import math
from dataclasses import dataclass
from typing import Literal

from manyhot.config.checks import require, require_between
from manyhot.errors import ConfigError

Grouping = Literal["space", "co-occurrence", "labels"]


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """The network that turns a picture into features."""

    name: str = "resnet50"
    """Any encoder of timm, by name."""
    pretrained: str = "auto"
    """auto: timm's published weights (downloads once); none: random weights; or a file, .safetensors or .pt."""
    freeze: bool = False
    """Train the head alone; the encoder's weights and batch statistics stay as they are."""


@dataclass(frozen=True, kw_only=True)
class LinearHeadConfig:
    """One linear layer from features to logits."""

    kind: Literal["linear"] = "linear"
    """Name of the head."""
    in_chunks: bool | None = None
    """Train head and loss in one, in chunks of labels, without logits of all; by default above 1,000 labels, if the loss can."""


@dataclass(frozen=True, kw_only=True)
class LowRankHeadConfig:
    """Two linear layers with few features between them: for many labels."""

    kind: Literal["low-rank"] = "low-rank"
    """Name of the head."""
    rank: int = 128
    """Features between the two layers."""

    def __post_init__(self) -> None:
        require_between(1, 65_536, "head.rank", self.rank)


@dataclass(frozen=True, kw_only=True)
class GroupedHeadConfig:
    """A hidden layer for each group of labels, and a linear layer on it."""

    kind: Literal["grouped"] = "grouped"
    """Name of the head."""
    width: int = 128
    """Features of each hidden layer."""
    groups: Grouping = "space"
    """Which labels belong together: space, as the label space says; co-occurrence, those that come together; or labels,
    each on its own."""
    num_groups: int = 4
    """How many groups co-occurrence makes."""

    def __post_init__(self) -> None:
        require_between(1, 65_536, "head.width", self.width)
        require_between(2, 65_536, "head.num_groups", self.num_groups)


@dataclass(frozen=True, kw_only=True)
class MLDecoderConfig:
    """Queries look at the picture's places; each answers for several labels."""

    kind: Literal["ml-decoder"] = "ml-decoder"
    """Name of the head."""
    queries: int = 100
    """At most so many queries; all answer for equally many labels, but the last for what is left."""
    width: int = 256
    """Features of a query."""
    attention_heads: int = 8
    """Parallel attentions; they divide the width."""
    hidden: int = 512
    """Width of the layer between."""

    def __post_init__(self) -> None:
        require_between(1, 65_536, "head.queries", self.queries)
        _check_attention(self.width, self.attention_heads, self.hidden)


@dataclass(frozen=True, kw_only=True)
class Query2LabelConfig:
    """A query of its own for each label; queries look at one another and at the picture's places."""

    kind: Literal["query2label"] = "query2label"
    """Name of the head."""
    layers: int = 1
    """Decoder layers, one after the other."""
    width: int = 256
    """Features of a query."""
    attention_heads: int = 8
    """Parallel attentions; they divide the width."""
    hidden: int = 512
    """Width of the layer between."""

    def __post_init__(self) -> None:
        require_between(1, 64, "head.layers", self.layers)
        _check_attention(self.width, self.attention_heads, self.hidden)


@dataclass(frozen=True, kw_only=True)
class CSRAConfig:
    """The mean over the picture's places, and a share of the places where the label is strongest."""

    kind: Literal["csra"] = "csra"
    """Name of the head."""
    attention_heads: int = 1
    """1 takes the strongest place alone; 2, 4, 6 or 8 take softer looks at several."""
    residual: float = 0.1
    """How much the strongest places count beside the mean."""

    def __post_init__(self) -> None:
        heads = self.attention_heads
        require(heads in {1, 2, 4, 6, 8}, "head.attention_heads", heads, "1, 2, 4, 6 or 8")
        require(0 <= self.residual < math.inf, "head.residual", self.residual, "a number from 0")


@dataclass(frozen=True, kw_only=True)
class LabelAttentionConfig:
    """Each label pools the picture's places with weights of its own."""

    kind: Literal["label-attention"] = "label-attention"
    """Name of the head."""


HeadConfig = (
    LinearHeadConfig
    | LowRankHeadConfig
    | GroupedHeadConfig
    | MLDecoderConfig
    | Query2LabelConfig
    | CSRAConfig
    | LabelAttentionConfig
)


@dataclass(frozen=True, kw_only=True)
class BranchingConfig:
    """Where the encoder parts between groups of labels, if it does."""

    at: int | None = None
    """After how many of its stages each group has its own copy of the rest: 0 is separate models, the number of stages
    shares all but the heads; by default it does not part."""
    groups: Grouping = "space"
    """Which labels stay together: space, as the label space says; co-occurrence, those that come together; or labels,
    each on its own."""
    num_groups: int = 2
    """How many groups co-occurrence makes."""

    def __post_init__(self) -> None:
        require(self.at is None or self.at >= 0, "branching.at", self.at, "at least 0")
        require_between(2, 65_536, "branching.num_groups", self.num_groups)
        if self.at is None and self.groups != "space":
            raise ConfigError(
                f"branching.groups is {self.groups!r}, but the encoder parts nowhere; say after which stage (--branch-at)"
            )


def _check_attention(width: int, heads: int, hidden: int) -> None:
    require_between(1, 65_536, "head.width", width)
    require_between(1, 65_536, "head.hidden", hidden)
    require(heads >= 1 and width % heads == 0, "head.attention_heads", heads, f"a divisor of the width {width}")
