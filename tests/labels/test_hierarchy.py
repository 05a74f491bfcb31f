"""Hierarchies: closure, cycles, expansion in three states, against plain Python over dense states."""

import itertools
import math

import numpy as np
import pytest

from manyhot.errors import LabelError
from manyhot.labels import Csr, LabelSets, LabelSource, LabelSpace
from manyhot.labels.expansion import count_violations, expand_negatives, expand_positives
from manyhot.labels.hierarchy import Hierarchy, consistent_decisions, with_parents

ANIMALS = LabelSpace(names=("tabby", "cat", "pet", "animal", "car"))
TREE = Hierarchy.of(with_parents(ANIMALS, {"tabby": ["cat"], "cat": ["pet", "animal"]}))


def random_hierarchy(num_labels: int, seed: int) -> Hierarchy:
    """Return a random DAG whose ids are in no particular order."""
    rng = np.random.default_rng(seed)
    place = rng.permutation(num_labels)
    parents = [
        tuple(other for other in range(num_labels) if place[other] < place[label] and rng.random() < 0.35)
        for label in range(num_labels)
    ]
    return Hierarchy.of(LabelSpace(names=tuple(map(str, range(num_labels))), parents=tuple(parents)))


def random_sets(space: LabelSpace, num_samples: int, seed: int) -> LabelSets:
    """Return sets of three sources, with exceptions and confidences."""
    rng = np.random.default_rng(seed)
    state = rng.choice(3, size=(num_samples, len(space)), p=[0.6, 0.2, 0.2])
    positives = Csr.from_lists([np.flatnonzero(row == 1).tolist() for row in state])
    annotated = tuple(np.flatnonzero(rng.random(len(space)) < 0.5).tolist())
    return LabelSets(
        space=space,
        positives=positives,
        exceptions=Csr.from_lists([np.flatnonzero(row == 2).tolist() for row in state]),
        sources=(LabelSource(), LabelSource(unlisted="unknown"), LabelSource(annotated=annotated)),
        source_ids=rng.integers(0, 3, num_samples).astype(np.uint16),
        confidence=rng.choice([0.25, 0.5, 1.0], positives.size).astype(np.float16),
    )


def ancestors_by_walking(hierarchy: Hierarchy, label: int) -> set[int]:
    found: set[int] = set()
    waiting = list((hierarchy.space.parents or ())[label])
    while waiting:
        parent = waiting.pop()
        if parent not in found:
            found.add(parent)
            waiting.extend((hierarchy.space.parents or ())[parent])
    return found


def expanded_upwards(hierarchy: Hierarchy, sets: LabelSets) -> np.ndarray:
    """Return the dense states after expansion, by rule; a verified negative over a positive becomes unknown."""
    before, after = sets.to_multi_hot(), sets.to_multi_hot()
    exceptions = sets.exceptions or Csr.empty(sets.num_samples)
    for row, label in np.argwhere(before == 1):
        for ancestor in ancestors_by_walking(hierarchy, int(label)):
            source = sets.sources[0 if sets.source_ids is None else sets.source_ids[row]]
            verified = source.unlisted == "unknown" and ancestor in exceptions.row(row)
            after[row, ancestor] = math.nan if verified else 1
    return after


def expanded_downwards(hierarchy: Hierarchy, states: np.ndarray) -> np.ndarray:
    after = states.copy()
    for row, label in itertools.product(range(states.shape[0]), range(states.shape[1])):
        if any(states[row, ancestor] == 0 for ancestor in ancestors_by_walking(hierarchy, label)):
            assert states[row, label] != 1
            after[row, label] = 0
    return after


def test_closure_of_a_diamond():
    assert {ANIMALS.names[label] for label in TREE.ancestors.row(0)} == {"cat", "pet", "animal"}
    assert {ANIMALS.names[label] for label in TREE.descendants.row(3)} == {"tabby", "cat"}
    assert TREE.ancestors.row(4).size == 0


@pytest.mark.parametrize("seed", range(5))
def test_closure_is_what_walking_finds(seed: int):
    hierarchy = random_hierarchy(17, seed)
    rank = np.argsort(hierarchy.order)
    for label in range(17):
        assert set(hierarchy.ancestors.row(label).tolist()) == ancestors_by_walking(hierarchy, label)
        assert all(rank[parent] < rank[label] for parent in hierarchy.parents.row(label))
        assert all(label in hierarchy.descendants.row(ancestor) for ancestor in hierarchy.ancestors.row(label))
    assert hierarchy.ancestors.size == hierarchy.descendants.size


def test_a_cycle_is_named():
    space = LabelSpace(names=("a", "b", "c", "d", "e"), parents=((3,), (2,), (3,), (1,), (0,)))
    with pytest.raises(LabelError, match="own ancestors: 'b' → 'c' → 'd' → 'b'; take one link out"):
        Hierarchy.of(space)
    with pytest.raises(LabelError, match="'cat' → 'pet' → 'cat'"):
        with_parents(ANIMALS, {"cat": ["pet"], "pet": ["cat"]})


@pytest.mark.parametrize(
    ("parents", "message"),
    [
        ({"cat": ["animl"]}, "'cat' names the parent 'animl', which is no label; did you mean 'animal'"),
        ({"cat": ["xyz"]}, "'xyz', which is no label; add it to the names"),
        ({"cta": ["pet"]}, "'cta' has parents but is not in the space; did you mean 'cat'"),
        ({"cat": ["cat"]}, "'cat' names itself as its parent"),
        ({"cat": "pet"}, "the string 'pet'; give a list"),
    ],
)
def test_wrong_parents_are_named(parents: dict[str, list[str]], message: str):
    with pytest.raises(LabelError, match=message):
        with_parents(ANIMALS, parents)


