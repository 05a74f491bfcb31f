"""Rows of label ids led over links to other labels, joined and subtracted; the algebra under hierarchies and mappings.

Links are rows of ids too: row `a` lists the labels that label `a` is linked to.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Float32, Int32, Int64, Integer

from manyhot.labels.csr import Csr, offsets_of

NO_VALUES = np.zeros(0, dtype=np.float32)


def follow_links(rows: Csr, links: Csr, num_targets: int) -> Csr:
    """Return for each row the labels that its ids are linked to, each once.

    >>> follow_links(Csr.from_lists([[0, 1], []]), Csr.from_lists([[2], [0, 2]]), 3).ids
    array([0, 2], dtype=uint16)
    """
    return _follow(rows, links, num_targets, NO_VALUES, counted=False)[0]


def follow_counted(rows: Csr, links: Csr, num_targets: int) -> tuple[Csr, Int32[np.ndarray, " q"]]:
    """Return what `follow_links` does, and for each entry how many of the row's ids lead to it.

    >>> follow_counted(Csr.from_lists([[0, 1]]), Csr.from_lists([[2], [0, 2]]), 3)[1]
    array([1, 2], dtype=int32)
    """
    reached, counts, _ = _follow(rows, links, num_targets, NO_VALUES, counted=True)
    return reached, counts


def follow_with_largest(
    rows: Csr, links: Csr, num_targets: int, values: Float[np.ndarray, " p"]
) -> tuple[Csr, Float[np.ndarray, " q"]]:
    """Return what `follow_links` does, and for each entry the largest value of the ids that lead to it.

    >>> follow_with_largest(Csr.from_lists([[0, 1]]), Csr.from_lists([[2], [0, 2]]), 3, np.array([0.9, 0.5]))[1]
    array([0.5, 0.9])
    """
    # The largest entry's place would be as good as its value; float16 and float32 pass through float32 unchanged.
    reached, _, largest = _follow(rows, links, num_targets, values.astype(np.float32), counted=False)
    if values.dtype == np.float64:
        return reached, _restored(largest, values)
    return reached, largest.astype(values.dtype)


def _restored(largest: Float32[np.ndarray, " q"], values: Float[np.ndarray, " p"]) -> Float[np.ndarray, " q"]:
    """Return the float64 values whose roundings to float32 are given; the largest of those that round alike."""
    exact = np.sort(values)
    return exact[np.searchsorted(exact.astype(np.float32), largest, side="right") - 1]


def _follow(
    rows: Csr, links: Csr, num_targets: int, values: Float32[np.ndarray, " v"], *, counted: bool
) -> tuple[Csr, Int32[np.ndarray, " c"], Float32[np.ndarray, " w"]]:
    from manyhot.labels import link_kernels

    lengths = np.zeros(rows.num_rows, dtype=np.int64)
    link_kernels.count_linked(rows.indptr, rows.ids, links.indptr, links.ids, num_targets, lengths)
    indptr = offsets_of(lengths)
    size = int(indptr[-1])
    ids = np.empty(size, dtype=id_dtype(num_targets))
    counts = np.empty(size if counted else 0, dtype=np.int32)
    largest = np.empty(size if values.size else 0, dtype=np.float32)
    link_kernels.fill_linked(
        rows.indptr, rows.ids, values, links.indptr, links.ids, num_targets, indptr, ids, counts, largest
    )
    return Csr(indptr, ids), counts, largest


def id_dtype(num_labels: int) -> type[np.uint16 | np.uint32]:
    """Return the narrower of two types that holds every id below `num_labels`.

    >>> id_dtype(65_536), id_dtype(65_537)
    (<class 'numpy.uint16'>, <class 'numpy.uint32'>)
    """
    return np.uint16 if num_labels <= np.iinfo(np.uint16).max + 1 else np.uint32


def transposed(links: Csr, num_targets: int) -> Csr:
    """Return the links the other way: row `b` lists the labels that are linked to `b`.

    >>> transposed(Csr.from_lists([[1], [0, 1]]), 2).ids
    array([1, 0, 1], dtype=uint16)
    """
    return Csr.from_pairs(links.ids, links.row_ids(), num_targets)


def common_entries(rows: Csr, others: Csr) -> Bool[np.ndarray, " p"]:
    """Return which entries of `rows` stand in the same row of `others` too.

    >>> common_entries(Csr.from_lists([[0, 2], [1]]), Csr.from_lists([[2], []]))
    array([False,  True, False])
    """
    from manyhot.labels import link_kernels

    common = np.zeros(rows.size, dtype=bool)
    link_kernels.mark_common(rows.indptr, rows.ids, others.indptr, others.ids, common)
    return common


def select_entries(rows: Csr, chosen: Bool[np.ndarray, " p"]) -> Csr:
    """Return the rows with the chosen entries only.

    >>> select_entries(Csr.from_lists([[0, 2], [1]]), np.array([True, False, True])).indptr
    array([0, 1, 2])
    """
    return Csr(offsets_of(chosen)[rows.indptr], rows.ids[chosen])


def without(rows: Csr, others: Csr) -> Csr:
    """Return the rows without the ids that stand in the same row of `others`.

    >>> without(Csr.from_lists([[0, 2], [1]]), Csr.from_lists([[2], []])).ids
    array([0, 1], dtype=uint16)
    """
    if not rows.size or not others.size:
        return rows
    return select_entries(rows, ~common_entries(rows, others))


def union(rows: Csr, others: Csr) -> Csr:
    """Return the rows with the ids of both.

    >>> union(Csr.from_lists([[0, 2], [1]]), Csr.from_lists([[1, 2], []])).ids
    array([0, 1, 2, 1], dtype=uint16)
    """
    from manyhot.labels import link_kernels

    others = without(others, rows)
    if not others.size:
        return rows
    merged = np.empty(rows.size + others.size, dtype=np.promote_types(rows.ids.dtype, others.ids.dtype))
    link_kernels.merge_rows(rows.indptr, rows.ids, others.indptr, others.ids, merged)
    return Csr(rows.indptr + others.indptr, merged)


def masked_links(links: Csr, kept: Bool[np.ndarray, " a"]) -> Csr:
    """Return the links of the kept labels; the others have none.

    >>> masked_links(Csr.from_lists([[1], [0, 1]]), np.array([False, True])).indptr
    array([0, 0, 2])
    """
    return links if kept.all() else select_entries(links, np.repeat(kept, links.lengths()))


def reunited(pieces: Sequence[tuple[Int64[np.ndarray, " _rows"], Csr]], num_rows: int) -> Csr:
    """Return one list of rows from pieces, each with the numbers of its rows; rows of no piece are empty.

    >>> reunited([(np.array([2, 0]), Csr.from_lists([[5], [7, 8]]))], 3).indptr
    array([0, 2, 2, 3])
    """
    filled = [(numbers, rows) for numbers, rows in pieces if rows.size]
    if not filled:
        return Csr.empty(num_rows)
    if len(filled) == 1 and np.array_equal(filled[0][0], np.arange(num_rows)):
        return filled[0][1]
    # Rows of no piece read the empty row at the end.
    together = stacked([*(rows for _, rows in filled), Csr.empty(1)])
    place = np.full(num_rows, together.num_rows - 1, dtype=np.int64)
    place[np.concatenate([numbers for numbers, _ in filled])] = np.arange(together.num_rows - 1)
    return together.take(place)


def stacked(parts: Sequence[Csr]) -> Csr:
    """Return the rows of several lists of rows, one after the other.

    >>> stacked([Csr.from_lists([[5], []]), Csr.from_lists([[7, 8]])]).indptr
    array([0, 1, 1, 3])
    """
    lengths = np.concatenate([rows.lengths() for rows in parts])
    return Csr(offsets_of(lengths), np.concatenate([rows.ids for rows in parts]))


def rows_by_source(source_ids: Integer[np.ndarray, " n"] | None, source: int, num_rows: int) -> Int64[np.ndarray, " k"]:
    """Return the rows of one source.

    >>> rows_by_source(np.array([1, 0, 1]), 1, 3), rows_by_source(None, 0, 2)
    (array([0, 2]), array([0, 1]))
    """
    return np.arange(num_rows) if source_ids is None else np.flatnonzero(source_ids == source)
