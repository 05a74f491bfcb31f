"""Groups of labels: those that the label space names, or those whose labels come together."""

import numpy as np
from jaxtyping import Float64

from manyhot.errors import LabelError
from manyhot.labels.cooccurrence import MAX_DENSE_LABELS, count_pairs
from manyhot.labels.sets import LabelSets
from manyhot.labels.space import LabelSpace

Groups = tuple[tuple[int, ...], ...]


def groups_of_space(space: LabelSpace) -> Groups:
    """Return the labels of each group that the space names, in the order in which groups first stand.

    Labels without a group make one of their own, the last.

    Raises:
        LabelError: If the space names fewer than two groups.

    >>> groups_of_space(LabelSpace(names=("red", "dress", "blue"), groups=("colour", "type", "colour")))
    ((0, 2), (1,))
    """
    named = space.groups or (None,) * len(space)
    order = [name for name in dict.fromkeys(named) if name is not None]
    order += [None] if None in named else []
    if len(order) < 2:
        raise LabelError(
            f"the label space names {len([name for name in order if name is not None])} groups, and parting needs two; "
            "take groups by co-occurrence, or one for each label"
        )
    return tuple(tuple(label for label, group in enumerate(named) if group == name) for name in order)


def groups_by_cooccurrence(sets: LabelSets, num_groups: int) -> Groups:
    """Return labels in groups whose labels come together more than with those of other groups.

    Labels start alone; the two groups are joined, again and again, whose labels are on average most alike: alike are
    labels by the share of samples with either that have both. A label that never comes with another is joined last,
    so it may be a group by itself.

    Args:
        sets: Samples with their labels.
        num_groups: How many groups are left at the end; fewer where ties leave no such cut.

    Raises:
        LabelError: If there are fewer labels than groups, fewer than two groups, or over 20,000 labels.

    Source: Sokal, Michener 1958 (average linkage); Jaccard 1901.

    >>> rows = [["cat", "dog"], ["cat", "dog"], ["sea", "ship"], ["sea", "ship"], ["cat"]]
    >>> groups_by_cooccurrence(LabelSets.from_names(rows), 2)
    ((0, 1), (2, 3))
    """
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    if not 2 <= num_groups <= sets.num_labels:
        raise LabelError(
            f"{num_groups} groups of {sets.num_labels:,} labels cannot be; from 2 to {sets.num_labels:,} can"
        )
    if sets.num_labels > MAX_DENSE_LABELS:
        raise LabelError(f"{sets.num_labels:,} labels are too many to compare all pairs; at most {MAX_DENSE_LABELS:,}")
    joined = linkage(squareform(1.0 - _likeness(sets), checks=False), method="average")
    found = fcluster(joined, t=num_groups, criterion="maxclust")
    first = dict.fromkeys(found.tolist())
    return tuple(tuple(np.flatnonzero(found == group).tolist()) for group in first)


def _likeness(sets: LabelSets) -> Float64[np.ndarray, "l l"]:
    """Return for each pair the share of samples with either label that have both; 1 on the diagonal."""
    both = count_pairs(sets).to_dense().astype(np.float64)
    single = np.diag(both)
    either = single[:, None] + single[None, :] - both
    shares = np.divide(both, either, out=np.zeros_like(both), where=either > 0)
    np.fill_diagonal(shares, 1.0)
    return shares