def test_a_space_without_parents_expands_to_itself():
    sets = LabelSets.from_names([["a"], ["b"]])
    hierarchy = Hierarchy.of(sets.space)
    assert expand_positives(hierarchy, sets).to_multi_hot().tolist() == sets.to_multi_hot().tolist()
    assert consistent_decisions(hierarchy, np.array([[True, False]])).tolist() == [[True, False]]


def test_a_long_chain_is_no_recursion():
    space = LabelSpace(names=tuple(map(str, range(1_200))), parents=((), *((label,) for label in range(1_199))))
    assert Hierarchy.of(space).ancestors.row(1_199).size == 1_199


@pytest.mark.parametrize("seed", range(8))
def test_positives_imply_ancestors_in_three_states(seed: int):
    hierarchy = random_hierarchy(9, seed)
    sets = random_sets(hierarchy.space, 41, seed)
    expanded = expand_positives(hierarchy, sets, conflicts="unknown")
    np.testing.assert_array_equal(expanded.to_multi_hot(), expanded_upwards(hierarchy, sets))


@pytest.mark.parametrize("seed", range(8))
def test_negatives_imply_descendants_in_three_states(seed: int):
    hierarchy = random_hierarchy(9, seed)
    sets = random_sets(hierarchy.space, 41, seed)
    expected = expanded_downwards(hierarchy, expanded_upwards(hierarchy, sets))
    np.testing.assert_array_equal(expand_negatives(hierarchy, sets, conflicts="unknown").to_multi_hot(), expected)


def test_expanding_twice_is_expanding_once():
    hierarchy = random_hierarchy(9, 3)
    mixed = random_sets(hierarchy.space, 41, 3)
    # Without verified negatives nothing contradicts: a cell left unknown by a contradiction would become positive.
    sets = LabelSets(
        space=mixed.space, positives=mixed.positives, exceptions=mixed.exceptions, sources=mixed.sources[2:]
    )
    once = expand_negatives(hierarchy, sets)
    np.testing.assert_array_equal(expand_negatives(hierarchy, once).to_multi_hot(), once.to_multi_hot())


def test_an_ancestor_is_as_sure_as_its_surest_descendant():
    space = LabelSpace(names=("tabby", "siamese", "cat"), parents=((2,), (2,), ()))
    positives = Csr.from_lists([[0, 1], [0, 2], [1]])
    for dtype in (np.float16, np.float32, np.float64):
        confidence = np.array([0.3, 0.7, 0.9, 0.1, 0.123456789], dtype)
        sets = LabelSets(space=space, positives=positives, confidence=confidence)
        expanded = expand_positives(Hierarchy.of(space), sets)
        assert expanded.positives.ids.tolist() == [0, 1, 2, 0, 2, 1, 2]
        assert expanded.confidence is not None
        assert expanded.confidence.dtype == dtype
        expected = np.array([0.3, 0.7, 0.7, 0.9, 0.9, 0.123456789, 0.123456789], dtype)
        assert expanded.confidence.tolist() == expected.tolist()


def test_a_verified_negative_over_a_positive_is_an_error_that_names_both():
    sets = LabelSets.from_lists([[], [0]], ANIMALS, exceptions=[[3], [2]], unlisted="unknown")
    with pytest.raises(LabelError, match=r"1 verified negatives .* 'pet' of row 1, where 'tabby' is positive"):
        expand_positives(TREE, sets)


def test_sets_of_other_labels_are_refused():
    with pytest.raises(LabelError, match="are not those of the hierarchy"):
        expand_positives(TREE, LabelSets.from_names([["a"]]))


@pytest.mark.parametrize("seed", range(6))
def test_violations_are_rows_with_a_positive_under_a_negative(seed: int):
    hierarchy = random_hierarchy(9, seed)
    sets = random_sets(hierarchy.space, 57, seed)
    dense = sets.to_multi_hot()
    pairs = zip(hierarchy.ancestors.row_ids(), hierarchy.ancestors.ids, strict=True)
    expected = [int(((dense[:, label] == 1) & (dense[:, ancestor] == 0)).sum()) for label, ancestor in pairs]
    assert count_violations(hierarchy, sets).tolist() == expected
    assert count_violations(hierarchy, expand_positives(hierarchy, sets, conflicts="unknown")).sum() == 0


@pytest.mark.parametrize("seed", range(4))
def test_decisions_become_consistent_with_the_least_change(seed: int):
    hierarchy = random_hierarchy(9, seed)
    scores = np.random.default_rng(seed).normal(size=(13, 9)).astype(np.float32)
    for decided in (scores, scores > 0):
        up, down = decided.copy(), decided.copy()
        for label in range(9):
            descendants = [other for other in range(9) if label in ancestors_by_walking(hierarchy, other)]
            up[:, label] = decided[:, [label, *descendants]].max(axis=1)
            down[:, label] = decided[:, [label, *ancestors_by_walking(hierarchy, label)]].min(axis=1)
        assert consistent_decisions(hierarchy, decided).tolist() == up.tolist()
        assert consistent_decisions(hierarchy, decided, trust="parents").tolist() == down.tolist()


def test_decisions_have_one_column_a_label():
    with pytest.raises(LabelError, match=r"shape \(2, 3\); expected \(samples, 5\)"):
        consistent_decisions(TREE, np.zeros((2, 3)))
