"""Label sets over another space: matched by name, and what their own space lacks is unknown."""

import numpy as np
import pytest

from manyhot.errors import LabelError
from manyhot.labels import LabelSets, LabelSource, LabelSpace
from manyhot.labels.aligning import align_sets

SPACE = LabelSpace(names=("ant", "bee", "cow", "dog"))
NAN = np.nan


def test_labels_are_matched_by_name_and_what_the_data_lack_is_unknown():
    sets = LabelSets.from_names([["dog", "ant"], [], ["ant"]], LabelSpace(names=("dog", "ant")))
    expected = [[1, NAN, NAN, 1], [0, NAN, NAN, 0], [1, NAN, NAN, 0]]
    np.testing.assert_array_equal(align_sets(sets, SPACE).to_multi_hot(), expected)


def test_unlisted_cells_that_mean_unknown_stay_unknown_and_verified_negatives_negative():
    space = LabelSpace(names=("cow", "bee"))
    sets = LabelSets.from_lists([[0], []], space, exceptions=[[1], [0]], unlisted="unknown")
    expected = [[NAN, 0, 1, NAN], [NAN, NAN, 0, NAN]]
    np.testing.assert_array_equal(align_sets(sets, SPACE).to_multi_hot(), expected)


def test_a_source_that_annotated_nothing_stays_unknown_everywhere():
    plain = LabelSets.from_names([[]], LabelSpace(names=("bee", "ant")))
    sets = LabelSets(space=plain.space, positives=plain.positives, sources=(LabelSource(annotated=()),))
    assert np.isnan(align_sets(sets, SPACE).to_multi_hot()).all()


def test_confidence_follows_its_positive():
    space = LabelSpace(names=("dog", "ant"))
    plain = LabelSets.from_names([["dog", "ant"]], space)
    sets = LabelSets(space=space, positives=plain.positives, confidence=np.array([0.25, 0.75], dtype=np.float16))
    aligned = align_sets(sets, SPACE)
    assert aligned.positives.ids.tolist() == [0, 3]
    assert aligned.confidence.tolist() == [0.75, 0.25]


def test_a_label_that_the_other_space_lacks_is_named():
    with pytest.raises(LabelError, match="the first is 'elk'"):
        align_sets(LabelSets.from_names([["elk"], ["ant"]]), SPACE)
