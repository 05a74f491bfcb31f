"""Thresholds that reach a stated figure: what each rule promises on the samples it was fitted on, and what when it cannot."""

import numpy as np
import pytest
from scipy.special import expit

from manyhot.decisions import (
    FalseNegativeRate,
    LeastCost,
    MatchPrevalence,
    PrecisionAtLeast,
    RecallAtLeast,
    Rule,
    TopK,
    fit_decision,
)
from manyhot.decisions.rules import rule_named
from manyhot.errors import UsageError
from manyhot.labels import LabelSets, LabelSpace


def sets_of(matrix: np.ndarray) -> LabelSets:
    space = LabelSpace(names=tuple(f"label {index}" for index in range(matrix.shape[1])))
    return LabelSets.from_dense(matrix.astype(np.float64), space)


def draw(seed: int, num_samples: int = 400, num_labels: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Return miscalibrated logits, rounded so that ties are common, and truth with unknown cells."""
    rng = np.random.default_rng(seed)
    log_odds = rng.normal(np.linspace(-3.5, 0.5, num_labels), 2.0, size=(num_samples, num_labels))
    truth = (rng.random(log_odds.shape) < expit(log_odds)).astype(np.float64)
    truth[rng.random(truth.shape) < 0.05] = np.nan
    return np.round(2.0 * log_odds + 1.0, 1), truth


def precision_and_recall(preds: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    preds = preds & ~np.isnan(truth)
    hits = (preds & (truth == 1)).sum(axis=0)
    with np.errstate(invalid="ignore"):
        return hits / preds.sum(axis=0), hits / (truth == 1).sum(axis=0)


MANY = slice(2, None)


@pytest.mark.parametrize("recall", [0.5, 0.9, 1.0])
def test_recall_is_reached_and_no_higher_threshold_reaches_it(recall: float):
    logits, truth = draw(0)
    decision = fit_decision(logits, sets_of(truth), rule=RecallAtLeast(recall=recall))
    probs = decision.calibration.probs(logits)
    many = (truth == 1).sum(axis=0) >= 20
    assert many.sum() >= 8
    found = precision_and_recall(probs >= decision.thresholds, truth)[1]
    assert (found[many] >= recall).all()
    for label in np.flatnonzero(many):
        known = ~np.isnan(truth[:, label])
        lowest = probs[known, label][probs[known, label] >= decision.thresholds[label]].min()
        above = probs[known, label] > lowest
        assert (truth[known, label][above] == 1).sum() < recall * (truth[:, label] == 1).sum()


def test_precision_is_reached_with_the_most_recall():
    logits, truth = draw(1)
    decision = fit_decision(logits, sets_of(truth), rule=PrecisionAtLeast(precision=0.8))
    probs = decision.calibration.probs(logits)
    for label in np.flatnonzero((truth == 1).sum(axis=0) >= 20):
        known = ~np.isnan(truth[:, label])
        values, hits = probs[known, label], truth[known, label] == 1
        good = [value for value in np.unique(values) if hits[values >= value].mean() >= 0.8]
        expected = values >= min(good) if good else np.zeros(values.shape, dtype=bool)
        np.testing.assert_array_equal(values >= decision.thresholds[label], expected)


def test_precision_out_of_reach_is_never_predicted_and_says_how_far_it_comes():
    rng = np.random.default_rng(2)
    truth = (rng.random((300, 1)) < 0.3).astype(np.float64)
    logits = np.where(rng.random((300, 1)) < 0.5, 1.0, -1.0)
    decision = fit_decision(logits, sets_of(truth), rule=PrecisionAtLeast(precision=0.95))
    best = max(truth[logits == value].mean() for value in (1.0, -1.0))
    best = max(best, truth.mean()) if best < truth.mean() else truth[logits == 1.0].mean()
    assert decision.thresholds[0] == np.inf
    assert decision.reasons[0] == (
        f"never predicted: precision 0.95 is not reached, at most {max(best, truth.mean()):.2g} on "
        f"{int(truth.sum())} validation positives"
    )


def test_label_of_few_positives_is_judged_by_what_its_probabilities_expect():
    logits, truth = draw(3)
    truth[:, 0] = 0
    truth[:3, 0] = 1
    decision = fit_decision(logits, sets_of(truth), rule=RecallAtLeast(recall=0.8))
    probs = decision.calibration.probs(logits)[:, 0]
    passing = probs >= decision.thresholds[0]
    assert probs[passing].sum() >= 0.8 * probs.sum()
    assert decision.reasons[0] == (
        f"threshold {decision.thresholds[0]:.2g}: recall at least 0.8 by the calibration shared by all labels, as there "
        "are few: 3 validation positives"
    )


def test_labels_are_predicted_as_often_as_they_occur():
    rng = np.random.default_rng(4)
    truth = (rng.random((500, 6)) < 0.3).astype(np.float64)
    logits = rng.normal(size=truth.shape) + truth
    decision = fit_decision(logits, sets_of(truth), rule=MatchPrevalence())
    np.testing.assert_array_equal(decision.preds(logits).sum(axis=0), truth.sum(axis=0))


def test_top_k_are_the_k_most_probable_labels_that_can_be_predicted():
    logits, truth = draw(5)
    truth[:, -1] = 0
    decision = fit_decision(logits, sets_of(truth), rule=TopK(k=3))
    preds = decision.preds(logits)
    assert (preds.sum(axis=1) == 3).all()
    assert not preds[:, -1].any()
    probs = decision.calibration.probs(logits)[:, :-1]
    lowest_in = np.where(preds[:, :-1], probs, np.inf).min(axis=1)
    assert (lowest_in >= np.where(preds[:, :-1], -np.inf, probs).max(axis=1)).all()
    assert decision.reasons[0].startswith("among the 3 most probable labels of a sample, at any probability;")


def test_threshold_of_costs_is_where_both_mistakes_cost_the_same():
    logits, truth = draw(6)
    rule = LeastCost(false_negative=4.0, false_positives={"label 2": 16.0}, false_negatives={"label 3": 1.0})
    decision = fit_decision(logits, sets_of(truth), rule=rule)
    assert decision.thresholds[[1, 2, 3]].tolist() == [0.2, 0.8, 0.5]
    assert "lowest expected cost" in decision.reasons[4]


def test_cost_of_a_label_that_is_not_there_is_refused():
    logits, truth = draw(7)
    with pytest.raises(UsageError, match="a cost is given for 'label 99', which is no label"):
        fit_decision(logits, sets_of(truth), rule=LeastCost(false_positives={"label 99": 2.0}))


RULES: tuple[Rule, ...] = (
    PrecisionAtLeast(precision=0.5),
    RecallAtLeast(recall=0.9),
    MatchPrevalence(),
    TopK(k=2),
    LeastCost(),
    FalseNegativeRate(),
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_label_without_positives_is_never_predicted_by_any_rule(rule: Rule):
    logits, truth = draw(8)
    truth[:, 4] = 0
    truth[:, 5] = np.nan
    decision = fit_decision(logits, sets_of(truth), rule=rule)
    assert not decision.preds(np.full((3, truth.shape[1]), 1e3))[:, [4, 5]].any()
    assert decision.reasons[4] == "never predicted: no validation positives"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_unknown_cells_change_nothing(rule: Rule):
    logits, truth = draw(9)
    changed = np.where(np.isnan(truth), 55.0, logits)
    plain, moved = (fit_decision(values, sets_of(truth), rule=rule) for values in (logits, changed))
    np.testing.assert_allclose(moved.thresholds, plain.thresholds)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_one_sample_of_one_label_is_enough(rule: Rule):
    preds = fit_decision(np.array([[2.0]]), sets_of(np.ones((1, 1))), rule=rule).preds(np.array([[2.0]]))
    # Half of one sample is none: nothing can be promised, and nothing was calibrated.
    assert preds.tolist() == [[not isinstance(rule, FalseNegativeRate)]]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_decision_survives_json(rule: Rule):
    logits, truth = draw(10)
    decision = fit_decision(logits, sets_of(truth), rule=rule)
    again = type(decision).from_dict(decision.to_dict())
    assert again.to_dict() == decision.to_dict()
    np.testing.assert_array_equal(again.preds(logits), decision.preds(logits))


@pytest.mark.parametrize(
    "make",
    [
        lambda: PrecisionAtLeast(precision=0.0),
        lambda: RecallAtLeast(recall=1.1),
        lambda: TopK(k=0),
        lambda: LeastCost(false_positive=0.0),
        lambda: FalseNegativeRate(level=1.0),
        lambda: FalseNegativeRate(confidence=0.0),
    ],
)
def test_numbers_that_make_no_sense_are_refused(make):
    with pytest.raises(UsageError):
        make()


def test_name_of_a_rule_with_numbers_of_its_own_says_how_to_give_them():
    with pytest.raises(UsageError, match=r"give rule=RecallAtLeast\(recall=0.9\) instead of its name"):
        rule_named("recall-at-least")
