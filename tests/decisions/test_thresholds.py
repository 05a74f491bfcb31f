"""Thresholds, against a search through every cut."""

import numpy as np
import pytest

from manyhot.decisions import best_thresholds, plug_in_thresholds
from manyhot.decisions.cells import Cells
from manyhot.decisions.thresholds import search_pooled
from manyhot.labels import LabelSets, LabelSpace

SHAPES = [(17, 41), (1, 5), (9, 1), (1, 1), (64, 3)]


def sets_of(matrix: np.ndarray) -> LabelSets:
    space = LabelSpace(names=tuple(f"label {index}" for index in range(matrix.shape[1])))
    return LabelSets.from_dense(matrix.astype(np.float64), space)


def f_beta(chosen: np.ndarray, weights: np.ndarray, beta: float) -> float:
    """F-beta of a choice where each cell is positive with the given probability (0 or 1 for a known truth)."""
    total = chosen.sum() + beta**2 * weights.sum()
    return float((1 + beta**2) * weights[chosen].sum() / total) if total else 0.0


def best_f_by_trying(probs: np.ndarray, weights: np.ndarray, beta: float) -> float:
    return max((f_beta(probs >= cut, weights, beta) for cut in np.unique(probs)), default=0.0)


def draw(shape: tuple[int, int], seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return probabilities with ties, a truth with unknown cells, and which cells are known."""
    rng = np.random.default_rng(seed)
    probs = np.round(rng.beta(0.5, 2.0, size=shape), 2)
    matrix = (rng.random(shape) < probs).astype(np.float64)
    matrix[rng.random(shape) < 0.2] = np.nan
    return probs, matrix, ~np.isnan(matrix)


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_plug_in_is_the_best_expected_f_over_one_plus_beta_squared(shape: tuple[int, int], beta: float):
    probs, _, known = draw(shape)
    thresholds = plug_in_thresholds(probs, known, beta=beta)
    for label, threshold in enumerate(thresholds):
        seen = probs[known[:, label], label]
        best = best_f_by_trying(seen, seen, beta)
        assert threshold == (pytest.approx(best / (1 + beta**2), rel=1e-12) if best else np.inf)


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_deciding_at_the_plug_in_threshold_reaches_the_best_expected_f(shape: tuple[int, int], beta: float):
    probs, _, known = draw(shape, seed=1)
    thresholds = plug_in_thresholds(probs, known, beta=beta)
    for label, threshold in enumerate(thresholds):
        seen = probs[known[:, label], label]
        reached = f_beta(seen >= threshold, seen, beta)
        assert reached == pytest.approx(best_f_by_trying(seen, seen, beta), rel=1e-12)


def test_label_that_nothing_is_known_about_is_predicted_everywhere():
    probs = np.full((50, 2), [0.02, 0.4])
    assert (probs >= plug_in_thresholds(probs)).all()


def test_threshold_is_at_most_half():
    probs = np.array([[1.0, 0.99], [1.0, 0.01]])
    np.testing.assert_allclose(plug_in_thresholds(probs), [0.5, 0.495])


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_searched_threshold_reaches_the_best_f_of_every_cut(shape: tuple[int, int], beta: float):
    probs, matrix, known = draw(shape, seed=2)
    thresholds = best_thresholds(probs, sets_of(matrix), beta=beta)
    for label, threshold in enumerate(thresholds):
        seen, truth = probs[known[:, label], label], matrix[known[:, label], label]
        if truth.sum() == 0:
            assert threshold == np.inf
            continue
        assert f_beta(seen >= threshold, truth, beta) == pytest.approx(best_f_by_trying(seen, truth, beta), rel=1e-12)


def test_searched_threshold_stands_midway():
    truth = sets_of(np.array([[1.0], [0.0], [1.0], [0.0]]))
    assert best_thresholds(np.array([[0.9], [0.1], [0.4], [0.2]]), truth).tolist() == [pytest.approx(0.3)]


def test_searched_threshold_below_all_samples_lies_between_them_and_zero():
    truth = sets_of(np.ones((3, 1)))
    assert best_thresholds(np.array([[0.9], [0.5], [0.6]]), truth).tolist() == [0.25]


def test_tied_probabilities_are_never_parted():
    truth = sets_of(np.array([[1.0], [0.0], [0.0], [0.0]]))
    threshold = best_thresholds(np.full((4, 1), 0.7), truth)[0]
    assert 0 < threshold <= 0.7


def test_blocks_do_not_change_thresholds(monkeypatch: pytest.MonkeyPatch):
    probs, matrix, known = draw((23, 19), seed=3)
    whole = plug_in_thresholds(probs, known), best_thresholds(probs, sets_of(matrix))
    monkeypatch.setattr("manyhot.decisions.cells._BLOCK_CELLS", 50)
    np.testing.assert_array_equal(plug_in_thresholds(probs, known), whole[0])
    np.testing.assert_array_equal(best_thresholds(probs, sets_of(matrix)), whole[1])


def test_pooled_threshold_reaches_the_best_pooled_f():
    probs, matrix, known = draw((31, 7), seed=4)
    threshold = search_pooled(Cells.of(probs, sets_of(matrix)), 1.0)
    seen, truth = probs[known], matrix[known]
    assert f_beta(seen >= threshold, truth, 1.0) == pytest.approx(best_f_by_trying(seen, truth, 1.0), rel=1e-12)
