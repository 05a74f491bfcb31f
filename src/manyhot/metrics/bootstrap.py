"""Bootstrap: every sample counts a random number of times, and the spread of a figure over repetitions is its interval.

The number of times is drawn from a Poisson distribution with mean 1, which for many samples is what drawing them with
replacement gives, but needs no knowledge of the other samples: a weight is a pure function of (seed, replicate, sample
id). So intervals depend neither on the order of the samples nor on how they are spread over batches, and two models
judged on the same samples get the same weights, which makes their difference a paired one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from jaxtyping import Float64, Integer, UInt8, UInt64

from manyhot.errors import UsageError

BLOCK_ROWS = 4096
MAX_WEIGHT = 20


@dataclass(frozen=True, kw_only=True)
class Bootstrap:
    """How intervals are found: percentiles of a figure over replicates of the samples, moved by twice its bias.

    A sample that counts twice stands above itself: replicates of average precision lie above the figure as the figure of few
    samples lies above that of all samples there could be. What the replicates lie too high is taken off twice, for them
    and for the figure. The percentiles alone cover the truth of `map_macro` in 60 of 100 repetitions at 100 samples and 77
    at 250, where these do in 87 and 92 (95 asked for); other figures are covered as often either way.

    Args:
        replicates: How often the samples are weighted anew; the ends of a 95 % interval want 200 or more.
        level: How much of the replicates the interval holds.
        seed: Of the weights.

    Raises:
        UsageError: If a value makes no sense.

    Source: Efron 1979, and Efron and Tibshirani 1993, chapter 10, on bias; Poisson weights: Hanley and MacGibbon 2006.

    >>> Bootstrap(replicates=4, seed=1).weights(np.arange(3))
    array([[1, 1, 0, 0],
           [1, 3, 2, 1],
           [2, 1, 2, 2]], dtype=uint8)
    >>> Bootstrap(level=0.5).interval(np.array([1.0, 2.0, 3.0, np.nan, 5.0]), 2.75)
    (1.75, 3.5)
    >>> Bootstrap(level=0.5).interval(np.array([1.0, 2.0, 3.0, np.nan, 5.0]), 2.5)
    (1.25, 3.0)
    """

    replicates: int = 200
    level: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        if self.replicates < 2:
            raise UsageError(f"there are {self.replicates} replicates; an interval needs at least 2, a good one 200")
        if not 0 < self.level < 1:
            raise UsageError(f"the level is {self.level}; give a share between 0 and 1, such as 0.95")

    def weights(self, sample_ids: Integer[np.ndarray, " n"]) -> UInt8[np.ndarray, "n r"]:
        """Return how often each sample counts in each replicate; one byte each."""
        ids = sample_ids.astype(np.uint64, copy=False)
        stream = mixed(np.full(1, self.seed % 2**64, dtype=np.uint64))
        replicates = mixed(np.arange(self.replicates, dtype=np.uint64) + stream)
        weights = np.empty((len(ids), self.replicates), dtype=np.uint8)
        for start in range(0, len(ids), BLOCK_ROWS):
            block = mixed(ids[start : start + BLOCK_ROWS])[:, None]
            weights[start : start + BLOCK_ROWS] = _poisson(mixed(block ^ replicates))
        return weights

    def interval(self, replicates: Float64[np.ndarray, " r"], value: float) -> tuple[float, float] | tuple[None, None]:
        """Return the ends of a figure's interval, which holds the figure; None where no replicate is defined.

        Args:
            replicates: The figure in each replicate; NaN where it is undefined there.
            value: The figure.
        """
        low, high = self.percentiles(replicates)
        if low is None or high is None:
            return None, None
        bias = float(replicates[np.isfinite(replicates)].mean()) - value
        return min(low - 2 * bias, value), max(high - 2 * bias, value)

    def percentiles(self, replicates: Float64[np.ndarray, " r"]) -> tuple[float, float] | tuple[None, None]:
        """Return the percentiles between which `level` of the defined replicates lie; None where none is defined.

        They are the ends for a difference of two models, whose biases cancel.
        """
        defined = replicates[np.isfinite(replicates)]
        if not len(defined):
            return None, None
        low, high = np.quantile(defined, [(1 - self.level) / 2, (1 + self.level) / 2])
        return float(low), float(high)


def read_sample_ids(
    sample_ids: Integer[np.ndarray, " n"] | Sequence[str] | None, num_samples: int
) -> UInt64[np.ndarray, " n"]:
    """Return one number for each sample: its number as given, the digest of its name, or its row.

    Raises:
        UsageError: If there are not as many ids as samples.

    >>> read_sample_ids(None, 2), read_sample_ids(["a.jpg"], 1)
    (array([0, 1], dtype=uint64), array([9918916968011810814], dtype=uint64))
    """
    if sample_ids is None:
        return np.arange(num_samples, dtype=np.uint64)
    if len(sample_ids) != num_samples:
        raise UsageError(f"there are {len(sample_ids):,} sample ids for {num_samples:,} samples; give one each")
    if isinstance(sample_ids, np.ndarray) and sample_ids.dtype.kind in "iu":
        return sample_ids.astype(np.uint64)
    return np.array([_digest(str(name)) for name in sample_ids], dtype=np.uint64)


def _digest(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little")


def _thresholds() -> UInt64[np.ndarray, " t"]:
    """Return the shares of draws from Poisson(1) that are at most 0, 1, 2 …, as shares of 2⁶⁴."""
    sums = np.cumsum([math.exp(-1) / math.factorial(count) for count in range(MAX_WEIGHT)])
    return (np.minimum(sums, 1 - 2.0**-53) * 2.0**64).astype(np.uint64)


def _poisson(bits: UInt64[np.ndarray, "k r"]) -> UInt8[np.ndarray, "k r"]:
    counts = np.zeros(bits.shape, dtype=np.uint8)
    for threshold in np.unique(_thresholds()):
        counts += bits >= threshold
    return counts


def mixed(values: UInt64[np.ndarray, "*shape"]) -> UInt64[np.ndarray, "*shape"]:
    """Return the values, scrambled so that neighbours share nothing (the finaliser of SplitMix64)."""
    with np.errstate(over="ignore"):
        bits = values + np.uint64(0x9E3779B97F4A7C15)
        bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return bits ^ (bits >> np.uint64(31))
