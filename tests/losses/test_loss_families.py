"""Every family of losses against its definition in float64, written with loops over cells, pairs and labels."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from manyhot.errors import TargetError, UsageError
from manyhot.labels import LabelCounts, LabelSets, LabelSpace
from manyhot.labels.hierarchy import Hierarchy
from manyhot.losses import (
    AsymmetricLoss,
    BCEWithLogitsLoss,
    CellWeights,
    DistributionBalancedLoss,
    EpochAware,
    FocalLoss,
    LargeLossRejection,
    MultiLabelMarginLoss,
    MultiLabelSoftMarginLoss,
    PairwiseLogSumExpLoss,
    SelectiveUnknown,
    SemanticSoftmaxLoss,
    SoftmaxLoss,
    TwoWayLoss,
    ZLPRLoss,
    asymmetric_loss,
    binary_cross_entropy_with_logits,
    class_balanced_weights,
    focal_loss,
    levels_of,
    multilabel_soft_margin_loss,
    two_way_loss,
)
from manyhot.losses.interface import Reduction
from manyhot.targets import SparseTargets

NAN = float("nan")
POSITIVES = np.ones(1, dtype=np.int64)


def batch(num_samples: int = 13, num_labels: int = 9, *, unknown: float = 0.25, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(num_samples, num_labels, generator=generator, dtype=torch.float64)
    dense = (torch.rand(num_samples, num_labels, generator=generator) < 0.3).double()
    dense[::5] = 0
    dense[2] = 1
    dense[torch.rand(num_samples, num_labels, generator=generator) < unknown] = NAN
    return logits, dense


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def mean_over_cells(logits: Tensor, dense: Tensor, loss) -> float:
    """Return the mean over known cells of loss(logit, is positive, row, label)."""
    cells = [
        loss(float(logits[i, j]), bool(dense[i, j] == 1), i, j)
        for i in range(len(logits))
        for j in range(logits.shape[1])
        if not math.isnan(dense[i, j])
    ]
    return math.fsum(cells) / len(cells)


def rows_of(logits: Tensor, dense: Tensor) -> list[tuple[list[float], list[float]]]:
    """Return the logits of the positives and of the negatives of each row."""
    return [
        ([float(z) for z in row[truth == 1]], [float(z) for z in row[truth == 0]])
        for row, truth in zip(logits, dense, strict=True)
    ]


@pytest.mark.parametrize(("gamma", "alpha"), [(2.0, 0.25), (0.0, None), (1.5, 0.6)])
def test_focal_loss_is_its_definition(gamma: float, alpha: float | None):
    logits, dense = batch()

    def cell(z: float, positive: bool, *_) -> float:
        right = sigmoid(z) if positive else 1 - sigmoid(z)
        weight = 1.0 if alpha is None else alpha if positive else 1 - alpha
        return -weight * (1 - right) ** gamma * math.log(right)

    expected = mean_over_cells(logits, dense, cell)
    value = FocalLoss(gamma, alpha)(logits, SparseTargets.from_dense(dense))
    assert value.item() == pytest.approx(expected, rel=1e-12)
    assert focal_loss(logits, dense, gamma=gamma, alpha=alpha).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("gamma_neg", "gamma_pos", "clip"), [(4.0, 1.0, 0.05), (2.0, 0.0, 0.0), (0.5, 3.0, 0.3)])
def test_asymmetric_loss_is_its_definition(gamma_neg: float, gamma_pos: float, clip: float):
    logits, dense = batch(seed=1)

    def cell(z: float, positive: bool, *_) -> float:
        p = sigmoid(z)
        if positive:
            return -((1 - p) ** gamma_pos) * math.log(p)
        shifted = max(p - clip, 0.0)
        return -(shifted**gamma_neg) * math.log(1 - shifted)

    expected = mean_over_cells(logits, dense, cell)
    value = AsymmetricLoss(gamma_neg, gamma_pos, clip)(logits, SparseTargets.from_dense(dense))
    assert value.item() == pytest.approx(expected, rel=1e-12)
    assert asymmetric_loss(logits, dense, gamma_neg=gamma_neg, gamma_pos=gamma_pos, clip=clip).item() == pytest.approx(
        expected, rel=1e-12
    )


def test_focal_and_asymmetric_losses_without_a_focus_are_binary_cross_entropy():
    logits, dense = batch(seed=2)
    expected = BCEWithLogitsLoss()(logits, dense)
    torch.testing.assert_close(FocalLoss(0.0, None)(logits, dense), expected, rtol=1e-14, atol=0)
    torch.testing.assert_close(AsymmetricLoss(0.0, 0.0, 0.0)(logits, dense), expected, rtol=1e-14, atol=0)


def test_label_smoothing_moves_targets_halfway_to_the_other_side():
    logits, dense = batch(unknown=0.0, seed=3)
    expected = functional.binary_cross_entropy_with_logits(logits, dense * 0.8 + 0.1)
    torch.testing.assert_close(BCEWithLogitsLoss(label_smoothing=0.2)(logits, dense), expected, rtol=1e-12, atol=0)


def test_label_smoothing_and_confidence_work_together():
    logits, dense = batch(unknown=0.0, seed=4)
    soft = dense * torch.rand(dense.shape, generator=torch.Generator().manual_seed(5)).double().clamp(min=0.2)
    soft = soft.float().double()
    expected = functional.binary_cross_entropy_with_logits(logits, soft * 0.8 + 0.1)
    torch.testing.assert_close(BCEWithLogitsLoss(label_smoothing=0.2)(logits, soft), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("weight", [None, torch.linspace(0.5, 3.0, 9)])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_soft_margin_has_the_value_of_torch(reduction: Reduction, weight: Tensor | None):
    logits, dense = batch(unknown=0.0, seed=6)
    wide = None if weight is None else weight.double()
    expected = torch.nn.MultiLabelSoftMarginLoss(wide, reduction=reduction)(logits, dense)
    torch.testing.assert_close(MultiLabelSoftMarginLoss(weight, reduction=reduction)(logits, dense), expected)
    torch.testing.assert_close(multilabel_soft_margin_loss(logits, dense, weight=weight, reduction=reduction), expected)


def test_means_of_samples_are_taken_over_known_cells():
    logits, dense = batch(seed=6)
    dense[4] = NAN
    cells = functional.binary_cross_entropy_with_logits(logits, dense.nan_to_num(0.0), reduction="none")
    expected = torch.where(dense.isnan(), NAN, cells).nanmean(dim=1).nan_to_num(0.0)
    torch.testing.assert_close(MultiLabelSoftMarginLoss(reduction="none")(logits, dense), expected)
    torch.testing.assert_close(MultiLabelSoftMarginLoss(reduction="sum")(logits, dense), expected.sum())
    torch.testing.assert_close(MultiLabelSoftMarginLoss()(logits, dense), BCEWithLogitsLoss()(logits, dense))


def test_the_first_argument_of_torch_is_not_taken_for_another():
    # torch.nn.BCEWithLogitsLoss(w) weighs cells, not positives.
    with pytest.raises(TypeError):
        BCEWithLogitsLoss(torch.ones(9))  # type: ignore[misc] - what is refused


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_margin_has_the_value_of_torch(reduction: Reduction):
    logits, dense = batch(unknown=0.0, seed=7)
    padded = torch.full(dense.shape, -1)
    for row, truth in enumerate(dense):
        ids = truth.nonzero()[:, 0]
        padded[row, : len(ids)] = ids
    expected = torch.nn.MultiLabelMarginLoss(reduction=reduction)(logits, padded)
    torch.testing.assert_close(MultiLabelMarginLoss(reduction=reduction)(logits, dense), expected, rtol=1e-12, atol=0)


def test_margin_compares_known_cells_only():
    logits, dense = batch(seed=8)
    pairs = [
        max(0.0, 0.7 - high + low)
        for positives, negatives in rows_of(logits, dense)
        for high in positives
        for low in negatives
    ]
    expected = math.fsum(pairs) / int((~dense.isnan()).sum())
    assert MultiLabelMarginLoss(margin=0.7)(logits, dense).item() == pytest.approx(expected, rel=1e-12)


def test_multi_hot_rows_given_as_ids_are_refused_before_any_loss():
    with pytest.raises(TargetError, match="multi-hot"):
        MultiLabelMarginLoss()(torch.zeros(1, 4), SparseTargets.from_lists([[1, 0, 0, 1]], num_labels=4))
    with pytest.raises(TargetError, match="label ids"):
        MultiLabelMarginLoss()(torch.zeros(1, 4), torch.tensor([[0, 3, -1, -1]]))


def test_pairwise_loss_is_its_sum_over_pairs():
    logits, dense = batch(seed=9)
    rows = [
        math.log1p(math.fsum(math.exp(low - high) for high in positives for low in negatives))
        for positives, negatives in rows_of(logits, dense)
        if positives and negatives
    ]
    assert PairwiseLogSumExpLoss()(logits, dense).item() == pytest.approx(math.fsum(rows) / len(rows), rel=1e-12)
    per_sample = PairwiseLogSumExpLoss(reduction="sample_mean")(logits, dense)
    assert per_sample.item() == pytest.approx(math.fsum(rows) / 13, rel=1e-12)


def test_zlpr_is_its_two_sums():
    logits, dense = batch(seed=10)
    dense[4] = NAN
    rows = [
        math.log1p(math.fsum(math.exp(z) for z in negatives)) + math.log1p(math.fsum(math.exp(-z) for z in positives))
        for positives, negatives in rows_of(logits, dense)
        if positives or negatives
    ]
    assert ZLPRLoss()(logits, dense).item() == pytest.approx(math.fsum(rows) / len(rows), rel=1e-12)


def test_two_way_loss_compares_rows_and_columns():
    logits, dense = batch(seed=11)

    def one_way(values: Tensor, truth: Tensor) -> float:
        rows = [
            math.log1p(math.fsum(math.exp(z) for z in negatives) * math.fsum(math.exp(-z / 4) for z in positives) ** 4)
            for positives, negatives in rows_of(values, truth)
            if positives and negatives
        ]
        return math.fsum(rows) / len(rows)

    expected = one_way(logits, dense) + one_way(logits.T, dense.T)
    assert TwoWayLoss()(logits, dense).item() == pytest.approx(expected, rel=1e-12)
    assert two_way_loss(logits, dense).item() == pytest.approx(expected, rel=1e-12)


def test_softmax_loss_shares_one_among_the_positives():
    logits, dense = batch(seed=12)
    rows = [
        math.log(math.fsum(math.exp(z) for z in positives + negatives)) - math.fsum(positives) / len(positives)
        for positives, negatives in rows_of(logits, dense)
        if positives
    ]
    assert SoftmaxLoss()(logits, dense).item() == pytest.approx(math.fsum(rows) / len(rows), rel=1e-12)


def test_semantic_softmax_is_one_softmax_a_level():
    logits, dense = batch(seed=13)
    levels, weights = [0, 1, 1, 2, 2, 2, 0, 1, 3], [1.0, 0.5, 2.0, 4.0]
    dense[:, 8] = torch.where(dense[:, 8].isnan(), NAN, 0.0)
    means = {}
    for level in range(4):
        members = [label for label in range(9) if levels[label] == level]
        rows = [
            math.log(math.fsum(math.exp(z) for z in positives + negatives)) - math.fsum(positives) / len(positives)
            for positives, negatives in rows_of(logits[:, members], dense[:, members])
            if positives
        ]
        if rows:
            means[level] = math.fsum(rows) / len(rows)
    assert sorted(means) == [0, 1, 2]
    expected = math.fsum(weights[level] * mean for level, mean in means.items()) / sum(weights[:3])
    loss = SemanticSoftmaxLoss(torch.tensor(levels), torch.tensor(weights))
    assert loss(logits, dense).item() == pytest.approx(expected, rel=1e-12)


def test_levels_are_the_longest_way_up():
    space = LabelSpace(names=("a", "b", "c", "d", "e"), parents=((), (0,), (1, 0), (2, 1), ()))
    assert levels_of(Hierarchy.of(space)).tolist() == [0, 1, 2, 3, 0]


def test_class_balanced_weights_follow_the_effective_number():
    positives = np.array([1, 10, 5_000, 0])
    weights = class_balanced_weights(LabelCounts(positives=positives, known=np.full(4, 10_000)), beta=0.999)
    plain = np.array([(1 - 0.999) / (1 - 0.999 ** max(count, 1)) for count in positives])
    np.testing.assert_allclose(weights.numpy(), plain / plain.mean(), rtol=1e-6)
    assert class_balanced_weights(LabelCounts(positives=positives, known=positives + 1), beta=0.0).tolist() == [1.0] * 4


def test_distribution_balanced_loss_is_its_definition():
    logits, dense = batch(seed=14)
    positives, known = np.array([40, 1, 7, 0, 25, 99, 3, 12, 60]), np.full(9, 100)
    rarity = [1 / max(count, 1) for count in positives]
    shift = [0.05 * math.log((100 - count + 1) / (count + 1)) for count in positives]

    def cell(z: float, positive: bool, row: int, label: int) -> float:
        drawn = math.fsum(rarity[j] for j in range(9) if dense[row, j] == 1)
        share = rarity[label] / drawn if drawn else math.inf
        weight = 0.1 + (1.0 if math.isinf(share) else sigmoid(10 * (share - 0.2)))
        moved = z - shift[label]
        return weight * (math.log1p(math.exp(-moved)) if positive else math.log1p(math.exp(2 * moved)) / 2)

    expected = mean_over_cells(logits, dense, cell)
    loss = DistributionBalancedLoss(LabelCounts(positives=positives, known=known))
    # Its weights are kept in float32.
    assert loss(logits, dense).item() == pytest.approx(expected, rel=1e-6)


def test_weights_of_samples_positives_and_cells_multiply():
    logits, dense = batch(seed=15)
    generator = torch.Generator().manual_seed(16)
    targets = SparseTargets.from_dense(dense)
    label, sample = torch.rand(9, generator=generator), torch.rand(13, generator=generator)
    positive, cell = torch.rand(len(targets.label_ids), generator=generator), torch.rand(13, 9, generator=generator)
    weights = CellWeights(label=label, sample=sample, positive=positive, cell=cell)
    dense_weights = label.double() * sample.double()[:, None] * cell.double()
    dense_weights[targets.row_ids(), targets.label_ids.long()] *= positive.double()
    cells = functional.binary_cross_entropy_with_logits(logits, dense.nan_to_num(0.0), reduction="none")
    known = ~dense.isnan()
    expected = (cells * dense_weights)[known].sum() / known.sum()
    torch.testing.assert_close(BCEWithLogitsLoss()(logits, targets, weights), expected)


@pytest.mark.parametrize("name", ["label", "sample", "positive", "cell"])
def test_weights_of_another_length_are_refused(name: str, without_shape_checks: None):
    with pytest.raises(TargetError, match=f"{name} weights have shape"):
        BCEWithLogitsLoss()(torch.zeros(2, 3), torch.eye(2, 3), CellWeights(**{name: torch.ones(7)}))


def test_a_loss_without_reduction_gives_each_cell_and_zero_where_unknown():
    logits, dense = batch(seed=17)
    cells = BCEWithLogitsLoss(reduction="none")(logits, dense)
    expected = functional.binary_cross_entropy_with_logits(logits, dense.nan_to_num(0.0), reduction="none")
    torch.testing.assert_close(cells, torch.where(dense.isnan(), 0.0, expected), rtol=1e-12, atol=0)


def test_unknown_cells_may_be_taken_as_negatives_by_name():
    logits, dense = batch(seed=18)
    value = BCEWithLogitsLoss(unknown="negative")(logits, dense)
    torch.testing.assert_close(value, BCEWithLogitsLoss()(logits, dense.nan_to_num(0.0)), rtol=1e-14, atol=0)


def test_selected_unknown_cells_are_those_that_are_unlikely():
    logits = torch.tensor([[3.0, 1.0, -1.0, 2.0], [0.0, 5.0, 1.0, -9.0]])
    dense = torch.tensor([[NAN, NAN, NAN, 1.0], [0.0, NAN, NAN, NAN]])
    selective = SelectiveUnknown(torch.tensor([0.0, 0.0, 0.2, 0.0]), max_prevalence=0.1, keep_out=1)
    counted = selective.counted(logits, SparseTargets.from_dense(dense))
    assert counted is not None
    # Row 0: label 0 is the likeliest, label 2 prevalent. Row 1: label 1 is the likeliest, label 2 prevalent.
    assert counted.tolist() == [[False, True, False, True], [True, False, False, True]]


def test_rejection_takes_the_largest_losses_of_unlisted_cells():
    logits = torch.tensor([[5.0, 4.0, -2.0, 6.0], [3.0, -9.0, 8.0, 0.0]])
    space = LabelSpace(names=("a", "b", "c", "d"))
    # Unlisted cells are unknown and taken as negatives; label 3 of row 0 and label 2 of row 1 were verified.
    sets = LabelSets.from_lists([[2], []], space, exceptions=[[3], [2]], unlisted="unknown")
    loss = LargeLossRejection(BCEWithLogitsLoss(unknown="negative", reduction="none"), rate=0.25)
    targets = SparseTargets.from_label_sets(sets)
    assert (loss(logits, targets) > 0).all()
    loss.start_epoch(1)
    # Two of eight cells: logits 5 and 4, not the verified 6 and 8.
    assert (loss(logits, targets) == 0).nonzero().tolist() == [[0, 0], [0, 1]]
    loss.start_epoch(2)
    assert (loss(logits, targets) == 0).sum() == 4


def test_rejection_of_complete_lists_looks_at_all_negatives():
    logits, dense = batch(unknown=0.0, seed=19)
    loss = LargeLossRejection(BCEWithLogitsLoss(), rate=0.1, start=2)
    plain = BCEWithLogitsLoss()(logits, dense)
    loss.start_epoch(2)
    assert torch.equal(loss(logits, dense), plain)
    loss.start_epoch(3)
    count = math.ceil(0.1 * dense.numel())
    negatives = functional.softplus(logits[dense == 0]).sort(descending=True).values[count:]
    kept = torch.cat((negatives, functional.softplus(-logits[dense == 1])))
    torch.testing.assert_close(loss(logits, dense), kept.mean(), rtol=1e-9, atol=0)
    assert isinstance(loss, EpochAware)
    assert not isinstance(BCEWithLogitsLoss(), EpochAware)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FocalLoss(-1.0), "gamma is -1.0"),
        (lambda: FocalLoss(alpha=1.5), "alpha is 1.5"),
        (lambda: AsymmetricLoss(clip=1.0), "clip is 1.0"),
        (lambda: AsymmetricLoss(gamma_pos=NAN), "gamma_pos is nan"),
        (lambda: MultiLabelMarginLoss(margin=0.0), "margin is 0.0"),
        (lambda: TwoWayLoss(0.0), "each must be above 0"),
        (lambda: TwoWayLoss(reduction="sample_mean"), "none of mean, sum"),
        (lambda: BCEWithLogitsLoss(label_smoothing=1.0), "label_smoothing is 1.0"),
        (lambda: LargeLossRejection(BCEWithLogitsLoss(), rate=2.0), "rate is 2.0"),
        (lambda: SelectiveUnknown(torch.zeros(2), keep_out=-1), "keep_out -1"),
        (lambda: class_balanced_weights(LabelCounts(positives=POSITIVES, known=POSITIVES), beta=1.0), "beta is 1.0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make, message: str):
    with pytest.raises(UsageError, match=message):
        make()


@pytest.mark.parametrize(
    ("give", "message"),
    [
        (lambda: FocalLoss()(torch.zeros(1, 2), [[0]]), r"type list; .*SparseTargets\.from_lists"),
        (lambda: FocalLoss()(torch.zeros(1, 2), np.zeros((1, 2))), "type ndarray; give a dense tensor"),
        (lambda: FocalLoss()(torch.zeros(1, 2), torch.eye(1, 2), torch.ones(1, 2)), "say what they weigh"),
        (lambda: focal_loss(torch.zeros(1, 2), torch.eye(1, 2), weights=torch.ones(2)), "say what they weigh"),
        (lambda: BCEWithLogitsLoss(pos_weight=2.0), "pos_weight is of type float"),
        (lambda: FocalLoss(label_weight=[1.0, 2.0]), "label_weight is of type list"),
        (lambda: FocalLoss(reduction=None), "reduction None is none of mean"),
        (lambda: LargeLossRejection(ZLPRLoss()), "ZLPRLoss has no loss of each cell"),
        (lambda: SemanticSoftmaxLoss(torch.tensor([0, -1])), "a level is below 0"),
    ],
)
@pytest.mark.usefixtures("without_shape_checks")
def test_what_untyped_callers_try_first_is_answered_in_one_line(give, message: str):
    with pytest.raises((TargetError, UsageError), match=message):
        give()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"unknown": "ignored"}, "it must be 'ignore', 'negative' or"),
        ({"label_smoothing": 1.5}, "label_smoothing is 1.5"),
        ({"reduction": "samplemean"}, "did you mean 'sample_mean'"),
    ],
)
@pytest.mark.usefixtures("without_shape_checks")
def test_functions_refuse_what_their_losses_refuse(settings: dict, message: str):
    for function in (binary_cross_entropy_with_logits, focal_loss, asymmetric_loss):
        with pytest.raises(UsageError, match=message):
            function(torch.zeros(1, 2), torch.eye(1, 2), **settings)
    with pytest.raises(UsageError, match=message):
        FocalLoss(**settings)


@pytest.mark.usefixtures("without_shape_checks")
def test_levels_of_another_number_of_labels_are_refused():
    with pytest.raises(TargetError, match="levels of 3 labels for 2"):
        SemanticSoftmaxLoss(torch.tensor([0, 1, 1]))(torch.zeros(1, 2), torch.eye(1, 2))
