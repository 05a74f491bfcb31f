"""Which samples come when: in order, shuffled, shuffled in windows, or some more often than others.

Each is a pure function of epoch and position. None keeps a list of an epoch, so going to any place of it takes no longer
than going to its start; the state of a training is the position alone.
"""

import zlib
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64, Int64

from manyhot.data.order import order_keys
from manyhot.data.permutation import ROUNDS, Permutation
from manyhot.errors import UsageError

MIN_WINDOW = 262_144
"""Fewer samples in a window make batches alike where a source is sorted by class."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawn:
    """A stretch of an epoch.

    Args:
        indices: Which samples come, each between 0 and the number of samples.
        repeats: How often each has come before in the epoch; None where none comes twice.
    """

    indices: Int64[np.ndarray, " n"]
    repeats: Int64[np.ndarray, " n"] | None = None


@runtime_checkable
class Order(Protocol):
    """Says which samples an epoch consists of, and in which order."""

    @property
    def num_samples(self) -> int:
        """How many samples there are to choose from."""
        ...

    @property
    def epoch_length(self) -> int:
        """How many samples an epoch has: the same in each."""
        ...

    @property
    def fingerprint(self) -> int:
        """A number of 32 bits that differs from that of other orders: a saved position is worth nothing in those."""
        ...

    def draw(self, epoch: int, start: int, stop: int) -> Drawn:
        """Return the samples from one position of an epoch to another."""
        ...


@dataclass(frozen=True)
class InOrder:
    """The samples as they are, each once.

    >>> InOrder(5).draw(0, 1, 3).indices
    array([1, 2])
    """

    num_samples: int

    @property
    def epoch_length(self) -> int:
        """One of each."""
        return self.num_samples

    @property
    def fingerprint(self) -> int:
        """What tells this order from others."""
        return zlib.crc32(b"in order")

    def draw(self, epoch: int, start: int, stop: int) -> Drawn:  # noqa: ARG002 - every epoch is the same
        """Return the samples from one position to another."""
        return Drawn(indices=np.arange(start, stop))


@dataclass(frozen=True)
class Shuffled:
    """Each sample once, in an order of its own every epoch; any order is as likely as any other.

    Args:
        num_samples: How many there are.
        seed: Decides the orders, together with the epoch.

    >>> Shuffled(5, seed=0).draw(0, 0, 5).indices
    array([4, 1, 3, 0, 2])
    """

    num_samples: int
    seed: int

    @property
    def epoch_length(self) -> int:
        """One of each."""
        return self.num_samples

    @property
    def fingerprint(self) -> int:
        """What tells this order from others."""
        return zlib.crc32(f"shuffled {self.seed}".encode())

    def draw(self, epoch: int, start: int, stop: int) -> Drawn:
        """Return the samples from one position of an epoch to another."""
        order = Permutation(self.num_samples, order_keys(ROUNDS, seed=self.seed, epoch=epoch))
        return Drawn(indices=order(np.arange(start, stop)))


@dataclass(frozen=True)
class Windowed:
    """Each sample once, in an order that reads neighbours together: for storage where every jump costs.

    Neighbouring samples form blocks; the blocks are shuffled, and the samples inside of each window of that order are
    shuffled once more. So a window of batches touches few blocks, and reads each of them whole. A batch is a mixture of
    `window / block` blocks, where a full shuffle mixes all.

    Args:
        num_samples: How many there are.
        seed: Decides the orders, together with the epoch.
        block: Neighbours that stay together; about as many as one request to the storage fetches.
        window: Samples among which they are mixed, 262,144 at least.

    Raises:
        UsageError: If the window is smaller, or not larger than a block.

    >>> Windowed(5, seed=0, block=2).draw(1, 0, 5).indices
    array([3, 4, 0, 1, 2])
    """

    num_samples: int
    seed: int
    block: int = 1024
    window: int = MIN_WINDOW

    def __post_init__(self) -> None:
        if self.window < MIN_WINDOW:
            raise UsageError(f"a window of {self.window:,} samples mixes too few; give {MIN_WINDOW:,} or more")
        if not 1 <= self.block <= self.window:
            raise UsageError(f"blocks of {self.block:,} samples do not fit windows of {self.window:,}; give fewer")

    @property
    def epoch_length(self) -> int:
        """One of each."""
        return self.num_samples

    @property
    def fingerprint(self) -> int:
        """What tells this order from others."""
        return zlib.crc32(f"windowed {self.seed} {self.block} {self.window}".encode())

    def draw(self, epoch: int, start: int, stop: int) -> Drawn:
        """Return the samples from one position of an epoch to another; takes 16 bytes a block."""
        places = np.arange(start, stop)
        # What is left over joins the last window: as one of its own it might be too small to mix anything.
        last = max(0, self.num_samples // self.window - 1)
        windows = np.minimum(places // self.window, last)
        for window in np.unique(windows).tolist():
            first = window * self.window
            size = self.num_samples - first if window == last else self.window
            keys = order_keys(ROUNDS, seed=self.seed, epoch=epoch, part=1 + window)
            inside = windows == window
            places[inside] = first + Permutation(size, keys)(places[inside] - first)
        return Drawn(indices=self._in_blocks(epoch, places))

    def _in_blocks(self, epoch: int, places: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        num_blocks = -(-self.num_samples // self.block)
        order = Permutation(num_blocks, order_keys(ROUNDS, seed=self.seed, epoch=epoch))(np.arange(num_blocks))
        # Only the last block may be smaller; wherever it comes, what follows it starts earlier.
        ends = np.cumsum(np.minimum(self.block, self.num_samples - self.block * order))
        numbers = np.searchsorted(ends, places, side="right")
        starts = np.concatenate(([0], ends))[numbers]
        return self.block * order[numbers] + places - starts


class Repeated:
    """Some samples more often than others: each comes as often as it should, rounded down or up by chance.

    What an epoch takes of the samples is a systematic sample: a comb with teeth one apart is laid over the samples, each as
    wide as its number of repeats, at a place that is new in every epoch. Over the epochs the mean is exact, and in a
    source that is sorted every stretch gets its part in every epoch. What was taken is then shuffled.

    Args:
        repeats: How often each sample should come in an epoch; 0 leaves it out.
        seed: Decides what is taken and its order, together with the epoch.

    Raises:
        UsageError: If a number is negative or not finite, or there is nothing to take.

    Source: Madow and Madow 1944, "On the theory of systematic sampling"; for repeat factors in training, Gupta, Dollár,
    Girshick 2019, "LVIS", section 4.

    >>> order = Repeated(np.array([0.5, 1.0, 2.5]), seed=0)
    >>> np.bincount(order.draw(0, 0, 4).indices, minlength=3), np.bincount(order.draw(1, 0, 4).indices, minlength=3)
    (array([0, 1, 3]), array([0, 1, 3]))
    """

    def __init__(self, repeats: Float64[np.ndarray, " n"], *, seed: int) -> None:
        if not (np.isfinite(repeats) & (repeats >= 0)).all():
            raise UsageError("repeats must be finite and 0 or more; one is not")
        total = float(repeats.sum())
        self._length = round(total)
        if not self._length:
            raise UsageError(f"repeats sum to {total:g}; an epoch needs one sample at least")
        self._seed = seed
        # A whole number of teeth fits, whatever the place of the comb.
        self._ends: Float64[np.ndarray, " n"] = np.cumsum(repeats) * (self._length / total)

    @property
    def num_samples(self) -> int:
        """How many samples there are to choose from."""
        return len(self._ends)

    @property
    def epoch_length(self) -> int:
        """The sum of all repeats."""
        return self._length

    @property
    def fingerprint(self) -> int:
        """What tells this order from others."""
        return zlib.crc32(self._ends.data, zlib.crc32(f"repeated {self._seed}".encode()))

    def draw(self, epoch: int, start: int, stop: int) -> Drawn:
        """Return the samples from one position of an epoch to another."""
        *keys, place = order_keys(ROUNDS + 1, seed=self._seed, epoch=epoch)
        offset = float(place >> np.uint64(11)) * 2.0**-53
        teeth = Permutation(self._length, np.array(keys))(np.arange(start, stop))
        # Rounding may leave the last sample's end below the last tooth, and samples that never come after it.
        last = int(np.searchsorted(self._ends, self._ends[-1]))
        indices = np.minimum(np.searchsorted(self._ends, teeth + offset, side="right"), last)
        starts = np.where(indices > 0, self._ends[indices - 1], 0.0)
        return Drawn(indices=indices, repeats=teeth - np.ceil(starts - offset).astype(np.int64))
