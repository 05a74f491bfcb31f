"""What the cells of linked labels say of each other, source by source.

Upwards, from fine labels to a coarse one that is their union; downwards, from a coarse label to its fine ones.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int64

from manyhot.labels.csr import Csr
from manyhot.labels.linking import (
    common_entries,
    follow_counted,
    follow_links,
    follow_with_largest,
    masked_links,
    reunited,
    rows_by_source,
    select_entries,
    transposed,
    union,
    without,
)
from manyhot.labels.sets import LabelSets
from manyhot.labels.source import LabelSource

Exceptions = tuple[Csr | None, tuple[LabelSource, ...]]


def follow_positives(sets: LabelSets, links: Csr, num_targets: int) -> tuple[Csr, Float[np.ndarray, " q"] | None]:
    """Return the positives that positives are linked to, and the largest confidence of those that lead there.

    >>> from manyhot.labels.space import LabelSpace
    >>> follow_positives(LabelSets.from_lists([[0]], LabelSpace(names=("a",))), Csr.from_lists([[1]]), 2)[0].ids
    array([1], dtype=uint16)
    """
    if sets.confidence is None:
        return follow_links(sets.positives, links, num_targets), None
    return follow_with_largest(sets.positives, links, num_targets, sets.confidence)


def is_verified(sets: LabelSets, listed: Csr) -> Bool[np.ndarray, " p"]:
    """Return which entries stand in rows whose exceptions are verified negatives; elsewhere they are unknown cells.

    >>> from manyhot.labels.space import LabelSpace
    >>> sets = LabelSets.from_lists([[]], LabelSpace(names=("a",)), unlisted="unknown")
    >>> is_verified(sets, Csr.from_lists([[0]]))
    array([ True])
    """
    verified = np.array([source.unlisted == "unknown" for source in sets.sources])
    if sets.source_ids is None:
        return np.full(listed.size, verified[0])
    return np.repeat(verified[sets.source_ids], listed.lengths())


def coarsen_exceptions(
    sets: LabelSets, links: Csr, is_closed: Bool[np.ndarray, " c"], positives: Csr, num_fine: int
) -> Exceptions:
    """Return the exceptions and sources of coarse labels: negative if closed and all fine ones are, else unknown.

    Args:
        sets: Label sets of the fine labels.
        links: For each coarse label its fine ones.
        is_closed: Whether a coarse label is no more than its fine ones; the others are never negative.
        positives: Coarse labels that are positive, for each row.
        num_fine: Number of fine labels.

    >>> from manyhot.labels.space import LabelSpace
    >>> sets = LabelSets.from_lists([[]], LabelSpace(names=("a", "b")), exceptions=[[0, 1]], unlisted="unknown")
    >>> coarsen_exceptions(sets, Csr.from_lists([[0, 1]]), np.array([True]), Csr.empty(1), 2)[0].ids
    array([0], dtype=uint16)
    """
    upwards = transposed(links, num_fine)
    sizes = np.where(is_closed, links.lengths(), -1)
    pieces: list[tuple[Int64[np.ndarray, " k"], Csr]] = []
    sources: list[LabelSource] = []
    for number, source in enumerate(sets.sources):
        annotated = annotated_mask(source, num_fine)
        known = np.bincount(links.row_ids()[annotated[links.ids]], minlength=links.num_rows) == sizes
        sources.append(replace(source, annotated=annotated_ids(known)))
        if sets.exceptions is None:
            continue
        rows = rows_by_source(sets.source_ids, number, sets.num_samples)
        listed = sets.exceptions if sets.source_ids is None else sets.exceptions.take(rows)
        reached, counts = follow_counted(listed, upwards, links.num_rows)
        # Verified negatives: all must be. Unknown cells: one is enough, unless the label is unknown anyhow.
        chosen = counts == sizes[reached.ids] if source.unlisted == "unknown" else known[reached.ids]
        pieces.append((rows, select_entries(reached, chosen)))
    exceptions = without(reunited(pieces, sets.num_samples), positives)
    return exceptions if exceptions.size else None, tuple(sources)


@dataclass(frozen=True, kw_only=True, eq=False)
class Refined:
    """Exceptions and sources of refined sets, and the cells that would be positive and negative at once.

    Args:
        exceptions: Verified negatives or unknown cells of each row, as its source says; None where there are none.
        sources: The sources, with the narrow labels that they annotate now.
        contradicted: Cells that were given as positive and have a negative wider label.
    """

    exceptions: Csr | None
    sources: tuple[LabelSource, ...]
    contradicted: Csr


def refine_negatives(sets: LabelSets, links: Csr, positives: Csr, num_narrow: int) -> Refined:
    """Return the exceptions and sources of the narrower labels: negative under a negative, else unknown.

    Args:
        sets: Label sets of the wider labels.
        links: For each wider label its narrower ones.
        positives: Narrower labels that are positive, for each row.
        num_narrow: Number of narrower labels.

    >>> from manyhot.labels.space import LabelSpace
    >>> sets = LabelSets.from_names([["animal"], []], LabelSpace(names=("animal",)))
    >>> refine_negatives(sets, Csr.from_lists([[0, 1]]), Csr.empty(2), 2).exceptions.indptr
    array([0, 2, 2])
    """
    pieces: list[tuple[Int64[np.ndarray, " k"], Csr]] = []
    clashes: list[tuple[Int64[np.ndarray, " k"], Csr]] = []
    sources: list[LabelSource] = []
    for number, source in enumerate(sets.sources):
        rows = rows_by_source(sets.source_ids, number, sets.num_samples)
        taken = sets if sets.source_ids is None else sets.take(rows)
        own = positives if sets.source_ids is None else positives.take(rows)
        narrow = masked_links(links, annotated_mask(source, sets.num_labels))
        if source.unlisted == "unknown":
            exceptions = follow_links(taken.exceptions or Csr.empty(len(rows)), links, num_narrow)
            clash = select_entries(own, common_entries(own, exceptions))
        else:
            exceptions, clash = _unknown_cells(taken, narrow, own, num_narrow)
        pieces.append((rows, without(exceptions, own)))
        clashes.append((rows, clash))
        sources.append(replace(source, annotated=annotated_ids(np.bincount(narrow.ids, minlength=num_narrow) > 0)))
    exceptions = reunited(pieces, sets.num_samples)
    return Refined(
        exceptions=exceptions if exceptions.size else None,
        sources=tuple(sources),
        contradicted=reunited(clashes, sets.num_samples),
    )


def _unknown_cells(sets: LabelSets, links: Csr, positives: Csr, num_narrow: int) -> tuple[Csr, Csr]:
    """Return the narrower cells under no negative, and the positive ones that are under one.

    Unlisted cells are negative here, so a narrower cell is under no negative if all its wider ones are listed.
    """
    listed = sets.positives if sets.exceptions is None else union(sets.positives, sets.exceptions)
    reached, counts = follow_counted(listed, links, num_narrow)
    needed = np.bincount(links.ids, minlength=num_narrow)
    unknown = select_entries(reached, counts == needed[reached.ids])
    return unknown, without(select_entries(positives, needed[positives.ids] > 0), unknown)


def annotated_mask(source: LabelSource, num_labels: int) -> Bool[np.ndarray, " l"]:
    """Return which labels a source annotated.

    >>> annotated_mask(LabelSource(annotated=(1,)), 3)
    array([False,  True, False])
    """
    mask = np.full(num_labels, source.annotated is None)
    if source.annotated is not None:
        mask[list(source.annotated)] = True
    return mask


def annotated_ids(mask: Bool[np.ndarray, " l"]) -> tuple[int, ...] | None:
    """Return the ids of annotated labels as a source wants them: None for all.

    >>> annotated_ids(np.array([True, False])), annotated_ids(np.array([True, True]))
    ((0,), None)
    """
    return None if mask.all() else tuple(np.flatnonzero(mask).tolist())
