"""Names of labels are kept to the letter, and wrong ones are named."""

import json
from typing import Any

import numpy as np
import pytest

from manyhot.errors import LabelError
from manyhot.labels import LabelSpace

NAMES = ("N/A", "0012", "true", "null", "Cat", "cat", " cat", "naïve café", "猫", "a,b;c|d")


def test_names_are_kept_to_the_letter():
    space = LabelSpace(names=NAMES)
    assert space.names == NAMES
    assert space.ids_of(NAMES) == list(range(len(NAMES)))


def test_a_space_survives_json():
    space = LabelSpace(names=("red", "blue", "dress"), groups=("colour", None, "type"), parents=((), (0,), (0, 1)))
    again = LabelSpace.from_dict(json.loads(json.dumps(space.to_dict())))
    assert again == space
    assert again.fingerprint == space.fingerprint
    assert hash(again) == hash(space)


@pytest.mark.parametrize(
    "other",
    [
        LabelSpace(names=("b", "a")),
        LabelSpace(names=("a", "b"), groups=("g", None)),
        LabelSpace(names=("a", "b"), parents=((1,), ())),
        LabelSpace(names=("a",)),
        LabelSpace(names=("a", "b", "c")),
        LabelSpace(names=('a", "b',)),
    ],
)
def test_different_spaces_have_different_fingerprints(other: LabelSpace):
    assert other.fingerprint != LabelSpace(names=("a", "b")).fingerprint


def test_an_unknown_label_is_answered_with_the_nearest():
    with pytest.raises(LabelError, match=r"label 'comdy' is not among the 2 labels; did you mean 'Comedy'\?"):
        LabelSpace(names=("Comedy", "Drama")).id_of("comdy")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("a", ""), "label 1 has an empty name"),
        (("a", " \t"), "label 1 has an empty name"),
        (("a", "b", "a"), "label 'a' stands twice, as id 0 and as id 2"),
        (("a\nb",), r"label 0 has a control character in its name: 'a\\nb'"),
        (("a\ud800",), "label 0 has a control character"),
        (("a" * 1_001,), "label 0 has a name of 1,001 characters"),
    ],
)
def test_a_wrong_name_is_named(names: tuple[str, ...], message: str):
    with pytest.raises(LabelError, match=message):
        LabelSpace(names=names)


def test_a_number_is_no_name(without_shape_checks: None):
    with pytest.raises(LabelError, match="label 1 is 12, not a string; quote it"):
        LabelSpace(names=("a", 12))  # type: ignore[arg-type] - what a user's JSON may hold


def test_a_string_is_no_list_of_names(without_shape_checks: None):
    with pytest.raises(LabelError, match="names is the string 'cat'"):
        LabelSpace(names="cat")  # type: ignore[arg-type] - a likely slip


@pytest.mark.parametrize("field", ["groups", "parents"])
def test_groups_and_parents_need_one_entry_a_label(field: str):
    with pytest.raises(LabelError, match=f"{field} has 1 entries for 2 labels"):
        LabelSpace(names=("a", "b"), **{field: ((),) if field == "parents" else ("g",)})


@pytest.mark.parametrize("parent", [1, 2, -1])
def test_a_parent_is_another_label(parent: int):
    with pytest.raises(LabelError, match=f"label 'b' names parent {parent}"):
        LabelSpace(names=("a", "b"), parents=((), (parent,)))


@pytest.mark.parametrize(
    ("parents", "message"),
    [
        (((), ("a",)), "label 'b' names parent 'a', which is no other label's id"),
        (((), (0.5,)), "label 'b' names parent 0.5, which is no other label's id"),
        (((), (False,)), "label 'b' names parent False, which is no other label's id"),
        (((), 0), r"parents of a label are 0; give a list of label ids, like \[0\]"),
        (((), "a"), "parents of a label are 'a'; give a list"),
    ],
)
def test_parents_are_lists_of_whole_numbers(parents: Any, message: str, without_shape_checks: None):
    with pytest.raises(LabelError, match=message):
        LabelSpace(names=("a", "b"), parents=parents)
    with pytest.raises(LabelError, match=message):
        LabelSpace.from_dict({"names": ["a", "b"], "parents": parents})


def test_numbers_of_an_array_are_parents(without_shape_checks: None):
    space = LabelSpace(names=("a", "b"), parents=((), np.array([0])))  # type: ignore[arg-type] - rows of an array
    assert space == LabelSpace(names=("a", "b"), parents=((), (0,)))


def test_data_without_names_are_no_space():
    with pytest.raises(LabelError, match="a label space needs names; found 'labels'"):
        LabelSpace.from_dict({"labels": ["a"]})


def test_a_space_may_be_empty():
    space = LabelSpace(names=())
    assert (len(space), space.members()) == (0, {})


def test_members_keep_the_order_of_ids():
    space = LabelSpace(names=tuple("abcde"), groups=("y", "x", None, "y", "x"))
    assert space.members() == {"y": (0, 3), "x": (1, 4)}
