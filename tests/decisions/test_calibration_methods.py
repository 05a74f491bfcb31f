"""Temperature, Platt and isotonic calibration, against scipy and scikit-learn; where positives are few, the shared one."""

import json

import numpy as np
import pytest
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit

from manyhot.decisions import Calibration, Method, fit_calibration, fit_decision
from manyhot.decisions.curves import Curve
from manyhot.errors import BundleError, UsageError
from manyhot.labels import LabelSets, LabelSpace

METHODS: tuple[Method, ...] = ("shrunk", "temperature", "platt", "isotonic")


def sets_of(matrix: np.ndarray) -> LabelSets:
    space = LabelSpace(names=tuple(f"label {index}" for index in range(matrix.shape[1])))
    return LabelSets.from_dense(matrix.astype(np.float64), space)


def draw(seed: int, num_samples: int = 700) -> tuple[np.ndarray, np.ndarray]:
    """Return logits of which each label is off in its own way, rounded so that some are equal, and truth with unknown cells."""
    rng = np.random.default_rng(seed)
    log_odds = rng.normal(-1.0, 2.0, size=(num_samples, 5))
    truth = (rng.random(log_odds.shape) < expit(log_odds)).astype(np.float64)
    truth[rng.random(truth.shape) < 0.1] = np.nan
    truth[:, 4] = np.where(np.arange(num_samples) < 9, 1.0, 0.0)
    slopes, shifts = np.array([0.5, 1.0, 2.0, 4.0, 1.0]), np.array([3.0, -2.0, 0.0, 1.0, 0.0])
    return np.round(slopes * log_odds + shifts, 1), truth


def cross_entropy(log_odds: np.ndarray, targets: np.ndarray) -> float:
    return float((np.logaddexp(0, log_odds) - targets * log_odds).sum())


def test_temperature_is_the_scale_of_highest_likelihood():
    logits, truth = draw(0)
    known = ~np.isnan(truth)
    best = minimize_scalar(
        lambda scale: cross_entropy(scale * logits[known], truth[known]), bounds=(1e-3, 10), method="bounded"
    )
    calibration = fit_calibration(logits, sets_of(truth), method="temperature")
    assert calibration.scale == pytest.approx(best.x, rel=1e-4)
    assert calibration.shift == 0
    assert not calibration.offsets.any()


def test_platt_is_a_regression_of_each_label_on_smoothed_targets():
    logits, truth = draw(1)
    probs = fit_calibration(logits, sets_of(truth), method="platt").probs(logits)
    for label in range(4):
        known = ~np.isnan(truth[:, label])
        values, hits = logits[known, label], truth[known, label] == 1
        targets = np.where(hits, (hits.sum() + 1) / (hits.sum() + 2), 1 / ((~hits).sum() + 2))

        def loss(line: np.ndarray, values: np.ndarray = values, targets: np.ndarray = targets) -> float:
            return cross_entropy(line[0] * values + line[1], targets)

        slope, shift = minimize(loss, [0.5, 0.0], options={"gtol": 1e-7}).x
        # 1e-4: where the reference's search ends.
        assert np.abs(probs[:, label] - expit(slope * logits[:, label] + shift)).max() < 1e-4


def test_isotonic_is_that_of_scikit_learn():
    from sklearn.isotonic import IsotonicRegression

    logits, truth = draw(2)
    calibration = fit_calibration(logits, sets_of(truth), method="isotonic")
    assert [curve.label for curve in calibration.curves] == [0, 1, 2, 3]
    new = np.random.default_rng(3).normal(scale=6.0, size=(211, 5))
    probs = calibration.probs(new)
    for label in range(4):
        known = ~np.isnan(truth[:, label])
        reference = IsotonicRegression(out_of_bounds="clip").fit(logits[known, label], truth[known, label])
        np.testing.assert_allclose(probs[:, label], reference.predict(new[:, label]), atol=1e-12)


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_label_of_few_positives_takes_the_shared_calibration_and_says_so(method: Method):
    logits, truth = draw(4)
    own, shared = (fit_calibration(logits, sets_of(truth), method=name) for name in (method, "shrunk"))
    np.testing.assert_allclose(own.probs(logits)[:, 4], shared.probs(logits)[:, 4], rtol=1e-12)
    reasons = fit_decision(logits, sets_of(truth), calibration=method).reasons
    assert reasons[4].endswith(f"as there are few: 9 validation positives, too few for {method}")
    assert "too few" not in reasons[0]


@pytest.mark.parametrize("method", METHODS)
def test_order_of_a_label_never_changes(method: Method):
    logits, truth = draw(5)
    probs = fit_calibration(logits, sets_of(truth), method=method).probs(logits)
    for label in range(5):
        order = np.argsort(logits[:, label], kind="stable")
        assert (np.diff(probs[order, label]) >= -1e-15).all()


@pytest.mark.parametrize("method", METHODS)
def test_label_that_ranks_worse_than_chance_stays_finite(method: Method):
    logits, truth = draw(6)
    found = fit_calibration(-logits, sets_of(truth), method=method).probs(-logits)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("method", METHODS)
def test_calibration_survives_json_to_the_bit(method: Method):
    logits, truth = draw(7)
    calibration = fit_calibration(logits, sets_of(truth), method=method)
    again = Calibration.from_dict(json.loads(json.dumps(calibration.to_dict(), allow_nan=False)))
    assert again.method == method
    np.testing.assert_array_equal(again.probs(logits), calibration.probs(logits))


@pytest.mark.parametrize("method", METHODS)
def test_samples_without_positives_or_of_constant_logits_are_calibrated(method: Method):
    empty = fit_calibration(np.ones((4, 2)), sets_of(np.zeros((4, 2))), method=method)
    np.testing.assert_allclose(empty.probs(np.ones((1, 2))), expit(1.0))
    truth = np.zeros((300, 1))
    truth[:120] = 1
    found = fit_calibration(np.full((300, 1), 3.0), sets_of(truth), method=method).probs(np.full((1, 1), 3.0))
    # A temperature alone cannot carry a logit above 0 below a half.
    assert found[0, 0] == pytest.approx(0.5 if method == "temperature" else 0.4, abs=0.01)


@pytest.mark.parametrize(
    "knots", [([0.0, 0.0], [0.1, 0.2]), ([0.0, 1.0], [0.3, 0.2]), ([0.0], [1.5]), ([], []), ([0.0, np.nan], [0.1, 0.2])]
)
def test_curve_that_does_not_rise_is_refused(knots: tuple[list[float], list[float]]):
    with pytest.raises(BundleError, match="curve of label 3"):
        Curve(label=3, logits=np.array(knots[0]), probs=np.array(knots[1]))


@pytest.mark.usefixtures("without_shape_checks")
def test_parts_of_a_calibration_that_do_not_fit_are_refused():
    plain = {"scale": 1.0, "shift": 0.0, "offsets": [0.0, 0.0]}
    curve = {"label": 2, "logits": [0.0], "probs": [0.5]}
    for data in (plain | {"slopes": [1.0]}, plain | {"slopes": [1.0, -1.0]}, plain | {"curves": [curve]}):
        with pytest.raises(BundleError):
            Calibration.from_dict(data)
    with pytest.raises(UsageError, match="did you mean 'isotonic'"):
        Calibration.from_dict(plain | {"method": "isotonc"})
