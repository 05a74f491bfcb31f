"""Binary cross-entropy against torch's dense one in float64."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from manyhot.errors import TargetError, UsageError
from manyhot.labels import Csr, LabelCounts, LabelSets, LabelSpace, count_cells
from manyhot.losses import (
    BCEWithLogitsLoss,
    binary_cross_entropy_with_logits,
    pos_weight_from_counts,
)
from manyhot.targets import SparseTargets

NAN = float("nan")


def batch(num_samples: int, num_labels: int, *, scale: float = 3.0, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Return float64 logits, dense complete targets and weights of the labels."""
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(num_samples, num_labels, generator=generator, dtype=torch.float64)
    dense = (torch.rand(num_samples, num_labels, generator=generator) < 0.2).double()
    weights = 10 * torch.rand(num_labels, generator=generator, dtype=torch.float64)
    return logits, dense, weights


def dense_cells(logits: Tensor, dense: Tensor, pos_weight: Tensor | None) -> Tensor:
    return functional.binary_cross_entropy_with_logits(logits, dense, pos_weight=pos_weight, reduction="none")


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("num_samples", "num_labels"), [(17, 41), (1, 1), (1, 5), (5, 1), (64, 300)])
def test_a_complete_batch_has_the_loss_of_bce_with_logits(num_samples: int, num_labels: int, weighted: bool):
    logits, dense, weights = batch(num_samples, num_labels)
    pos_weight = weights if weighted else None
    value = binary_cross_entropy_with_logits(logits, SparseTargets.from_dense(dense), pos_weight=pos_weight)
    expected = torch.nn.BCEWithLogitsLoss(pos_weight=pos_weight)(logits, dense)
    torch.testing.assert_close(value, expected, rtol=1e-13, atol=0)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "sample_mean", "sum"])
def test_unknown_cells_are_left_out_of_value_and_divisor(reduction: str, weighted: bool):
    logits, dense, weights = batch(17, 41)
    unknown = torch.rand(17, 41, generator=torch.Generator().manual_seed(1)) < 0.4
    pos_weight = weights if weighted else None
    cells = dense_cells(logits, dense, pos_weight)[~unknown]
    expected = cells.sum() / {"mean": len(cells), "sample_mean": 17, "sum": 1}[reduction]
    targets = SparseTargets.from_dense(torch.where(unknown, NAN, dense))
    value = binary_cross_entropy_with_logits(logits, targets, pos_weight=pos_weight, reduction=reduction)
    torch.testing.assert_close(value, expected, rtol=1e-13, atol=0)


def test_verified_negatives_count_where_unlisted_cells_are_unknown():
    sets = LabelSets.from_lists([[0]], LabelSpace(names=("a", "b", "c")), exceptions=[[1]], unlisted="unknown")
    logits = torch.tensor([[1.0, 2.0, 3.0]])
    expected = (functional.softplus(torch.tensor(-1.0)) + functional.softplus(torch.tensor(2.0))) / 2
    torch.testing.assert_close(BCEWithLogitsLoss()(logits, SparseTargets.from_label_sets(sets)), expected)


@pytest.mark.parametrize("weighted", [False, True])
def test_confidences_are_soft_targets(weighted: bool):
    logits, dense, weights = batch(17, 41)
    soft = dense * torch.rand(17, 41, generator=torch.Generator().manual_seed(1), dtype=torch.float64).clamp(0.1)
    sets = LabelSets(
        space=LabelSpace(names=tuple(map(str, range(41)))),
        positives=Csr.from_lists([row.nonzero()[:, 0].tolist() for row in dense]),
        confidence=soft[dense == 1].float().numpy(),
    )
    pos_weight = weights if weighted else None
    value = binary_cross_entropy_with_logits(logits, SparseTargets.from_label_sets(sets), pos_weight=pos_weight)
    expected = dense_cells(logits, soft.float().double(), pos_weight).mean()
    torch.testing.assert_close(value, expected, rtol=1e-13, atol=0)


@pytest.mark.parametrize("size", [0.0, 1.0, 15.0, 19.9, 20.1, 39.9, 40.1, 100.0, 1e4])
def test_a_cell_keeps_its_digits_however_sure_the_model_is(size: float):
    # The losses of right cells are tiny, those of wrong ones large; neither may drown the other.
    logits = torch.tensor([[size, size, -size, -size]])
    cells = BCEWithLogitsLoss(reduction="none")(logits, SparseTargets.from_lists([[0, 2]], num_labels=4))
    exact = np.longdouble(np.float32(size))
    right, wrong = np.log1p(np.exp(-exact)), exact + np.log1p(np.exp(-exact))
    expected = torch.tensor([[float(right), float(wrong), float(wrong), float(right)]], dtype=torch.float64)
    # Two roundings of float32, 6e-8 each; exp(-100) is below its normal numbers.
    torch.testing.assert_close(cells.double(), expected, rtol=2e-7, atol=1e-38)


