"""Several data sets as one stream: how much of each an epoch has, and which of its samples come.

What their labels mean in each other's label space is said in `manyhot.labels`: a label that a data set does not know is unknown
in its samples. Here is only how often they come.
"""

import zlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64, Int64, Integer

from manyhot.data.order import order_keys
from manyhot.data.permutation import ROUNDS, Permutation
from manyhot.data.sampling import Drawn
from manyhot.errors import UsageError


class Mixed:
    """Each data set has its share of every epoch, to the sample, and goes round through its own samples.

    A data set that has had all its samples begins again, in a new order, in the middle of an epoch where that is where it
    ends. So after any number of epochs each of its samples has come equally often, up to one, however small or large its
    share; nothing is drawn twice while another still waits. The data sets are shuffled into each other.

    Args:
        members: For each data set, which samples are its own.
        shares: The share of each in an epoch; they sum to 1.
        seed: Decides the orders.
        epoch_length: Samples in an epoch; as many as there are in all unless given.

    Raises:
        UsageError: If a data set with a share has no sample, or the shares make no sense.

    >>> order = Mixed([np.arange(6), np.array([6, 7])], shares=[0.5, 0.5], seed=0)
    >>> np.bincount(order.draw(0, 0, 8).indices, minlength=8)
    array([0, 0, 1, 1, 1, 1, 2, 2])
    """

    def __init__(
        self,
        members: Sequence[Int64[np.ndarray, " _"]],
        *,
        shares: Sequence[float],
        seed: int,
        epoch_length: int | None = None,
    ) -> None:
        sizes = np.array([len(one) for one in members], dtype=np.int64)
        _check(sizes, shares)
        self._members = [np.asarray(one, dtype=np.int64) for one in members]
        self._length = int(sizes.sum()) if epoch_length is None else epoch_length
        if self._length < 1:
            raise UsageError(f"an epoch of {self._length} samples makes no sense; give 1 or more")
        self._counts = _rounded(np.array(shares, dtype=np.float64) * self._length)
        self._seed = seed

    @property
    def num_samples(self) -> int:
        """How many samples there are to choose from."""
        return sum(len(one) for one in self._members)

    @property
    def epoch_length(self) -> int:
        """Samples in an epoch."""
        return self._length

    @property
    def counts(self) -> Int64[np.ndarray, " sets"]:
        """How many samples of each data set an epoch has: the same in each."""
        return self._counts

    @property
    def fingerprint(self) -> int:
        """What tells this order from others."""
        found = zlib.crc32(f"mixed {self._seed}".encode())
        for part in (self._counts, *self._members):
            found = zlib.crc32(part.tobytes(), found)
        return found

    def draw(self, epoch: int, start: int, stop: int) -> Drawn:
        """Return the samples from one position of an epoch to another."""
        keys = order_keys(ROUNDS, seed=self._seed, epoch=epoch)
        places = Permutation(self._length, keys)(np.arange(start, stop))
        ends = np.cumsum(self._counts)
        sets = np.searchsorted(ends, places, side="right")
        indices, repeats = np.empty((2, len(places)), dtype=np.int64)
        for number in np.unique(sets).tolist():
            own = sets == number
            first = int(ends[number] - self._counts[number])
            indices[own], repeats[own] = self._draw_of(number, epoch, places[own] - first)
        return Drawn(indices=indices, repeats=repeats)

    def _draw_of(
        self, number: int, epoch: int, places: Int64[np.ndarray, " n"]
    ) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
        members = self._members[number]
        # A data set's own stream, through all epochs: round after round of all its samples.
        begun = epoch * int(self._counts[number])
        rounds, within = np.divmod(begun + places, len(members))
        for one in np.unique(rounds).tolist():
            keys = order_keys(ROUNDS, seed=self._seed, epoch=one, part=1 + number)
            inside = rounds == one
            within[inside] = Permutation(len(members), keys)(within[inside])
        return members[within], rounds - begun // len(members)


def mixture_shares(
    sizes: Int64[np.ndarray, " sets"], *, weights: Sequence[float] | None = None, temperature: float = 1.0
) -> Float64[np.ndarray, " sets"]:
    """Return the share of each data set in an epoch.

    Args:
        sizes: Samples of each.
        weights: Shares up to a factor; by default the sizes.
        temperature: 1 leaves the shares as they are, more draws them together (2 takes square roots), infinity makes
            them equal.

    Raises:
        UsageError: If a weight is negative or not finite, all are 0, or the temperature is below 1.

    Source: temperature as in Devlin 2018, multilingual BERT, and Arivazhagan et al. 2019, section 4.2.

    >>> mixture_shares(np.array([100, 300])), mixture_shares(np.array([100, 900]), temperature=2)
    (array([0.25, 0.75]), array([0.25, 0.75]))
    """
    if not temperature >= 1:
        raise UsageError(f"the temperature of a mixture is {temperature}; it must be 1 or more")
    given = np.asarray(sizes if weights is None else weights, dtype=np.float64)
    if given.shape != sizes.shape:
        raise UsageError(f"there are {len(given)} weights for {len(sizes)} data sets; give one for each")
    if not (np.isfinite(given) & (given >= 0)).all() or not given.any():
        raise UsageError("weights of data sets must be finite, 0 or more, and not all 0")
    drawn = np.where(given > 0, (given / given.max()) ** (1 / temperature), 0.0)
    return drawn / drawn.sum()


def members_of(source_ids: Integer[np.ndarray, " n"], num_sources: int) -> list[Int64[np.ndarray, " _"]]:
    """Return which samples each source has, in their order.

    >>> [one.tolist() for one in members_of(np.array([1, 0, 1]), 3)]
    [[1], [0, 2], []]
    """
    order = np.argsort(source_ids, kind="stable")
    ends = np.cumsum(np.bincount(source_ids, minlength=num_sources))
    return list(np.split(order, ends[:-1]))


def _check(sizes: Int64[np.ndarray, " sets"], shares: Sequence[float]) -> None:
    if len(shares) != len(sizes):
        raise UsageError(f"there are {len(shares)} shares for {len(sizes)} data sets; give one for each")
    if not all(0 <= share <= 1 for share in shares) or abs(sum(shares) - 1) > 1e-9:
        raise UsageError(f"the shares of data sets sum to {sum(shares):g}; they must be 0 or more and sum to 1")
    for number, (size, share) in enumerate(zip(sizes.tolist(), shares, strict=True)):
        if share and not size:
            raise UsageError(f"data set {number} has a share of {share:g} and no sample; leave it out")


def _rounded(parts: Float64[np.ndarray, " sets"]) -> Int64[np.ndarray, " sets"]:
    """Return whole numbers with the same sum, each off by less than 1: the largest remainders are rounded up."""
    whole = np.floor(parts).astype(np.int64)
    missing = round(float(parts.sum())) - int(whole.sum())
    whole[np.argsort(whole - parts, kind="stable")[:missing]] += 1
    return whole
