import numpy as np
import pytest

from manyhot.errors import LabelError
from manyhot.labels import Csr, LabelSets, LabelSource, LabelSpace
from manyhot.labels.cells import rows_that_list, states_of


def test_states_are_those_of_the_dense_matrix_whatever_the_sources_say():
    generator = np.random.default_rng(0)
    listed = generator.integers(0, 3, (17, 41))
    sets = LabelSets(
        space=LabelSpace(names=tuple(map(str, range(41)))),
        positives=Csr.from_pairs(*np.nonzero(listed == 1), num_rows=17),
        exceptions=Csr.from_pairs(*np.nonzero(listed == 2), num_rows=17),
        sources=(
            LabelSource(name="a"),
            LabelSource(name="b", unlisted="unknown"),
            LabelSource(name="c", annotated=tuple(range(0, 41, 2))),
        ),
        source_ids=generator.integers(0, 3, 17).astype(np.uint16),
    )
    rows, labels = (generator.integers(0, end, 500) for end in (17, 41))
    np.testing.assert_array_equal(states_of(sets, rows, labels), sets.to_multi_hot()[rows, labels])


def test_no_cells_have_no_states():
    none = np.zeros(0, dtype=np.int64)
    assert states_of(LabelSets.from_names([["a"]]), none, none).shape == (0,)


def test_rows_that_list_a_label_are_found_past_empty_rows():
    rows = Csr.from_lists([[], [3], [], [], [1, 3], []])
    assert rows_that_list(rows, 3).tolist() == [1, 4]
    assert rows_that_list(rows, 0).tolist() == []


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([-1, 0], "label ids run from -1 to 0; they count from 0 to 1"),
        ([0, 2], "label ids run from 0 to 2"),
        ([0], r"labels have shape \(1,\) for 2 rows"),
    ],
)
def test_cells_that_are_not_there_have_no_state(labels: list[int], message: str):
    with pytest.raises(LabelError, match=message):
        states_of(LabelSets.from_names([["a"], ["b"]]), np.array([0, 1]), np.array(labels))


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize("rows", [1, [[0, 1]]])
def test_rows_that_are_no_flat_list_are_refused(rows: object):
    with pytest.raises(LabelError, match=r"rows have shape .*; give a flat list of row numbers"):
        LabelSets.from_names([["a"], ["b"]]).take(rows)  # pyright: ignore[reportArgumentType] - wrong on purpose
