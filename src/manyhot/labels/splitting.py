"""Splits in which every part gets its share of every label, rare labels first."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64, Integer, Shaped

from manyhot.errors import LabelError, UsageError
from manyhot.labels.sets import LabelSets


def split_samples(
    sets: LabelSets,
    fractions: Sequence[float],
    *,
    seed: int,
    groups: Shaped[np.ndarray, " n"] | None = None,
) -> Int64[np.ndarray, " n"]:
    """Return the index of the part that each sample belongs to, so that each part gets its share of each label.

    Samples of rare labels choose first; samples without positives are spread like a label of their own. The sizes are
    exact (largest remainder) unless there are groups; with groups they are as near as whole groups allow. A part may
    be empty when there are few samples or groups. The result depends on the arguments alone.

    Args:
        sets: The labels. Unknown and negative cells do not count; positives of any confidence do.
        fractions: Share of the samples in each part; they sum to 1. A part of fraction 0 stays empty.
        seed: Any number from 0; another seed gives another split.
        groups: For each sample the group it belongs to (a patient, a film); a group is never divided. None in an
            object array means a group of its own.

    Raises:
        UsageError: If the fractions are not shares of 1.
        LabelError: If there is not one group a sample.

    Source: rarest label first after Sechidis, Tsoumakas, Vlahavas 2011, with a fixed order and the gain over all
    labels of the sample, so that the time is linear.

    >>> from manyhot.labels import count_cells
    >>> sets = LabelSets.from_names([["cat"], ["dog"], ["cat", "dog"], []] * 10)
    >>> part_of = split_samples(sets, (0.5, 0.25, 0.25), seed=0)
    >>> np.bincount(part_of)
    array([20, 10, 10])
    >>> count_cells(sets.take(np.flatnonzero(part_of == 0))).prevalence
    array([0.5, 0.5])
    """
    from manyhot.labels.assignment import assign_units

    shares = _check_fractions(fractions)
    units = _single_units(sets) if groups is None else _grouped_units(sets, groups)
    counts = np.bincount(units.ids, weights=units.amounts, minlength=sets.num_labels + 1).astype(np.float64)
    order = np.random.default_rng(seed).permutation(len(units.sizes))
    rarest = np.minimum.reduceat(counts[units.ids], units.indptr[:-1]) if len(order) else np.zeros(0)
    order = order[np.lexsort((-units.sizes[order], rarest[order]))]
    capacity = _part_sizes(sets.num_samples, shares).astype(np.float64)
    part_of_unit = assign_units(
        order,
        units.indptr,
        units.ids,
        units.amounts,
        units.sizes,
        shares[:, None] * counts,
        capacity if groups is None else shares * sets.num_samples,
        groups is None,
        _size_weight(counts, sets.num_samples),
    )
    return part_of_unit if units.unit_of is None else part_of_unit[units.unit_of]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Units:
    """What is given to a part as a whole: samples, or groups of them. Samples without positives have an extra label."""

    indptr: Int64[np.ndarray, " offsets"]
    ids: Integer[np.ndarray, " p"]
    amounts: Int64[np.ndarray, " p"]
    sizes: Int64[np.ndarray, " u"]
    unit_of: Int64[np.ndarray, " n"] | None


def _single_units(sets: LabelSets) -> _Units:
    lengths = sets.positives.lengths()
    indptr = np.concatenate(([0], np.cumsum(np.maximum(lengths, 1)))).astype(np.int64)
    has_label = np.ones(indptr[-1], dtype=bool)
    has_label[indptr[:-1][lengths == 0]] = False
    ids = np.full(indptr[-1], sets.num_labels, dtype=_id_dtype(sets.num_labels))
    ids[has_label] = sets.positives.ids
    # broadcast_to: as many ones as there are positives, in the memory of one.
    ones = np.broadcast_to(np.int64(1), ids.shape)
    return _Units(indptr=indptr, ids=ids, amounts=ones, sizes=np.ones(sets.num_samples, dtype=np.int64), unit_of=None)


def _grouped_units(sets: LabelSets, groups: Shaped[np.ndarray, " n"]) -> _Units:
    if groups.shape != (sets.num_samples,):
        raise LabelError(f"groups have shape {groups.shape} for {sets.num_samples:,} samples; give one group a sample")
    unit_of = _number_groups(groups)
    single = _single_units(sets)
    num_units = int(unit_of.max()) + 1 if unit_of.size else 0
    width = sets.num_labels + 1
    rows = np.repeat(unit_of, np.diff(single.indptr))
    keys, amounts = np.unique(rows * width + single.ids, return_counts=True)
    lengths = np.bincount(keys // width, minlength=num_units)
    return _Units(
        indptr=np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
        ids=(keys % width).astype(_id_dtype(sets.num_labels)),
        amounts=amounts.astype(np.int64, copy=False),
        sizes=np.bincount(unit_of, minlength=num_units).astype(np.int64, copy=False),
        unit_of=unit_of,
    )


def _id_dtype(num_labels: int) -> type[np.uint16 | np.uint32]:
    """Return the narrower of two types: each one more would be compiled for on its own."""
    return np.uint16 if num_labels <= np.iinfo(np.uint16).max else np.uint32


def _number_groups(groups: Shaped[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """Return groups numbered from 0 in order of first appearance, so that their names do not change the split."""
    numbers: dict[object, int] = {}
    names: list[object] = groups.tolist()
    # A fresh object equals nothing else: a sample without a group is a group of its own.
    keys = (object() if name is None else name for name in names)
    return np.fromiter((numbers.setdefault(key, len(numbers)) for key in keys), dtype=np.int64, count=len(names))


def _size_weight(counts: Float64[np.ndarray, " k"], num_samples: int) -> float:
    """Return how much the sizes of the parts count beside a label, whose gain is relative to its positives.

    At 1, a thousand labels that all round alike shift the sizes by hundreds of samples, which those that choose last
    must make good; when one sample more counts as much as one of an average label, rounding is no longer free. The
    geometric mean of both keeps labels and rows without labels within 5 samples on all data tried.
    """
    occurring = counts[counts > 0]
    return float(np.sqrt(num_samples / occurring.mean())) if occurring.size else 1.0


def _check_fractions(fractions: Sequence[float]) -> Float64[np.ndarray, " k"]:
    shares = np.asarray(fractions, dtype=np.float64)
    if not shares.size or not ((shares >= 0) & (shares <= 1)).all() or abs(shares.sum() - 1) > 1e-6:
        raise UsageError(f"fractions {list(fractions)} are not shares of 1; give for example 0.7 0.15 0.15")
    return shares / shares.sum()


def _part_sizes(num_samples: int, shares: Float64[np.ndarray, " k"]) -> Int64[np.ndarray, " k"]:
    """Return whole sizes that sum to `num_samples`: rounded down, then one more for the largest remainders."""
    # round: 0.7 × 10 is 7.000000000000001 in binary, and no remainder.
    exact = np.round(num_samples * shares, 6)
    sizes = np.floor(exact).astype(np.int64)
    largest = np.argsort(sizes - exact, kind="stable")
    sizes[largest[: num_samples - int(sizes.sum())]] += 1
    return sizes
