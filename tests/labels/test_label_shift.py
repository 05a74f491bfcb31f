"""How far labels shift between parts, and whether it is more than chance."""

import numpy as np
import pytest
import scipy.stats

from manyhot.labels import LabelSets, LabelSpace
from manyhot.labels.imbalance import label_shift


def test_chance_is_the_binomial_test_of_where_positives_fall():
    generator = np.random.default_rng(0)
    multi_hot = (generator.random((41, 17)) < 0.2).astype(np.float64)
    parts = generator.integers(0, 3, 41)
    chance = label_shift(LabelSets.from_dense(multi_hot, LabelSpace(names=tuple(map(str, range(17))))), parts).chance()
    for part, label in np.ndindex(3, 17):
        total, here = int(multi_hot[:, label].sum()), int(multi_hot[parts == part, label].sum())
        binomial = scipy.stats.binom(total, (parts == part).mean())
        expected = min(1.0, 2 * min(binomial.sf(here - 1), binomial.cdf(here)))
        np.testing.assert_allclose(chance[part, label], expected, rtol=1e-9)


def test_chance_is_the_same_for_a_label_and_its_opposite():
    multi_hot = np.array([[1.0, 0.0]] * 9 + [[0.0, 1.0]] * 32)
    parts = np.arange(41) % 3
    chance = label_shift(LabelSets.from_dense(multi_hot, LabelSpace(names=("is", "is not"))), parts).chance()
    np.testing.assert_allclose(chance[:, 0], chance[:, 1])


def test_chance_is_never_smaller_than_that_of_drawing_without_replacement():
    multi_hot = np.arange(60)[:, None] < np.array([3, 12, 25])
    parts = (np.arange(60) < 20).astype(np.int64)
    sets = LabelSets.from_dense(multi_hot.astype(np.float64), LabelSpace(names=("a", "b", "c")))
    chance = label_shift(sets, parts).chance()
    for label, total in enumerate((3, 12, 25)):
        here = int(multi_hot[parts == 1, label].sum())
        exact = scipy.stats.hypergeom(60, total, 20)
        assert chance[1, label] >= 2 * min(exact.sf(here - 1), exact.cdf(here))


def test_what_goes_together_counts_less():
    shift = label_shift(LabelSets.from_names([["cat"]] * 10 + [[]] * 10), np.repeat([0, 1], 10))
    assert shift.chance()[0, 0] == pytest.approx(2 * 0.5**10)
    assert shift.chance(cluster_size=5.0)[0, 0] == pytest.approx(2 * 0.5**2)


def test_nothing_known_is_no_shift():
    sets = LabelSets.from_dense(np.full((4, 1), np.nan), LabelSpace(names=("cat",)))
    shift = label_shift(sets, np.array([0, 0, 1, 1]))
    assert shift.chance().tolist() == [[1.0], [1.0]]
    assert np.isnan(shift.prevalence).all()
    assert label_shift(sets.take([]), np.zeros(0, dtype=np.int64)).chance().shape == (0, 1)


def test_odds_are_compared_with_half_a_cell_added():
    shift = label_shift(LabelSets.from_names([["cat"], [], [], []]), np.array([0, 0, 1, 1]))
    np.testing.assert_allclose(shift.odds_ratio[:, 0], [(1.5 / 1.5) / (0.5 / 2.5), (0.5 / 2.5) / (1.5 / 1.5)])


def test_no_samples_shift_nowhere():
    sets = LabelSets.from_names([], LabelSpace(names=("a",)))
    assert label_shift(sets, np.zeros(0, dtype=np.int64)).worst() == []
