"""Three states a cell, from every form in which people hold labels."""

import numpy as np
import pytest
import scipy.sparse

from manyhot.errors import LabelError
from manyhot.labels import Csr, LabelSets, LabelSource, LabelSpace

ABC = LabelSpace(names=("a", "b", "c"))
NAN = float("nan")


def dense(sets: LabelSets) -> list[list[float | None]]:
    """Return the states of all cells, with None for unknown: NaN equals nothing."""
    return [[None if np.isnan(cell) else cell for cell in row] for row in sets.to_multi_hot().tolist()]


def test_names_lists_dense_and_sparse_forms_agree():
    expected = [[1, 0, 1], [0, 0, 0], [0, 1, 0]]
    matrix = np.array(expected)
    forms = [
        LabelSets.from_names([["c", "a"], [], ["b"]], ABC),
        LabelSets.from_lists([[0, 2], [], [1, 1]], ABC),
        LabelSets.from_dense(matrix, ABC),
        LabelSets.from_dense(matrix.astype(bool), ABC),
        LabelSets.from_dense(matrix.astype(np.float16), ABC),
        LabelSets.from_scipy(scipy.sparse.csr_array(matrix), ABC),
        LabelSets.from_scipy(scipy.sparse.csc_matrix(matrix), ABC),
    ]
    for sets in forms:
        assert dense(sets) == expected
        assert sets.is_complete
        assert sets.known_mask().all()


def test_rows_without_labels_are_samples():
    sets = LabelSets.from_names([[], [], []], ABC)
    assert (sets.num_samples, sets.num_labels, sets.positives.size) == (3, 3, 0)


def test_unlisted_cells_are_unknown_where_asked():
    sets = LabelSets.from_lists([[0], []], ABC, exceptions=[[2], []], unlisted="unknown")
    assert dense(sets) == [[1, None, 0], [None, None, None]]
    assert not sets.is_complete


def test_exceptions_are_unknown_where_unlisted_is_negative():
    sets = LabelSets.from_lists([[0], []], ABC, exceptions=[[2], [0]])
    assert dense(sets) == [[1, 0, None], [None, 0, 0]]


def test_each_source_says_what_its_unlisted_cells_mean():
    sets = LabelSets(
        space=ABC,
        positives=Csr.from_lists([[0], [0], [2], []]),
        exceptions=Csr.from_lists([[1], [1], [1], [1]]),
        sources=(LabelSource(), LabelSource(unlisted="unknown"), LabelSource(annotated=(0, 1))),
        source_ids=np.array([0, 1, 2, 2], dtype=np.uint16),
    )
    assert dense(sets) == [[1, None, 0], [1, 0, None], [0, None, 1], [0, None, None]]


@pytest.mark.parametrize("unlisted_is_rare", [True, False])
def test_dense_nan_is_unknown_whichever_state_is_stored(unlisted_is_rare: bool):
    matrix = np.array([[1, NAN, NAN], [NAN, 0, NAN]]) if unlisted_is_rare else np.array([[1, 0, 0], [NAN, 0, 0]])
    sets = LabelSets.from_dense(matrix, ABC)
    np.testing.assert_array_equal(sets.to_multi_hot(), matrix)
    assert sets.exceptions is not None
    assert sets.exceptions.size == 1


def test_a_stored_zero_is_a_verified_negative_only_where_unlisted_is_unknown():
    matrix = scipy.sparse.coo_array(([1, 0], ([0, 1], [0, 2])), shape=(2, 3))
    assert dense(LabelSets.from_scipy(matrix, ABC)) == [[1, 0, 0], [0, 0, 0]]
    assert dense(LabelSets.from_scipy(matrix, ABC, unlisted="unknown")) == [[1, None, None], [None, None, 0]]


def test_the_space_of_names_is_sorted_and_complete():
    assert LabelSets.from_names([["b"], ["a", "N/A"]]).space.names == ("N/A", "a", "b")


def test_one_sample_with_one_label_is_enough():
    assert dense(LabelSets.from_names([["a"]])) == [[1]]


def test_no_sample_at_all_is_a_label_set():
    sets = LabelSets.from_names([], ABC)
    assert (sets.num_samples, sets.to_multi_hot().shape, sets.take([]).num_samples) == (0, (0, 3), 0)


def test_rows_are_taken_with_all_that_belongs_to_them():
    sets = LabelSets(
        space=ABC,
        positives=Csr.from_lists([[0, 1], [], [2]]),
        exceptions=Csr.from_lists([[], [1], []]),
        sources=(LabelSource(), LabelSource(unlisted="unknown")),
        source_ids=np.array([0, 1, 1], dtype=np.uint16),
        confidence=np.array([0.25, 0.5, 1.0]),
    )
    rows = [2, 1, 0, 2]
    taken = sets.take(rows)
    np.testing.assert_array_equal(taken.to_multi_hot(), sets.to_multi_hot()[rows])
    assert taken.confidence is not None
    assert taken.confidence.tolist() == [1.0, 0.25, 0.5, 1.0]
    assert taken.source_ids is not None
    assert taken.source_ids.tolist() == [1, 1, 0, 1]


@pytest.mark.parametrize(("rows", "named"), [([0, 5, 7], 5), ([1, -1], -1), ([2], 2)])
def test_a_row_outside_the_samples_is_named(rows: list[int], named: int):
    with pytest.raises(LabelError, match=f"row {named} is outside the 2 samples"):
        LabelSets.from_names([["a"], []]).take(rows)


