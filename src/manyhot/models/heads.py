"""Heads: features to logits."""

from typing import assert_never

from torch import nn

from manyhot.models.spec import HeadSpec, LinearHeadSpec

Head = nn.Linear


def build_head(spec: HeadSpec, *, num_features: int, num_labels: int) -> Head:
    """Return a head with random weights: features `(n, d)` to logits `(n, l)`, without a sigmoid at its end.

    >>> from manyhot.models.spec import LinearHeadSpec
    >>> build_head(LinearHeadSpec(), num_features=8, num_labels=3)
    Linear(in_features=8, out_features=3, bias=True)
    """
    match spec:
        case LinearHeadSpec():
            return nn.Linear(num_features, num_labels)
        case _:
            assert_never(spec)
