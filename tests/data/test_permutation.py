"""A permutation without a list is one all the same, and cannot be told from chance."""

from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from scipy import stats

from manyhot.data.order import order_keys
from manyhot.data.permutation import ROUNDS, Permutation
from manyhot.errors import UsageError

# One false alarm in 10,000 tests; the seeds are fixed, so none at all.
CHANCE = 1e-4


def permutation_of(size: int, epoch: int = 0) -> Permutation:
    return Permutation(size, order_keys(ROUNDS, seed=5, epoch=epoch))


@pytest.mark.parametrize("size", [0, 1, 2, 3, 5, 9, 10, 16, 17, 1000, 4097])
def test_every_place_goes_to_a_place_of_its_own(size: int) -> None:
    np.testing.assert_array_equal(np.sort(permutation_of(size)(np.arange(size))), np.arange(size))


@pytest.mark.parametrize("size", [12_000_000, 2**40 + 3, 2**60])
def test_large_sizes_need_no_list(size: int) -> None:
    places = np.concatenate([np.arange(500), np.arange(size - 500, size), np.array([size // 2])])
    found = permutation_of(size)(places)
    assert found.min() >= 0
    assert found.max() < size
    assert len(np.unique(found)) == len(places)


def test_a_part_is_the_part_of_the_whole() -> None:
    whole = permutation_of(1001)(np.arange(1001))
    np.testing.assert_array_equal(permutation_of(1001)(np.array([1000, 3, 3, 17])), whole[[1000, 3, 3, 17]])


def test_the_order_of_old_runs_stays() -> None:
    # A run that resumes with a newer version must go on in the order that it began with.
    assert permutation_of(8)(np.arange(8)).tolist() == [7, 4, 3, 0, 6, 2, 5, 1]


@pytest.mark.parametrize("size", [3, 4, 5])
def test_every_order_of_a_few_is_equally_likely(size: int) -> None:
    orders = [tuple(order) for order in permutations(range(size))]
    num_epochs = 40 * len(orders)
    found = Counter(tuple(permutation_of(size, epoch)(np.arange(size)).tolist()) for epoch in range(num_epochs))
    assert stats.chisquare([found[order] for order in orders]).pvalue > CHANCE


@pytest.mark.parametrize("size", [10, 23])
def test_every_sample_reaches_every_position_equally_often(size: int) -> None:
    counts = np.zeros((size, size))
    for epoch in range(1500):
        counts[np.arange(size), permutation_of(size, epoch)(np.arange(size))] += 1
    chi_square = ((counts - 1500 / size) ** 2 / (1500 / size)).sum()
    assert stats.chi2.sf(chi_square, (size - 1) ** 2) > CHANCE


def test_neighbours_do_not_stay_together() -> None:
    order = permutation_of(1_000_000)(np.arange(1_000_000))
    gaps = np.abs(np.diff(order))
    # Of two places drawn at random: the mean distance is a third; a thousandth of the range is next to 1 in 500.
    assert abs(gaps.mean() / 1_000_000 - 1 / 3) < 2e-3
    assert abs((gaps <= 1000).mean() - 0.002) < 3e-4
    buckets = np.bincount(order[:100_000] * 100 // 1_000_000, minlength=100)
    assert stats.chisquare(buckets).pvalue > CHANCE


def test_keys_differ_by_seed_epoch_and_part() -> None:
    keys = [order_keys(3, seed=seed, epoch=epoch, part=part).tolist()
            for seed, epoch, part in ((0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0), (2**64 - 1, 0, 0))]  # fmt: skip
    assert len({number for row in keys for number in row}) == 15


def test_sizes_that_make_no_sense_are_refused() -> None:
    for size in (-1, 2**60 + 1):
        with pytest.raises(UsageError, match="makes no sense"):
            permutation_of(size)


@pytest.mark.parametrize("place", [-1, 7, 8])
def test_a_place_out_of_range_is_refused(place: int) -> None:
    with pytest.raises(IndexError, match="out of range"):
        permutation_of(7)(np.array([0, place]))
