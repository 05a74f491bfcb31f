"""Fitted decisions: what each rule promises, and that the default keeps it on samples it has not seen."""

import numpy as np
import pytest
from scipy.special import expit

from manyhot.decisions import RuleName, best_thresholds, fit_decision
from manyhot.decisions.rules import rule_named
from manyhot.errors import ScoreError, UsageError
from manyhot.labels import LabelSets, LabelSpace

RULES: tuple[RuleName, ...] = ("plug-in", "best-f", "global", "half")
FITTED: tuple[RuleName, ...] = ("plug-in", "best-f", "global")


def sets_of(matrix: np.ndarray) -> LabelSets:
    space = LabelSpace(names=tuple(f"label {index}" for index in range(matrix.shape[1])))
    return LabelSets.from_dense(matrix.astype(np.float64), space)


def f1_macro(preds: np.ndarray, truth: np.ndarray) -> float:
    """Macro F1 by its definition; undefined labels are left out."""
    total = preds.sum(axis=0) + truth.sum(axis=0)
    scores = 2 * (preds & (truth == 1)).sum(axis=0)[total > 0] / total[total > 0]
    return float(scores.mean())


def power_law(seed: int, num_samples: tuple[int, int], num_labels: int, *, signal: float = 2.5) -> list[np.ndarray]:
    """Return miscalibrated logits and truth of validation and of test, prevalence falling with the label's rank."""
    rng = np.random.default_rng(seed)
    prevalence = np.maximum(0.15 * (np.arange(1, num_labels + 1) / 8 + 1) ** -0.9, 2e-4)
    strength = signal * np.exp(0.3 * rng.normal(size=num_labels))
    bias = np.log(prevalence / (1 - prevalence)) - strength**2 / 2
    error = 0.3 * rng.normal(size=num_labels)
    parts: list[np.ndarray] = []
    for size in num_samples:
        log_odds = bias + strength * rng.normal(size=(size, num_labels))
        parts += [2.0 * log_odds + 1.0 + error, (rng.random(log_odds.shape) < expit(log_odds)).astype(np.float64)]
    return parts


@pytest.mark.parametrize("rule", FITTED)
def test_label_without_positives_is_never_predicted(rule: RuleName):
    logits, truth, *_ = power_law(0, (300, 1), 20)
    truth[:, 4] = 0
    decision = fit_decision(logits, sets_of(truth), rule=rule)
    assert decision.thresholds[4] == np.inf
    assert decision.reasons[4] == "never predicted: no validation positives"
    assert not decision.preds(np.full((2, 20), 1e4))[:, 4].any()


@pytest.mark.parametrize("rule", FITTED)
def test_label_of_unknown_cells_only_is_never_predicted(rule: RuleName):
    logits, truth, *_ = power_law(1, (100, 1), 5)
    truth[:, 2] = np.nan
    assert fit_decision(logits, sets_of(truth), rule=rule).thresholds[2] == np.inf


@pytest.mark.parametrize("rule", RULES)
def test_unknown_cells_change_nothing(rule: RuleName):
    logits, truth, *_ = power_law(2, (200, 1), 8)
    truth[150:] = np.nan
    truth[:40, 3] = np.nan
    decision = fit_decision(logits, sets_of(truth), rule=rule)
    changed = logits.copy()
    changed[np.isnan(truth)] = 77.0
    np.testing.assert_allclose(fit_decision(changed, sets_of(truth), rule=rule).thresholds, decision.thresholds)


def test_half_is_half_of_the_plain_sigmoid():
    logits, truth, *_ = power_law(3, (100, 1), 6)
    decision = fit_decision(logits, sets_of(truth), rule="half")
    np.testing.assert_array_equal(decision.preds(logits), logits >= 0)
    np.testing.assert_allclose(decision.probs(logits), expit(logits), rtol=1e-6)


def test_global_is_one_threshold_for_all_labels_with_positives():
    logits, truth, *_ = power_law(4, (300, 1), 30)
    thresholds = fit_decision(logits, sets_of(truth), rule="global").thresholds
    assert len(set(thresholds[truth.sum(axis=0) > 0])) == 1


def test_best_f_of_a_label_with_few_positives_is_the_plug_in_threshold():
    logits, truth, *_ = power_law(5, (400, 1), 40)
    own, shared = (fit_decision(logits, sets_of(truth), rule=rule) for rule in ("best-f", "plug-in"))
    few = truth.sum(axis=0) < 20
    assert few.any()
    assert not few.all()
    np.testing.assert_array_equal(own.thresholds[few], shared.thresholds[few])
    searched = best_thresholds(own.calibration.probs(logits), sets_of(truth))
    np.testing.assert_allclose(own.thresholds[~few], searched[~few])


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_plug_in_threshold_is_at_most_one_over_one_plus_beta_squared(beta: float):
    logits, truth, *_ = power_law(6, (200, 1), 10)
    thresholds = fit_decision(logits, sets_of(truth), beta=beta).thresholds
    assert thresholds[np.isfinite(thresholds)].max() <= 1 / (1 + beta**2)


