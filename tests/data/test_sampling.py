"""Orders are pure functions that go anywhere at once; each has every sample as often as it says."""

import time
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from manyhot.data.sampling import MIN_WINDOW, InOrder, Order, Repeated, Shuffled, Windowed
from manyhot.errors import UsageError

SIZES = [1, 2, 17, 1000]
CHANCE = 1e-4


def orders_of(size: int) -> list[Order]:
    repeats = np.random.default_rng(0).random(size) * 3 + 0.2
    return [InOrder(size), Shuffled(size, seed=1), Windowed(size, seed=1, block=7), Repeated(repeats, seed=1)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", range(3))
def test_an_epoch_has_every_sample_once(size: int, kind: int) -> None:
    order = orders_of(size)[kind]
    assert order.num_samples == order.epoch_length == size
    for epoch in range(3):
        drawn = order.draw(epoch, 0, size)
        assert drawn.repeats is None
        np.testing.assert_array_equal(np.sort(drawn.indices), np.arange(size))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", range(4))
def test_a_stretch_does_not_depend_on_where_one_starts(size: int, kind: int) -> None:
    order = orders_of(size)[kind]
    length = order.epoch_length
    whole = order.draw(4, 0, length)
    cuts = sorted({0, length // 3, length // 2, length})
    parts = [orders_of(size)[kind].draw(4, *cut) for cut in pairwise(cuts)]
    np.testing.assert_array_equal(np.concatenate([part.indices for part in parts]), whole.indices)
    if whole.repeats is not None:
        np.testing.assert_array_equal(np.concatenate([part.repeats for part in parts]), whole.repeats)


def test_epochs_seeds_and_kinds_differ() -> None:
    orders = [
        Shuffled(100, seed=1),
        Shuffled(100, seed=2),
        Windowed(100, seed=1, block=7),
        Repeated(np.linspace(0.5, 1.5, 100), seed=1),
    ]
    drawn = {tuple(order.draw(epoch, 0, 90).indices) for order in orders for epoch in range(3)}
    assert len(drawn) == 12
    assert len({order.fingerprint for order in [*orders, InOrder(100), Windowed(100, seed=1, block=8)]}) == 6


def test_windows_touch_few_blocks_and_read_them_whole() -> None:
    size, block = 3 * MIN_WINDOW + 12_345, 1000
    order = Windowed(size, seed=0, block=block)
    whole = order.draw(0, 0, size).indices
    np.testing.assert_array_equal(np.sort(whole), np.arange(size))
    for start in range(0, 2 * MIN_WINDOW, MIN_WINDOW):
        touched, counts = np.unique(whole[start : start + MIN_WINDOW] // block, return_counts=True)
        assert len(touched) <= MIN_WINDOW // block + 2
        # All but those at the two ends, and the last of the data, which is not full.
        assert (counts < block).sum() <= 3


def test_what_is_left_over_joins_the_last_window() -> None:
    size = MIN_WINDOW + 100
    last = Windowed(size, seed=0, block=64).draw(0, size - 100, size).indices
    # As a window of its own it would hold two or three blocks.
    assert len(np.unique(last // 64)) > 90


@pytest.mark.parametrize("kind", ["shuffled", "windowed"])
def test_batches_of_a_source_that_is_sorted_by_class_are_mixed(kind: str) -> None:
    num_classes, size, batch = 64, 2 * MIN_WINDOW, 4096
    order = Shuffled(size, seed=0) if kind == "shuffled" else Windowed(size, seed=0, block=256)
    classes = np.arange(size) // (size // num_classes)
    p_values = []
    for start in range(0, size, size // 16):
        counts = np.bincount(classes[order.draw(0, start, start + batch).indices], minlength=num_classes)
        if kind == "shuffled":
            p_values.append(stats.chisquare(counts).pvalue)
        # Windows hold 1,024 blocks, 16 of each class give or take 4: batches are a little less even than by chance.
        assert counts.min() > 0.2 * batch / num_classes
        assert counts.max() < 2.5 * batch / num_classes
    assert kind == "windowed" or min(p_values) > CHANCE


def test_every_sample_comes_as_often_as_it_should_rounded_down_or_up() -> None:
    generator = np.random.default_rng(1)
    repeats = np.concatenate([generator.random(500) * 4, np.zeros(20), [3.0, 1.0]])
    repeats *= round(repeats.sum()) / repeats.sum()
    order = Repeated(repeats, seed=2)
    assert order.epoch_length == round(repeats.sum())
    total = np.zeros(len(repeats))
    for epoch in range(400):
        drawn = order.draw(epoch, 0, order.epoch_length)
        counts = np.bincount(drawn.indices, minlength=len(repeats))
        assert (np.abs(counts - repeats) < 1 + 1e-9).all()
        total += counts
        assert drawn.repeats is not None
        # The first, second, … time of each sample: each once.
        assert len({*zip(drawn.indices.tolist(), drawn.repeats.tolist(), strict=True)}) == len(drawn.indices)
        assert (drawn.repeats < counts[drawn.indices]).all()
        assert (drawn.repeats >= 0).all()
    # Standard error of a share rounded at random 400 times: 0.025 at most.
    assert np.abs(total / 400 - repeats).max() < 5 * 0.025


def test_samples_with_no_repeats_never_come() -> None:
    order = Repeated(np.array([0.0, 1.0, 0.0, 2.0, 0.0]), seed=0)
    for epoch in range(50):
        assert sorted(order.draw(epoch, 0, 3).indices.tolist()) == [1, 3, 3]


def test_going_to_a_place_of_12_million_takes_no_list() -> None:
    num_samples = 12_000_000
    orders = [Shuffled(num_samples, seed=0), Windowed(num_samples, seed=0), Repeated(np.full(num_samples, 1.5), seed=0)]
    for order in orders:
        start = time.process_time()
        drawn = order.draw(3, order.epoch_length - 256, order.epoch_length)
        # Asked for: a second. Alone it takes a hundredth; the rest is for a busy machine.
        assert time.process_time() - start < 1
        assert len(drawn.indices) == 256


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(UsageError, match="a window of 1,000 samples mixes too few"):
        Windowed(10, seed=0, window=1000)
    with pytest.raises(UsageError, match="blocks of 0 samples do not fit"):
        Windowed(10, seed=0, block=0)
    for repeats in ([1.0, -0.5], [np.nan], [np.inf]):
        with pytest.raises(UsageError, match="repeats must be finite and 0 or more"):
            Repeated(np.array(repeats), seed=0)
    for repeats in ([], [0.0], [0.3]):
        with pytest.raises(UsageError, match="an epoch needs one sample at least"):
            Repeated(np.array(repeats), seed=0)
