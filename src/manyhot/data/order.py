"""How an epoch is cut into batches and shared among processes, and what random numbers each sample gets.

No result depends on the calls before, so that the whole state of a loader is (seed, epoch, samples
consumed), however many workers and processes take part. Which samples come when is said in `sampling`.
"""

import threading
from dataclasses import dataclass

import numpy as np
import torch.distributed
from jaxtyping import Int64, UInt64

from manyhot.errors import TrainingError, UsageError

_SAMPLE_STREAM, _ORDER_STREAM, _BATCH_STREAM = range(3)
_OF_THREAD = threading.local()


def sample_generator(*, seed: int, epoch: int, row: int, repeat: int = 0) -> np.random.Generator:
    """Return the generator that augments one sample in one epoch: the same in every worker and after every resume.

    It is this thread's only one, which starts anew in a sixth of the time that a new one takes: the next call moves it to
    another sample, so nobody may keep it.

    Args:
        seed: The run's seed.
        epoch: The epoch.
        row: The sample.
        repeat: How often it has come before in the epoch.

    >>> sample_generator(seed=0, epoch=3, row=12).integers(1000)
    np.int64(376)
    """
    generator: np.random.Generator | None = getattr(_OF_THREAD, "generator", None)
    if generator is None:
        generator = _OF_THREAD.generator = np.random.Generator(_bits(seed, epoch, repeat, _SAMPLE_STREAM, row))
    generator.bit_generator.state = {
        "bit_generator": "Philox",
        "state": {"counter": (0, repeat, _SAMPLE_STREAM, row), "key": (seed, epoch)},
        # Nothing is left of what the sample before has drawn.
        "buffer": (0, 0, 0, 0),
        "buffer_pos": 4,
        "has_uint32": 0,
        "uinteger": 0,
    }
    return generator


def order_keys(count: int, *, seed: int, epoch: int, part: int = 0) -> UInt64[np.ndarray, " count"]:
    """Return random numbers that decide the order of an epoch.

    Args:
        count: How many.
        seed: The run's seed.
        epoch: The epoch.
        part: Which of several independent parts of the order they are for.

    >>> order_keys(1, seed=0, epoch=0)
    array([11873002094180986743], dtype=uint64)
    """
    # Raw bits: NumPy may change what its distributions make of them from one version to the next.
    return _bits(seed, epoch, 0, _ORDER_STREAM, part).random_raw(count)


def batch_key(*, seed: int, epoch: int, position: int) -> int:
    """Return the seed, of 63 bits, of what is drawn for a batch as a whole; it starts at a position of an epoch.

    >>> batch_key(seed=0, epoch=0, position=0)
    8920709056429771266
    """
    # torch takes seeds of 64 bits with a sign.
    return int(_bits(seed, epoch, 0, _BATCH_STREAM, position).random_raw()) >> 1


def _bits(seed: int, epoch: int, repeat: int, stream: int, row: int) -> np.random.Philox:
    # A counter of its own for each stream and row: what two of them draw cannot overlap. Draws move the first word.
    key, counter = np.array([seed, epoch], dtype=np.uint64), np.array([0, repeat, stream, row], dtype=np.uint64)
    return np.random.Philox(key=key, counter=counter)


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """How many processes share each batch, and which of them this one is.

    >>> Ranks(rank=1, world_size=3).share_of(10, 20)
    slice(13, 16, None)
    """

    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.world_size:
            raise UsageError(f"rank {self.rank} is none of {self.world_size}; ranks count from 0")

    @staticmethod
    def current() -> "Ranks":
        """Return this process's place in torch's process group; a single process where there is none."""
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            return Ranks(rank=torch.distributed.get_rank(), world_size=torch.distributed.get_world_size())
        return Ranks()

    def share_of(self, start: int, stop: int) -> slice:
        """Return this rank's part of the samples from `start` to `stop`; parts differ by one sample at most."""
        size = stop - start
        first, last = (start + size * rank // self.world_size for rank in (self.rank, self.rank + 1))
        return slice(first, last)


def batch_offsets(
    num_samples: int, batch_size: int, *, world_size: int = 1, drop_last: bool = False
) -> Int64[np.ndarray, " offsets"]:
    """Return where each batch of an epoch starts, and after the last one where it ends.

    A batch counts the samples of all ranks, so that a step is the same step for any number of processes, and all ranks
    take the same number of steps. Nothing is repeated, and nothing dropped unless asked for: a last batch that would
    give some rank less than two samples (on one, batch statistics are undefined) joins the batch before it.

    Raises:
        UsageError: If the batch size is no positive number, or `drop_last` would drop every sample.
        TrainingError: If a batch is smaller than the number of ranks.

    >>> batch_offsets(10, 4)
    array([ 0,  4,  8, 10])
    >>> batch_offsets(9, 4)
    array([0, 4, 9])
    >>> batch_offsets(10, 4, drop_last=True)
    array([0, 4, 8])
    """
    if batch_size < 1:
        raise UsageError(f"batch size {batch_size} is no positive number")
    if batch_size < world_size:
        raise TrainingError(f"a batch of {batch_size} cannot be shared by {world_size} processes; raise the batch size")
    whole, rest = divmod(num_samples, batch_size)
    if drop_last and not whole and rest:
        raise UsageError(f"a batch of {batch_size} is more than the {rest} samples there are, and drop_last drops them")
    offsets = batch_size * np.arange(whole + 1, dtype=np.int64)
    if drop_last or not rest:
        return offsets
    if whole and rest < 2 * world_size:
        offsets[-1] = num_samples
        return offsets
    return np.append(offsets, num_samples)
