"""Loops over rows of label ids that follow links to other labels, compiled at first use; import this inside functions only."""

# ruff: noqa: PLR0917 - compiled functions are called by position

from typing import no_type_check

import numpy as np
from jaxtyping import Bool, Float32, Int32, Int64, Integer, Shaped

from manyhot.compiling import compiled


@compiled
@no_type_check
def count_linked(
    indptr: Int64[np.ndarray, " offsets"],
    ids: Integer[np.ndarray, " p"],
    link_indptr: Int64[np.ndarray, " link_offsets"],
    link_ids: Integer[np.ndarray, " links"],
    num_targets: int,
    lengths: Int64[np.ndarray, " rows"],
) -> None:
    """Write for each row the number of distinct labels that its ids are linked to."""
    seen = np.full(num_targets, -1, np.int64)
    for row in range(len(indptr) - 1):
        found = 0
        for entry in range(indptr[row], indptr[row + 1]):
            label = np.int64(ids[entry])
            for link in range(link_indptr[label], link_indptr[label + 1]):
                target = link_ids[link]
                if seen[target] != row:
                    seen[target] = row
                    found += 1
        lengths[row] = found


@compiled
@no_type_check
def fill_linked(
    indptr: Int64[np.ndarray, " offsets"],
    ids: Integer[np.ndarray, " p"],
    values: Float32[np.ndarray, " v"],
    link_indptr: Int64[np.ndarray, " link_offsets"],
    link_ids: Integer[np.ndarray, " links"],
    num_targets: int,
    new_indptr: Int64[np.ndarray, " offsets"],
    new_ids: Integer[np.ndarray, " q"],
    new_counts: Int32[np.ndarray, " c"],
    new_values: Float32[np.ndarray, " w"],
) -> None:
    """Write for each row the labels that its ids are linked to, sorted, and by how many of its ids each is reached.

    Where `new_values` has entries, each label also gets the largest of the `values` of the ids that reach it; where
    `new_counts` has none, nothing is counted.
    """
    seen = np.full(num_targets, -1, np.int64)
    reached = np.zeros(num_targets, np.int32)
    largest = np.zeros(num_targets, np.float32)
    with_values, with_counts = len(new_values) > 0, len(new_counts) > 0
    for row in range(len(indptr) - 1):
        start = new_indptr[row]
        end = start
        for entry in range(indptr[row], indptr[row + 1]):
            label = np.int64(ids[entry])
            value = values[entry] if with_values else np.float32(0)
            for link in range(link_indptr[label], link_indptr[label + 1]):
                target = link_ids[link]
                if seen[target] != row:
                    seen[target] = row
                    reached[target] = 0
                    largest[target] = value
                    new_ids[end] = target
                    end += 1
                reached[target] += 1
                largest[target] = max(largest[target], value)
        if end - start > 1:
            new_ids[start:end].sort()
        for entry in range(start, end):
            if with_counts:
                new_counts[entry] = reached[new_ids[entry]]
            if with_values:
                new_values[entry] = largest[new_ids[entry]]


@compiled
@no_type_check
def mark_common(
    indptr: Int64[np.ndarray, " offsets"],
    ids: Integer[np.ndarray, " p"],
    other_indptr: Int64[np.ndarray, " offsets"],
    other_ids: Integer[np.ndarray, " q"],
    common: Bool[np.ndarray, " p"],
) -> None:
    """Mark the entries that stand in the same row of the other lists."""
    for row in range(len(indptr) - 1):
        other, end = other_indptr[row], other_indptr[row + 1]
        for entry in range(indptr[row], indptr[row + 1]):
            while other < end and other_ids[other] < ids[entry]:
                other += 1
            common[entry] = other < end and other_ids[other] == ids[entry]


@compiled
@no_type_check
def merge_rows(
    indptr: Int64[np.ndarray, " offsets"],
    ids: Integer[np.ndarray, " p"],
    other_indptr: Int64[np.ndarray, " offsets"],
    other_ids: Integer[np.ndarray, " q"],
    merged: Integer[np.ndarray, " r"],
) -> None:
    """Write the ids of both lists of each row, which have none in common, in order."""
    at = 0
    for row in range(len(indptr) - 1):
        entry, end = indptr[row], indptr[row + 1]
        other, other_end = other_indptr[row], other_indptr[row + 1]
        while entry < end or other < other_end:
            if other == other_end or (entry < end and ids[entry] < other_ids[other]):
                merged[at] = ids[entry]
                entry += 1
            else:
                merged[at] = other_ids[other]
                other += 1
            at += 1


@compiled
@no_type_check
def spread_values(
    values: Shaped[np.ndarray, "n l"],
    order: Int64[np.ndarray, " l"],
    link_indptr: Int64[np.ndarray, " link_offsets"],
    link_ids: Integer[np.ndarray, " links"],
    lowering: bool,
) -> None:
    """Raise, in place and in the given order, what each label is linked to until it is no smaller than the label.

    When `lowering`, lower it until it is no larger.
    """
    for row in range(values.shape[0]):
        for label in order:
            value = values[row, label]
            for link in range(link_indptr[label], link_indptr[label + 1]):
                target = link_ids[link]
                if lowering:
                    values[row, target] = min(values[row, target], value)
                else:
                    values[row, target] = max(values[row, target], value)


@compiled
@no_type_check
def count_pairs_along(
    indptr: Int64[np.ndarray, " offsets"],
    ids: Integer[np.ndarray, " p"],
    other_indptr: Int64[np.ndarray, " offsets"],
    other_ids: Integer[np.ndarray, " q"],
    link_indptr: Int64[np.ndarray, " link_offsets"],
    link_ids: Integer[np.ndarray, " links"],
    counts: Int64[np.ndarray, " links"],
) -> None:
    """Count for each link the rows that hold its label, and in the other lists what it is linked to."""
    stamps = np.full(len(link_indptr) - 1, -1, np.int64)
    for row in range(len(indptr) - 1):
        for other in range(other_indptr[row], other_indptr[row + 1]):
            stamps[other_ids[other]] = row
        for entry in range(indptr[row], indptr[row + 1]):
            label = np.int64(ids[entry])
            for link in range(link_indptr[label], link_indptr[label + 1]):
                counts[link] += stamps[link_ids[link]] == row
