"""The pass that fuses binary cross-entropy: torch's dense loss in float64, gradients and their gradients, both its ways."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from manyhot.losses import BCEWithLogitsLoss, fused
from manyhot.targets import SparseTargets


@pytest.fixture(params=["small", "large"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Which of the two ways is taken, whatever the batch's size."""
    monkeypatch.setattr(fused, "SMALL_CELLS", 10**9 if request.param == "small" else 0)
    return request.param


def batch(num_samples: int, num_labels: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(num_samples, num_labels, generator=generator, dtype=torch.float64)
    dense = (torch.rand(num_samples, num_labels, generator=generator) < 0.2).double()
    dense[::5] = 0
    return logits, dense, 10 * torch.rand(num_labels, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(17, 41), (1, 1), (0, 3), (5, 1)])
def test_both_ways_have_the_value_and_gradient_of_torch(way: str, weighted: bool, shape: tuple[int, int]):
    logits, dense, weights = batch(*shape)
    pos_weight = weights.float().double() if weighted else None
    ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    loss = BCEWithLogitsLoss(pos_weight=pos_weight, reduction="sum")
    loss(ours, SparseTargets.from_dense(dense)).backward()
    functional.binary_cross_entropy_with_logits(theirs, dense, pos_weight=pos_weight, reduction="sum").backward()
    assert ours.grad is not None
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("weighted", [False, True])
def test_both_ways_have_first_and_second_derivatives(way: str, weighted: bool):
    logits, dense, weights = batch(4, 7)
    loss, targets = BCEWithLogitsLoss(pos_weight=weights if weighted else None), SparseTargets.from_dense(dense)
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: loss(z, targets), logits)
    assert torch.autograd.gradgradcheck(lambda z: loss(z, targets), logits)


def test_a_cell_keeps_its_digits_both_ways(way: str):
    logits = torch.tensor([[18.0, 18.0, -18.0, -18.0]], requires_grad=True)
    cells = BCEWithLogitsLoss(reduction="none")(logits, SparseTargets.from_lists([[0, 2]], num_labels=4))
    cells.sum().backward()
    small, large = 1.522997951e-8, 18.00000001522998
    torch.testing.assert_close(cells.detach(), torch.tensor([[small, large, large, small]]), rtol=2e-7, atol=0)
    assert logits.grad is not None
    # A sure positive still has a gradient: 1 - sigmoid(18) would be 0 in float32.
    torch.testing.assert_close(logits.grad, torch.tensor([[-small, 1.0, -1.0, small]]), rtol=2e-7, atol=0)


def test_the_dense_batch_of_a_hundred_thousand_cells_agrees_with_torch():
    logits, dense, _ = batch(256, 400)
    ours, theirs = logits.float().requires_grad_(), logits.requires_grad_()
    BCEWithLogitsLoss()(ours, SparseTargets.from_dense(dense)).backward()
    functional.binary_cross_entropy_with_logits(theirs, dense).backward()
    assert ours.grad is not None
    assert theirs.grad is not None
    assert dense.numel() > fused.SMALL_CELLS
    torch.testing.assert_close(ours.grad.double(), theirs.grad, rtol=1e-5, atol=1e-12)
