"""Orders, batches and shares are pure functions."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from manyhot.data.order import Ranks, batch_key, batch_offsets, order_keys, sample_generator
from manyhot.errors import TrainingError, UsageError


def test_the_augmentation_of_old_runs_stays() -> None:
    # A run that resumes with a newer version must go on with the numbers that it began with.
    draws = sample_generator(seed=7, epoch=2, row=5).random(2).tolist()
    assert draws == pytest.approx([0.8563856844682307, 0.8173825625393666], abs=1e-12)


def test_streams_of_samples_epochs_seeds_and_orders_differ() -> None:
    keys = [
        (0, 0, 0, 0),
        (0, 0, 1, 0),
        (0, 1, 0, 0),
        (1, 0, 0, 0),
        (0, 0, 2**40, 0),
        (0, 0, 0, 1),
        (2**64 - 1, 0, 0, 0),
    ]
    draws = {
        sample_generator(seed=seed, epoch=epoch, row=row, repeat=repeat).integers(2**62)
        for seed, epoch, row, repeat in keys
    }
    draws |= {order_keys(1, seed=0, epoch=0)[0] >> 2, batch_key(seed=0, epoch=0, position=0) >> 1}
    assert len(draws) == len(keys) + 2


def new_generator(*, seed: int, epoch: int, row: int, repeat: int = 0) -> np.random.Generator:
    """Return a generator of its own for a sample, whose stream of numbers is the first of three."""
    key, counter = np.array([seed, epoch], dtype=np.uint64), np.array([0, repeat, 0, row], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def test_a_generator_that_starts_anew_draws_what_a_new_one_draws() -> None:
    for seed, epoch, row, repeat in ((0, 0, 0, 0), (2**64 - 1, 3, 12_000_000, 0), (5, 2**40, 1, 7), (0, 0, 0, 0)):
        anew = sample_generator(seed=seed, epoch=epoch, row=row, repeat=repeat)
        new = new_generator(seed=seed, epoch=epoch, row=row, repeat=repeat)
        assert anew.random(5).tolist() == new.random(5).tolist()
        # Half a number is left over, and a quarter of a block of them: neither may reach the next sample.
        assert anew.integers(2**32, dtype=np.uint32) == new.integers(2**32, dtype=np.uint32)


def test_threads_have_generators_of_their_own() -> None:
    ours = sample_generator(seed=0, epoch=0, row=0)
    with ThreadPoolExecutor(1) as pool:
        theirs = pool.submit(sample_generator, seed=0, epoch=0, row=1).result()
    assert theirs is not ours
    assert ours.random() == new_generator(seed=0, epoch=0, row=0).random()


def test_keys_of_batches_fit_torch() -> None:
    for position in range(200):
        torch.manual_seed(batch_key(seed=2**64 - 1, epoch=3, position=position))


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
