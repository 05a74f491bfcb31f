import numpy as np

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
