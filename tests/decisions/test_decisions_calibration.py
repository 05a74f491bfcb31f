"""Calibration: few parameters, shared by all labels, finite whatever the data."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, logit

from manyhot.decisions import Calibration, fit_calibration
from manyhot.decisions.cells import Cells
from manyhot.decisions.likelihood import SCALE_PRIOR, SHIFT_PRIOR, Parameters, Posterior
from manyhot.errors import ScoreError
from manyhot.labels import LabelSets, LabelSpace


def space_of(num_labels: int) -> LabelSpace:
    return LabelSpace(names=tuple(f"label {index}" for index in range(num_labels)))


def sets_of(matrix: np.ndarray) -> LabelSets:
    return LabelSets.from_dense(matrix.astype(np.float64), space_of(matrix.shape[1]))


def draw(seed: int, shape: tuple[int, int], *, mean: float = -1.5) -> tuple[np.ndarray, np.ndarray]:
    """Return true log-odds and truth drawn from them."""
    rng = np.random.default_rng(seed)
    log_odds = rng.normal(mean, 1.5, size=shape) + rng.normal(size=shape[1])
    return log_odds, (rng.random(shape) < expit(log_odds)).astype(np.float64)


def test_single_label_is_logistic_regression():
    log_odds, matrix = draw(0, (317, 1))
    logits = 2.5 * log_odds + 3.0
    calibration = fit_calibration(logits, sets_of(matrix))
    spread, centre = logits.std(), logits.mean()

    def loss(parameters: np.ndarray) -> float:
        eta = parameters[0] * (logits - centre) / spread + parameters[1]
        prior = (parameters[0] / SCALE_PRIOR) ** 2 + (parameters[1] / SHIFT_PRIOR) ** 2
        return float(np.logaddexp(0, eta).sum() - eta[matrix == 1].sum() + 0.5 * prior)

    scale, shift = minimize(loss, [1.0, 0.0], options={"gtol": 1e-9}).x
    expected = expit(scale * (logits - centre) / spread + shift)
    # 1e-4: the offset of a single label has a small prior of its own.
    assert np.abs(calibration.probs(logits) - expected).max() < 1e-4


def test_parameters_are_where_the_posterior_is_flat():
    log_odds, matrix = draw(1, (401, 17))
    calibration = fit_calibration(log_odds, sets_of(matrix))
    errors = matrix - calibration.probs(log_odds)
    assert abs(errors.sum() - calibration.shift / SHIFT_PRIOR**2) < 0.05
    # At the maximum each label's errors sum to its offset over the variance: one ratio for all labels.
    ratios = errors.sum(axis=0) / calibration.offsets
    assert np.ptp(ratios) < 1e-2 * ratios.mean()


def test_scale_and_shift_of_the_logits_do_not_change_the_probabilities():
    log_odds, matrix = draw(2, (257, 9))
    plain = fit_calibration(log_odds, sets_of(matrix)).probs(log_odds)
    moved = 40.0 * log_odds - 300.0
    # 1e-4: both stop at a step below 1e-5.
    assert np.abs(fit_calibration(moved, sets_of(matrix)).probs(moved) - plain).max() < 1e-4


def test_miscalibrated_logits_are_mended():
    log_odds, matrix = draw(3, (4_000, 12))
    calibration = fit_calibration(3.0 * log_odds + 2.0, sets_of(matrix))
    error = np.abs(calibration.probs(3.0 * log_odds + 2.0) - expit(log_odds)).mean()
    assert error < 0.01
    assert np.abs(expit(3.0 * log_odds + 2.0) - expit(log_odds)).mean() > 0.1


def test_offset_of_a_label_with_few_positives_is_pulled_to_zero():
    rng = np.random.default_rng(4)
    bias = np.concatenate([np.full(10, -1.0), np.full(10, 1.0)])
    log_odds = rng.normal(-1.0, 1.0, size=(1_000, 20))
    truth = (rng.random(log_odds.shape) < expit(log_odds + bias)).astype(np.float64)
    truth[:, 0] = np.nan
    truth[:4, 0] = [0, 0, 0, 1]
    offsets = fit_calibration(log_odds, sets_of(truth)).offsets
    assert offsets[1:10].max() < -0.7
    assert offsets[10:].min() > 0.7
    assert abs(offsets[0]) < 0.5


def test_unknown_cells_change_nothing():
    log_odds, matrix = draw(5, (211, 7))
    matrix[150:, 2] = np.nan
    fitted = fit_calibration(log_odds, sets_of(matrix))
    log_odds[150:, 2] = 50.0
    other = fit_calibration(log_odds, sets_of(matrix))
    assert fitted.scale == pytest.approx(other.scale, rel=1e-12)
    np.testing.assert_allclose(fitted.offsets, other.offsets, rtol=1e-9)


def test_order_of_samples_and_labels_does_not_matter():
    log_odds, matrix = draw(6, (123, 11))
    rng = np.random.default_rng(0)
    rows, labels = rng.permutation(123), rng.permutation(11)
    plain = fit_calibration(log_odds, sets_of(matrix))
    shuffled = fit_calibration(log_odds[rows][:, labels], sets_of(matrix[rows][:, labels]))
    np.testing.assert_allclose(shuffled.offsets, plain.offsets[labels], rtol=1e-6, atol=1e-9)


def test_blocks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch):
    log_odds, matrix = draw(7, (101, 13))
    whole = fit_calibration(log_odds, sets_of(matrix))
    monkeypatch.setattr("manyhot.decisions.cells._BLOCK_CELLS", 300)
    np.testing.assert_allclose(fit_calibration(log_odds, sets_of(matrix)).offsets, whole.offsets, rtol=1e-6, atol=1e-9)


def test_separated_labels_stay_finite():
    matrix = np.tile([[1.0, 0.0], [0.0, 1.0]], (20, 1))
    logits = np.where(matrix == 1, 4.0, -4.0)
    calibration = fit_calibration(logits, sets_of(matrix))
    probs = calibration.probs(logits)
    assert np.isfinite(calibration.scale)
    assert probs[matrix == 1].min() > 0.95
    assert probs[matrix == 0].max() < 0.05


def test_logits_that_rank_backwards_keep_their_order_and_say_next_to_nothing():
    log_odds, matrix = draw(8, (300, 5))
    calibration = fit_calibration(-log_odds, sets_of(matrix))
    assert calibration.scale > 0
    probs = calibration.probs(-log_odds)
    assert np.ptp(probs, axis=0).max() < 0.01
    np.testing.assert_allclose(probs.mean(axis=0), matrix.mean(axis=0), atol=0.02)


@pytest.mark.parametrize("value", [-1e4, 0.0, 1e4])
def test_constant_logits_give_the_prevalence(value: float):
    matrix = np.array([[1.0], [0.0], [0.0], [0.0]] * 25)
    probs = fit_calibration(np.full(matrix.shape, value), sets_of(matrix)).probs(np.full((1, 1), value))
    assert float(probs[0, 0]) == pytest.approx(0.25, abs=0.01)


def test_huge_logits_stay_finite():
    matrix = np.random.default_rng(9).integers(0, 2, size=(60, 3)).astype(np.float64)
    calibration = fit_calibration((2 * matrix - 1) * 1e4, sets_of(matrix))
    assert np.isfinite([calibration.scale, calibration.shift, *calibration.offsets]).all()


def test_no_positive_leaves_the_sigmoid_alone():
    logits = np.array([[0.5, -2.0]])
    calibration = fit_calibration(logits, sets_of(np.zeros((1, 2))))
    np.testing.assert_allclose(calibration.probs(logits), expit(logits))


def test_one_sample_of_one_label_is_enough():
    probs = fit_calibration(np.array([[1.0]]), sets_of(np.ones((1, 1)))).probs(np.array([[1.0]]))
    assert 0.5 < float(probs[0, 0]) <= 1


def test_label_without_a_known_cell_has_no_offset():
    log_odds, matrix = draw(10, (80, 4))
    matrix[:, 3] = np.nan
    assert fit_calibration(log_odds, sets_of(matrix)).offsets[3] == 0


def test_probabilities_of_rare_cells_keep_their_digits():
    calibration = Calibration(scale=2.0, shift=-50.0, offsets=np.array([-5.0]))
    probs = calibration.probs(np.array([[1.0]], dtype=np.float32))
    assert probs.dtype == np.float64
    assert logit(probs[0, 0]) == pytest.approx(-53.0)


def test_infinite_logit_is_refused_by_sample_and_label():
    logits = np.zeros((3, 2))
    logits[2, 1] = np.inf
    with pytest.raises(ScoreError, match="row 2 and label 'label 1' is inf"):
        fit_calibration(logits, sets_of(np.ones((3, 2))))


def test_no_sample_is_refused():
    with pytest.raises(ScoreError, match="no sample"):
        fit_calibration(np.zeros((0, 2)), sets_of(np.zeros((0, 2))))


def test_rows_that_disagree_are_refused():
    with pytest.raises(ScoreError, match=r"shape \(2, 3\).*4 samples × 3 labels"):
        fit_calibration(np.zeros((2, 3)), sets_of(np.zeros((4, 3))))


def test_label_whose_curve_is_flat_does_not_hold_the_step_of_all_others_back():
    # Its Newton step alone would be in the thousands; halved until the posterior rises, no label would move at all.
    log_odds, matrix = draw(3, (400, 5))
    posterior = Posterior.of(Cells.of(log_odds, sets_of(matrix)))
    flat = Parameters(scale=1.0, shift=-1.0, offsets=np.array([0.0, -16.0, 0.0, 0.0, 0.0]))
    moments = posterior.moments(flat)
    step = posterior.newton_step(flat, moments, 100.0)
    moved, _ = posterior.walk(flat, moments, step, 100.0)
    assert moved is not flat
    assert 0.0 < moved.offsets[1] + 16.0 <= 2.0
