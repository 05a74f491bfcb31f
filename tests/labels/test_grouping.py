"""Groups of labels, as the space names them or as labels come together."""

import numpy as np
import pytest

from manyhot.errors import LabelError
from manyhot.labels import LabelSets, LabelSpace
from manyhot.labels.grouping import groups_by_cooccurrence, groups_of_space


def test_labels_without_a_group_are_the_last_group():
    space = LabelSpace(names=("a", "b", "c", "d"), groups=(None, "x", None, "y"))
    assert groups_of_space(space) == ((1,), (3,), (0, 2))


@pytest.mark.parametrize("groups", [None, ("x", "x"), (None, None)])
def test_a_space_of_one_group_says_what_to_take_instead(groups):
    with pytest.raises(LabelError, match="take groups by co-occurrence"):
        groups_of_space(LabelSpace(names=("a", "b"), groups=groups))


def test_blocks_of_labels_that_come_together_are_found_in_any_order():
    generator = np.random.default_rng(0)
    blocks = [(0, 5, 7), (1, 2, 8), (3, 4, 6, 9)]
    rows = []
    for block in blocks * 60:
        row = [label for label in block if generator.random() < 0.7]
        rows.append(row + ([int(generator.integers(10))] if generator.random() < 0.1 else []))
    sets = LabelSets.from_lists(rows, LabelSpace(names=tuple("abcdefghij")))
    assert groups_by_cooccurrence(sets, 3) == ((0, 5, 7), (1, 2, 8), (3, 4, 6, 9))


def test_a_label_that_never_occurs_is_a_group_rather_than_lost():
    sets = LabelSets.from_lists([[0, 1], [0, 1], []], LabelSpace(names=("a", "b", "c")))
    assert groups_by_cooccurrence(sets, 2) == ((0, 1), (2,))


@pytest.mark.parametrize("num_groups", [1, 4])
def test_a_number_of_groups_that_cannot_be_is_refused(num_groups: int):
    sets = LabelSets.from_lists([[0, 1], [2]], LabelSpace(names=("a", "b", "c")))
    with pytest.raises(LabelError, match="from 2 to 3 can"):
        groups_by_cooccurrence(sets, num_groups)
