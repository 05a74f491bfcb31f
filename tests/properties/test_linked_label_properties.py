"""Claims about hierarchies, mappings and folds that hold for any of them: hypothesis looks for a counterexample."""

import itertools

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from manyhot.labels import (
    Csr,
    Hierarchy,
    LabelMapping,
    LabelSets,
    LabelSpace,
    consistent_decisions,
    expand_negatives,
    expand_positives,
    fold_samples,
)
from manyhot.labels.expansion import count_violations, verified_contradictions
from manyhot.labels.linking import follow_links

# No deadline: the first example may wait for numba.
modest = settings(max_examples=40, deadline=None, derandomize=True)

NUM_LABELS = 7


def space_of(num_labels: int, prefix: str = "label") -> LabelSpace:
    return LabelSpace(names=tuple(f"{prefix} {label}" for label in range(num_labels)))


# Strategies give plain data: the shape checks draw random numbers, which hypothesis forbids inside a strategy.
Parents = tuple[tuple[int, ...], ...]


@st.composite
def parents_of_labels(draw: st.DrawFn) -> Parents:
    """A directed graph without cycles, whose labels stand in any order."""
    order = draw(st.permutations(range(NUM_LABELS)))
    parents: list[tuple[int, ...]] = [()] * NUM_LABELS
    for place, label in enumerate(order):
        parents[label] = tuple(sorted(draw(st.sets(st.sampled_from(order[:place]), max_size=3)))) if place else ()
    return tuple(parents)


def tree_of(parents: Parents) -> Hierarchy:
    return Hierarchy.of(LabelSpace(names=space_of(NUM_LABELS).names, parents=parents))


def links_between(num_coarse: int, num_fine: int) -> st.SearchStrategy[list[set[int]]]:
    return st.lists(st.sets(st.integers(0, num_fine - 1)), min_size=num_coarse, max_size=num_coarse)


def mapping_of(coarse: LabelSpace, fine: LabelSpace, links: list[set[int]]) -> LabelMapping:
    return LabelMapping(coarse=coarse, fine=fine, links=Csr.from_lists([sorted(row) for row in links]))


states = hnp.arrays(
    np.float64, st.tuples(st.integers(0, 6), st.just(NUM_LABELS)), elements=st.sampled_from([0.0, 1.0, float("nan")])
)


def links_of(mapping: LabelMapping) -> list[list[int]]:
    return [mapping.links.row(label).tolist() for label in range(mapping.links.num_rows)]


@modest
@given(parents_of_labels())
def test_the_closure_of_a_closure_is_itself(parents: Parents):
    tree = tree_of(parents)
    closure = tree.with_self(tree.ancestors)
    twice = follow_links(closure, closure, NUM_LABELS)
    assert (twice.indptr.tolist(), twice.ids.tolist()) == (closure.indptr.tolist(), closure.ids.tolist())
    # No label is above itself, and what is above it is above what is below it.
    assert not any(label in tree.ancestors.row(label) for label in range(NUM_LABELS))
    assert all(
        label in tree.descendants.row(int(up)) for label in range(NUM_LABELS) for up in tree.ancestors.row(label)
    )


@modest
@given(parents_of_labels(), states)
def test_expansion_makes_nothing_negative_and_loses_no_positive_but_for_a_conflict(
    parents: Parents, matrix: np.ndarray
):
    tree = tree_of(parents)
    after = expand_positives(tree, LabelSets.from_dense(matrix, tree.space), conflicts="unknown").to_multi_hot()
    assert ((matrix == 0) | (after != 0)).all()
    for before, row in zip(matrix, after, strict=True):
        for label in np.flatnonzero(before == 1).tolist():
            assert row[label] == 1
            # What was said to be negative may be left unknown; all else above a positive is positive.
            above = tree.ancestors.row(label)
            assert ((row[above] == 1) | (before[above] == 0)).all()


@modest
@given(parents_of_labels(), states)
def test_complete_rows_have_no_violation_once_expanded(parents: Parents, matrix: np.ndarray):
    tree = tree_of(parents)
    sets = LabelSets.from_dense(np.nan_to_num(matrix), tree.space)
    expanded = expand_positives(tree, sets)
    assert count_violations(tree, expanded).sum() == 0
    again = expand_positives(tree, expanded).positives
    assert (again.indptr.tolist(), again.ids.tolist()) == (
        expanded.positives.indptr.tolist(),
        expanded.positives.ids.tolist(),
    )
    more = sets.positives.contains(NUM_LABELS)
    assert (expanded.positives.contains(NUM_LABELS) >= more).all()
    # More positives before are no fewer after.
    fewer = LabelSets.from_dense((more & (np.arange(NUM_LABELS) % 2 == 0)).astype(float), tree.space)
    assert (
        expanded.positives.contains(NUM_LABELS) >= expand_positives(tree, fewer).positives.contains(NUM_LABELS)
    ).all()


