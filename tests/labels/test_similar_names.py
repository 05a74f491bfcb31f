import pytest

from manyhot.labels import LabelSpace
from manyhot.labels.similar_names import fold_name, similar_names


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("Cat", "cat"),
        ("ice cream", "ice_cream"),
        ("ice cream", "ice-cream"),
        ("ice cream", "Ice  \t Cream".replace("\t", " ")),
        ("ice cream", "ice\u00a0cream"),
        ("ice-cream", "ice\u2011cream"),
        ("caf\u00e9", "cafe\u0301"),
        ("stra\u00dfe", "STRASSE"),
        ("\uff21", "a"),
        ("\ufb01sh", "fish"),
        ("cat", "ca\u200bt"),
        ("_cat ", "cat"),
    ],
)
def test_names_that_look_or_read_the_same_fold_to_the_same(name, other):
    assert fold_name(name) == fold_name(other)


@pytest.mark.parametrize(
    ("name", "other"),
    [("A", "A-"), ("1", "-1"), ("1_2", "12"), ("cafe", "caf\u00e9"), ("N/A", "NA"), ("x 1", "x -1"), ("C", "C++")],
)
def test_names_that_differ_in_more_do_not(name, other):
    assert fold_name(name) != fold_name(other)


def test_folding_twice_changes_nothing():
    for name in ("\u0130stanbul", "\u1e9e", "\u03b1\u0345", "\u212b-\u2126", "\u2163 \u00bd"):
        assert fold_name(fold_name(name)) == fold_name(name)


def test_labels_of_different_groups_are_not_compared():
    space = LabelSpace(names=("Orange", "orange", "ORANGE"), groups=("fruit", "colour", "colour"))
    assert similar_names(space) == [(1, 2)]
