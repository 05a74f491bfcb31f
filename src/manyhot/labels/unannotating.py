"""Labels that are not to be judged: their cells become unknown, everything else stays."""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool

from manyhot.errors import LabelError
from manyhot.labels.linking import select_entries
from manyhot.labels.relabelling import annotated_ids, annotated_mask
from manyhot.labels.sets import LabelSets


def unannotate(sets: LabelSets, labels: Bool[np.ndarray, " l"]) -> LabelSets:
    """Return the sets with every cell of the chosen labels unknown, positives too; no row goes.

    Args:
        sets: Any label sets.
        labels: Which labels become unknown.

    Raises:
        LabelError: If there is not one entry a label.

    >>> unannotate(LabelSets.from_names([["cat", "dog"], []]), np.array([True, False])).to_multi_hot().tolist()
    [[nan, 1.0], [nan, 0.0]]
    """
    if labels.shape != (sets.num_labels,):
        raise LabelError(
            f"{labels.shape} entries say which labels become unknown; give one for each of {sets.num_labels:,}"
        )
    if not labels.any():
        return sets
    kept = ~labels[sets.positives.ids]
    exceptions = None
    if sets.exceptions is not None:
        exceptions = select_entries(sets.exceptions, ~labels[sets.exceptions.ids])
    sources = tuple(
        replace(source, annotated=annotated_ids(annotated_mask(source, sets.num_labels) & ~labels))
        for source in sets.sources
    )
    return LabelSets(
        space=sets.space,
        positives=select_entries(sets.positives, kept),
        exceptions=exceptions,
        sources=sources,
        source_ids=sets.source_ids,
        confidence=None if sets.confidence is None else sets.confidence[kept],
    )
