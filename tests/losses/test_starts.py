"""A head's biases start where its loss, seeing nothing, would settle: no slope is left at that point."""

import numpy as np
import pytest
import torch

from manyhot.labels import LabelCounts, LabelSets, LabelSpace, count_cells, log_odds
from manyhot.losses import (
    AsymmetricLoss,
    BCEWithLogitsLoss,
    CellLoss,
    DistributionBalancedLoss,
    FocalLoss,
    LargeLossRejection,
    Loss,
    PairwiseLogSumExpLoss,
    SemanticSoftmaxLoss,
    SoftmaxLoss,
    ZLPRLoss,
    starting_logits,
)
from manyhot.targets import SparseTargets

POSITIVES = np.array([0, 1, 40, 99, 120, 7])
COUNTS = LabelCounts(positives=POSITIVES, known=np.array([120, 120, 120, 120, 120, 14]))


def slopes(loss: CellLoss, start: torch.Tensor) -> torch.Tensor:
    """Return the slope at the start over the counts' cells and one positive and one negative more of each label."""
    rows = [(label, 1.0) for label in range(6) for _ in range(int(COUNTS.positives[label]) + 1)]
    rows += [(label, 0.0) for label in range(6) for _ in range(int(COUNTS.negatives[label]) + 1)]
    dense = torch.full((len(rows), 6), torch.nan, dtype=torch.float64)
    for row, (label, value) in enumerate(rows):
        dense[row, label] = value
    logits = start.clone().requires_grad_()
    loss(logits.expand(len(rows), -1), SparseTargets.from_dense(dense)).backward()
    assert logits.grad is not None
    return logits.grad


@pytest.mark.parametrize(
    "loss",
    [
        BCEWithLogitsLoss(),
        BCEWithLogitsLoss(pos_weight=torch.tensor([1.0, 2.0, 3.0, 0.5, 1.0, 9.0])),
        BCEWithLogitsLoss(label_smoothing=0.1),
        FocalLoss(),
        AsymmetricLoss(),
        AsymmetricLoss(2.0, 0.0, 0.0, label_smoothing=0.2),
    ],
    ids=["bce", "bce-weighted", "bce-smooth", "focal", "asymmetric", "asymmetric-smooth"],
)
def test_a_loss_of_cells_has_no_slope_where_it_starts(loss: CellLoss):
    assert slopes(loss, starting_logits(loss, COUNTS)).abs().max() < 1e-7


def test_binary_cross_entropy_starts_at_the_log_odds_moved_by_the_weight_of_positives():
    weight = torch.tensor([1.0, 2.0, 3.0, 0.5, 1.0, 9.0])
    expected = torch.from_numpy(log_odds(COUNTS))
    torch.testing.assert_close(starting_logits(BCEWithLogitsLoss(), COUNTS), expected, rtol=0, atol=1e-8)
    start = starting_logits(LargeLossRejection(BCEWithLogitsLoss(pos_weight=weight)), COUNTS)
    torch.testing.assert_close(start, expected + weight.double().log(), rtol=0, atol=1e-8)


def test_losses_of_samples_start_at_prevalence_or_its_odds():
    odds, shares = log_odds(COUNTS), np.log((POSITIVES + 1) / (COUNTS.known + 2))
    for loss in (ZLPRLoss(), PairwiseLogSumExpLoss()):
        np.testing.assert_allclose(starting_logits(loss, COUNTS), odds)
    for loss in (SoftmaxLoss(), SemanticSoftmaxLoss(torch.zeros(6, dtype=torch.int64))):
        np.testing.assert_allclose(starting_logits(loss, COUNTS), shares)


def test_unknown_cells_that_are_taken_as_negatives_count_where_training_starts():
    # Half of what was looked at is positive, and nearly nothing was looked at.
    sets = LabelSets.from_lists(
        [[0], [], *[[]] * 98], LabelSpace(names=("a",)), exceptions=[[], [0], *[[]] * 98], unlisted="unknown"
    )
    counts = count_cells(sets)
    assert starting_logits(BCEWithLogitsLoss(), counts, num_samples=100).tolist() == pytest.approx([0.0], abs=1e-8)
    start = starting_logits(BCEWithLogitsLoss(unknown="negative"), counts, num_samples=100)
    assert start.tolist() == pytest.approx([np.log(2 / 100)], abs=1e-8)


def test_starts_are_near_the_best_constants_of_each_loss():
    generator = np.random.default_rng(0)
    dense = (generator.random((400, 8)) < np.array([0.5, 0.3, 0.2, 0.1, 0.1, 0.05, 0.02, 0.9])).astype(np.float32)
    sets = LabelSets.from_dense(dense, LabelSpace(names=tuple("abcdefgh")))
    counts, targets = count_cells(sets), SparseTargets.from_label_sets(sets)
    for loss in (FocalLoss(), AsymmetricLoss(), DistributionBalancedLoss(counts), SoftmaxLoss(), ZLPRLoss()):
        start, least = fitted(loss, starting_logits(loss, counts), targets)
        at_zero = loss(torch.zeros(400, 8), targets).item()
        assert start - least < 0.35 * (at_zero - least), type(loss).__name__


def fitted(loss: Loss, start: torch.Tensor, targets: SparseTargets) -> tuple[float, float]:
    """Return the loss of constants for all samples, and of the best ones found from there."""
    constants = start.clone().requires_grad_()
    optimiser = torch.optim.LBFGS([constants], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        value = loss(constants.expand(targets.num_samples, -1), targets)
        value.backward()
        return value

    at_start = closure().item()
    optimiser.step(closure)
    return at_start, closure().item()
