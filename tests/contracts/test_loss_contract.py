"""What every loss promises, whatever it computes.

A new loss adds itself to `LOSSES`: a function that makes it for some of the labels, given by their ids, so that
settings that belong to a label move with it. `CELL_LOSSES` are sums over cells; `SAMPLE_LOSSES` compare the cells of a
sample.
"""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from manyhot.errors import TargetError
from manyhot.labels import LabelCounts
from manyhot.losses import (
    AsymmetricLoss,
    BCEWithLogitsLoss,
    DistributionBalancedLoss,
    FocalLoss,
    LargeLossRejection,
    Loss,
    MultiLabelMarginLoss,
    MultiLabelSoftMarginLoss,
    PairwiseLogSumExpLoss,
    SelectiveUnknown,
    SemanticSoftmaxLoss,
    SoftmaxLoss,
    TwoWayLoss,
    ZLPRLoss,
    class_balanced_weights,
)
from manyhot.targets import SparseTargets

MakeLoss = Callable[[Tensor], Loss]
WEIGHTS = torch.linspace(0.25, 9.0, 64)
POSITIVES = np.arange(64) ** 2 % 97
LEVELS = torch.arange(64) % 3


def counts_of(labels: Tensor) -> LabelCounts:
    return LabelCounts(positives=POSITIVES[labels.numpy()], known=np.full(len(labels), 100))


def rejecting(labels: Tensor) -> LargeLossRejection:
    loss = LargeLossRejection(BCEWithLogitsLoss(), rate=0.05)
    loss.start_epoch(1)
    return loss


CELL_LOSSES: dict[str, MakeLoss] = {
    "bce": lambda labels: BCEWithLogitsLoss(),
    "bce-sample-mean": lambda labels: BCEWithLogitsLoss(reduction="sample_mean"),
    "bce-sum": lambda labels: BCEWithLogitsLoss(reduction="sum"),
    "bce-weighted": lambda labels: BCEWithLogitsLoss(pos_weight=WEIGHTS[labels], label_weight=WEIGHTS.flip(0)[labels]),
    "bce-smooth": lambda labels: BCEWithLogitsLoss(label_smoothing=0.1),
    "bce-class-balanced": lambda labels: BCEWithLogitsLoss(label_weight=class_balanced_weights(counts_of(labels))),
    "soft-margin": lambda labels: MultiLabelSoftMarginLoss(WEIGHTS[labels]),
    "soft-margin-sum": lambda labels: MultiLabelSoftMarginLoss(reduction="sum"),
    "focal": lambda labels: FocalLoss(),
    "focal-plain": lambda labels: FocalLoss(1.5, None),
    "asymmetric": lambda labels: AsymmetricLoss(),
    "asymmetric-without-clip": lambda labels: AsymmetricLoss(2.5, 0.5, 0.0),
    "asymmetric-slow": lambda labels: AsymmetricLoss(0.5, 0.0, 0.2, reduction="sum"),
    "distribution-balanced": lambda labels: DistributionBalancedLoss(counts_of(labels)),
}
SAMPLE_LOSSES: dict[str, MakeLoss] = {
    "margin": lambda labels: MultiLabelMarginLoss(),
    "margin-sum": lambda labels: MultiLabelMarginLoss(reduction="sum"),
    "margin-sample-mean": lambda labels: MultiLabelMarginLoss(margin=0.5, reduction="sample_mean"),
    "pairwise": lambda labels: PairwiseLogSumExpLoss(),
    "pairwise-sum": lambda labels: PairwiseLogSumExpLoss(reduction="sum"),
    "zlpr": lambda labels: ZLPRLoss(),
    "two-way": lambda labels: TwoWayLoss(),
    "two-way-sum": lambda labels: TwoWayLoss(1.0, 2.0, reduction="sum"),
    "softmax": lambda labels: SoftmaxLoss(),
    "semantic-softmax": lambda labels: SemanticSoftmaxLoss(
        LEVELS[labels], torch.tensor([1.0, 2.0, 0.5])[: int(LEVELS[labels].max()) + 1]
    ),
    "rejecting": rejecting,
}
# What they make of unknown cells is their purpose: they skip the promise that such cells change nothing.
BOLD_LOSSES: dict[str, MakeLoss] = {
    "unknown-as-negative": lambda labels: BCEWithLogitsLoss(unknown="negative"),
    "unknown-selected": lambda labels: BCEWithLogitsLoss(
        unknown=SelectiveUnknown(WEIGHTS[labels] / 60, max_prevalence=0.1, keep_out=3)
    ),
}
LOSSES = CELL_LOSSES | SAMPLE_LOSSES | BOLD_LOSSES
every_loss = pytest.mark.parametrize("make", LOSSES.values(), ids=LOSSES)
every_modest_loss = pytest.mark.parametrize(
    "make", (CELL_LOSSES | SAMPLE_LOSSES).values(), ids=CELL_LOSSES | SAMPLE_LOSSES
)
every_cell_loss = pytest.mark.parametrize("make", CELL_LOSSES.values(), ids=CELL_LOSSES)
every_sample_loss = pytest.mark.parametrize("make", SAMPLE_LOSSES.values(), ids=SAMPLE_LOSSES)


