"""Batches of features, heads and targets in every state, and the dense truth beside them, in float64."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import Tensor

from manyhot.targets import SparseTargets


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Features, a head and targets, in float64."""

    input: Tensor
    weight: Tensor
    bias: Tensor
    targets: SparseTargets

    def to(self, dtype: torch.dtype) -> "Batch":
        return replace(self, input=self.input.to(dtype), weight=self.weight.to(dtype), bias=self.bias.to(dtype))


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Compute on one thread: batches of these sizes gain nothing by two. The shared fixture puts the number back."""
    torch.set_num_threads(1)


def make_targets(num_samples: int, num_labels: int, state: str, seed: int = 0) -> SparseTargets:
    """Return targets with rows without labels and labels without positives, in the given state."""
    generator = torch.Generator().manual_seed(seed)
    dense = (torch.rand(num_samples, num_labels, generator=generator) < 0.2).float()
    dense[::5] = 0
    dense[:, ::7] = 0
    if state == "complete":
        return SparseTargets.from_dense(dense)
    if state == "confidences":
        return SparseTargets.from_dense(dense * (torch.rand(dense.shape, generator=generator) * 0.8 + 0.1))
    if state == "empty":
        return SparseTargets.from_dense(torch.zeros_like(dense))
    unknown = torch.rand(dense.shape, generator=generator) < 0.3
    if state == "unknown cells":
        return SparseTargets.from_dense(dense.masked_fill(unknown, float("nan")))
    # Three sources: complete; unlisted unknown, with verified negatives; half of the labels annotated, with unknown exceptions.
    assert state == "sources"
    annotated = torch.arange(num_labels) % 2 == 0
    unlisted = torch.stack([torch.ones(num_labels).bool(), torch.zeros(num_labels).bool(), annotated])
    sources = torch.arange(num_samples) % 3
    exceptions = [
        np.flatnonzero((unknown[i] & (dense[i] == 0) & (sources[i] != 2)).numpy()) for i in range(num_samples)
    ]
    lengths = torch.tensor([0, *(len(row) for row in exceptions)])
    return replace(
        SparseTargets.from_dense(dense),
        unlisted_known=unlisted,
        source_ids=sources,
        exception_offsets=lengths.cumsum(0),
        exception_ids=torch.from_numpy(np.concatenate(exceptions).astype(np.int32)),
        exception_known=torch.tensor([False, True, False]),
    )


@pytest.fixture
def make_batch() -> Callable[..., Batch]:
    """Return a maker of batches: `make_batch(num_samples, num_labels, state)`."""

    def make(
        num_samples: int, num_labels: int, state: str = "complete", *, num_features: int = 13, seed: int = 0
    ) -> Batch:
        generator = torch.Generator().manual_seed(seed + 1)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        return Batch(
            input=normal(num_samples, num_features),
            weight=3 * normal(num_labels, num_features) / num_features**0.5,
            bias=normal(num_labels) - 1,
            targets=make_targets(num_samples, num_labels, state, seed),
        )

    return make
