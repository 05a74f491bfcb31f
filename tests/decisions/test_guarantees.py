"""Promises on new samples: kept as often as they say, and not made where samples are too few."""

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import binom

from manyhot.decisions import Constraints, FalseDiscoveryRate, FalseNegativeRate, fit_decision
from manyhot.decisions.cells import Cells
from manyhot.decisions.guarantees import GRID, control, hoeffding_bentkus, samples_needed
from manyhot.decisions.rules import Promised
from manyhot.errors import UsageError
from manyhot.labels import LabelSets, LabelSpace

LEVEL = 0.1
REPETITIONS = 100


def sets_of(matrix: np.ndarray) -> LabelSets:
    space = LabelSpace(names=tuple(f"label {index}" for index in range(matrix.shape[1])))
    return LabelSets.from_dense(matrix.astype(np.float64), space)


def draw(rng: np.random.Generator, num_samples: int, num_labels: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities that are somewhat off, and truth."""
    log_odds = rng.normal(np.linspace(-2.5, 0.0, num_labels), 2.0, size=(num_samples, num_labels))
    return expit(0.7 * log_odds - 0.2), rng.random(log_odds.shape) < expit(log_odds)


def risk(rule: Promised, preds: np.ndarray, truth: np.ndarray) -> float:
    """Mean loss of a sample, by its definition."""
    if isinstance(rule, FalseNegativeRate):
        kept = truth.any(axis=1)
        return float((1.0 - (preds & truth)[kept].sum(axis=1) / truth[kept].sum(axis=1)).mean())
    return float(((preds & ~truth).sum(axis=1) / np.maximum(preds.sum(axis=1), 1)).mean())


def risks(rule: Promised) -> np.ndarray:
    """True risk of the threshold that each of a hundred validation splits chooses."""
    probs, truth = draw(np.random.default_rng(10_000), 20_000)
    chosen = np.empty(REPETITIONS)
    for seed in range(REPETITIONS):
        values, positive = draw(np.random.default_rng(seed), 250)
        chosen[seed] = control(Cells(scores=values, positive=positive, known=None), rule).threshold
    at = {threshold: risk(rule, probs >= threshold, truth) for threshold in np.unique(chosen)}
    return np.array([at[threshold] for threshold in chosen])


@pytest.mark.parametrize("rate", [FalseNegativeRate, FalseDiscoveryRate])
def test_promise_with_confidence_is_kept_in_95_of_100_repetitions(rate: type[Promised]):
    found = risks(rate(level=LEVEL, confidence=0.95))
    assert (found <= LEVEL).sum() >= 95
    # Not by predicting everything or nothing.
    assert found.mean() > LEVEL / 4


@pytest.mark.parametrize("rate", [FalseNegativeRate, FalseDiscoveryRate])
def test_promise_in_expectation_is_kept_by_the_mean_over_repetitions(rate: type[Promised]):
    found = risks(rate(level=LEVEL))
    # Three standard errors of a mean of a hundred.
    assert found.mean() <= LEVEL + 3 * found.std() / np.sqrt(REPETITIONS)
    assert found.mean() > LEVEL / 2


def test_threshold_in_expectation_is_that_of_conformal_risk_control():
    probs, truth = draw(np.random.default_rng(1), 97)
    truth[:7] = False
    losses = np.stack(
        [1.0 - ((probs >= t) & truth).sum(axis=1) / np.maximum(truth.sum(axis=1), 1) for t in GRID], axis=1
    )[truth.any(axis=1)]
    safe = (losses.sum(axis=0) + 1.0) / (len(losses) + 1.0) <= LEVEL
    expected = GRID[np.flatnonzero(safe).max()]
    promise = control(Cells(scores=probs, positive=truth, known=None), FalseNegativeRate(level=LEVEL))
    assert promise.threshold == expected
    assert promise.statement.endswith(f"in expectation, from {len(losses)} validation samples")


def test_unknown_cells_and_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch):
    probs, truth = draw(np.random.default_rng(2), 300)
    known = np.random.default_rng(3).random(truth.shape) < 0.8
    truth &= known
    for rule in (FalseNegativeRate(), FalseDiscoveryRate(), FalseDiscoveryRate(confidence=0.9)):
        whole = control(Cells(scores=probs, positive=truth, known=known), rule)
        moved = np.where(known, probs, 0.999)
        assert control(Cells(scores=moved, positive=truth, known=known), rule) == whole
        monkeypatch.setattr("manyhot.decisions.guarantees._BLOCK_ROWS", 41)
        assert control(Cells(scores=probs, positive=truth, known=known), rule) == whole


@pytest.mark.parametrize(
    ("rule", "needed"),
    [
        (FalseNegativeRate(level=0.1), 9),
        (FalseNegativeRate(level=0.05), 19),
        (FalseDiscoveryRate(level=0.1, confidence=0.95), 29),
    ],
)
def test_too_few_samples_are_said_with_the_number_that_it_takes(rule: Promised, needed: int):
    assert samples_needed(rule) == needed
    # A perfect model: one sample fewer promises nothing, as many promise.
    for num_samples, start in ((needed - 1, "no promise"), (needed, "promise")):
        truth = np.ones((num_samples, 1), dtype=bool)
        promise = control(Cells(scores=np.full((num_samples, 1), 0.9), positive=truth, known=None), rule)
        assert promise.statement.startswith(start)
    few = control(Cells(scores=np.full((3, 1), 0.9), positive=np.ones((3, 1), dtype=bool), known=None), rule)
    assert f"3 samples are too few for a {rule.name.replace('-rate', ' rate')}" in few.statement
    assert few.threshold == (0.0 if isinstance(rule, FalseNegativeRate) else np.inf)


def test_hoeffding_bentkus_never_promises_more_than_the_exact_binomial_tail():
    # Losses of 0 and 1 are the worst case of a mean: there the p-value must be at least the exact one.
    count = 60
    hits = np.arange(count + 1)
    exact = binom.cdf(hits, count, LEVEL)
    assert (hoeffding_bentkus(hits / count, count, LEVEL) >= exact - 1e-12).all()


def test_decision_says_what_it_promises_and_calibrates_on_other_samples():
    rng = np.random.default_rng(4)
    log_odds = rng.normal(-1.5, 2.0, size=(600, 5))
    truth = (rng.random(log_odds.shape) < expit(log_odds)).astype(np.float64)
    decision = fit_decision(2.0 * log_odds + 1.0, sets_of(truth), rule=FalseNegativeRate(level=0.2))
    assert decision.promise is not None
    assert decision.promise.startswith("promise: false-negative rate at most 0.2 in expectation")
    assert decision.notes == (decision.promise,)
    assert decision.reasons[0].startswith(f"threshold {decision.thresholds[0]:.2g}: shared by all labels; promise")
    halves = np.random.default_rng(0).permutation(600)
    from manyhot.decisions import fit_calibration

    half = fit_calibration((2.0 * log_odds + 1.0)[halves[:300]], sets_of(truth).take(halves[:300]))
    np.testing.assert_allclose(decision.calibration.offsets, half.offsets)


def test_constraints_that_would_break_a_promise_are_refused():
    logits, truth = np.zeros((50, 2)), sets_of(np.ones((50, 2)))
    for rule, constraints in (
        (FalseNegativeRate(), Constraints(at_most=1)),
        (FalseDiscoveryRate(), Constraints(at_least_one=True)),
        (FalseDiscoveryRate(), Constraints(at_most=1)),
    ):
        with pytest.raises(UsageError, match="leave out one of the two"):
            fit_decision(logits, truth, rule=rule, constraints=constraints)
    assert fit_decision(logits, truth, rule=FalseNegativeRate(), constraints=Constraints(at_least_one=True))
