"""A step of a fused head on a GPU waits for nothing: no number is read from the device, as a CUDA graph requires.

There need be no GPU: tensors without data, said to be on one, raise an error where a number of theirs is asked for.
"""

import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch._subclasses import FakeTensorMode

from manyhot.losses import AsymmetricLoss, BCEWithLogitsLoss, FocalLoss, linear
from manyhot.losses.linear import SGD, FusedLinearHead, LinearOptions, RowwiseAdagrad
from manyhot.targets import SparseTargets


@pytest.fixture
def on_a_gpu(monkeypatch: pytest.MonkeyPatch, fake_gpus: Any) -> Iterator[None]:
    kernels = SimpleNamespace(take_out=fake_gpus, negatives=fake_gpus, put_back=fake_gpus)
    # In both places that an import looks into.
    monkeypatch.setitem(sys.modules, "manyhot.losses.linear.triton_kernels", kernels)
    monkeypatch.setattr(linear, "triton_kernels", kernels, raising=False)
    with FakeTensorMode():
        yield


@pytest.mark.usefixtures("on_a_gpu", "without_shape_checks")
@pytest.mark.parametrize("weights", ["float32", "split", "bfloat16"])
@pytest.mark.parametrize("update", [SGD(), SGD(momentum=0.9), RowwiseAdagrad()], ids=str)
@pytest.mark.parametrize("make_loss", [BCEWithLogitsLoss, FocalLoss, AsymmetricLoss])
@pytest.mark.parametrize("chunk_size", [None, 16])
def test_a_step_reads_nothing_from_the_device(weights, update, make_loss, chunk_size, fake_gpus):
    with torch.device("cuda:1"):
        options = LinearOptions(chunk_size=chunk_size)
        head = FusedLinearHead(13, 41, loss=make_loss(), lr=0.1, update=update, weights=weights, options=options)
        offsets, ids = torch.zeros(18, dtype=torch.int64), torch.zeros(30, dtype=torch.int32)
        targets = SparseTargets(row_offsets=offsets, label_ids=ids, num_labels=41)
        loss = head(torch.zeros(17, 13, requires_grad=True), targets)
    assert loss.device == torch.device("cuda:1")
    assert loss.shape == ()
    # The current GPU may be another one. Three kernels a chunk.
    assert fake_gpus.launches == [torch.device("cuda:1")] * 3 * (1 if chunk_size is None else 3)
