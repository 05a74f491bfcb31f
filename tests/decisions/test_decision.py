"""A decision as a value: what it predicts, and how it travels."""

import json
from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from manyhot.decisions import Calibration, Decision
from manyhot.errors import BundleError, ScoreError


def make(num_labels: int = 3) -> Decision:
    rng = np.random.default_rng(0)
    thresholds = rng.uniform(0.1, 0.5, size=num_labels)
    thresholds[-1] = np.inf
    return Decision(
        calibration=Calibration(scale=1.0 / 3.0, shift=-0.1, offsets=rng.normal(size=num_labels)),
        thresholds=thresholds,
        reasons=tuple(f"reason {index}" for index in range(num_labels)),
        rule="plug-in",
        beta=1.0,
    )


def test_probabilities_are_the_calibrated_sigmoid():
    decision = make()
    logits = np.random.default_rng(1).normal(size=(17, 3)).astype(np.float32)
    expected = expit(logits.astype(np.float64) / 3.0 - 0.1 + decision.calibration.offsets)
    probs = decision.probs(logits)
    assert probs.dtype == np.float32
    np.testing.assert_allclose(probs, expected, rtol=1e-6)


def test_label_is_predicted_where_its_probability_reaches_the_threshold():
    decision = make()
    logits = np.random.default_rng(2).normal(size=(41, 3))
    np.testing.assert_array_equal(decision.preds(logits), decision.calibration.probs(logits) >= decision.thresholds)


def test_threshold_itself_is_a_yes():
    decision = replace(make(1), calibration=Calibration.identity(1), thresholds=np.array([0.5]))
    assert decision.preds(np.array([[0.0], [-1e-12]])).tolist() == [[True], [False]]


def test_infinite_threshold_is_never_reached():
    decision = make()
    assert not decision.preds(np.full((4, 3), 1e4))[:, -1].any()


def test_number_of_samples_does_not_change_a_prediction(monkeypatch: pytest.MonkeyPatch):
    decision = make()
    logits = np.random.default_rng(3).normal(size=(29, 3))
    whole = decision.probs(logits), decision.preds(logits)
    monkeypatch.setattr("manyhot.decisions.decision._BLOCK_CELLS", 12)
    np.testing.assert_array_equal(decision.probs(logits), whole[0])
    np.testing.assert_array_equal(decision.preds(logits), whole[1])


def test_no_sample_gives_no_prediction():
    assert make().preds(np.zeros((0, 3))).shape == (0, 3)


def test_decision_survives_strict_json_to_the_bit():
    decision = make(37)
    text = json.dumps(decision.to_dict(), allow_nan=False)
    back = Decision.from_dict(json.loads(text))
    assert back.to_dict() == decision.to_dict()
    np.testing.assert_array_equal(back.thresholds, decision.thresholds)
    np.testing.assert_array_equal(back.calibration.offsets, decision.calibration.offsets)
    logits = np.random.default_rng(4).normal(size=(11, 37))
    np.testing.assert_array_equal(back.probs(logits), decision.probs(logits))


def test_infinite_threshold_is_null_in_json():
    assert make().to_dict()["thresholds"][-1] is None


def test_decision_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        setattr(make(), "beta", 2.0)  # noqa: B010 - a plain assignment would not pass the type checker


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_logit_that_is_not_finite_is_refused_by_row_and_label(value: float):
    logits = np.zeros((5, 3))
    logits[3, 1] = value
    for function in (make().probs, make().preds):
        with pytest.raises(ScoreError, match="row 3 and label 1"):
            function(logits)


@pytest.mark.parametrize("shape", [(4, 2), (4, 4)])
def test_logits_of_another_width_are_refused(shape: tuple[int, int]):
    with pytest.raises(ScoreError, match=r"needs \(samples, 3\)"):
        make().preds(np.zeros(shape))


def damaged(**changes: object) -> dict[str, Any]:
    return make().to_dict() | changes


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({key: value for key, value in damaged().items() if key != "beta"}, "lacks the field 'beta'"),
        (damaged(calibration={"scale": 1.0, "shift": 0.0}), "lacks the field 'offsets'"),
        (damaged(thresh=1), "does not know the field 'thresh'; did you mean 'thresholds'"),
        (damaged(rule="plugin"), "rule is 'plugin'.*did you mean 'plug-in'"),
        (damaged(rule=["plug-in"]), "rule"),
        (damaged(thresholds=[0.5]), "one a label"),
        (damaged(thresholds=["a", "b", "c"]), "makes no sense"),
        (damaged(thresholds=None), "makes no sense"),
        (damaged(thresholds=[0.1, -0.2, 0.3]), "at least 0"),
        (damaged(thresholds=[0.1, float("nan"), 0.3]), "at least 0"),
        (damaged(beta=0), "above 0"),
        (damaged(beta="one"), "makes no sense"),
        (damaged(calibration={"scale": -1.0, "shift": 0.0, "offsets": [0, 0, 0]}), "above 0"),
        (damaged(calibration={"scale": 1.0, "shift": float("inf"), "offsets": [0, 0, 0]}), "not finite"),
        (damaged(calibration=None), "makes no sense"),
        (damaged(calibration=make().calibration.to_dict() | {"power": 2.0}), "calibration's field 'power'"),
    ],
)
def test_damaged_decision_is_refused_in_one_line(data: dict[str, Any], message: str):
    with pytest.raises(BundleError, match=message) as caught:
        Decision.from_dict(data)
    assert "\n" not in str(caught.value)
