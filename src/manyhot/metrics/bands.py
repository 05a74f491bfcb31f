"""Bands of labels over which macro figures are given as well: enough test positives; head, mid and tail; groups."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float64, Int64

from manyhot.metrics.figures import Figure, mean_figure

Bands = dict[str, Bool[np.ndarray, " l"]]


def label_bands(
    positives: Int64[np.ndarray, " l"],
    train_positives: Int64[np.ndarray, " l"] | None,
    min_positives: int,
    groups: Sequence[str | None] | None = None,
) -> Bands:
    """Return for each band, by the name that its figures carry, which labels are in it.

    "" holds all labels; "_min5" those with at least 5 test positives; "_head", "_mid" and "_tail" carry about a third
    of the training positives each, most frequent labels first; "[colour]" the labels of the group `colour`. Labels with
    equal counts are never parted.

    Args:
        positives: Positives of each label in what is judged.
        train_positives: The same in training; None leaves head, mid and tail out.
        min_positives: How many are enough.
        groups: The group of each label, None for a label without one.

    >>> bands = label_bands(np.array([3, 0, 1]), np.array([10, 8, 4]), min_positives=2)
    >>> {name: band.tolist() for name, band in bands.items()}
    {'': [True, True, True], '_min2': [True, False, False],
     '_head': [True, False, False], '_mid': [False, True, False], '_tail': [False, False, True]}
    """
    bands = {"": np.ones(len(positives), dtype=bool), f"_min{min_positives}": positives >= min_positives}
    if train_positives is not None:
        bands |= _thirds(train_positives)
    names = dict.fromkeys(group for group in groups or () if group is not None)
    return bands | {f"[{name}]": np.array([group == name for group in groups or ()]) for name in names}


def _thirds(train_positives: Int64[np.ndarray, " l"]) -> Bands:
    falling = np.sort(train_positives)[::-1]
    sums = np.concatenate(([0], np.cumsum(falling)))
    # The training positives of all labels that have more: 0 for the most frequent.
    before = sums[np.searchsorted(-falling, -train_positives, side="left")]
    third = np.where(train_positives > 0, 3 * before // max(1, int(sums[-1])), 2)
    return {f"_{name}": third == index for index, name in enumerate(("head", "mid", "tail"))}


def macro_figures(name: str, values: Float64[np.ndarray, " l"], bands: Bands, *, suffix: str = "") -> dict[str, Figure]:
    """Return the mean over the defined labels of each band: `name`, `name_min1`, `name_head`, `name[group]`."""
    return {f"{name}{band}{suffix}": mean_figure(values[members]) for band, members in bands.items()}
