"""How unevenly labels occur: imbalance ratios, frequent label sets, and shift between the parts of a split."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64, Integer, Num

from manyhot.errors import LabelError
from manyhot.labels.sets import LabelSets
from manyhot.labels.space import LabelSpace
from manyhot.labels.statistics import LabelCounts, count_cells


def imbalance_ratios(counts: LabelCounts) -> Float64[np.ndarray, " l"]:
    """Return for each label how many times more positives the most frequent label has; NaN without positives.

    Their mean and maximum over the labels with positives (`np.nanmean`, `np.nanmax`) are the usual measures.

    Source: Charte, Rivera, del Jesus, Herrera 2015, "Addressing imbalance in multilabel classification", section 3.

    >>> imbalance_ratios(count_cells(LabelSets.from_names([["cat", "dog"], ["dog"], []])))
    array([2., 1.])
    """
    most = counts.positives.max(initial=0)
    undefined = np.full(counts.positives.shape, np.nan)
    return np.divide(float(most), counts.positives, out=undefined, where=counts.positives > 0)


def frequent_label_sets(sets: LabelSets, k: int | None = 10) -> list[tuple[tuple[int, ...], int]]:
    """Return the sets of positive labels that most rows have, with their rows; all of them if `k` is None.

    Rows without positives have the empty set. Of equally frequent sets, the one that comes first in the data is first.

    >>> frequent_label_sets(LabelSets.from_names([["cat", "dog"], ["dog"], [], ["dog"]]), 2)
    [((1,), 2), ((0, 1), 1)]
    """
    first_rows, counts = _distinct_rows(sets)
    order = np.lexsort((first_rows, -counts))[:k]
    return [
        (tuple(sets.positives.row(row).tolist()), count)
        for row, count in zip(first_rows[order].tolist(), counts[order].tolist(), strict=True)
    ]


def _distinct_rows(sets: LabelSets) -> tuple[Int64[np.ndarray, " s"], Int64[np.ndarray, " s"]]:
    """Return the first row of each distinct label set, and its number of rows."""
    from manyhot.labels import pair_kernels

    sets.check_unread()
    indptr, ids = sets.positives.indptr, sets.positives.ids
    hashes = np.empty(sets.num_samples, dtype=np.uint64)
    rng = np.random.default_rng(0)
    while True:
        keys = rng.integers(0, 2**64, sets.num_labels, dtype=np.uint64)
        pair_kernels.hash_rows(indptr, ids, keys, hashes)
        order = np.argsort(hashes, kind="stable")
        if not pair_kernels.rows_differ(indptr, ids, order, hashes):
            break
        # Two different rows got one number, hardly ever: number them anew.
    ordered = hashes[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1]))[: len(ordered)])
    counts = np.diff(np.concatenate((starts, [len(ordered)])))
    return order[starts], counts


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelShift:
    """How the prevalence of each label differs between the parts of a split.

    Args:
        space: The labels.
        positives: Positive cells of each label in each part.
        known: Known cells of each label in each part.

    >>> sets = LabelSets.from_names([["cat"]] * 50 + [[]] * 50)
    >>> shift = label_shift(sets, np.repeat([0, 1], 50))
    >>> shift.prevalence.tolist(), shift.z.round(1).tolist(), shift.worst(1)
    ([[1.0], [0.0]], [[10.0], [-10.0]], [('cat', 0, 10.0)])
    """

    space: LabelSpace
    positives: Int64[np.ndarray, "k l"]
    known: Int64[np.ndarray, "k l"]

    @property
    def prevalence(self) -> Float64[np.ndarray, "k l"]:
        """Prevalence of each label in each part; NaN where no cell is known."""
        return _ratio(self.positives, self.known)

    @property
    def z(self) -> Float64[np.ndarray, "k l"]:
        """Difference between each part and the rest in standard errors, as two proportions with one variance.

        NaN where either has no known cell, 0 where they are equal.
        """
        positives, known = self._elsewhere()
        pooled = _ratio(self.positives.sum(axis=0), self.known.sum(axis=0))
        with np.errstate(divide="ignore", invalid="ignore"):
            error = np.sqrt(pooled * (1 - pooled) * (1 / self.known + 1 / known))
        difference = self.prevalence - _ratio(positives, known)
        return np.where(difference == 0, 0.0, _ratio(difference, error))

    @property
    def odds_ratio(self) -> Float64[np.ndarray, "k l"]:
        """Odds of each label in each part over its odds in the rest, with half a cell added to each count."""
        positives, known = self._elsewhere()
        here = (self.positives + 0.5) / (self.known - self.positives + 0.5)
        return here / ((positives + 0.5) / (known - positives + 0.5))

    def chance(self, *, cluster_size: float = 1.0) -> Float64[np.ndarray, "k l"]:
        """Return how likely a difference this large is by chance alone, for each part and label; 1 where nothing is known.

        The rarer of positives and negatives is taken, and each of them thought to fall into a part by the part's share
        of known cells: the binomial probability, of both tails, of as many or as few as there are. It is exact for rare
        labels, where standard errors mislead, and at most too large for frequent ones. Many labels bring small values
        by chance: compare with 0.01 over their number.

        Args:
            cluster_size: How many samples go together (one patient, one film), which leaves that many times fewer
                independent ones.

        >>> sets = LabelSets.from_names([["cat"]] * 2 + [[]] * 2)
        >>> label_shift(sets, np.array([0, 0, 1, 1])).chance().tolist()
        [[0.5], [0.5]]
        """
        from scipy.special import betainc

        rarer = np.where(
            2 * self.positives.sum(axis=0) > self.known.sum(axis=0), self.known - self.positives, self.positives
        )
        here, total = rarer / cluster_size, rarer.sum(axis=0) / cluster_size
        share = np.nan_to_num(_ratio(self.known, np.broadcast_to(self.known.sum(axis=0), self.known.shape)))
        with np.errstate(invalid="ignore"):
            as_many = np.where(here > 0, betainc(here, total - here + 1, share), 1.0)
            as_few = np.where(total > here, 1 - betainc(here + 1, total - here, share), 1.0)
        return np.minimum(1.0, 2 * np.minimum(as_many, as_few))

    def _elsewhere(self) -> tuple[Int64[np.ndarray, "k l"], Int64[np.ndarray, "k l"]]:
        """Return positives and known cells of each label outside of each part."""
        return self.positives.sum(axis=0) - self.positives, self.known.sum(axis=0) - self.known

    def worst(self, k: int = 10) -> list[tuple[str, int, float]]:
        """Return the labels that shift most, each with the part and its standard errors; none without samples."""
        if not len(self.positives):
            return []
        z = self.z
        size = np.nan_to_num(np.abs(z), nan=0.0)
        parts = size.argmax(axis=0)
        order = np.argsort(-size.max(axis=0, initial=0.0), kind="stable")[:k]
        return [(self.space.names[label], int(parts[label]), float(z[parts[label], label])) for label in order.tolist()]


def label_shift(sets: LabelSets, part_of: Integer[np.ndarray, " n"]) -> LabelShift:
    """Return how the prevalence of each label differs between parts. Unknown cells count nowhere.

    Raises:
        LabelError: If there is not one part a sample, or a part is negative.

    >>> label_shift(LabelSets.from_names([["cat"], []]), np.array([0, 1])).prevalence.tolist()
    [[1.0], [0.0]]
    """
    if part_of.shape != (sets.num_samples,) or (part_of.size and int(part_of.min()) < 0):
        raise LabelError(f"parts have shape {part_of.shape} for {sets.num_samples:,} samples; give one from 0 a sample")
    num_parts = int(part_of.max()) + 1 if part_of.size else 0
    parts = [count_cells(sets.take(np.flatnonzero(part_of == part))) for part in range(num_parts)]
    shape = (num_parts, sets.num_labels)
    return LabelShift(
        space=sets.space,
        positives=np.array([part.positives for part in parts], dtype=np.int64).reshape(shape),
        known=np.array([part.known for part in parts], dtype=np.int64).reshape(shape),
    )


def _ratio(above: Num[np.ndarray, "*shape"], below: Num[np.ndarray, "*shape"]) -> Float64[np.ndarray, "*shape"]:
    """Return the quotient, NaN where there is nothing to divide by."""
    return np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)
