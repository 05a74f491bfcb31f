"""Splits in which every part gets its share of every label, rare labels first."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64, Integer, Shaped

from manyhot.errors import LabelError, UsageError
from manyhot.labels.csr import offsets_of
from manyhot.labels.progress import Progress, ignore_progress
from manyhot.labels.sets import LabelSets

# More passes change next to nothing.
MENDING_PASSES = 4
# A unit of more labels hardly ever gains by moving: each of them would have to be lacking there.
EXCHANGED_LABELS = 4
# Units that are given out between two reports of progress.
BLOCK_UNITS = 1 << 19


def split_samples(
    sets: LabelSets,
    fractions: Sequence[float],
    *,
    seed: int,
    groups: Shaped[np.ndarray, " n"] | None = None,
    progress: Progress = ignore_progress,
) -> Int64[np.ndarray, " n"]:
    """Return the index of the part that each sample belongs to, so that each part gets its share of each label.

    Samples of rare labels choose first; samples without positives are spread like a label of their own. The sizes are
    exact (largest remainder) unless there are groups; with groups each is within one largest group of its share. A part may
    be empty when there are few samples or groups. The result depends on the arguments alone.

    Args:
        sets: The labels. Unknown and negative cells do not count; positives of any confidence do.
        fractions: Share of the samples in each part; they sum to 1. A part of fraction 0 stays empty.
        seed: Any number from 0; another seed gives another split.
        groups: For each sample the group it belongs to (a patient, a film); a group is never divided. None in an
            object array means a group of its own.
        progress: Is told how far it is, in steps that take about the same time each.

    Raises:
        UsageError: If the fractions are not shares of 1, or the seed is negative.
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
    shares = _check_fractions(fractions)
    if seed < 0:
        raise UsageError(f"seed {seed} is negative; give a whole number from 0")
    sets.check_unread()
    units = _single_units(sets) if groups is None else _grouped_units(sets, groups)
    part_of_unit = _assign(units, sets, shares, seed, exact=groups is None, progress=progress)
    return part_of_unit if units.unit_of is None else part_of_unit[units.unit_of]


def fold_samples(
    sets: LabelSets,
    num_folds: int,
    *,
    seed: int,
    groups: Shaped[np.ndarray, " n"] | None = None,
    progress: Progress = ignore_progress,
) -> Int64[np.ndarray, " n"]:
    """Return the fold of each sample for cross-validation: a split into parts of equal size, as `split_samples` makes it.

    Args:
        sets: The labels.
        num_folds: Number of folds, at least 2.
        seed: As of `split_samples`.
        groups: As of `split_samples`.
        progress: As of `split_samples`.

    Raises:
        UsageError: If there are fewer than two folds, or more than samples or groups.

    >>> fold_of = fold_samples(LabelSets.from_names([["cat"], ["dog"], ["cat", "dog"], []] * 5), 5, seed=0)
    >>> np.bincount(fold_of)
    array([4, 4, 4, 4, 4])
    """
    available = sets.num_samples if groups is None else len(np.unique(_number_groups(groups)))
    if not 2 <= num_folds <= available:
        raise UsageError(
            f"{num_folds} folds of {available:,} samples or groups; give at least 2, and no more than those"
        )
    return split_samples(sets, (1 / num_folds,) * num_folds, seed=seed, groups=groups, progress=progress)


def _assign(
    units: "_Units",
    sets: LabelSets,
    shares: Float64[np.ndarray, " k"],
    seed: int,
    *,
    exact: bool,
    progress: Progress,
) -> Int64[np.ndarray, " u"]:
    from manyhot.labels import assignment, mending

    if not len(units.sizes):
        return np.zeros(0, dtype=np.int64)
    counts = np.zeros(sets.num_labels + 1, dtype=np.float64)
    assignment.sum_amounts(units.ids, units.amounts, counts)
    order = _rarest_first(units, counts, seed)
    capacity = _part_sizes(sets.num_samples, shares).astype(np.float64) if exact else shares * sets.num_samples
    lacking = counts[:, None] * shares
    held = assignment.UnitLabels(units.indptr, units.ids, units.amounts)
    # Weights are products in the loop: a division takes as long as ten of them.
    weights, size_weights = _reciprocal(lacking), _reciprocal(capacity) * _size_weight(counts, sets.num_samples)
    part_of = np.empty(len(order), dtype=np.int64)
    # All passes of mending together take no longer than giving out.
    total = 2 * len(order)
    for start in range(0, len(order), BLOCK_UNITS):
        some = order[start : start + BLOCK_UNITS]
        assignment.assign_units(some, held, units.sizes, lacking, capacity, weights, size_weights, exact, part_of)
        progress(start + len(some), total)
    is_open = (shares > 0).astype(np.int64)
    if not exact:
        mending.fill_parts(order, held, units.sizes, lacking, capacity, part_of)
    for number in range(MENDING_PASSES):
        # Last first: those that chose last stand for what is frequent.
        if exact:
            changed = mending.exchange_units(order[::-1], held, lacking, is_open, EXCHANGED_LABELS, part_of)
        else:
            changed = mending.move_units(order[::-1], held, units.sizes, lacking, capacity, is_open, part_of)
        progress(len(order) * (MENDING_PASSES + 1 + number) // MENDING_PASSES if changed else total, total)
        if not changed:
            break
    return part_of


def _reciprocal(wanted: Float64[np.ndarray, "*shape"]) -> Float64[np.ndarray, "*shape"]:
    """Return 1 / wanted, 0 where nothing is wanted."""
    return np.divide(1.0, wanted, out=np.zeros_like(wanted), where=wanted > 0)


def _rarest_first(units: "_Units", counts: Float64[np.ndarray, " l"], seed: int) -> Int64[np.ndarray, " u"]:
    """Return the units by their rarest label, then the largest first, then in an order drawn by `seed`."""
    from manyhot.labels import assignment

    drawn = np.random.default_rng(seed).permutation(len(units.sizes))
    if units.unit_of is not None:
        drawn = drawn[np.argsort(-units.sizes[drawn], kind="stable")]
    levels, level_of = np.unique(counts, return_inverse=True)
    level_of_unit = np.empty(len(units.sizes), dtype=np.int64)
    assignment.rarest_levels(units.indptr, units.ids, level_of.astype(np.int64), level_of_unit)
    starts = np.cumsum(np.bincount(level_of_unit, minlength=len(levels)))
    starts = np.concatenate(([0], starts[:-1])).astype(np.int64)
    order = np.empty_like(level_of_unit)
    assignment.order_by_level(drawn, level_of_unit, starts, order)
    return order


@dataclass(frozen=True, kw_only=True, eq=False)
class _Units:
    """What is given to a part as a whole: samples, or groups of them. Samples without positives have an extra label."""

    indptr: Int64[np.ndarray, " offsets"]
    ids: Integer[np.ndarray, " p"]
    amounts: Int64[np.ndarray, " p"]
    sizes: Int64[np.ndarray, " u"]
    unit_of: Int64[np.ndarray, " n"] | None


def _single_units(sets: LabelSets) -> _Units:
    from manyhot.labels import assignment

    indptr = offsets_of(np.maximum(sets.positives.lengths(), 1))
    ids = np.empty(indptr[-1], dtype=_id_dtype(sets.num_labels))
    assignment.copy_with_extra(sets.positives.indptr, sets.positives.ids, sets.num_labels, indptr, ids)
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
