"""Label spaces are joined without a cell that nobody looked at; label sets follow each other with their sources."""

import numpy as np
import pytest

from manyhot.errors import LabelError
from manyhot.labels import LabelMapping, LabelSets, LabelSource, LabelSpace
from manyhot.labels.concatenating import concatenate_sets
from manyhot.labels.joint_spaces import JointSpace, is_renaming, join_spaces

FINE = LabelSpace(names=("tabby", "siamese", "van", "tree"))
SHAPES = LabelSpace(names=("cat", "car", "clock"))
LINKS = LabelMapping.from_names(SHAPES, FINE, {"cat": ["tabby", "siamese"], "car": ["van"]})
NAN = float("nan")


def cells(joint: JointSpace, place: int, rows: list[list[str]]) -> list[dict[str, float]]:
    """Return the known cells of a data set's rows in the joint space."""
    mapping = joint.mappings[place]
    dense = mapping.to_coarse(LabelSets.from_names(rows, mapping.fine)).to_multi_hot()
    return [{name: x for name, x in zip(joint.space.names, row.tolist(), strict=True) if x == x} for row in dense]


def test_a_coarse_label_is_known_where_all_of_its_fine_labels_are_and_says_nothing_of_them() -> None:
    joint = join_spaces([FINE, SHAPES], [None, LINKS])
    assert joint.space.names == (*FINE.names, *SHAPES.names)
    siamese, tree = cells(joint, 0, [["siamese"], ["tree"]])
    assert siamese == {"tabby": 0, "siamese": 1, "van": 0, "tree": 0, "cat": 1, "car": 0}
    assert tree == {"tabby": 0, "siamese": 0, "van": 0, "tree": 1, "cat": 0, "car": 0}
    assert cells(joint, 1, [["cat"], []]) == [{"cat": 1, "car": 0, "clock": 0}, {"cat": 0, "car": 0, "clock": 0}]


def test_a_coarse_label_of_which_a_data_set_knows_a_part_is_unknown_there() -> None:
    some = LabelSpace(names=("tabby", "van"))
    joint = join_spaces([FINE, some, SHAPES], [None, None, LINKS])
    # Were "cat" known where it is positive alone, it would never be negative there.
    assert cells(joint, 1, [["tabby"], ["van"]]) == [{"tabby": 1, "van": 0, "car": 0}, {"tabby": 0, "van": 1, "car": 1}]


def test_links_of_one_to_one_are_names_in_any_order() -> None:
    adverse = LabelSpace(names=("0", "1", "own"))
    links = LabelMapping.from_names(FINE, adverse, {"van": "0", "tabby": "1"})
    for one in (links, links.invert()):
        joint = join_spaces([FINE, adverse], [None, one])
        assert joint.space.names == (*FINE.names, "own")
        assert cells(joint, 1, [["0"], ["1", "own"]]) == [
            {"van": 1, "tabby": 0, "own": 0},
            {"van": 0, "tabby": 1, "own": 1},
        ]


def test_a_data_set_may_be_the_finer_one() -> None:
    links = LabelMapping.from_names(SHAPES, FINE, {"cat": ["tabby", "siamese"]})
    joint = join_spaces([SHAPES, FINE], [None, links])
    assert joint.space.names == (*SHAPES.names, *FINE.names)
    assert cells(joint, 1, [["tabby"]]) == [{"cat": 1, "tabby": 1, "siamese": 0, "van": 0, "tree": 0}]


def test_the_space_that_links_lead_to_comes_first_whatever_the_order() -> None:
    joint = join_spaces([SHAPES, FINE], [LINKS, None])
    # Ids in a file of links count the labels of the data sets without links.
    assert joint.space.names[: len(FINE)] == FINE.names
    assert [mapping.fine for mapping in joint.mappings] == [SHAPES, FINE]


