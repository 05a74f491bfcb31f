"""Cross-fitted figures: each sample is decided without it, and the figures are those of new samples."""

import numpy as np
import pytest
from scipy.special import expit

from manyhot.decisions import RecallAtLeast, cross_fit, fit_decision
from manyhot.errors import UsageError
from manyhot.labels import LabelSets, LabelSpace
from manyhot.labels.splitting import fold_samples


def sets_of(matrix: np.ndarray) -> LabelSets:
    space = LabelSpace(names=tuple(f"label {index}" for index in range(matrix.shape[1])))
    return LabelSets.from_dense(matrix.astype(np.float64), space)


def draw(seed: int, num_samples: int, num_labels: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    log_odds = rng.normal(np.linspace(-5.0, 0.0, num_labels), 2.0, size=(num_samples, num_labels))
    return 2.0 * log_odds + 1.0, (rng.random(log_odds.shape) < expit(log_odds)).astype(np.float64)


def test_each_fold_is_decided_by_what_the_others_say():
    logits, truth = draw(0, 103, 7)
    truth[:, 3] = 1
    sets = sets_of(truth)
    found = cross_fit(logits, sets, rule=RecallAtLeast(recall=0.8), calibration="platt", folds=4, seed=5)
    fold_of = fold_samples(sets, 4, seed=5)
    for fold in range(4):
        rows, rest = np.flatnonzero(fold_of == fold), np.flatnonzero(fold_of != fold)
        decision = fit_decision(logits[rest], sets.take(rest), rule=RecallAtLeast(recall=0.8), calibration="platt")
        np.testing.assert_array_equal(found.probs[rows], decision.probs(logits[rows]))
        seen = np.isfinite(decision.thresholds)
        np.testing.assert_array_equal(found.preds[rows][:, seen], decision.preds(logits[rows])[:, seen])


def test_truth_of_a_sample_does_not_change_what_is_said_about_it():
    logits, truth = draw(1, 60, 5)
    sets = sets_of(truth)
    fold_of = fold_samples(sets, 5, seed=0)
    # Two rows of one fold change places: the folds stay, and so do the other folds' decisions.
    first, second = np.flatnonzero(fold_of == 2)[:2]
    swapped = logits.copy()
    swapped[[first, second]] = logits[[second, first]]
    plain, moved = cross_fit(logits, sets), cross_fit(swapped, sets)
    np.testing.assert_array_equal(moved.preds[[second, first]], plain.preds[[first, second]])


def test_label_whose_only_positive_is_left_out_may_still_be_predicted():
    logits, truth = draw(2, 50, 4)
    truth[:, 0] = 0
    truth[7, 0] = 1
    logits[7, 0] = 40.0
    assert cross_fit(logits, sets_of(truth)).preds[7, 0]
    truth[7, 0] = 0
    assert not cross_fit(logits, sets_of(truth)).preds[:, 0].any()


def test_cross_fitted_figures_do_not_flatter_where_fitted_ones_do():
    logits, truth = draw(3, 600, 60)
    new_logits, new_truth = draw(4, 6_000, 60)
    sets = sets_of(truth)

    def f1(preds: np.ndarray, matrix: np.ndarray) -> float:
        total = preds.sum(axis=0) + matrix.sum(axis=0)
        return float((2 * (preds & (matrix == 1)).sum(axis=0)[total > 0] / total[total > 0]).mean())

    decision = fit_decision(logits, sets, rule="best-f", calibration="isotonic")
    held_out = f1(cross_fit(logits, sets, rule="best-f", calibration="isotonic").preds, truth)
    new = f1(decision.preds(new_logits), new_truth)
    assert f1(decision.preds(logits), truth) > held_out
    assert abs(held_out - new) < 0.03


def test_fewer_samples_than_folds_are_as_many_folds():
    logits, truth = draw(5, 3, 2)
    assert cross_fit(logits, sets_of(truth)).folds == 3
    with pytest.raises(UsageError, match="at least two of both"):
        cross_fit(logits[:1], sets_of(truth[:1]))
