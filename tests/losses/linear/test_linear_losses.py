"""Head and loss in one is the loss of the logits: in value, in every gradient, for every option and chunk size."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from manyhot.errors import TargetError, UsageError
from manyhot.losses import AsymmetricLoss, BCEWithLogitsLoss, FocalLoss
from manyhot.losses.linear import (
    GradientBuffer,
    LinearOptions,
    linear_asymmetric_loss,
    linear_bce_with_logits,
    linear_focal_loss,
)
from manyhot.targets import SparseTargets

STATES = ("complete", "confidences", "empty", "unknown cells", "sources")
# In float32, as the loss classes keep them.
LABEL_WEIGHT = torch.linspace(0.0, 3.0, 41)
POS_WEIGHT = torch.linspace(0.25, 9.0, 41)
# Functions, their settings, and the loss of logits that says what is right.
CASES: dict[str, tuple[Callable[..., Tensor], dict[str, Any], Callable[[], nn.Module]]] = {
    "bce": (linear_bce_with_logits, {}, BCEWithLogitsLoss),
    "bce-sum": (linear_bce_with_logits, {"reduction": "sum"}, lambda: BCEWithLogitsLoss(reduction="sum")),
    "bce-sample-mean": (
        linear_bce_with_logits,
        {"reduction": "sample_mean"},
        lambda: BCEWithLogitsLoss(reduction="sample_mean"),
    ),
    "bce-weighted": (
        linear_bce_with_logits,
        {"pos_weight": POS_WEIGHT, "label_weight": LABEL_WEIGHT},
        lambda: BCEWithLogitsLoss(pos_weight=POS_WEIGHT, label_weight=LABEL_WEIGHT),
    ),
    "focal": (linear_focal_loss, {}, FocalLoss),
    "focal-plain": (linear_focal_loss, {"gamma": 1.5, "alpha": None}, lambda: FocalLoss(1.5, None)),
    "focal-flat": (linear_focal_loss, {"gamma": 0.0}, lambda: FocalLoss(0.0)),
    "asymmetric": (linear_asymmetric_loss, {}, AsymmetricLoss),
    "asymmetric-weighted": (
        linear_asymmetric_loss,
        {"label_weight": LABEL_WEIGHT},
        lambda: AsymmetricLoss(label_weight=LABEL_WEIGHT),
    ),
    "asymmetric-without-clip": (
        linear_asymmetric_loss,
        {"gamma_neg": 2.5, "gamma_pos": 0.5, "clip": 0.0},
        lambda: AsymmetricLoss(2.5, 0.5, 0.0),
    ),
}
every_case = pytest.mark.parametrize(("function", "settings", "make"), CASES.values(), ids=CASES)
every_state = pytest.mark.parametrize("state", STATES)
every_chunk_size = pytest.mark.parametrize("chunk_size", [7, 40, None])


def gradients(loss: Tensor, *leaves: Tensor) -> tuple[Tensor, ...]:
    return (loss.detach(), *torch.autograd.grad(loss, leaves))


def fused(batch: Any, function: Callable[..., Tensor], **settings: Any) -> tuple[Tensor, ...]:
    leaves = [leaf.clone().requires_grad_() for leaf in (batch.input, batch.weight, batch.bias)]
    return gradients(function(leaves[0], leaves[1], batch.targets, bias=leaves[2], **settings), *leaves)


def dense(batch: Any, loss: nn.Module) -> tuple[Tensor, ...]:
    leaves = [leaf.clone().requires_grad_() for leaf in (batch.input, batch.weight, batch.bias)]
    return gradients(loss(nn.functional.linear(*leaves), batch.targets), *leaves)


@every_case
@every_state
@every_chunk_size
def test_value_and_gradients_are_those_of_the_logits_loss(function, settings, make, state, chunk_size, make_batch):
    batch = make_batch(17, 41, state)
    found = fused(batch, function, **settings, options=LinearOptions(chunk_size=chunk_size))
    for mine, truth in zip(found, dense(batch, make()), strict=True):
        torch.testing.assert_close(mine, truth, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("chunk_size", [1, 41, 1_000])
def test_a_chunk_may_be_one_label_or_more_than_there_are(chunk_size, make_batch):
    batch = make_batch(17, 41, "sources")
    found = fused(batch, linear_bce_with_logits, options=LinearOptions(chunk_size=chunk_size))
    torch.testing.assert_close(found, dense(batch, BCEWithLogitsLoss()), rtol=1e-12, atol=1e-12)


@every_case
@every_state
def test_float32_is_as_exact_as_the_dense_way(function, settings, make, state, make_batch):
    batch = make_batch(64, 41, state, num_features=128)
    truth = dense(batch, make())
    single = batch.to(torch.float32)
    mine, theirs = fused(single, function, **settings), dense(single, make())
    for name, own, other, right in zip(("loss", "input", "weight", "bias"), mine, theirs, truth, strict=True):
        scale = right.abs().max().clamp(min=1e-30)
        error, allowed = (own - right).abs().max() / scale, (other - right).abs().max() / scale
        # The floor is that of float32 itself: one or two roundings where the dense way has none.
        assert error <= max(2 * allowed, 2.5e-7), name
        # The curves of the other losses are steeper than logits in float32 allow for, in the dense way too.
        assert error <= 1e-6 or function is not linear_bce_with_logits, name


@pytest.mark.parametrize(("num_samples", "num_labels"), [(1, 1), (1, 41), (17, 1), (0, 5)])
@pytest.mark.parametrize("state", [0.0, 1.0, float("nan")])
def test_small_batches_of_one_state_have_a_loss(num_samples, num_labels, state, make_batch):
    batch = make_batch(num_samples, num_labels)
    targets = SparseTargets.from_dense(torch.full((num_samples, num_labels), state))
    features, weight = batch.input.requires_grad_(), batch.weight.requires_grad_()
    found = gradients(linear_bce_with_logits(features, weight, targets), features, weight)
    truth = gradients(BCEWithLogitsLoss()(features @ weight.T, targets), features, weight)
    for mine, right in zip(found, truth, strict=True):
        torch.testing.assert_close(mine, right)


@every_case
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_logits_of_any_size_give_finite_values(function, settings, make, dtype, make_batch):
    batch = make_batch(17, 41, "sources").to(dtype)
    signs = torch.randint(0, 2, (41, 1), generator=torch.Generator().manual_seed(2)) * 2 - 1
    large = (1e4 * signs).to(dtype).requires_grad_()
    loss = function(torch.ones(17, 1, dtype=dtype), large, batch.targets, **settings)
    loss.backward()
    assert loss.isfinite()
    assert large.grad.isfinite().all()


@every_case
def test_the_gradient_is_the_slope_of_the_value(function, settings, make, make_batch):
    # gradcheck itself asks for several backward passes of one forward pass.
    batch = make_batch(4, 41, "sources", num_features=3)
    _, *found = fused(batch, function, **settings)
    leaves = [batch.input, batch.weight, batch.bias]
    directions = [
        torch.randn(leaf.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3)) for leaf in leaves
    ]

    def value(step: float) -> Tensor:
        moved = [leaf + step * direction for leaf, direction in zip(leaves, directions, strict=True)]
        return function(moved[0], moved[1], batch.targets, bias=moved[2], **settings)

    slope = sum((gradient * direction).sum() for gradient, direction in zip(found, directions, strict=True))
    torch.testing.assert_close((value(1e-6) - value(-1e-6)) / 2e-6, slope, rtol=1e-6, atol=1e-8)


def test_a_scaled_loss_has_scaled_gradients_and_reaches_the_encoder(make_batch):
    batch = make_batch(17, 41)
    encoder, weight = torch.randn(13, 13, dtype=torch.float64).requires_grad_(), batch.weight.requires_grad_()
    features = batch.input @ encoder
    found = gradients(3 * linear_bce_with_logits(features, weight, batch.targets), encoder, weight)
    features = batch.input @ encoder
    truth = gradients(3 * BCEWithLogitsLoss()(features @ weight.T, batch.targets), encoder, weight)
    for mine, right in zip(found, truth, strict=True):
        torch.testing.assert_close(mine, right)


def test_tied_weights_collect_both_gradients(make_batch):
    batch = make_batch(17, 41)
    weight = batch.weight.requires_grad_()

    def loss_of(fuse: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        return fuse(batch.input, weight) + fuse(weight.mean(0).expand(17, -1), weight) + weight.square().sum()

    found = gradients(loss_of(lambda x, w: linear_bce_with_logits(x, w, batch.targets)), weight)
    truth = gradients(loss_of(lambda x, w: BCEWithLogitsLoss()(x @ w.T, batch.targets)), weight)
    torch.testing.assert_close(found, truth)


@pytest.mark.parametrize("frozen", ["input", "weight", "bias"])
def test_what_is_frozen_gets_no_gradient(frozen, make_batch):
    batch = make_batch(17, 41)
    leaves = {name: getattr(batch, name).requires_grad_(name != frozen) for name in ("input", "weight", "bias")}
    linear_bce_with_logits(leaves["input"], leaves["weight"], batch.targets, bias=leaves["bias"]).backward()
    assert [name for name, leaf in leaves.items() if leaf.grad is None] == [frozen]


def test_evaluation_forms_no_gradient(make_batch, monkeypatch):
    batch = make_batch(17, 41)
    weight = batch.weight.requires_grad_()
    monkeypatch.setattr("manyhot.losses.linear.autograd._Gradients.visit", None)
    with torch.no_grad():
        loss = linear_bce_with_logits(batch.input, weight, batch.targets)
    assert not loss.requires_grad
    torch.testing.assert_close(loss, BCEWithLogitsLoss()(batch.input @ weight.T, batch.targets).detach())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_evaluation_in_inference_mode_gives_the_loss(dtype, make_batch):
    batch = make_batch(17, 41, "sources").to(dtype)
    expected = linear_bce_with_logits(batch.input, batch.weight, batch.targets, bias=batch.bias)
    with torch.inference_mode():
        found = linear_bce_with_logits(1 * batch.input, batch.weight, batch.targets, bias=batch.bias)
    assert torch.equal(found, expected)


def test_a_second_backward_pass_is_refused(make_batch):
    batch = make_batch(17, 41)
    loss = linear_bce_with_logits(batch.input, batch.weight.requires_grad_(), batch.targets)
    loss.backward(retain_graph=True)
    with pytest.raises(UsageError, match="compute the loss again"):
        loss.backward()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(dtype, make_batch):
    half = make_batch(17, 41).to(dtype)
    found, expected = fused(half, linear_bce_with_logits), fused(half.to(torch.float32), linear_bce_with_logits)
    assert [tensor.dtype for tensor in found] == [torch.float32, dtype, dtype, dtype]
    for mine, right in zip(found[1:], expected[1:], strict=True):
        torch.testing.assert_close(mine, right.to(dtype))


def test_autocast_changes_nothing(make_batch):
    batch = make_batch(17, 41).to(torch.float32)
    expected = fused(batch, linear_bce_with_logits)
    with torch.autocast("cpu", torch.bfloat16):
        found = fused(batch, linear_bce_with_logits)
    assert all(torch.equal(mine, right) for mine, right in zip(found, expected, strict=True))


def test_the_gradient_stays_in_the_kept_buffer(make_batch):
    batch = make_batch(17, 41)
    weight, options = batch.weight.requires_grad_(), LinearOptions(buffer=GradientBuffer())
    places = set()
    for _ in range(3):
        weight.grad = None
        linear_bce_with_logits(batch.input, weight, batch.targets, options=options).backward()
        places.add(weight.grad.data_ptr())
    assert len(places) == 1


def test_accumulated_gradients_are_not_written_over(make_batch):
    batches = [make_batch(17, 41, seed=seed) for seed in range(3)]
    weight, options = batches[0].weight.requires_grad_(), LinearOptions(buffer=GradientBuffer())
    for batch in batches:
        (linear_bce_with_logits(batch.input, weight, batch.targets, options=options) / 3).backward()
    found, weight.grad = weight.grad, None
    for batch in batches:
        (BCEWithLogitsLoss()(batch.input @ weight.T, batch.targets) / 3).backward()
    torch.testing.assert_close(found, weight.grad)


def test_what_does_not_fit_together_is_refused(make_batch, without_shape_checks):
    batch = make_batch(17, 41)
    with pytest.raises(TargetError, match=r"input has shape \(17, 12\)"):
        linear_bce_with_logits(batch.input[:, 1:], batch.weight, batch.targets)
    with pytest.raises(TargetError, match="17 samples × 41 labels"):
        linear_bce_with_logits(batch.input, batch.weight[1:], batch.targets)
    with pytest.raises(TargetError, match=r"bias has shape \(40,\)"):
        linear_bce_with_logits(batch.input, batch.weight, batch.targets, bias=batch.bias[1:])
    with pytest.raises(TargetError, match="40 pos_weight"):
        linear_bce_with_logits(batch.input, batch.weight, batch.targets, pos_weight=POS_WEIGHT[1:])
    with pytest.raises(TargetError, match="pos_weight is of type float; give a tensor"):
        linear_bce_with_logits(batch.input, batch.weight, batch.targets, pos_weight=2.0)  # pyright: ignore[reportArgumentType] - on purpose
    with pytest.raises(TargetError, match="label_weight is a single number, 2"):
        linear_bce_with_logits(batch.input, batch.weight, batch.targets, label_weight=torch.tensor(2.0))
    with pytest.raises(UsageError, match="'none' is none of mean"):
        linear_bce_with_logits(batch.input, batch.weight, batch.targets, reduction="none")
    with pytest.raises(UsageError, match="chunk_size is 0"):
        linear_bce_with_logits(batch.input, batch.weight, batch.targets, options=LinearOptions(chunk_size=0))