def test_greater_beta_predicts_more():
    logits, truth, *_ = power_law(7, (200, 1), 10)
    counts = [fit_decision(logits, sets_of(truth), beta=beta).preds(logits).sum() for beta in (0.5, 1.0, 2.0)]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]


def test_reasons_name_threshold_rule_and_positives():
    rng = np.random.default_rng(8)
    truth = np.zeros((4_000, 3))
    truth[:1_204, 0] = 1
    truth[:3, 1] = 1
    logits = np.where(truth == 1, 1.0, -1.0) + rng.normal(size=truth.shape)
    decision = fit_decision(logits, sets_of(truth))
    shown = [f"{threshold:.2g}" for threshold in decision.thresholds]
    assert decision.reasons == (
        f"threshold {shown[0]}: F*/2 on 1,204 validation positives",
        f"threshold {shown[1]}: F*/2 by the calibration shared by all labels, as there are few: 3 validation positives",
        "never predicted: no validation positives",
    )
    best = fit_decision(logits, sets_of(truth), rule="best-f", beta=2.0)
    assert best.reasons[0].endswith("best F2 on 1,204 validation positives")
    assert "F*/5 by the calibration shared" in best.reasons[1]


def test_default_beats_the_best_threshold_of_each_label_where_labels_are_rare():
    logits, truth, test_logits, test_truth = power_law(9, (1_500, 3_000), 400)
    sets = sets_of(truth)
    default = f1_macro(fit_decision(logits, sets).preds(test_logits), test_truth)
    searched = f1_macro(test_logits >= best_thresholds(logits - logits.min(), sets) + logits.min(), test_truth)
    assert default > searched + 0.02


@pytest.mark.parametrize("seed", range(3))
def test_default_beats_half_and_predict_all_under_a_weak_model(seed: int):
    logits, truth, test_logits, test_truth = power_law(seed, (440, 440), 25, signal=0.7)
    default = f1_macro(fit_decision(logits, sets_of(truth)).preds(test_logits), test_truth)
    everything = f1_macro(np.ones_like(test_truth, dtype=bool), test_truth)
    assert default > max(everything, f1_macro(test_logits >= 0, test_truth))


def test_default_under_a_model_of_pure_noise_is_to_predict_all():
    rng = np.random.default_rng(10)
    truth = (rng.random((800, 25)) < np.geomspace(0.03, 0.5, 25)).astype(np.float64)
    logits = rng.normal(size=truth.shape)
    preds = fit_decision(logits[:400], sets_of(truth[:400])).preds(logits[400:])
    everything = f1_macro(np.ones_like(preds), truth[400:])
    # 0.01: what the chance correlations of 400 samples may cost.
    assert f1_macro(preds, truth[400:]) > everything - 0.01


def test_constant_label_is_always_predicted():
    logits, truth, test_logits, _ = power_law(11, (100, 50), 5)
    truth[:, 0] = 1
    assert fit_decision(logits, sets_of(truth)).preds(test_logits)[:, 0].all()


@pytest.mark.parametrize("rule", RULES)
def test_one_sample_of_one_label_is_enough(rule: RuleName):
    decision = fit_decision(np.array([[2.0]]), sets_of(np.ones((1, 1))), rule=rule)
    assert decision.preds(np.array([[2.0]])).tolist() == [[True]]


def test_float32_logits_give_the_same_decision():
    logits, truth, *_ = power_law(12, (200, 1), 10)
    single = logits.astype(np.float32)
    ours = fit_decision(single, sets_of(truth)).thresholds
    np.testing.assert_array_equal(ours, fit_decision(single.astype(np.float64), sets_of(truth)).thresholds)


def test_nan_is_refused_by_sample_and_label():
    logits = np.zeros((3, 2))
    logits[1, 0] = np.nan
    with pytest.raises(ScoreError, match="row 1 and label 'label 0' is nan"):
        fit_decision(logits, sets_of(np.zeros((3, 2))))


def test_unknown_rule_is_refused_with_the_nearest_one():
    with pytest.raises(UsageError, match="did you mean 'plug-in'"):
        rule_named("plugin")


@pytest.mark.parametrize("beta", [0.0, -1.0, np.inf, np.nan])
def test_beta_that_makes_no_sense_is_refused(beta: float):
    with pytest.raises(UsageError, match="beta"):
        fit_decision(np.zeros((1, 1)), sets_of(np.ones((1, 1))), beta=beta)