def test_a_sum_of_sure_positives_keeps_its_digits():
    # Summing softplus over all cells and subtracting the positives' logits would leave nothing but rounding here.
    logits = torch.full((1_000, 10), 18.0)
    targets = SparseTargets.from_lists([list(range(10))] * 1_000, num_labels=10)
    expected = torch.tensor(10_000 * np.log1p(np.exp(-18.0)), dtype=torch.float32)
    value = binary_cross_entropy_with_logits(logits, targets, reduction="sum")
    torch.testing.assert_close(value, expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("weighted", [False, True])
def test_float32_is_near_the_float64_reference(weighted: bool):
    logits, dense, weights = batch(64, 300, scale=8.0)
    pos_weight = weights if weighted else None
    single = logits.float().requires_grad_()
    value = binary_cross_entropy_with_logits(single, SparseTargets.from_dense(dense), pos_weight=pos_weight)
    value.backward()
    double = single.detach().double().requires_grad_()
    expected = dense_cells(double, dense, pos_weight).mean()
    expected.backward()
    assert single.grad is not None
    assert double.grad is not None
    # 19,200 terms, summed pairwise in float32: a few units in the last place.
    torch.testing.assert_close(value.double(), expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(single.grad.double(), double.grad, rtol=1e-5, atol=1e-10)


def test_the_module_and_the_function_agree():
    logits, dense, weights = batch(5, 7)
    targets = SparseTargets.from_dense(dense)
    module = BCEWithLogitsLoss(pos_weight=weights, reduction="sum")
    expected = binary_cross_entropy_with_logits(logits, targets, pos_weight=weights.float(), reduction="sum")
    assert torch.equal(module(logits, targets), expected)


def test_weights_move_with_the_module_and_are_not_saved():
    module = BCEWithLogitsLoss(pos_weight=torch.tensor([1.0, 2.0]))
    assert module.state_dict() == {}
    assert module.to("meta").pos_weight is not None
    assert module.pos_weight is not None
    assert module.pos_weight.device.type == "meta"


@pytest.mark.parametrize("weight", [-1.0, NAN, float("inf")])
def test_a_weight_that_is_no_weight_is_refused(weight: float):
    with pytest.raises(TargetError, match="a pos_weight is negative or not finite"):
        BCEWithLogitsLoss(pos_weight=torch.tensor([1.0, weight]))


def test_weights_of_another_number_of_labels_are_refused(without_shape_checks: None):
    with pytest.raises(TargetError, match="weights of 2 labels for 3; give one weight a label"):
        BCEWithLogitsLoss(pos_weight=torch.ones(2))(torch.zeros(1, 3), SparseTargets.from_lists([[0]], num_labels=3))


def test_an_unknown_reduction_is_answered_with_the_nearest(without_shape_checks: None):
    with pytest.raises(
        UsageError, match=r"'samples_mean' is none of mean, sample_mean, sum, none; did you mean 'sample_mean'"
    ):
        BCEWithLogitsLoss(reduction="samples_mean")


def test_weights_from_counts_balance_positives_and_negatives():
    sets = LabelSets.from_lists([[0], [0], [0, 1], []], LabelSpace(names=("a", "b")))
    assert pos_weight_from_counts(count_cells(sets)).tolist() == pytest.approx([1 / 3, 3])


def test_weights_from_counts_have_a_smallest_and_a_largest():
    counts = LabelCounts(positives=np.array([1, 100, 0, 0]), known=np.array([100_000, 100, 100, 0]))
    assert pos_weight_from_counts(counts).tolist() == pytest.approx([100, 0.01, 1, 1])
    assert pos_weight_from_counts(counts, maximum=7.0).tolist() == pytest.approx([7, 1 / 7, 1, 1])


@pytest.mark.parametrize("maximum", [0.5, -1.0, NAN, float("inf")])
def test_the_largest_weight_is_a_number_from_one(maximum: float):
    with pytest.raises(UsageError, match="it must be a number from 1"):
        pos_weight_from_counts(LabelCounts(positives=np.array([1]), known=np.array([2])), maximum=maximum)


def test_weighted_training_of_a_constant_settles_where_the_weight_says():
    # One logit a label, fitted by hand: sigmoid(z) = w P / (w P + N), so that weights from counts end at one half.
    sets = LabelSets.from_lists([[0], *[[]] * 9], LabelSpace(names=("a",)))
    loss = BCEWithLogitsLoss(pos_weight=pos_weight_from_counts(count_cells(sets)))
    bias = torch.zeros(1, requires_grad=True)
    loss(bias.expand(10, 1), SparseTargets.from_label_sets(sets)).backward()
    assert bias.grad is not None
    assert bias.grad.item() == pytest.approx(0, abs=1e-7)


@pytest.mark.slow
@pytest.mark.usefixtures("without_shape_checks")
def test_compiled_code_has_the_same_loss():
    torch.compiler.reset()
    compiled = torch.compile(BCEWithLogitsLoss(), fullgraph=True)
    for seed in range(3):
        logits, dense, _ = batch(17, 41, seed=seed)
        targets = SparseTargets.from_dense(dense)
        single = logits.float().requires_grad_()
        torch.testing.assert_close(compiled(single, targets).double(), dense_cells(logits, dense, None).mean())