@pytest.mark.parametrize("rows", [np.array([True, False]), np.array([0.5])])
def test_a_mask_is_no_list_of_rows(rows: np.ndarray, without_shape_checks: None):
    with pytest.raises(LabelError, match=r"not whole numbers; np.flatnonzero\(mask\)"):
        LabelSets.from_names([["a"], []]).take(rows)


def test_one_string_is_no_row_of_names():
    with pytest.raises(LabelError, match=r"a row is the string 'cat', not a list of names; write \['cat'\]"):
        LabelSets.from_names(["cat", "dog"])


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(LabelError, match="did you mean 'drama'"):
        LabelSets.from_names([["drma"]], LabelSpace(names=("comedy", "drama")))


def test_a_strange_dense_value_is_named_with_its_cell():
    with pytest.raises(LabelError, match=r"2 cells are neither 1, 0 nor NaN; the first is 0.5 for label 'b' of row 1"):
        LabelSets.from_dense(np.array([[1, 0, 0], [0, 0.5, np.inf]]), ABC)


def test_a_strange_sparse_value_is_named():
    with pytest.raises(LabelError, match=r"1 stored values are neither 1 nor 0; the first is 2"):
        LabelSets.from_scipy(scipy.sparse.csr_array(np.array([[0, 2, 1]])), ABC)


def test_a_matrix_of_another_width_is_refused():
    with pytest.raises(LabelError, match=r"the matrix has shape \(1, 2\); expected \(samples, 3\)"):
        LabelSets.from_dense(np.zeros((1, 2)), ABC)
    with pytest.raises(LabelError, match=r"the matrix has shape \(1, 2\); expected \(samples, 3\)"):
        LabelSets.from_scipy(scipy.sparse.csr_array(np.ones((1, 2))), ABC)


def test_a_cell_in_two_lists_is_refused_and_named():
    with pytest.raises(LabelError, match=r"1 cells are both positive and in the exceptions; .* label 'c' of row 1"):
        LabelSets.from_lists([[0], [2]], ABC, exceptions=[[1], [0, 2]])


def test_exceptions_after_the_last_positive_are_no_conflict():
    sets = LabelSets.from_lists([[0], []], ABC, exceptions=[[], [2]])
    assert dense(sets) == [[1, 0, 0], [0, 0, None]]


def test_exceptions_without_positives_are_no_conflict():
    assert dense(LabelSets.from_lists([[]], ABC, exceptions=[[1]])) == [[0, None, 0]]


def test_an_id_outside_the_space_is_refused():
    with pytest.raises(LabelError, match="positives: row 1 has label id 3, but there are 3 labels"):
        LabelSets.from_lists([[0], [3]], ABC)
    with pytest.raises(LabelError, match="exceptions: row 0 has label id 9"):
        LabelSets.from_lists([[0]], ABC, exceptions=[[9]])


def test_exceptions_need_a_row_a_sample():
    with pytest.raises(LabelError, match="exceptions have 1 rows, positives 2"):
        LabelSets.from_lists([[0], [1]], ABC, exceptions=[[2]])


@pytest.mark.parametrize("confidence", [[0.5], [0.5, 0.0], [0.5, 1.5], [0.5, NAN]])
def test_a_confidence_is_a_share_of_one_for_each_positive(confidence: list[float]):
    with pytest.raises(LabelError, match="confidence"):
        LabelSets(space=ABC, positives=Csr.from_lists([[0, 1]]), confidence=np.array(confidence))


@pytest.mark.parametrize("source_ids", [[0], [0, 2], [0, 1, 1]])
def test_source_ids_are_an_index_a_row(source_ids: list[int]):
    with pytest.raises(LabelError, match="source_ids must hold one index below 2 for each of 2 rows"):
        LabelSets(
            space=ABC,
            positives=Csr.empty(2),
            sources=(LabelSource(), LabelSource()),
            source_ids=np.array(source_ids, dtype=np.uint16),
        )


def test_two_sources_need_source_ids():
    with pytest.raises(LabelError, match="there are 2 sources; give source_ids"):
        LabelSets(space=ABC, positives=Csr.empty(2), sources=(LabelSource(), LabelSource()))


@pytest.mark.parametrize("annotated", [(0, 3), (-1,)])
def test_a_source_annotates_labels_of_the_space(annotated: tuple[int, ...]):
    with pytest.raises(LabelError, match=r"source 'web' annotates a label id outside 0\.\.2"):
        LabelSets(space=ABC, positives=Csr.empty(1), sources=(LabelSource(name="web", annotated=annotated),))


def test_a_source_that_annotated_nothing_knows_only_its_positives():
    sets = LabelSets(space=ABC, positives=Csr.from_lists([[1]]), sources=(LabelSource(annotated=()),))
    assert dense(sets) == [[None, 1, None]]


def test_unlisted_is_one_of_two_states(without_shape_checks: None):
    with pytest.raises(LabelError, match="unlisted is 'missing'; it must be 'negative' or 'unknown'"):
        LabelSets.from_names([["a"]], unlisted="missing")  # type: ignore[arg-type] - a wrong value on purpose


@pytest.mark.real_data
def test_a_label_called_n_a_is_a_label(shared_data):
    import json

    rows = json.loads((shared_data / "posters" / "labels.json").read_text(encoding="utf-8"))
    sets = LabelSets.from_names(list(rows.values()))
    assert (sets.num_samples, sets.num_labels) == (2_934, 25)
    na = sets.space.id_of("N/A")
    assert int((sets.positives.ids == na).sum()) == sum("N/A" in names for names in rows.values()) > 0
