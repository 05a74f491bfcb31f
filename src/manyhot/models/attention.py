"""Heads that look at the places of a picture: decoders with queries, and attention of each label's own."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from manyhot.models.head_specs import MLDecoderSpec, Query2LabelSpec
from manyhot.models.heads import BiasedHead, Reads

# Sharpness of each attention of CSRA, by how many there are; 99 stands for the maximum.
_SHARPNESS = {
    1: (99,),
    2: (1, 99),
    4: (1, 2, 4, 99),
    6: (1, 2, 3, 4, 5, 99),
    8: (1, 2, 3, 4, 5, 6, 7, 99),
}


class Attention(nn.Module):
    """Queries look at keys: multi-head attention with residual and normalisation after it.

    Args:
        width: Features of queries and keys.
        heads: Parallel attentions.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.queries = nn.Linear(width, width)
        self.keys_and_values = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, queries: Float[Tensor, "n q w"], keys: Float[Tensor, "n t w"]) -> Float[Tensor, "n q w"]:
        """Return what the queries found, added to them."""
        key, value = self.keys_and_values(keys).chunk(2, dim=-1)
        query, key, value = (self._parted(tensor) for tensor in (self.queries(queries), key, value))
        found = nn.functional.scaled_dot_product_attention(query, key, value)
        return self.norm(queries + self.out(found.transpose(1, 2).flatten(2)))

    def _parted(self, tensor: Float[Tensor, "n k w"]) -> Float[Tensor, "n h k v"]:
        return tensor.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class FeedForward(nn.Module):
    """Two linear layers with residual and normalisation after them.

    Args:
        width: Features in and out.
        hidden: Features between.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, hidden)
        self.outer = nn.Linear(hidden, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, queries: Float[Tensor, "n q w"]) -> Float[Tensor, "n q w"]:
        """Return the queries, worked on each alone."""
        return self.norm(queries + self.outer(nn.functional.relu(self.inner(queries))))


class MLDecoder(BiasedHead):
    """A few queries look at the picture's places, and each answers for a share of the labels.

    Queries do not look at one another, and are not learnt: they need only differ. Labels are dealt to queries in order.

    Args:
        num_features: Features of a place.
        num_labels: Logits of a sample.
        spec: Sizes.

    Source: Ridnik, Sharir, Ben-Cohen, Ben-Baruch, Noy 2023 (ML-Decoder).

    >>> MLDecoder(8, 5, MLDecoderSpec(queries=2, width=16, attention_heads=2))(torch.zeros(2, 9, 8)).shape
    torch.Size([2, 5])
    """

    reads: Reads = "tokens"
    queries: Float[Tensor, "q w"]

    def __init__(self, num_features: int, num_labels: int, spec: MLDecoderSpec) -> None:
        super().__init__(num_labels)
        labels_each = math.ceil(num_labels / spec.queries)
        # No more than have a label to answer for: 80 labels by 50 queries are two for each of 40.
        num_queries = math.ceil(num_labels / labels_each)
        self.embed = nn.Linear(num_features, spec.width)
        self.attention = Attention(spec.width, spec.attention_heads)
        self.feed_forward = FeedForward(spec.width, spec.hidden)
        self.register_buffer("queries", torch.randn(num_queries, spec.width))
        self.weight = nn.Parameter(torch.empty(num_queries, spec.width, labels_each))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights of the last layer uniform in ±1/√w."""
        bound = self.weight.shape[1] ** -0.5
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, inputs: Float[Tensor, "n t d"]) -> Float[Tensor, "n l"]:
        """Return logits."""
        places = nn.functional.relu(self.embed(inputs))
        queries = self.queries.expand(len(inputs), -1, -1)
        answers = self.feed_forward(self.attention(queries, places))
        return torch.einsum("nqw,qwg->nqg", answers, self.weight).flatten(1)[:, : self.num_labels] + self.bias


