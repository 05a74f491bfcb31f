"""How often labels occur: counts of cells, prevalence, cardinality, and labels that cannot teach anything."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64, Integer

from manyhot.labels.csr import Csr
from manyhot.labels.sets import LabelSets

BLOCK = 1 << 18


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelCounts:
    """For each label how many cells are positive and how many are known.

    Args:
        positives: Positive cells of each label.
        known: Known cells of each label, positive or negative.

    >>> counts = LabelCounts(positives=np.array([1, 0]), known=np.array([4, 0]))
    >>> counts.negatives, counts.prevalence
    (array([3, 0]), array([0.25,  nan]))
    """

    positives: Int64[np.ndarray, " l"]
    known: Int64[np.ndarray, " l"]

    @property
    def negatives(self) -> Int64[np.ndarray, " l"]:
        """Negative cells of each label."""
        return self.known - self.positives

    @property
    def prevalence(self) -> Float64[np.ndarray, " l"]:
        """Share of each label's known cells that are positive; NaN where none is known."""
        undefined = np.full(self.known.shape, np.nan)
        return np.divide(self.positives, self.known, out=undefined, where=self.known > 0)


def count_cells(sets: LabelSets) -> LabelCounts:
    """Return the positive and the known cells of each label.

    Takes time and memory in the number of listed cells, and one byte a source and label where some cells are
    unknown; never a dense matrix.

    Raises:
        StoreError: If the labels are a memory map with damaged ids; names the file and the rows.

    >>> count_cells(LabelSets.from_names([["cat", "dog"], [], ["dog"]]))
    LabelCounts(positives=array([1, 2]), known=array([3, 3]))
    """
    sets.check_unread()
    positives = _count(sets.positives.ids, sets.num_labels)
    if sets.is_complete:
        return LabelCounts(positives=positives, known=np.full(sets.num_labels, sets.num_samples, dtype=np.int64))
    unlisted = sets.unlisted_known()
    verified = np.array([source.unlisted == "unknown" for source in sets.sources])
    if sets.source_ids is None:
        rows_of_source = np.array([sets.num_samples])
    else:
        rows_of_source = np.bincount(sets.source_ids, minlength=len(sets.sources))
    known = rows_of_source @ unlisted.astype(np.int64)
    known += _gained(sets, sets.positives, unlisted, np.ones_like(verified))
    if sets.exceptions is not None:
        known += _gained(sets, sets.exceptions, unlisted, verified)
    return LabelCounts(positives=positives, known=known)


def _gained(
    sets: LabelSets, listed: Csr, unlisted: Bool[np.ndarray, "s l"], known: Bool[np.ndarray, " s"]
) -> Int64[np.ndarray, " l"]:
    """Return by how much listing these cells, known as their source says, changes each label's known cells."""
    if sets.source_ids is None:
        before, after = unlisted[0, listed.ids], known[0]
    else:
        sources = np.repeat(sets.source_ids, listed.lengths())
        before, after = unlisted[sources, listed.ids], known[sources]
    return _count(listed.ids[~before & after], sets.num_labels) - _count(listed.ids[before & ~after], sets.num_labels)


def _count(ids: Integer[np.ndarray, " p"], num_labels: int) -> Int64[np.ndarray, " l"]:
    counts = np.zeros(num_labels, dtype=np.int64)
    # By blocks: bincount makes 8 bytes of each id, which would be 0.9 GB at 116 million.
    for start in range(0, len(ids), BLOCK):
        counts += np.bincount(ids[start : start + BLOCK], minlength=num_labels)
    return counts


def cardinality(sets: LabelSets) -> float:
    """Return the mean number of positive labels a sample; NaN without samples.

    >>> cardinality(LabelSets.from_names([["cat", "dog"], [], ["dog"]]))
    1.0
    """
    return sets.positives.size / sets.num_samples if sets.num_samples else float("nan")


def density(sets: LabelSets) -> float:
    """Return the share of known cells that are positive; NaN when no cell is known.

    >>> density(LabelSets.from_names([["cat", "dog"], [], ["dog"]]))
    0.5
    """
    counts = count_cells(sets)
    known = int(counts.known.sum())
    return int(counts.positives.sum()) / known if known else float("nan")


def constant_labels(sets: LabelSets) -> Int64[np.ndarray, " k"]:
    """Return the ids of the labels that are positive in every known cell, of which there is at least one.

    A model can say nothing about such a label. Labels that are never positive are `empty_labels`.

    >>> constant_labels(LabelSets.from_names([["cat", "dog"], ["dog"]]))
    array([1])
    """
    counts = count_cells(sets)
    return np.flatnonzero((counts.positives == counts.known) & (counts.known > 0))


def empty_labels(sets: LabelSets) -> Int64[np.ndarray, " k"]:
    """Return the ids of the labels that are never positive.

    >>> from manyhot.labels import LabelSpace
    >>> empty_labels(LabelSets.from_names([["cat"], []], LabelSpace(names=("cat", "dog"))))
    array([1])
    """
    return np.flatnonzero(count_cells(sets).positives == 0)


def log_odds(counts: LabelCounts) -> Float64[np.ndarray, " l"]:
    """Return the log-odds of each label's prevalence, smoothed so that they are finite: logit((P + 1) / (M + 2)).

    A label without known cells gets 0. A head whose bias starts there need not learn that most cells are negative.

    >>> log_odds(count_cells(LabelSets.from_names([["cat"], [], [], []]))).round(3)
    array([-0.693])
    """
    return np.log(counts.positives + 1.0) - np.log(counts.negatives + 1.0)
