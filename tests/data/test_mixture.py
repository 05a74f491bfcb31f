"""A mixture gives each data set its share to the sample, and each sample its turn, wherever one starts to read."""

from itertools import pairwise

import numpy as np
import pytest

from manyhot.data.mixture import Mixed, members_of, mixture_shares
from manyhot.data.sampling import Order
from manyhot.errors import UsageError


def mixed(sizes: list[int], shares: list[float], *, seed: int = 0, epoch_length: int | None = None) -> Mixed:
    bounds = np.cumsum([0, *sizes])
    members = [np.arange(start, stop) for start, stop in pairwise(bounds)]
    return Mixed(members, shares=shares, seed=seed, epoch_length=epoch_length)


def epoch(order: Mixed, number: int) -> np.ndarray:
    return order.draw(number, 0, order.epoch_length).indices


def test_it_is_an_order() -> None:
    assert isinstance(mixed([3, 4], [0.5, 0.5]), Order)


@pytest.mark.parametrize("shares", [[0.2, 0.3, 0.5], [0.0, 0.9, 0.1], [1 / 3, 1 / 3, 1 / 3]])
def test_every_epoch_has_exactly_the_shares(shares: list[float]) -> None:
    order = mixed([17, 41, 5], shares)
    for number in range(7):
        drawn = epoch(order, number)
        sets = np.searchsorted([17, 58], drawn, side="right")
        assert np.bincount(sets, minlength=3).tolist() == order.counts.tolist()
        assert np.abs(order.counts - np.array(shares) * 63).max() < 1


def test_samples_of_a_set_come_equally_often_up_to_one_after_any_number_of_epochs() -> None:
    order = mixed([17, 41, 5], [0.2, 0.3, 0.5])
    seen = np.zeros(63, dtype=np.int64)
    for number in range(11):
        seen += np.bincount(epoch(order, number), minlength=63)
        for own in (seen[:17], seen[17:58], seen[58:]):
            assert own.max() - own.min() <= 1


def test_any_stretch_is_that_of_the_whole_epoch() -> None:
    order = mixed([17, 41], [0.6, 0.4])
    whole = order.draw(3, 0, order.epoch_length)
    for start, stop in ((0, 1), (5, 9), (20, 58), (58, 58)):
        part = order.draw(3, start, stop)
        assert np.array_equal(part.indices, whole.indices[start:stop])
        assert np.array_equal(part.repeats, whole.repeats[start:stop])


def test_a_sample_that_comes_again_in_an_epoch_is_told_apart() -> None:
    order = mixed([100, 3], [0.5, 0.5])
    drawn = order.draw(2, 0, order.epoch_length)
    pairs = set(zip(drawn.indices.tolist(), drawn.repeats.tolist(), strict=True))
    assert len(pairs) == order.epoch_length


def test_sets_are_shuffled_into_each_other() -> None:
    order = mixed([5_000, 5_000], [0.5, 0.5])
    batches = epoch(order, 0).reshape(100, 100) < 5_000
    counts = batches.sum(axis=1)
    # A batch of 100 has 50 of each, with a standard deviation of 5; the bounds hold for all but one in 10⁵ batches.
    assert counts.min() > 27
    assert counts.max() < 73
    assert counts.std() == pytest.approx(5, abs=1.5)


def test_orders_differ_by_seed_and_epoch_and_are_told_apart() -> None:
    first, second = mixed([50, 50], [0.5, 0.5]), mixed([50, 50], [0.5, 0.5], seed=1)
    assert not np.array_equal(epoch(first, 0), epoch(second, 0))
    assert not np.array_equal(epoch(first, 0), epoch(first, 1))
    others = [second, mixed([50, 50], [0.4, 0.6]), mixed([50, 50], [0.5, 0.5], epoch_length=10)]
    assert len({first.fingerprint, *(other.fingerprint for other in others)}) == 4


def test_an_epoch_may_be_longer_or_shorter_than_the_data() -> None:
    assert len(epoch(mixed([5, 5], [0.9, 0.1], epoch_length=100), 0)) == 100
    assert mixed([5, 5], [0.9, 0.1], epoch_length=10).counts.tolist() == [9, 1]


def test_temperature_draws_shares_together() -> None:
    sizes = np.array([10_000, 100])
    assert mixture_shares(sizes).tolist() == pytest.approx([10_000 / 10_100, 100 / 10_100])
    assert mixture_shares(sizes, temperature=2).tolist() == pytest.approx([10 / 11, 1 / 11])
    assert mixture_shares(sizes, temperature=float("inf")).tolist() == [0.5, 0.5]
    assert mixture_shares(sizes, weights=[0, 3]).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.5}, "1 or more"),
        ({"temperature": float("nan")}, "1 or more"),
        ({"weights": [1.0]}, "1 weights for 2 data sets"),
        ({"weights": [0.0, 0.0]}, "not all 0"),
        ({"weights": [-1.0, 2.0]}, "0 or more"),
    ],
)
def test_shares_that_make_no_sense_are_refused(options: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        mixture_shares(np.array([3, 4]), **options)


@pytest.mark.parametrize(
    ("sizes", "shares", "message"),
    [
        ([3, 0], [0.5, 0.5], "data set 1 has a share of 0.5 and no sample"),
        ([3, 4], [0.5, 0.6], "sum to 1.1"),
        ([3, 4], [1.0], "1 shares for 2 data sets"),
    ],
)
def test_sets_that_cannot_be_mixed_are_refused(sizes: list[int], shares: list[float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        mixed(sizes, shares)


def test_a_set_without_samples_may_have_no_share() -> None:
    assert epoch(mixed([0, 3], [0.0, 1.0]), 0).tolist() in [
        [a, b, c] for a in range(3) for b in range(3) for c in range(3)
    ]


def test_members_are_the_samples_of_each_source() -> None:
    found = members_of(np.array([2, 0, 2, 1]), 4)
    assert [one.tolist() for one in found] == [[1], [3], [0, 2], []]