class Query2Label(BiasedHead):
    """A learnt query for each label; queries look at one another, then at the picture's places.

    Memory and time grow with the square of the labels: for hundreds of them, not for thousands.

    Args:
        num_features: Features of a place.
        num_labels: Logits of a sample.
        spec: Sizes.

    Source: Liu, Zhang, Yang, Su, Zhu 2021 (Query2Label).

    >>> Query2Label(8, 5, Query2LabelSpec(width=16, attention_heads=2))(torch.zeros(2, 9, 8)).shape
    torch.Size([2, 5])
    """

    reads: Reads = "tokens"

    def __init__(self, num_features: int, num_labels: int, spec: Query2LabelSpec) -> None:
        super().__init__(num_labels)
        self.embed = nn.Linear(num_features, spec.width)
        self.queries = nn.Parameter(torch.empty(num_labels, spec.width))
        self.layers = nn.ModuleList(
            nn.ModuleList(
                (
                    Attention(spec.width, spec.attention_heads),
                    Attention(spec.width, spec.attention_heads),
                    FeedForward(spec.width, spec.hidden),
                )
            )
            for _ in range(spec.layers)
        )
        self.weight = nn.Parameter(torch.empty(num_labels, spec.width))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw queries from a normal distribution, and the weights of the last layer uniform in ±1/√w."""
        nn.init.normal_(self.queries)
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)

    def forward(self, inputs: Float[Tensor, "n t d"]) -> Float[Tensor, "n l"]:
        """Return logits."""
        places = self.embed(inputs)
        queries = self.queries.expand(len(inputs), -1, -1)
        for layer in self.layers:
            assert isinstance(layer, nn.ModuleList)
            among, across, feed_forward = layer
            queries = feed_forward(across(among(queries, queries), places))
        return torch.einsum("nlw,lw->nl", queries, self.weight) + self.bias


class CSRA(BiasedHead):
    """The mean of a label's scores over the picture's places, and a share of the places where they are highest.

    Args:
        num_features: Features of a place.
        num_labels: Logits of a sample.
        heads: How many attentions, each with a sharpness of its own; 1 takes the maximum.
        residual: How much the attention counts beside the mean.

    Source: Zhu, Wu 2021 (class-specific residual attention).

    >>> CSRA(8, 5, heads=2, residual=0.1)(torch.zeros(2, 9, 8)).shape
    torch.Size([2, 5])
    """

    reads: Reads = "tokens"

    def __init__(self, num_features: int, num_labels: int, *, heads: int, residual: float) -> None:
        super().__init__(num_labels)
        self.sharpness = _SHARPNESS[heads]
        self.residual = residual
        self.weight = nn.Parameter(torch.empty(heads, num_labels, num_features))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weights uniform in ±1/√d; only their directions count."""
        bound = self.weight.shape[-1] ** -0.5
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, inputs: Float[Tensor, "n t d"]) -> Float[Tensor, "n l"]:
        """Return logits."""
        directions = nn.functional.normalize(self.weight, dim=-1)
        logits = self.bias.expand(len(inputs), -1)
        for direction, sharpness in zip(directions, self.sharpness, strict=True):
            scores = nn.functional.linear(inputs, direction)
            if sharpness == _SHARPNESS[1][0]:
                strongest = scores.amax(dim=1)
            else:
                strongest = (torch.softmax(sharpness * scores, dim=1) * scores).sum(dim=1)
            logits = logits + scores.mean(dim=1) + self.residual * strongest
        return logits


class LabelAttention(BiasedHead):
    """Each label weighs the picture's places by a query of its own, and reads its logit from the weighted mean.

    Args:
        num_features: Features of a place.
        num_labels: Logits of a sample.

    Source: Mullenbach, Wiegreffe, Duke, Sun, Eisenstein 2018, section 2.2, on places in place of words.

    >>> LabelAttention(8, 5)(torch.zeros(2, 9, 8)).shape
    torch.Size([2, 5])
    """

    reads: Reads = "tokens"

    def __init__(self, num_features: int, num_labels: int) -> None:
        super().__init__(num_labels)
        self.queries = nn.Parameter(torch.empty(num_labels, num_features))
        self.weight = nn.Parameter(torch.empty(num_labels, num_features))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw queries and weights uniform in ±1/√d: attention starts almost even."""
        nn.init.kaiming_uniform_(self.queries, a=5**0.5)
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)

    def forward(self, inputs: Float[Tensor, "n t d"]) -> Float[Tensor, "n l"]:
        """Return logits."""
        attention = torch.softmax(nn.functional.linear(inputs, self.queries), dim=1)
        # Scores first: (n, t, l) twice in place of pooled features (n, l, d).
        scores = nn.functional.linear(inputs, self.weight)
        return (attention * scores).sum(dim=1) + self.bias
