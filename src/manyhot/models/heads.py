"""Heads: features of a sample, or of the places of its picture, to logits."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal, assert_never

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

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
    TokenHeadSpec,
    check_width_of_groups,
)

Reads = Literal["features", "tokens"]


class Head(nn.Module, ABC):
    """What every head is: a module without a sigmoid at its end.

    Args:
        num_labels: Logits of a sample.

    Attributes:
        reads: Whether `forward` takes one vector a sample `(n, d)`, or one for each place of its picture `(n, t, d)`.
    """

    reads: Reads = "features"

    def __init__(self, num_labels: int) -> None:
        super().__init__()
        self.num_labels = num_labels

    @abstractmethod
    def forward(self, inputs: Tensor) -> Float[Tensor, "n l"]:
        """Return logits."""

    @abstractmethod
    def reset_parameters(self) -> None:
        """Draw new weights; logits start near the biases."""

    @abstractmethod
    def start_at(self, logits: Float[Tensor, " l"]) -> None:
        """Set the biases to logits that training starts from."""


class BiasedHead(Head):
    """A head that adds one bias a label at its end.

    Args:
        num_labels: Logits of a sample.
    """

    def __init__(self, num_labels: int) -> None:
        super().__init__(num_labels)
        self.bias = nn.Parameter(torch.zeros(num_labels))

    def start_at(self, logits: Float[Tensor, " l"]) -> None:
        """Set the biases to logits that training starts from."""
        with torch.no_grad():
            self.bias.copy_(logits)


class BranchedHead(Head):
    """A head of its own for each group of labels, on the features of the group's branch `(n, g, …)`.

    >>> BranchedHead([LinearHead(8, 2), LinearHead(8, 1)], ((0, 2), (1,)))(torch.zeros(4, 2, 8)).shape
    torch.Size([4, 3])
    """

    def __init__(self, heads: Sequence[Head], groups: Groups) -> None:
        super().__init__(sum(len(group) for group in groups))
        self.reads = heads[0].reads
        self.heads = nn.ModuleList(heads)
        self.groups = groups
        # Where the logit of each label stands among those of the groups, one after the other.
        order = torch.tensor([label for group in groups for label in group])
        self.columns: Tensor
        self.register_buffer("columns", order.argsort(), persistent=False)

    def forward(self, inputs: Float[Tensor, "n g *d"]) -> Float[Tensor, "n l"]:
        """Return logits."""
        return torch.cat([head(inputs[:, index]) for index, head in enumerate(self.heads)], dim=1)[:, self.columns]

    def reset_parameters(self) -> None:
        """Draw the weights of each head anew."""
        for head in self._heads():
            head.reset_parameters()

    def start_at(self, logits: Float[Tensor, " l"]) -> None:
        """Set the biases of each head to logits that training starts from."""
        for head, group in zip(self._heads(), self.groups, strict=True):
            head.start_at(logits[list(group)])

    def _heads(self) -> list[Head]:
        return [head for head in self.heads if isinstance(head, Head)]


class LinearHead(BiasedHead):
    """One linear layer.

    >>> LinearHead(8, 3)(torch.zeros(2, 8)).shape
    torch.Size([2, 3])
    """

    def __init__(self, num_features: int, num_labels: int) -> None:
        super().__init__(num_labels)
        self.weight = nn.Parameter(torch.empty(num_labels, num_features))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weights after Kaiming, with torch's own slope for linear layers: uniform in ±1/√d."""
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)

    def forward(self, inputs: Float[Tensor, "n d"]) -> Float[Tensor, "n l"]:
        """Return logits."""
        return nn.functional.linear(inputs, self.weight, self.bias)


class LowRankHead(BiasedHead):
    """Two linear layers with few features between them.

    >>> sum(weight.numel() for weight in LowRankHead(2048, 10_000, rank=64).parameters())
    781072
    """

    def __init__(self, num_features: int, num_labels: int, *, rank: int) -> None:
        super().__init__(num_labels)
        self.down = nn.Parameter(torch.empty(rank, num_features))
        self.weight = nn.Parameter(torch.empty(num_labels, rank))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weights after Kaiming."""
        nn.init.kaiming_uniform_(self.down, a=5**0.5)
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)

    def forward(self, inputs: Float[Tensor, "n d"]) -> Float[Tensor, "n l"]:
        """Return logits."""
        return nn.functional.linear(nn.functional.linear(inputs, self.down), self.weight, self.bias)


class GroupedHead(BiasedHead):
    """A hidden layer for each group of labels, and a linear layer on it: all groups in one product.

    Groups are padded to the size of the largest.

    >>> GroupedHead(8, ((0, 2), (1,)), width=4)(torch.zeros(2, 8)).shape
    torch.Size([2, 3])
    """

    columns: Int64[Tensor, " l"]

    def __init__(self, num_features: int, groups: Groups, *, width: int) -> None:
        super().__init__(sum(len(group) for group in groups))
        largest = max(len(group) for group in groups)
        self.hidden = nn.Linear(num_features, len(groups) * width)
        self.weight = nn.Parameter(torch.empty(len(groups), largest, width))
        columns = torch.empty(self.num_labels, dtype=torch.int64)
        for index, group in enumerate(groups):
            columns[list(group)] = index * largest + torch.arange(len(group))
        self.register_buffer("columns", columns, persistent=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weights after Kaiming."""
        self.hidden.reset_parameters()
        bound = self.weight.shape[-1] ** -0.5
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, inputs: Float[Tensor, "n d"]) -> Float[Tensor, "n l"]:
        """Return logits."""
        num_groups, _, width = self.weight.shape
        hidden = nn.functional.gelu(self.hidden(inputs)).view(-1, num_groups, width)
        logits = torch.einsum("ngw,gmw->ngm", hidden, self.weight).flatten(1)
        return logits[:, self.columns] + self.bias


def build_head(spec: HeadSpec, *, num_features: int, num_labels: int) -> Head:
    """Return a head with random weights: features `(n, d)` or tokens `(n, t, d)` to logits, as its `reads` says.

    Args:
        spec: Which head.
        num_features: Features d of a sample, or of a place.
        num_labels: Logits of a sample.

    Raises:
        ModelError: If the specification's groups are not those labels.

    >>> from manyhot.models.head_specs import LowRankHeadSpec
    >>> build_head(LowRankHeadSpec(rank=2), num_features=8, num_labels=3).reads
    'features'
    """
    match spec:
        case LinearHeadSpec():
            return LinearHead(num_features, num_labels)
        case LowRankHeadSpec():
            return LowRankHead(num_features, num_labels, rank=spec.rank)
        case GroupedHeadSpec():
            check_width_of_groups(spec.groups, num_labels, "model.head.groups")
            return GroupedHead(num_features, spec.groups, width=spec.width)
        case _:
            return _build_token_head(spec, num_features, num_labels)


def _build_token_head(spec: TokenHeadSpec, num_features: int, num_labels: int) -> Head:
    # Down here: attention heads are built on Head.
    from manyhot.models import attention

    match spec:
        case MLDecoderSpec():
            return attention.MLDecoder(num_features, num_labels, spec)
        case Query2LabelSpec():
            return attention.Query2Label(num_features, num_labels, spec)
        case CSRASpec():
            return attention.CSRA(num_features, num_labels, heads=spec.attention_heads, residual=spec.residual)
        case LabelAttentionSpec():
            return attention.LabelAttention(num_features, num_labels)
        case _:
            assert_never(spec)
