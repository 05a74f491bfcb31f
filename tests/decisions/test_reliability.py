"""Reliability tables, against a reference that sorts and splits label by label."""

import numpy as np
import pytest

from manyhot.decisions import reliability
from manyhot.errors import UsageError
from manyhot.labels import LabelSets, LabelSpace


def sets_of(matrix: np.ndarray) -> LabelSets:
    return LabelSets.from_dense(matrix, LabelSpace(names=tuple(f"label {index}" for index in range(matrix.shape[1]))))


def test_bins_hold_equal_numbers_of_known_cells_by_rising_probability():
    rng = np.random.default_rng(0)
    probs, truth = rng.random((103, 5)), (rng.random((103, 5)) < 0.3).astype(np.float64)
    truth[rng.random(truth.shape) < 0.2] = np.nan
    table = reliability(probs, sets_of(truth), num_bins=7)
    for label in range(5):
        known = ~np.isnan(truth[:, label])
        order = np.argsort(probs[known, label])
        size = known.sum()
        edges = [-(-size * step // 7) for step in range(8)]
        for step in range(7):
            cells = order[edges[step] : edges[step + 1]]
            assert table.counts[label, step] == len(cells)
            np.testing.assert_allclose(table.mean_probs[label, step], probs[known, label][cells].mean())
            np.testing.assert_allclose(table.shares[label, step], truth[known, label][cells].mean())
    assert np.ptp(table.counts, axis=1).max() <= 1


def test_probabilities_that_are_right_have_small_errors():
    rng = np.random.default_rng(1)
    probs = rng.random((20_000, 2))
    truth = (rng.random(probs.shape) < probs).astype(np.float64)
    right, squared = (reliability(values, sets_of(truth)).errors() for values in (probs, probs**2))
    assert right.max() < 0.02
    assert squared.min() > 0.1


def test_label_without_known_cells_is_undefined_and_few_cells_leave_bins_empty():
    truth = np.array([[1.0, np.nan], [0.0, np.nan]])
    table = reliability(np.array([[0.9, 0.5], [0.2, 0.5]]), sets_of(truth), num_bins=4)
    assert table.counts.tolist() == [[1, 0, 1, 0], [0, 0, 0, 0]]
    assert np.isnan(table.mean_probs[0, [1, 3]]).all()
    np.testing.assert_allclose(table.errors(), [0.15, np.nan])


def test_no_bin_is_refused():
    with pytest.raises(UsageError, match="at least 1"):
        reliability(np.zeros((1, 1)), sets_of(np.zeros((1, 1))), num_bins=0)
