"""Rows of label ids: built, taken and checked, with ids of any size."""

import numpy as np
import pytest

from manyhot.errors import LabelError
from manyhot.labels import Csr

RAGGED = [[3, 1], [], [], [0], [2, 0, 1], []]


def as_lists(rows: Csr) -> list[list[int]]:
    return [rows.row(row).tolist() for row in range(rows.num_rows)]


def test_rows_are_sorted_and_repeated_ids_count_once():
    assert as_lists(Csr.from_lists([[3, 1, 3], [], [0]])) == [[1, 3], [], [0]]


@pytest.mark.parametrize("rows", [[], [[]], [[], []]])
def test_rows_without_ids_are_rows(rows: list[list[int]]):
    built = Csr.from_lists(rows)
    built.check(5, "rows")
    assert (built.num_rows, built.size) == (len(rows), 0)
    assert as_lists(built) == as_lists(Csr.empty(len(rows))) == rows


@pytest.mark.parametrize(("largest", "dtype"), [(65_535, np.uint16), (65_536, np.uint32), (2**31 - 1, np.uint32)])
def test_ids_take_two_bytes_where_they_fit(largest: int, dtype: type[np.generic]):
    rows = Csr.from_lists([[largest, 0]])
    assert rows.ids.dtype == dtype
    assert as_lists(rows) == [[0, largest]]


def test_an_id_that_32_bits_cannot_hold_is_refused_and_not_wrapped():
    with pytest.raises(LabelError, match="4294967297 is too large"):
        Csr.from_lists([[2**32 + 1]])
    with pytest.raises(LabelError, match="no whole number"):
        Csr.from_lists([[2**70]])


@pytest.mark.parametrize("row", [[1.0], ["3"], [None]])
def test_an_id_that_is_no_whole_number_is_refused_and_not_rounded(row: list[int], without_shape_checks: None):
    with pytest.raises(LabelError, match="no whole number"):
        Csr.from_lists([row])


def test_a_negative_id_is_refused():
    with pytest.raises(LabelError, match="label id -2 is negative"):
        Csr.from_lists([[0], [-2]])


def test_keys_of_narrow_dtypes_do_not_overflow():
    row_ids = np.array([0, 40_000, 65_535], dtype=np.uint16)
    ids = np.array([65_535, 65_534, 1], dtype=np.uint16)
    rows = Csr.from_pairs(row_ids, ids, num_rows=65_536)
    assert rows.row_ids().tolist() == [0, 40_000, 65_535]
    assert rows.ids.tolist() == [65_535, 65_534, 1]


@pytest.mark.parametrize("row", [-1, 3])
def test_a_pair_outside_the_rows_is_refused(row: int):
    with pytest.raises(LabelError, match=f"rows run from {row} to {row}; there are 3 rows"):
        Csr.from_pairs(np.array([row]), np.array([0]), num_rows=3)


def test_pairs_of_different_lengths_are_refused(without_shape_checks: None):
    with pytest.raises(LabelError, match="2 rows for 1 label ids"):
        Csr.from_pairs(np.array([0, 1]), np.array([0]), num_rows=3)


@pytest.mark.parametrize("rows", [[], [4], [4, 0, 4], [1, 2, 5], [5, 4, 3, 2, 1, 0]])
def test_rows_are_taken_in_the_order_given(rows: list[int]):
    taken = Csr.from_lists(RAGGED).take(np.array(rows, dtype=np.int64))
    assert as_lists(taken) == [sorted(RAGGED[row]) for row in rows]


def test_taking_works_on_read_only_arrays():
    rows = Csr.from_lists(RAGGED)
    rows.indptr.setflags(write=False)
    rows.ids.setflags(write=False)
    rows.check(4, "rows")
    assert as_lists(rows.take(np.array([3]))) == [[0]]


def test_contains_is_the_dense_matrix():
    assert Csr.from_lists([[1], [], [0, 2]]).contains(3).tolist() == [[0, 1, 0], [0, 0, 0], [1, 0, 1]]


@pytest.mark.parametrize(
    ("indptr", "ids", "message"),
    [
        ([0, 1, 2], [0, 4], "row 1 has label id 4, but there are 4 labels"),
        ([0, 0, 2], [2, 1], "the ids of row 1 are not sorted and unique"),
        ([0, 2, 2], [1, 1], "the ids of row 0 are not sorted and unique"),
        ([0, 2, 1], [0, 1], "row offsets must grow from 0 to the number of ids, 2"),
        ([1, 2, 2], [0, 1], "row offsets must grow"),
        ([0, 1, 1], [0, 1], "row offsets must grow"),
        ([], [], "row offsets must grow"),
    ],
)
def test_a_broken_row_is_named(indptr: list[int], ids: list[int], message: str):
    rows = Csr(np.array(indptr, dtype=np.int64), np.array(ids, dtype=np.int64))
    with pytest.raises(LabelError, match=f"^data: .*{message}"):
        rows.check(4, "data")


def test_a_negative_id_in_signed_ids_is_named():
    with pytest.raises(LabelError, match="row 1 has label id -1"):
        Csr(np.array([0, 0, 1]), np.array([-1])).check(4, "data")


def test_falling_ids_at_the_border_of_two_rows_are_right():
    Csr(np.array([0, 0, 1, 1, 2, 2]), np.array([3, 0])).check(4, "data")


def test_other_dtypes_are_refused(without_shape_checks: None):
    with pytest.raises(LabelError, match="expected int64 and integers"):
        Csr(np.array([0, 1]), np.array([0.0])).check(4, "data")
    with pytest.raises(LabelError, match="row offsets are int32"):
        Csr(np.array([0, 1], dtype=np.int32), np.array([0])).check(4, "data")
