"""A head that updates itself learns what an ordinary head with an optimiser learns, in every format, and hands on gradients."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from manyhot.errors import TargetError, UsageError
from manyhot.labels import LabelCounts
from manyhot.losses import AsymmetricLoss, BCEWithLogitsLoss, DistributionBalancedLoss, FocalLoss
from manyhot.losses.cells import CellLoss
from manyhot.losses.linear import SGD, FusedLinearHead, LinearOptions, RowwiseAdagrad
from manyhot.losses.linear.weights import make_weights

FORMATS = ("float32", "split", "bfloat16")
UPDATES = (SGD(), SGD(momentum=0.9), RowwiseAdagrad())
LOSSES: tuple[Callable[[], CellLoss], ...] = (BCEWithLogitsLoss, FocalLoss, AsymmetricLoss)
every_format = pytest.mark.parametrize("weights", FORMATS)
every_update = pytest.mark.parametrize("update", UPDATES, ids=str)


def make_head(batch: Any, loss: CellLoss | None = None, **settings: Any) -> FusedLinearHead:
    loss = loss or BCEWithLogitsLoss(reduction="sample_mean")
    settings = {"lr": 0.1, "options": LinearOptions(chunk_size=16)} | settings
    head = FusedLinearHead(batch.input.shape[1], len(batch.weight), loss=loss, bias=batch.bias, **settings)
    head.weights.write(slice(None), batch.weight.float())
    return head


def reference_steps(batches: list[Any], loss: nn.Module, update: Any, lr: float) -> tuple[list[float], Tensor, Tensor]:
    """Train an ordinary head in float64 and return its losses, weights and biases."""
    weight, bias = batches[0].weight.clone().requires_grad_(), batches[0].bias.clone().requires_grad_()
    momentum = update.momentum if isinstance(update, SGD) else 0.0
    optimiser = torch.optim.SGD([weight, bias], lr=lr, momentum=momentum)
    squares = torch.zeros(len(weight), dtype=torch.float64), torch.zeros(len(weight), dtype=torch.float64)
    losses = []
    for batch in batches:
        optimiser.zero_grad()
        value = loss(nn.functional.linear(batch.input, weight, bias), batch.targets)
        value.backward()
        losses.append(value.item())
        if isinstance(update, RowwiseAdagrad):
            squares = squares[0] + weight.grad.square().mean(dim=1), squares[1] + bias.grad.square()
            weight.grad /= (squares[0].sqrt() + update.eps)[:, None]
            bias.grad /= squares[1].sqrt() + update.eps
        optimiser.step()
    return losses, weight.detach(), bias.detach()


@every_update
@pytest.mark.parametrize("make_loss", LOSSES)
@pytest.mark.parametrize("state", ["complete", "sources"])
def test_float32_learns_what_an_ordinary_head_learns(update, make_loss, state, make_batch):
    batches = [make_batch(17, 41, state, seed=seed) for seed in range(4)]
    loss = make_loss(reduction="sample_mean")
    losses, weight, bias = reference_steps(batches, loss, update, lr=0.1)
    head = make_head(batches[0], loss, update=update)
    found = [head(batch.input.float(), batch.targets).item() for batch in batches]
    torch.testing.assert_close(found, losses, rtol=1e-5, atol=1e-5)
    # Row-wise Adagrad divides by the norm of the gradient: where that is nearly 0, so are the digits that both agree on.
    tolerance = 1e-3 if isinstance(update, RowwiseAdagrad) else 1e-5
    torch.testing.assert_close(head.weights.exact(slice(None)).double(), weight, rtol=0, atol=tolerance)
    torch.testing.assert_close(head.bias.double(), bias, rtol=0, atol=tolerance)


@every_format
@every_update
def test_every_format_follows_the_ordinary_head(weights, update, make_batch):
    batches = [make_batch(64, 41, seed=seed % 3) for seed in range(12)]
    losses, _, _ = reference_steps(batches, BCEWithLogitsLoss(reduction="sample_mean"), update, lr=0.05)
    head = make_head(batches[0], update=update, weights=weights, lr=0.05)
    found = [head(batch.input.float(), batch.targets).item() for batch in batches]
    assert found[-1] < found[0] * 0.95
    # Products of bfloat16 have two or three digits.
    torch.testing.assert_close(found, losses, rtol=0.02, atol=0)


@every_format
def test_the_encoder_gets_the_gradient_before_the_update(weights, make_batch):
    batch = make_batch(17, 41)
    features = batch.input.float().requires_grad_()
    head = make_head(batch, weights=weights)
    before = head.to_linear()
    (3 * head(features, batch.targets)).backward()
    twin = batch.input.float().requires_grad_()
    (3 * BCEWithLogitsLoss(reduction="sample_mean")(before(twin), batch.targets)).backward()
    tolerance = 1e-5 if weights == "float32" else 0.02
    torch.testing.assert_close(features.grad, twin.grad, rtol=tolerance, atol=tolerance * float(twin.grad.abs().max()))


@every_format
def test_evaluation_learns_nothing(weights, make_batch):
    batch = make_batch(17, 41)
    head = make_head(batch, weights=weights)
    before = {name: value.clone() for name, value in head.state_dict().items()}
    head.eval()
    evaluated = head(batch.input.float(), batch.targets)
    with torch.no_grad():
        unrecorded = head.train()(batch.input.float(), batch.targets)
    assert torch.equal(evaluated, unrecorded)
    assert all(torch.equal(value, before[name]) for name, value in head.state_dict().items())
    expected = BCEWithLogitsLoss(reduction="sample_mean")(head.to_linear()(batch.input.float()), batch.targets)
    torch.testing.assert_close(evaluated, expected.detach(), rtol=1e-5 if weights == "float32" else 0.02, atol=0)


@every_format
@every_update
def test_a_saved_head_goes_on_bit_by_bit(weights, update, make_batch):
    batches = [make_batch(17, 41, seed=seed) for seed in range(4)]
    head, other = (make_head(batches[0], weights=weights, update=update, seed=seed) for seed in (5, 6))
    for batch in batches[:2]:
        head(batch.input.float(), batch.targets)
    other.load_state_dict(head.state_dict())
    for batch in batches[2:]:
        head(batch.input.float(), batch.targets)
        other(batch.input.float(), batch.targets)
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in head.state_dict().items())


@pytest.mark.parametrize("gradient_dtype", [torch.float32, torch.bfloat16])
def test_split_weights_take_the_steps_of_torchs_own_descent_bit_by_bit(gradient_dtype):
    generator = torch.Generator().manual_seed(0)
    split, plain = make_weights("split", 41, 17), make_weights("float32", 41, 17)
    expected = torch.randn(41, 17, generator=generator, requires_grad=True)
    # Where numbers get so small that they lose digits, and where there are none.
    expected.data[0, :6] = torch.tensor([1e-45, -1e-45, 1.2e-38, 3.4e38, -torch.inf, torch.nan])
    for weights in (plain, split):
        weights.write(slice(None), expected.detach())
    for step in range(50):
        gradient = (torch.randn(41, 17, generator=generator) * 10.0 ** (step % 7 - 4)).to(gradient_dtype)
        gradient[0, :4] = torch.tensor([1e-45, 1e-40, 3e-38, -1e38]).to(gradient_dtype)
        expected.grad = gradient.float()
        torch.optim.SGD([expected], lr=0.1).step()
        for weights in (plain, split):
            weights.descend(slice(0, 41), gradient, torch.full((41,), 0.1), torch.tensor(step))
        for weights in (plain, split):
            assert_equal_bits(weights.exact(slice(None)), expected.detach())
    # A number just between two bfloat16 goes away from 0 here, and to the even one in torch.
    near, exact = split.read(slice(1, 41)).float(), expected.detach()[1:]
    assert ((near - exact).abs() <= exact.abs() / 256).all()


def assert_equal_bits(found: Tensor, expected: Tensor) -> None:
    is_number = ~expected.isnan()
    assert torch.equal(found.isnan(), expected.isnan())
    assert torch.equal(found.view(torch.int32)[is_number], expected.view(torch.int32)[is_number])


def test_rounding_by_chance_is_right_on_average():
    weights = make_weights("bfloat16", 400, 1_001, seed=3)
    start = torch.full((400, 1_001), 1.0)
    means = []
    for step in range(8):
        weights.write(slice(None), start)
        weights.descend(slice(0, 400), torch.full_like(start, 0.001), torch.ones(400), torch.tensor(step))
        means.append(weights.exact(slice(None)).double().mean())
    # One of four numbers moves by 1/256: the mean of 3.2 million has a standard error of 1e-6.
    assert abs(torch.stack(means).mean() - 0.999) < 5e-6
    assert len({float(mean) for mean in means}) == 8


def test_noise_depends_on_seed_step_label_and_feature_alone():
    def moved(seed: int, step: int, labels: slice) -> Tensor:
        weights = make_weights("bfloat16", 64, 33, seed=seed)
        weights.write(slice(None), torch.ones(64, 33))
        count = labels.stop - labels.start
        weights.descend(labels, torch.full((count, 33), 0.001), torch.ones(count), torch.tensor(step))
        return weights.exact(labels)

    whole = moved(1, 2, slice(0, 64))
    assert torch.equal(moved(1, 2, slice(20, 50)), whole[20:50])
    part = make_weights("bfloat16", 30, 33, seed=1)
    part.first_label = 20
    part.write(slice(None), torch.ones(30, 33))
    part.descend(slice(0, 30), torch.full((30, 33), 0.001), torch.ones(30), torch.tensor(2))
    assert torch.equal(part.exact(slice(None)), whole[20:50])
    assert not torch.equal(moved(2, 2, slice(0, 64)), whole)
    assert not torch.equal(moved(1, 3, slice(0, 64)), whole)
    changed = (whole != 1).double()
    # Neither rows nor columns of the noise go along with each other.
    for matrix in (changed, changed.T):
        correlations = torch.corrcoef(matrix)
        assert (correlations - torch.eye(len(matrix))).abs().max() < 0.75


def test_small_steps_are_not_lost():
    lost, kept = torch.ones(1_000).bfloat16(), make_weights("bfloat16", 1, 1_000)
    kept.write(slice(None), torch.ones(1, 1_000))
    for step in range(100):
        lost -= 0.001
        kept.descend(slice(0, 1), torch.full((1, 1_000), 0.001), torch.ones(1), torch.tensor(step))
    assert torch.equal(lost, torch.ones(1_000).bfloat16())
    assert abs(kept.exact(slice(None)).mean() - 0.9) < 0.005


def test_half_precision_features_get_gradients_of_their_dtype(make_batch):
    batch = make_batch(17, 41)
    features = batch.input.bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        make_head(batch)(features, batch.targets).backward()
    assert features.grad.dtype == torch.bfloat16


@every_format
@pytest.mark.parametrize("cast", ["float", "double", "half", "bfloat16"])
def test_a_trainer_that_casts_its_model_leaves_the_format_alone(weights, cast, make_batch):
    batch = make_batch(17, 41)
    heads = [make_head(batch, weights=weights, update=SGD(momentum=0.9)) for _ in range(2)]
    getattr(nn.ModuleList([heads[0]]), cast)()
    for head in heads:
        head(batch.input.float(), batch.targets)
    states = [head.state_dict() for head in heads]
    assert all(value.dtype == states[1][name].dtype for name, value in states[0].items())
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_what_chunks_cannot_do_is_refused(make_batch, without_shape_checks):
    batch = make_batch(17, 41)
    with pytest.raises(UsageError, match="label_smoothing"):
        make_head(batch, BCEWithLogitsLoss(label_smoothing=0.1))
    counts = LabelCounts(positives=np.ones(41), known=np.full(41, 9))
    with pytest.raises(UsageError, match="DistributionBalancedLoss"):
        make_head(batch, DistributionBalancedLoss(counts))
    with pytest.raises(UsageError, match=r"torch\.nn\.modules\.loss\.BCEWithLogitsLoss cannot .* of manyhot\.losses"):
        make_head(batch, nn.BCEWithLogitsLoss())  # pyright: ignore[reportArgumentType] - on purpose
    with pytest.raises(UsageError, match="lr is nan"):
        make_head(batch, lr=float("nan"))
    with pytest.raises(UsageError, match=r"features have shape \(17, 12\); .* with 13 features"):
        make_head(batch).top_k(batch.input.float()[:, 1:], 3)
    with pytest.raises(UsageError, match="did you mean 'bfloat16'"):
        make_head(batch, weights="bfloat")
    with pytest.raises(UsageError, match="momentum is 1"):
        SGD(momentum=1.0)
    with pytest.raises(UsageError, match="eps is 0"):
        RowwiseAdagrad(eps=0.0)
    with pytest.raises(TargetError, match="17 samples × 41 labels"):
        make_head(make_batch(17, 40))(batch.input.float(), batch.targets)


@pytest.mark.parametrize("size", [2, 4])
def test_a_bias_of_other_labels_is_refused(size):
    with pytest.raises(UsageError, match=rf"bias has shape \({size},\) for 3 labels"):
        FusedLinearHead(2, 3, loss=BCEWithLogitsLoss(), lr=0.1, bias=torch.zeros(size))


@pytest.mark.parametrize("weights", ["split", "bfloat16"])
def test_the_choice_of_float32_products_is_no_matter_of_narrow_ones(weights, make_batch):
    batch = make_batch(17, 41)
    head = make_head(batch, weights=weights, options=LinearOptions(matmul="onednn"))
    assert torch.isfinite(head(batch.input.float(), batch.targets))


@pytest.mark.parametrize("update", [SGD(momentum=0.9), RowwiseAdagrad()], ids=str)
def test_a_head_that_was_moved_has_room_where_it_is(update, make_batch):
    batch = make_batch(17, 41)
    head = make_head(batch, update=update, weights="split")
    head(batch.input.float(), batch.targets)
    of_logits, features = torch.zeros(17, 16, device="meta"), torch.zeros(17, 13, device="meta")
    head.to("meta")
    steps = head.learner._gradient(of_logits, features)
    assert (steps.device.type, steps.shape) == ("meta", (16, 13))
