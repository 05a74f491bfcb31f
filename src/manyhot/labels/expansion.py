"""What a hierarchy says of label sets: positives imply ancestors, negatives imply descendants, and what contradicts it."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Literal

import numpy as np
from jaxtyping import Int64

from manyhot.errors import LabelError
from manyhot.labels.csr import Csr
from manyhot.labels.hierarchy import Hierarchy
from manyhot.labels.linking import (
    common_entries,
    rows_by_source,
    select_entries,
    without,
)
from manyhot.labels.relabelling import follow_positives, is_verified, refine_negatives
from manyhot.labels.sets import LabelSets
from manyhot.labels.storage import StoreBatch

Conflicts = Literal["error", "unknown"]


def expand_positives(hierarchy: Hierarchy, sets: LabelSets, *, conflicts: Conflicts = "error") -> LabelSets:
    """Return the sets with every ancestor of a positive cell positive too, whatever it was by not being listed.

    An ancestor's confidence is the largest of its descendants'. Memory: the new positives, and one byte for each
    exception. Expand once: a verified negative that was left unknown is no longer told from cells of which nothing is
    known, so that expanding again makes it positive; all else stays as it is. `verified_contradictions` lists them.

    Args:
        hierarchy: The hierarchy of the sets' labels.
        sets: The labels.
        conflicts: What becomes of a verified negative with a positive descendant: `error` refuses, `unknown` drops
            the negative, so that the cell is neither.

    Raises:
        LabelError: If the labels differ, or a verified negative has a positive descendant and that is refused.

    >>> from manyhot.labels.space import LabelSpace
    >>> space = LabelSpace(names=("cat", "animal"), parents=((1,), ()))
    >>> expand_positives(Hierarchy.of(space), LabelSets.from_names([["cat"], []], space)).to_multi_hot().tolist()
    [[1.0, 1.0], [0.0, 0.0]]
    """
    hierarchy.check_space(sets.space)
    sets.check_unread()
    links = hierarchy.with_self(hierarchy.ancestors)
    positives, confidence = follow_positives(sets, links, sets.num_labels)
    if sets.exceptions is None:
        return replace(sets, positives=positives, confidence=confidence)
    verified = _verified(sets, positives)
    if verified.size:
        _settle(hierarchy, sets, verified, conflicts)
        kept = ~common_entries(positives, verified)
        positives, confidence = select_entries(positives, kept), None if confidence is None else confidence[kept]
    exceptions = without(without(sets.exceptions, positives), verified)
    return replace(sets, positives=positives, confidence=confidence, exceptions=exceptions if exceptions.size else None)


def verified_contradictions(hierarchy: Hierarchy, sets: LabelSets) -> Csr:
    """Return for each row the labels that are verified negatives and have a positive descendant.

    >>> from manyhot.labels.space import LabelSpace
    >>> space = LabelSpace(names=("cat", "animal"), parents=((1,), ()))
    >>> sets = LabelSets.from_lists([[0], [0]], space, exceptions=[[1], []], unlisted="unknown")
    >>> verified_contradictions(Hierarchy.of(space), sets).indptr
    array([0, 1, 1])
    """
    hierarchy.check_space(sets.space)
    sets.check_unread()
    return _verified(sets, follow_positives(sets, hierarchy.ancestors, sets.num_labels)[0])


def _verified(sets: LabelSets, positives: Csr) -> Csr:
    """Return the verified negatives among cells that are to be positive."""
    if sets.exceptions is None:
        return Csr.empty(sets.num_samples)
    found = common_entries(sets.exceptions, positives)
    return select_entries(sets.exceptions, found & is_verified(sets, sets.exceptions))


def expand_batches(
    hierarchy: Hierarchy, batches: Iterable[StoreBatch], *, conflicts: Conflicts = "error"
) -> Iterator[StoreBatch]:
    """Yield batches with positives expanded, so that a store of any size is expanded in the memory of one batch.

    Give it the blocks of an open store, and what it yields to `write_store`, which tells how far it is.

    Args:
        hierarchy: The hierarchy of the batches' labels.
        batches: Samples and their labels.
        conflicts: As of `expand_positives`.

    Raises:
        LabelError: As of `expand_positives`; rows count from the first of their batch.

    >>> from manyhot.labels.space import LabelSpace
    >>> space = LabelSpace(names=("cat", "animal"), parents=((1,), ()))
    >>> batches = [StoreBatch(labels=LabelSets.from_names([["cat"]], space))] * 2
    >>> [batch.labels.positives.ids.tolist() for batch in expand_batches(Hierarchy.of(space), batches)]
    [[0, 1], [0, 1]]
    """
    for batch in batches:
        yield replace(batch, labels=expand_positives(hierarchy, batch.labels, conflicts=conflicts))


def _settle(hierarchy: Hierarchy, sets: LabelSets, verified: Csr, conflicts: Conflicts) -> None:
    if conflicts == "unknown":
        return
    row, ancestor = int(verified.row_ids()[0]), int(verified.ids[0])
    child = np.intersect1d(sets.positives.row(row), hierarchy.descendants.row(ancestor))[0]
    raise LabelError(
        f"{verified.size:,} verified negatives have a positive descendant; the first is {sets.space.names[ancestor]!r} "
        f"of row {row}, where {sets.space.names[child]!r} is positive; mend the data, or expand with conflicts='unknown'"
    )


def expand_negatives(hierarchy: Hierarchy, sets: LabelSets, *, conflicts: Conflicts = "error") -> LabelSets:
    """Return the sets with positives expanded, and with every descendant of a negative cell negative too.

    Args:
        hierarchy: The hierarchy of the sets' labels.
        sets: The labels.
        conflicts: As of `expand_positives`.

    Raises:
        LabelError: As of `expand_positives`.

    >>> from manyhot.labels.space import LabelSpace
    >>> space = LabelSpace(names=("cat", "animal"), parents=((1,), ()))
    >>> sets = LabelSets.from_lists([[]], space, exceptions=[[1]], unlisted="unknown")
    >>> expand_negatives(Hierarchy.of(space), sets).to_multi_hot().tolist()
    [[0.0, 0.0]]
    """
    sets = expand_positives(hierarchy, sets, conflicts=conflicts)
    if sets.is_complete:
        return sets
    refined = refine_negatives(sets, hierarchy.with_self(hierarchy.descendants), sets.positives, sets.num_labels)
    return replace(sets, exceptions=refined.exceptions, sources=refined.sources)


def count_violations(hierarchy: Hierarchy, sets: LabelSets) -> Int64[np.ndarray, " links"]:
    """Return for each entry of `hierarchy.ancestors` in how many rows the label is positive and that ancestor negative.

    Expanding the positives mends those that come from not listing ancestors. Rows are taken a source at a time.

    >>> from manyhot.labels.space import LabelSpace
    >>> tree = Hierarchy.of(LabelSpace(names=("cat", "animal"), parents=((1,), ())))
    >>> count_violations(tree, LabelSets.from_names([["cat"], ["cat", "animal"]], tree.space))
    array([1])
    """
    hierarchy.check_space(sets.space)
    sets.check_unread()
    found = np.zeros(hierarchy.ancestors.size, dtype=np.int64)
    unlisted = sets.unlisted_known()
    for source, meaning in enumerate(sets.sources):
        rows = rows_by_source(sets.source_ids, source, sets.num_samples)
        taken = sets if sets.source_ids is None else sets.take(rows)
        links = hierarchy.ancestors
        pairs = np.bincount(taken.positives.ids, minlength=sets.num_labels)[links.row_ids()]
        if meaning.unlisted == "unknown":
            found += _together(hierarchy, taken.positives, taken.exceptions)
            continue
        known = unlisted[source][links.ids]
        excused = _together(hierarchy, taken.positives, taken.positives)
        excused += _together(hierarchy, taken.positives, taken.exceptions)
        found += np.where(known, pairs - excused, 0)
    return found


def _together(hierarchy: Hierarchy, positives: Csr, listed: Csr | None) -> Int64[np.ndarray, " links"]:
    """Return in how many rows a label stands in `positives` and its ancestor in `listed`, for each such pair."""
    from manyhot.labels import link_kernels

    counts = np.zeros(hierarchy.ancestors.size, dtype=np.int64)
    if listed is not None:
        links = hierarchy.ancestors
        link_kernels.count_pairs_along(
            positives.indptr, positives.ids, listed.indptr, listed.ids, links.indptr, links.ids, counts
        )
    return counts
