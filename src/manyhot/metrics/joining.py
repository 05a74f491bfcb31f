"""Truths of batches put one after the other, and rows taken from them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Int64

from manyhot.errors import ScoreError
from manyhot.labels import Csr
from manyhot.metrics.truth import Truth


def join_truths(truths: Sequence[Truth]) -> Truth:
    """Return the truth of all samples of some batches, which must not be none.

    Raises:
        ScoreError: If batches have other labels.

    >>> from manyhot.metrics.truth import read_truth
    >>> from manyhot.targets import SparseTargets
    >>> first, second = (read_truth(SparseTargets.from_lists(rows, num_labels=2)) for rows in ([[0]], [[], [1]]))
    >>> join_truths([first, second]).row_positives
    array([1, 0, 1])
    """
    first = truths[0]
    for truth in truths[1:]:
        check_labels(first, truth)
    if len(truths) == 1:
        return first
    is_complete = all(truth.unlisted_known is None for truth in truths)
    unlisted, exceptions, source_ids = _joined_sources(truths)
    return replace(
        first,
        num_samples=sum(truth.num_samples for truth in truths),
        positives=_joined_rows([truth.positives for truth in truths]),
        unlisted_known=None if is_complete else unlisted,
        source_ids=source_ids,
        exceptions=None
        if all(truth.exceptions is None for truth in truths)
        else _joined_rows([truth.exceptions or Csr.empty(truth.num_samples) for truth in truths]),
        exception_known=exceptions,
    )


def check_labels(first: Truth, other: Truth) -> None:
    """Check that two batches have the same labels.

    Raises:
        ScoreError: If they have not.
    """
    if other.names is not first.names and other.names != first.names:
        raise ScoreError(
            f"one batch has {len(other.names):,} labels, another {len(first.names):,}, or their names differ; judge "
            "models of one label space at a time"
        )


def take_truth(truth: Truth, rows: Int64[np.ndarray, " k"]) -> Truth:
    """Return the truth of some rows, in the order asked for."""
    return replace(
        truth,
        num_samples=len(rows),
        positives=truth.positives.take(rows),
        source_ids=truth.source_ids[rows],
        exceptions=None if truth.exceptions is None else truth.exceptions.take(rows),
    )


def _joined_rows(parts: Sequence[Csr]) -> Csr:
    lengths = np.concatenate([part.lengths() for part in parts])
    indptr = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    return Csr(indptr, np.concatenate([part.ids for part in parts]))


def _joined_sources(
    truths: Sequence[Truth],
) -> tuple[Bool[np.ndarray, "s l"], Bool[np.ndarray, " s"], Int64[np.ndarray, " n"]]:
    """Return the distinct sources: which unlisted cells of each are known, whether exceptions are, and each row's source."""
    kept: dict[bytes, int] = {}
    unlisted: list[Bool[np.ndarray, " l"]] = []
    exceptions: list[bool] = []
    source_ids: list[Int64[np.ndarray, " n"]] = []
    for truth in truths:
        known = truth.unlisted_known
        if known is None:
            known = np.ones((len(truth.exception_known), truth.num_labels), dtype=bool)
        numbers = np.empty(len(known), dtype=np.int64)
        for source, (row, exception) in enumerate(zip(known, truth.exception_known, strict=True)):
            identity = np.packbits(row).tobytes() + bytes([bool(exception)])
            if identity not in kept:
                kept[identity] = len(kept)
                unlisted.append(row)
                exceptions.append(bool(exception))
            numbers[source] = kept[identity]
        source_ids.append(numbers[truth.source_ids])
    return np.stack(unlisted), np.array(exceptions), np.concatenate(source_ids)
