"""The keys of all positives: whole numbers that sort like scores, which the cells of a label, or of all, are counted against."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, UInt

from manyhot.metrics.ranks import PositiveRanks

Keys = UInt[np.ndarray, "k n"]


@dataclass(frozen=True, kw_only=True, eq=False)
class PositiveKeys:
    """The keys of all positives of all ranks.

    Args:
        keys: Of each positive; those of a label stand together, in ascending order.
        offsets: Label `l` owns `keys[offsets[l]:offsets[l + 1]]`.
        known: Known cells of each label.

    >>> keys, label_ids = np.array([9, 4, 9], dtype=np.uint16), np.array([1, 1, 0])
    >>> positives = PositiveKeys.of(keys, label_ids, known=np.array([5, 6]))
    >>> positives.keys, positives.offsets, positives.pooled().distinct().keys
    (array([9, 4, 9], dtype=uint16), array([0, 1, 3]), array([4, 9], dtype=uint16))
    """

    keys: UInt[np.ndarray, " p"]
    offsets: Int64[np.ndarray, " offsets"]
    known: Int64[np.ndarray, " l"]

    @staticmethod
    def of(
        keys: UInt[np.ndarray, " p"], label_ids: Int64[np.ndarray, " p"], known: Int64[np.ndarray, " l"]
    ) -> "PositiveKeys":
        """Return the keys, sorted by label and value."""
        counts = np.bincount(label_ids, minlength=len(known))
        offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
        return PositiveKeys(keys=keys[np.lexsort((keys, label_ids))], offsets=offsets, known=known)

    @property
    def num_bits(self) -> int:
        """How many bits a key has."""
        return 8 * self.keys.dtype.itemsize

    def of_label(self, label: int) -> UInt[np.ndarray, " p"]:
        """Return the keys of one label."""
        return self.keys[self.offsets[label] : self.offsets[label + 1]]

    def pooled(self) -> "PositiveKeys":
        """Return the keys as of one label that holds every cell."""
        offsets = np.array([0, len(self.keys)], dtype=np.int64)
        return PositiveKeys(keys=np.sort(self.keys), offsets=offsets, known=self.known.sum(keepdims=True))

    def distinct(self) -> "DistinctKeys":
        """Return the distinct keys of each label."""
        fresh = np.ones(len(self.keys), dtype=bool)
        fresh[1:] = self.keys[1:] != self.keys[:-1]
        fresh[self.offsets[:-1][self.offsets[:-1] < len(self.keys)]] = True
        sums = np.concatenate(([0], np.cumsum(fresh))).astype(np.int64)
        return DistinctKeys(keys=self.keys[fresh], offsets=sums[self.offsets], slots=sums[1:] - 1)


@dataclass(frozen=True, kw_only=True, eq=False)
class DistinctKeys:
    """Distinct keys of positives.

    Args:
        keys: Ascending within each label.
        offsets: Label `l` owns `keys[offsets[l]:offsets[l + 1]]`.
        slots: For each positive the place of its key.
    """

    keys: UInt[np.ndarray, " v"]
    offsets: Int64[np.ndarray, " offsets"]
    slots: Int64[np.ndarray, " p"]


def ranks_of_counts(
    positives: PositiveKeys,
    distinct: DistinctKeys,
    at_or_above: Int64[np.ndarray, " v"],
    tied: Int64[np.ndarray, " v"],
) -> PositiveRanks:
    """Return the ranks of positives from how many cells are at or above, and at, each distinct key.

    >>> keys = np.array([4, 9], dtype=np.uint16)
    >>> positives = PositiveKeys.of(keys, np.array([0, 0]), known=np.array([5]))
    >>> ranks_of_counts(positives, positives.distinct(), np.array([3, 1]), np.array([1, 1])).cells_above
    array([2, 0])
    """
    lasts = np.concatenate((np.flatnonzero(np.diff(distinct.slots)), [len(distinct.slots) - 1]))[: len(distinct.keys)]
    firsts = np.concatenate(([0], lasts[:-1] + 1))[: len(distinct.keys)].astype(np.int64)
    ends = np.repeat(positives.offsets[1:], np.diff(positives.offsets))
    return PositiveRanks(
        offsets=positives.offsets,
        known=positives.known,
        cells_at_or_above=at_or_above[distinct.slots],
        cells_above=(at_or_above - tied)[distinct.slots],
        positives_at_or_above=ends - firsts[distinct.slots],
        positives_above=ends - lasts[distinct.slots] - 1,
    )
