"""The label sets of several data sets, one after the other, in memory; `building.write_parts` does it on disk."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, UInt16

from manyhot.errors import LabelError
from manyhot.labels.csr import Csr
from manyhot.labels.linking import stacked
from manyhot.labels.sets import LabelSets
from manyhot.labels.source import LabelSource


def concatenate_sets(parts: Sequence[LabelSets]) -> LabelSets:
    """Return the rows of several label sets of one space; each row keeps its source, and equal sources are one.

    Where some have confidence, positives of the others are certain.

    Raises:
        LabelError: If there are none, or their label spaces differ.

    >>> cats, none = LabelSets.from_names([["cat"], []]), LabelSets.from_names([[]])
    >>> concatenate_sets([cats, LabelSets.from_names([["cat"]])]).to_multi_hot().tolist()
    [[1.0], [0.0], [1.0]]
    >>> concatenate_sets([cats, none])
    Traceback (most recent call last):
    manyhot.errors.LabelError: label sets of different label spaces cannot follow each other; align or map them first
    """
    if not parts:
        raise LabelError("there are no label sets to put one after the other; give one at least")
    space = parts[0].space
    if any(part.space != space for part in parts):
        raise LabelError("label sets of different label spaces cannot follow each other; align or map them first")
    numbers: dict[LabelSource, int] = {}
    source_ids = np.concatenate([_numbered(part, numbers) for part in parts])
    has_exceptions = any(part.exceptions is not None for part in parts)
    return LabelSets(
        space=space,
        positives=stacked([part.positives for part in parts]),
        exceptions=stacked([part.exceptions or Csr.empty(part.num_samples) for part in parts])
        if has_exceptions
        else None,
        sources=tuple(numbers),
        source_ids=source_ids if len(numbers) > 1 else None,
        confidence=_confidence(parts),
    )


def _numbered(part: LabelSets, numbers: dict[LabelSource, int]) -> UInt16[np.ndarray, " n"]:
    own = [numbers.setdefault(source, len(numbers)) for source in part.sources]
    if len(numbers) > 1 << 16:
        raise LabelError("there are more than 65,536 sources; merge those that mean the same")
    ids = np.zeros(part.num_samples, dtype=np.int64) if part.source_ids is None else part.source_ids
    return np.array(own, dtype=np.uint16)[ids]


def _confidence(parts: Sequence[LabelSets]) -> Float32[np.ndarray, " p"] | None:
    if all(part.confidence is None for part in parts):
        return None
    sure = [np.ones(part.positives.size) if part.confidence is None else part.confidence for part in parts]
    return np.concatenate(sure).astype(np.float32)
