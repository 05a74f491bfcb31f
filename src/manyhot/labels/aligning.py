"""The same labels under other ids: label sets over another space, matched by name."""

from dataclasses import replace

import numpy as np
from jaxtyping import Int64

from manyhot.errors import LabelError
from manyhot.labels.csr import Csr, narrow_ids
from manyhot.labels.sets import LabelSets
from manyhot.labels.source import LabelSource
from manyhot.labels.space import LabelSpace


def align_sets(sets: LabelSets, space: LabelSpace) -> LabelSets:
    """Return label sets over another label space, matched by name.

    A label that the sets' own space lacks was not annotated there: its cells are unknown.

    Raises:
        LabelError: If the sets' space holds a label that the other lacks.

    >>> space = LabelSpace(names=("ant", "dog", "cat"))
    >>> align_sets(LabelSets.from_names([["cat"], []]), space).to_multi_hot().tolist()
    [[nan, nan, 1.0], [nan, nan, 0.0]]
    """
    if sets.space is space or sets.space == space:
        return sets
    known = set(space.names)
    strange = [name for name in sets.space.names if name not in known]
    if strange:
        raise LabelError(
            f"{len(strange):,} labels are not in the label space, the first is {strange[0]!r}; add them, or map them"
        )
    target = np.array(space.ids_of(sets.space.names), dtype=np.int64)
    positives, order = _renumbered(sets.positives, target)
    return LabelSets(
        space=space,
        positives=positives,
        exceptions=None if sets.exceptions is None else _renumbered(sets.exceptions, target)[0],
        sources=tuple(_renumbered_source(source, target, len(space)) for source in sets.sources),
        source_ids=sets.source_ids,
        confidence=None if sets.confidence is None else sets.confidence[order],
    )


def _renumbered(rows: Csr, target: Int64[np.ndarray, " l"]) -> tuple[Csr, Int64[np.ndarray, " p"]]:
    ids, row_ids = target[rows.ids], rows.row_ids()
    order = np.lexsort((ids, row_ids))
    return Csr(rows.indptr, narrow_ids(ids[order])), order


def _renumbered_source(source: LabelSource, target: Int64[np.ndarray, " l"], num_labels: int) -> LabelSource:
    if source.annotated is None and len(target) == num_labels:
        return source
    annotated = range(len(target)) if source.annotated is None else source.annotated
    return replace(source, annotated=tuple(sorted(int(target[label]) for label in annotated)))
