"""Loops that count labels, pairs and whole rows, compiled at first use; import this inside functions only."""

# ruff: noqa: PLR0917 - compiled functions are called by position

from typing import no_type_check

import numpy as np
from jaxtyping import Int32, Int64, Integer, UInt64

from manyhot.compiling import compiled


@compiled
@no_type_check
def order_by_label(
    indptr: Int64[np.ndarray, " offsets"],
    ids: Integer[np.ndarray, " p"],
    ends: Int64[np.ndarray, " l"],
    places: Int64[np.ndarray, " k"],
) -> None:
    """Write where the ids of some rows stand, label by label, and in `ends` where the places of each label end.

    A place is the entry counted from the first row's, times 2^32, plus how many entries its row still has from there:
    one write for each id, where its rows could be far apart.
    """
    first = indptr[0]
    some = ids[first : indptr[-1]]
    ends[:] = 0
    for label in some:
        ends[label] += 1
    total = 0
    for label in range(len(ends)):
        ends[label], total = total, total + ends[label]
    for row in range(len(indptr) - 1):
        end = indptr[row + 1] - first
        for entry in range(indptr[row] - first, end):
            label = some[entry]
            places[ends[label]] = (entry << 32) | (end - entry)
            ends[label] += 1


@compiled
@no_type_check
def count_pairs(
    some: Integer[np.ndarray, " p"],
    ends: Int64[np.ndarray, " l"],
    places: Int64[np.ndarray, " k"],
    triangle: Int32[np.ndarray, " pairs"],
) -> None:
    """Add each pair of labels of some rows, a label with itself included, to the upper triangle, row by row in memory.

    Label by label, as `order_by_label` leaves them: one row of the triangle at a time is at work, and stays in the cache.
    """
    num_labels = len(ends)
    at = 0
    for label in range(num_labels):
        # Row `label` of the triangle starts at its diagonal. A slice from before it: its index is an id, never negative.
        base = label * num_labels - label * (label - 1) // 2 - label
        counts = triangle[base : base + num_labels]
        for place in places[at : ends[label]]:
            entry = place >> 32
            for other in some[entry : entry + (place & 0xFFFFFFFF)]:
                counts[other] += 1
        at = ends[label]


@compiled
@no_type_check
def count_partners(
    label: int,
    rows: Integer[np.ndarray, " k"],
    indptr: Int64[np.ndarray, " offsets"],
    ids: Integer[np.ndarray, " p"],
    counts: Int64[np.ndarray, " l"],
    partners: Int64[np.ndarray, " l"],
) -> int:
    """Count the higher labels of the rows that carry a label; return how many there are.

    `counts` is left dirty for the partners only, whose counts the caller reads and sets to 0.
    """
    found = 0
    for row in rows:
        for entry in range(indptr[row + 1] - 1, indptr[row] - 1, -1):
            other = ids[entry]
            if other <= label:
                break
            if counts[other] == 0:
                partners[found] = other
                found += 1
            counts[other] += 1
    return found


@compiled
@no_type_check
def top_partners(
    label_indptr: Int64[np.ndarray, " label_offsets"],
    label_rows: Integer[np.ndarray, " p"],
    first_label: int,
    end_label: int,
    indptr: Int64[np.ndarray, " offsets"],
    ids: Integer[np.ndarray, " p"],
    counts: Int64[np.ndarray, " l"],
    partners: Int64[np.ndarray, " l"],
    heap: Int64[np.ndarray, "k 3"],
    size: int,
) -> int:
    """Keep the pairs of most rows among a range of first labels in a heap whose root is the least; return its size.

    An entry is (rows, -first, -second), so that of equal pairs the lowest ids are kept.
    """
    for label in range(first_label, end_label):
        rows = label_rows[label_indptr[label] : label_indptr[label + 1]]
        found = count_partners(label, rows, indptr, ids, counts, partners)
        for place in range(found):
            other = partners[place]
            size = _offer(heap, size, counts[other], -label, -other)
            counts[other] = 0
    return size


@compiled
@no_type_check
def _is_less(heap: Int64[np.ndarray, "k 3"], left: int, right: int) -> bool:
    for column in range(3):
        if heap[left, column] != heap[right, column]:
            return heap[left, column] < heap[right, column]
    return False


@compiled
@no_type_check
def _swap(heap: Int64[np.ndarray, "k 3"], left: int, right: int) -> None:
    for column in range(3):
        heap[left, column], heap[right, column] = heap[right, column], heap[left, column]


@compiled
@no_type_check
def _offer(heap: Int64[np.ndarray, "k 3"], size: int, count: int, first: int, second: int) -> int:
    """Put an entry into the heap, or in the place of its least where the heap is full; return the heap's size."""
    if size < len(heap):
        heap[size] = (count, first, second)
        at = size
        while at > 0 and _is_less(heap, at, (at - 1) // 2):
            _swap(heap, at, (at - 1) // 2)
            at = (at - 1) // 2
        return size + 1
    least = heap[0]
    if (count, first, second) <= (least[0], least[1], least[2]):
        return size
    heap[0] = (count, first, second)
    at = 0
    while True:
        child = 2 * at + 1
        if child >= size:
            return size
        if child + 1 < size and _is_less(heap, child + 1, child):
            child += 1
        if not _is_less(heap, child, at):
            return size
        _swap(heap, at, child)
        at = child


@compiled
@no_type_check
def hash_rows(
    indptr: Int64[np.ndarray, " offsets"],
    ids: Integer[np.ndarray, " p"],
    keys: UInt64[np.ndarray, " l"],
    hashes: UInt64[np.ndarray, " rows"],
) -> None:
    """Write a number for each row that equal rows share, of the keys of its labels; others nearly never do."""
    for row in range(len(indptr) - 1):
        hashes[row] = 0
        for entry in range(indptr[row], indptr[row + 1]):
            hashes[row] ^= keys[ids[entry]]


@compiled
@no_type_check
def rows_differ(
    indptr: Int64[np.ndarray, " offsets"],
    ids: Integer[np.ndarray, " p"],
    order: Int64[np.ndarray, " rows"],
    hashes: UInt64[np.ndarray, " rows"],
) -> bool:
    """Return whether two neighbours in `order` have the same number but not the same ids."""
    for place in range(1, len(order)):
        row, before = order[place], order[place - 1]
        if hashes[row] != hashes[before]:
            continue
        length = indptr[row + 1] - indptr[row]
        if indptr[before + 1] - indptr[before] != length:
            return True
        for offset in range(length):
            if ids[indptr[row] + offset] != ids[indptr[before] + offset]:
                return True
    return False