@modest
@given(parents_of_labels(), states)
def test_expanding_again_changes_the_contradicted_cells_alone(parents: Parents, matrix: np.ndarray):
    tree = tree_of(parents)
    unlisted = "unknown" if np.isnan(matrix).any() else "negative"
    sets = LabelSets.from_lists(
        [np.flatnonzero(row == 1).tolist() for row in matrix],
        tree.space,
        exceptions=[np.flatnonzero(row == 0).tolist() if unlisted == "unknown" else [] for row in matrix],
        unlisted=unlisted,
    )
    once = expand_positives(tree, sets, conflicts="unknown")
    contradicted = verified_contradictions(tree, sets).contains(NUM_LABELS)
    assert np.isnan(once.to_multi_hot()[contradicted]).all()
    again = expand_positives(tree, once, conflicts="unknown").to_multi_hot()
    np.testing.assert_array_equal(again, np.where(contradicted, 1, once.to_multi_hot()))
    assert not verified_contradictions(tree, once).size


@modest
@given(parents_of_labels(), states)
def test_negatives_reach_all_descendants(parents: Parents, matrix: np.ndarray):
    tree = tree_of(parents)
    after = expand_negatives(tree, LabelSets.from_dense(matrix, tree.space), conflicts="unknown").to_multi_hot()
    for row in after:
        for label in np.flatnonzero(row == 0).tolist():
            assert (row[tree.descendants.row(label)] == 0).all()


@modest
@given(
    parents_of_labels(),
    hnp.arrays(np.float64, st.tuples(st.integers(0, 5), st.just(NUM_LABELS)), elements=st.floats(0, 1)),
)
def test_consistent_scores_never_exceed_those_of_ancestors(parents: Parents, scores: np.ndarray):
    tree = tree_of(parents)
    raised = consistent_decisions(tree, scores)
    lowered = consistent_decisions(tree, scores, trust="parents")
    for label in range(NUM_LABELS):
        for up in tree.ancestors.row(label).tolist():
            assert (raised[:, label] <= raised[:, up]).all()
            assert (lowered[:, label] <= lowered[:, up]).all()
    assert (lowered <= scores).all()
    assert (scores <= raised).all()
    np.testing.assert_array_equal(consistent_decisions(tree, raised), raised)
    np.testing.assert_array_equal(consistent_decisions(tree, lowered, trust="parents"), lowered)


@modest
@given(links_between(4, 6))
def test_inverting_twice_gives_the_mapping(links: list[set[int]]):
    mapping = mapping_of(space_of(4, "coarse"), space_of(6, "fine"), links)
    back = mapping.invert().invert()
    assert (back.coarse, back.fine, links_of(back)) == (mapping.coarse, mapping.fine, links_of(mapping))


@modest
@given(st.tuples(links_between(2, 3), links_between(3, 4), links_between(4, 5)))
def test_composing_does_not_depend_on_the_brackets(links: tuple[list[set[int]], ...]):
    spaces = [space_of(size, f"level {level}") for level, size in enumerate((2, 3, 4, 5))]
    first, second, third = (mapping_of(*pair, own) for pair, own in zip(itertools.pairwise(spaces), links, strict=True))
    left, right = first.compose(second).compose(third), first.compose(second.compose(third))
    assert (links_of(left), left.open_labels) == (links_of(right), right.open_labels)


@modest
@given(
    st.lists(st.lists(st.integers(0, 12), max_size=6), min_size=2, max_size=20),
    st.integers(2, 6),
    st.integers(0, 2**32 - 1),
)
def test_folds_have_exact_sizes(rows: list[list[int]], num_folds: int, seed: int):
    assume(num_folds <= len(rows))
    fold_of = fold_samples(LabelSets.from_lists(rows, space_of(13)), num_folds, seed=seed)
    sizes = np.bincount(fold_of, minlength=num_folds)
    assert sorted(set(sizes.tolist())) in (
        [len(rows) // num_folds],
        [len(rows) // num_folds, len(rows) // num_folds + 1],
    )


@modest
@given(
    st.lists(st.lists(st.integers(0, 12), max_size=6), min_size=6, max_size=20), st.data(), st.integers(0, 2**32 - 1)
)
def test_folds_never_share_a_group(rows: list[list[int]], data: st.DataObject, seed: int):
    groups = np.array(data.draw(st.lists(st.integers(0, 5), min_size=len(rows), max_size=len(rows))), dtype=np.int64)
    assume(len(set(groups.tolist())) >= 2)
    fold_of = fold_samples(LabelSets.from_lists(rows, space_of(13)), 2, seed=seed, groups=groups)
    assert len(set(zip(groups.tolist(), fold_of.tolist(), strict=True))) == len(set(groups.tolist()))
    largest = np.bincount(groups).max()
    assert abs(np.bincount(fold_of, minlength=2) - len(rows) / 2).max() <= largest