def random_batch(num_samples: int, num_labels: int, *, unknown: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return logits and dense float64 targets with rows without labels, labels without positives and unknown cells."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(num_samples, num_labels, generator=generator, dtype=torch.float64)
    dense = (torch.rand(num_samples, num_labels, generator=generator) < 0.2).double()
    dense[::5] = 0
    dense[:, ::7] = 0
    dense[torch.rand(num_samples, num_labels, generator=generator) < unknown] = float("nan")
    return logits, dense


def value_and_gradient(loss: Loss, logits: Tensor, targets: SparseTargets) -> tuple[Tensor, Tensor]:
    logits = logits.clone().requires_grad_()
    value = loss(logits, targets)
    value.backward()
    assert logits.grad is not None
    return value.detach(), logits.grad


@every_loss
@pytest.mark.parametrize("unknown", [0.0, 0.3])
def test_the_loss_is_a_scalar_that_is_not_negative(make: MakeLoss, unknown: float):
    logits, dense = random_batch(17, 41, unknown=unknown)
    value, gradient = value_and_gradient(make(torch.arange(41)), logits, SparseTargets.from_dense(dense))
    assert value.shape == ()
    assert value >= 0
    assert gradient.isfinite().all()
    assert gradient.abs().sum() > 0


@every_loss
def test_the_gradient_is_that_of_the_value(make: MakeLoss):
    logits, dense = random_batch(4, 9, unknown=0.2)
    targets, loss = SparseTargets.from_dense(dense), make(torch.arange(9))
    assert torch.autograd.gradcheck(lambda z: loss(z, targets), logits.requires_grad_())


@every_modest_loss
def test_unknown_cells_change_nothing(make: MakeLoss):
    logits, dense = random_batch(17, 41, unknown=0.3)
    targets, loss = SparseTargets.from_dense(dense), make(torch.arange(41))
    value, gradient = value_and_gradient(loss, logits, targets)
    changed = torch.where(dense.isnan(), 1e4, logits)
    other_value, other_gradient = value_and_gradient(loss, changed, targets)
    assert torch.equal(value, other_value)
    assert torch.equal(gradient, other_gradient)
    assert (gradient[dense.isnan()] == 0).all()


@every_cell_loss
def test_rows_without_positives_count(make: MakeLoss):
    logits, dense = random_batch(10, 7, unknown=0.0)
    dense[3] = 0
    _, gradient = value_and_gradient(make(torch.arange(7)), logits, SparseTargets.from_dense(dense))
    assert (gradient[3] != 0).any()


@every_loss
def test_the_order_of_samples_does_not_matter(make: MakeLoss):
    logits, dense = random_batch(17, 41, unknown=0.1)
    order = torch.randperm(17, generator=torch.Generator().manual_seed(1))
    loss = make(torch.arange(41))
    expected, gradient = value_and_gradient(loss, logits, SparseTargets.from_dense(dense))
    value, other = value_and_gradient(loss, logits[order], SparseTargets.from_dense(dense[order]))
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(other, gradient[order])


@every_loss
def test_the_order_of_labels_does_not_matter(make: MakeLoss):
    logits, dense = random_batch(17, 41, unknown=0.1)
    order = torch.randperm(41, generator=torch.Generator().manual_seed(1))
    expected, gradient = value_and_gradient(make(torch.arange(41)), logits, SparseTargets.from_dense(dense))
    value, other = value_and_gradient(make(order), logits[:, order], SparseTargets.from_dense(dense[:, order]))
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(other, gradient[:, order])


@every_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_logits_of_any_size_give_finite_values(make: MakeLoss, dtype: torch.dtype):
    _, dense = random_batch(17, 41, unknown=0.1)
    signs = torch.randint(0, 2, (17, 41), generator=torch.Generator().manual_seed(2)) * 2 - 1
    value, gradient = value_and_gradient(
        make(torch.arange(41)), (1e4 * signs).to(dtype), SparseTargets.from_dense(dense)
    )
    assert value.isfinite()
    assert gradient.isfinite().all()


@every_sample_loss
@pytest.mark.parametrize(("num_samples", "num_labels"), [(1, 1), (1, 41), (17, 1), (0, 5)])
@pytest.mark.parametrize("state", [0.0, 1.0, float("nan")])
def test_samples_that_cannot_be_compared_have_no_loss_but_a_finite_one(
    make: MakeLoss, num_samples: int, num_labels: int, state: float
):
    logits = torch.zeros(num_samples, num_labels)
    targets = SparseTargets.from_dense(torch.full((num_samples, num_labels), state))
    value, gradient = value_and_gradient(make(torch.arange(num_labels)), logits, targets)
    assert value.isfinite()
    assert gradient.isfinite().all()
    if state != state or num_samples == 0:
        assert value == 0


@every_cell_loss
@pytest.mark.parametrize(("num_samples", "num_labels"), [(1, 1), (1, 41), (17, 1), (0, 5)])
@pytest.mark.parametrize("state", [0.0, 1.0, float("nan")])
def test_small_batches_of_one_state_have_a_loss(make: MakeLoss, num_samples: int, num_labels: int, state: float):
    logits = torch.zeros(num_samples, num_labels)
    targets = SparseTargets.from_dense(torch.full((num_samples, num_labels), state))
    value, gradient = value_and_gradient(make(torch.arange(num_labels)), logits, targets)
    nothing_known = state != state or num_samples == 0
    assert value.isfinite()
    assert (value == 0) == nothing_known
    assert (gradient == 0).all() == nothing_known


@every_loss
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_logits_are_computed_in_float32(make: MakeLoss, dtype: torch.dtype):
    logits, dense = random_batch(17, 41, unknown=0.1)
    half, loss, targets = logits.to(dtype), make(torch.arange(41)), SparseTargets.from_dense(dense)
    value, gradient = value_and_gradient(loss, half, targets)
    expected, expected_gradient = value_and_gradient(loss, half.float(), targets)
    assert value.dtype == torch.float32
    assert gradient.dtype == dtype
    assert torch.equal(value, expected)
    # The one rounding is that of the finished gradient to the dtype of the logits.
    assert torch.equal(gradient, expected_gradient.to(dtype))


@every_loss
def test_a_step_never_waits_for_a_value(make: MakeLoss):
    # Tensors on the meta device have no values: reading one, as .item() does, is an error there.
    logits, dense = random_batch(17, 41, unknown=0.1)
    loss = make(torch.arange(41))
    if isinstance(loss, torch.nn.Module):
        loss.to("meta")
    value, gradient = value_and_gradient(loss, logits.to("meta"), SparseTargets.from_dense(dense).to("meta"))
    assert (value.shape, gradient.shape) == ((), (17, 41))


@every_loss
def test_logits_and_targets_are_left_as_they_were(make: MakeLoss):
    logits, dense = random_batch(17, 41, unknown=0.1)
    targets, before = SparseTargets.from_dense(dense), logits.clone()
    value_and_gradient(make(torch.arange(41)), logits, targets)
    make(torch.arange(41))(logits, targets)
    assert torch.equal(logits, before)
    torch.testing.assert_close(targets.to_multi_hot(), dense.float(), equal_nan=True, rtol=0, atol=0)


@every_loss
def test_logits_of_another_width_are_refused(make: MakeLoss, without_shape_checks: None):
    with pytest.raises(TargetError, match="17 samples × 41 labels"):
        make(torch.arange(41))(torch.zeros(17, 40), SparseTargets.from_dense(torch.zeros(17, 41)))


@every_loss
@pytest.mark.slow
@pytest.mark.usefixtures("without_shape_checks")
def test_the_loss_compiles_without_a_graph_break(make: MakeLoss):
    torch.compiler.reset()
    loss = make(torch.arange(41))
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    for seed, unknown in ((0, 0.0), (1, 0.0), (2, 0.3)):
        logits, dense = random_batch(17, 41, unknown=unknown, seed=seed)
        targets = SparseTargets.from_dense(dense)
        value, gradient = value_and_gradient(compiled, logits.float(), targets)
        expected, expected_gradient = value_and_gradient(loss, logits.float(), targets)
        torch.testing.assert_close(value, expected)
        torch.testing.assert_close(gradient, expected_gradient)
