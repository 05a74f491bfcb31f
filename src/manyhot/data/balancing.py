"""How often each sample should come so that rare labels are seen more: factors from the labels of a training."""

from typing import Literal

import numpy as np
from jaxtyping import Float64

from manyhot.errors import UsageError
from manyhot.labels import LabelSets
from manyhot.labels.statistics import count_cells

Sampling = Literal["square-root", "inverse", "label-sets", "repeat-factor"]

MAX_REPEATS = 20.0
THRESHOLD = 1e-3


def sampling_repeats(
    sets: LabelSets, sampling: Sampling, *, threshold: float = THRESHOLD, max_repeats: float = MAX_REPEATS
) -> Float64[np.ndarray, " n"]:
    """Return how often each sample should come in an epoch, for `Repeated`.

    A sample has the factor of its rarest positive label, since it cannot be shown for one of its labels alone; samples
    without positives are treated as if they shared a label of their own. With f the share of positives among a label's known cells:

    - `square-root`: f^(−1/2), scaled so that an epoch has as many samples as there are (Mahajan et al. 2018).
    - `inverse`: 1 / f, scaled likewise. Rare labels then dominate: mind `max_repeats`.
    - `label-sets`: one over the number of samples with exactly the same labels, scaled likewise.
    - `repeat-factor`: max(1, √(threshold / f)), not scaled: nothing is left out, and epochs are longer
      (Gupta, Dollár, Girshick 2019, "LVIS"). Samples without positives come once.

    Args:
        sets: Labels of the samples to choose from.
        sampling: Which of them.
        threshold: Share below which `repeat-factor` repeats a label.
        max_repeats: No sample comes more often; what is cut off is given to none.

    Raises:
        UsageError: If a number makes no sense.

    >>> sets = LabelSets.from_names([["cat"], ["cat"], ["cat"], ["cat", "fox"]])
    >>> sampling_repeats(sets, "square-root").round(2)
    array([0.8, 0.8, 0.8, 1.6])
    >>> sampling_repeats(sets, "repeat-factor", threshold=0.5).round(2)
    array([1.  , 1.  , 1.  , 1.41])
    """
    if not 0 < threshold <= 1 or not max_repeats >= 1:
        raise UsageError(
            f"threshold {threshold} and max_repeats {max_repeats} make no sense; give (0, 1] and 1 or more"
        )
    if not sets.num_samples:
        return np.zeros(0)
    if sampling == "label-sets":
        return _scaled(1 / _set_sizes(sets), max_repeats)
    # Of labels without a known cell there is none in any row.
    shares = _rarest_shares(sets, np.nan_to_num(count_cells(sets).prevalence))
    if sampling == "repeat-factor":
        shares[sets.positives.lengths() == 0] = 1.0
        return np.minimum(max_repeats, np.maximum(1.0, np.sqrt(threshold / shares)))
    return _scaled(shares**-0.5 if sampling == "square-root" else 1 / shares, max_repeats)


def _rarest_shares(sets: LabelSets, shares: Float64[np.ndarray, " l"]) -> Float64[np.ndarray, " n"]:
    """Return the share of each sample's rarest label, and for samples without positives the share of those."""
    lengths = sets.positives.lengths()
    rarest = np.full(sets.num_samples, max(1, int((lengths == 0).sum())) / sets.num_samples)
    has_any = np.flatnonzero(lengths)
    # Rows without ids in between do not part the others: reduceat takes the starts of those that have some.
    starts = sets.positives.indptr[has_any]
    if len(has_any):
        rarest[has_any] = np.minimum.reduceat(shares[sets.positives.ids], starts)
    return rarest


def _set_sizes(sets: LabelSets) -> Float64[np.ndarray, " n"]:
    """Return how many samples have the labels of each sample, and no others.

    A set is known by two sums of random marks of its labels, which two sets share by a chance of 2⁻¹²⁸.
    """
    marks = np.random.default_rng(0).integers(0, 2**64, size=(2, sets.num_labels), dtype=np.uint64)
    sums = np.zeros((2, sets.num_samples), dtype=np.uint64)
    has_any = np.flatnonzero(sets.positives.lengths())
    if len(has_any):
        sums[:, has_any] = np.add.reduceat(marks[:, sets.positives.ids], sets.positives.indptr[has_any], axis=1)
    order = np.lexsort(sums)
    is_next = (sums[:, order[1:]] != sums[:, order[:-1]]).any(axis=0)
    groups = np.concatenate(([0], np.cumsum(is_next)))
    sizes = np.empty(sets.num_samples)
    sizes[order] = np.bincount(groups)[groups]
    return sizes


def _scaled(weights: Float64[np.ndarray, " n"], max_repeats: float) -> Float64[np.ndarray, " n"]:
    return np.minimum(max_repeats, weights * (len(weights) / weights.sum()))
