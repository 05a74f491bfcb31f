"""Which samples come when, as pure functions: of the seed and the epoch, and of how many processes share a batch.

Nothing here is remembered between calls, so that the whole state of a loader is (seed, epoch, samples consumed), however
many workers and processes take part.
"""

from dataclasses import dataclass

import numpy as np
import torch.distributed
from jaxtyping import Int64

from manyhot.errors import TrainingError, UsageError

_ORDER_STREAM = 1
_SAMPLE_STREAM = 0


def epoch_order(num_samples: int, *, seed: int, epoch: int) -> Int64[np.ndarray, " n"]:
    """Return the order of an epoch: a permutation of the samples that depends on nothing but seed and epoch.

    Takes 16 bytes a sample.

    >>> epoch_order(5, seed=0, epoch=0)
    array([1, 2, 3, 0, 4])
    """
    # Raw bits and a sort, not Generator.permutation: NumPy may change the latter from one version to the next.
    return np.argsort(_bits(seed, epoch, _ORDER_STREAM, 0).random_raw(num_samples), kind="stable")


def sample_generator(*, seed: int, epoch: int, row: int) -> np.random.Generator:
    """Return the generator that augments one sample in one epoch: the same in every worker and after every resume.

    >>> sample_generator(seed=0, epoch=3, row=12).integers(1000)
    np.int64(376)
    """
    return np.random.Generator(_bits(seed, epoch, _SAMPLE_STREAM, row))


def _bits(seed: int, epoch: int, stream: int, row: int) -> np.random.Philox:
    # A counter of its own for each stream and row: what two of them draw cannot overlap. Draws move the first word.
    key, counter = np.array([seed, epoch], dtype=np.uint64), np.array([0, 0, stream, row], dtype=np.uint64)
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
