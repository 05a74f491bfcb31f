"""Orders, batches and shares are pure functions."""

import numpy as np
import pytest

from manyhot.data.order import Ranks, batch_offsets, epoch_order, sample_generator
from manyhot.errors import TrainingError, UsageError


@pytest.mark.parametrize("num_samples", [0, 1, 2, 17, 1000])
def test_an_order_holds_every_sample_once(num_samples: int) -> None:
    order = epoch_order(num_samples, seed=3, epoch=5)
    assert order.dtype == np.int64
    np.testing.assert_array_equal(np.sort(order), np.arange(num_samples))


def test_an_order_depends_on_seed_and_epoch_alone() -> None:
    np.random.seed(1)  # noqa: NPY002 (the global state must not matter)
    first = epoch_order(100, seed=3, epoch=5)
    np.random.seed(2)  # noqa: NPY002
    np.testing.assert_array_equal(first, epoch_order(100, seed=3, epoch=5))
    assert (first != epoch_order(100, seed=3, epoch=6)).any()
    assert (first != epoch_order(100, seed=4, epoch=5)).any()


def test_the_order_of_old_runs_stays() -> None:
    # A run that resumes with a newer version must go on in the order that it began with.
    assert epoch_order(8, seed=7, epoch=2).tolist() == [4, 0, 7, 6, 5, 3, 1, 2]
    draws = sample_generator(seed=7, epoch=2, row=5).random(2).tolist()
    assert draws == pytest.approx([0.8563856844682307, 0.8173825625393666], abs=1e-12)


def test_every_sample_reaches_every_position_equally_often() -> None:
    counts = np.zeros((10, 10))
    for epoch in range(2000):
        counts[np.arange(10), epoch_order(10, seed=0, epoch=epoch)] += 1
    # Chi-square with 81 degrees of freedom: above 140 in one of 20,000 draws.
    assert ((counts - 200) ** 2 / 200).sum() < 140


def test_streams_of_samples_epochs_seeds_and_orders_differ() -> None:
    keys = [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0), (0, 0, 2**40)]
    draws = {sample_generator(seed=seed, epoch=epoch, row=row).integers(2**62) for seed, epoch, row in keys}
    assert len(draws) == len(keys)


def test_the_largest_seed_works() -> None:
    assert len(epoch_order(3, seed=2**64 - 1, epoch=0)) == 3


@pytest.mark.parametrize("world_size", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("num_samples", [0, 1, 2, 7, 8, 9, 16, 17, 23, 24, 25, 64])
@pytest.mark.parametrize("batch_size", [7, 8])
def test_ranks_share_every_sample_exactly_once(num_samples: int, batch_size: int, world_size: int) -> None:
    offsets = batch_offsets(num_samples, batch_size, world_size=world_size)
    seen: list[int] = []
    for start, stop in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        shares = [Ranks(rank=rank, world_size=world_size).share_of(start, stop) for rank in range(world_size)]
        sizes = [share.stop - share.start for share in shares]
        assert max(sizes) - min(sizes) <= 1
        # Only data that are smaller than that leave a rank with less than its two samples.
        assert min(sizes) >= min(batch_size // world_size, 2) or num_samples < 2 * world_size
        for share in shares:
            seen.extend(range(share.start, share.stop))
    assert seen == list(range(num_samples))


def test_batches_are_the_same_for_any_number_of_ranks_but_for_the_end() -> None:
    for world_size in (2, 3, 4):
        offsets = batch_offsets(101, 10, world_size=world_size)
        np.testing.assert_array_equal(offsets[:10], batch_offsets(101, 10)[:10])


def test_drop_last_drops_what_is_no_full_batch() -> None:
    assert batch_offsets(23, 5, drop_last=True).tolist() == [0, 5, 10, 15, 20]
    assert batch_offsets(25, 5, drop_last=True).tolist() == [0, 5, 10, 15, 20, 25]


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(UsageError, match="batch size 0"):
        batch_offsets(10, 0)
    with pytest.raises(UsageError, match="drop_last drops them"):
        batch_offsets(3, 8, drop_last=True)
    with pytest.raises(TrainingError, match="cannot be shared by 4 processes"):
        batch_offsets(10, 3, world_size=4)
    with pytest.raises(UsageError, match="rank 2 is none of 2"):
        Ranks(rank=2, world_size=2)