def test_unknown_and_unlisted_cells_stay_so() -> None:
    joint = join_spaces([FINE, SHAPES], [None, LINKS])
    fine = LabelSets.from_lists([[], [2]], FINE, exceptions=[[0, 1], [0]], unlisted="unknown")
    dense = joint.mappings[0].to_coarse(fine).to_multi_hot()
    expected = [[0, 0, NAN, NAN, 0, NAN, NAN], [0, NAN, 1, NAN, NAN, 1, NAN]]
    assert np.array_equal(dense, np.array(expected), equal_nan=True)


def test_groups_are_those_of_the_label_that_a_renamed_one_is() -> None:
    main = LabelSpace(names=("red", "dress"), groups=("colour", "type"))
    other = LabelSpace(names=("rot", "blau"), groups=("Farbe", "Farbe"))
    joint = join_spaces([main, other], [None, LabelMapping.from_names(other, main, {"rot": "red"})])
    assert joint.space.names == ("red", "dress", "blau")
    assert joint.space.groups == ("colour", "type", "Farbe")


def test_what_cannot_be_joined_is_refused() -> None:
    with pytest.raises(LabelError, match="every data set has links"):
        join_spaces([SHAPES], [LINKS])
    with pytest.raises(LabelError, match="links are between 3 and 4 labels"):
        join_spaces([LabelSpace(names=("other",)), SHAPES], [None, LINKS])
    both = LabelSpace(names=("tabby", "1"))
    with pytest.raises(LabelError, match="tabby"):
        join_spaces([FINE, both], [None, LabelMapping.from_names(both, FINE, {"1": "tabby"})])
    fine, wide = LabelSpace(names=("car", "truck", "cat")), LabelSpace(names=("car", "animal"))
    links = LabelMapping.from_names(wide, fine, {"car": ["car", "truck"], "animal": ["cat"]})
    for spaces in ([fine, wide], [wide, fine]):
        # A truck is no car where labels are fine, and a car where they are wide.
        with pytest.raises(LabelError, match="label 'car' is the union of others and also one of the narrower labels"):
            join_spaces(spaces, [None, links])


def test_a_label_linked_with_itself_alone_is_one_on_both_sides() -> None:
    fine, wide = LabelSpace(names=("van", "truck", "cat")), LabelSpace(names=("car", "cat"))
    links = LabelMapping.from_names(wide, fine, {"car": ["van", "truck"], "cat": ["cat"]})
    assert join_spaces([fine, wide], [None, links]).space.names == ("van", "truck", "cat", "car")


def test_several_links_of_a_label_on_either_side_are_no_renaming() -> None:
    assert not is_renaming(LINKS)
    assert not is_renaming(LINKS.invert())
    assert is_renaming(LabelMapping.from_names(SHAPES, FINE, {"cat": "tabby"}))


def test_label_sets_follow_each_other_cell_by_cell() -> None:
    space = LabelSpace(names=("a", "b", "c"))
    first = LabelSets.from_dense(np.array([[1, NAN, 0], [0, 0, 0], [NAN, 1, 1]]), space)
    second = LabelSets.from_lists([[2], []], space, exceptions=[[0], [1]], unlisted="unknown")
    third = LabelSets(
        space=space,
        positives=LabelSets.from_lists([[0], []], space).positives,
        sources=(LabelSource(name="x", annotated=(0,)), LabelSource(name="y")),
        source_ids=np.array([1, 0], dtype=np.uint16),
        confidence=np.array([0.5], dtype=np.float32),
    )
    parts = [first, second, third, first.take([])]
    whole = concatenate_sets(parts)
    assert np.array_equal(whole.to_multi_hot(), np.concatenate([part.to_multi_hot() for part in parts]), equal_nan=True)
    assert whole.source_ids is not None
    assert [whole.sources[number].name for number in whole.source_ids] == ["data"] * 5 + ["y", "x"]
    assert whole.confidence is not None
    assert whole.confidence.tolist() == [1, 1, 1, 1, 0.5]
