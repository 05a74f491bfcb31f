"""Mappings between label spaces, against plain Python over every small case."""

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest

from manyhot.errors import LabelError
from manyhot.labels import Csr, LabelSets, LabelSource, LabelSpace
from manyhot.labels.hierarchy import Hierarchy
from manyhot.labels.mapping import LabelMapping

STATES = (1.0, 0.0, math.nan)


def space(prefix: str, num_labels: int) -> LabelSpace:
    return LabelSpace(names=tuple(f"{prefix}{label}" for label in range(num_labels)))


def mapping_of(rows: Sequence[Sequence[int]], num_fine: int, open_labels: tuple[int, ...] = ()) -> LabelMapping:
    return LabelMapping(
        coarse=space("c", len(rows)), fine=space("f", num_fine), links=Csr.from_lists(rows), open_labels=open_labels
    )


def every_row(num_labels: int) -> np.ndarray:
    """Return every combination of states, one a row."""
    return np.array(list(itertools.product(STATES, repeat=num_labels)))


def in_three_forms(states: np.ndarray, labels: LabelSpace) -> list[LabelSets]:
    """Return the same states by unlisted negatives, by unlisted unknown cells, and by labels that no one annotated."""
    positives = Csr.from_lists([np.flatnonzero(row == 1).tolist() for row in states])
    unknown = Csr.from_lists([np.flatnonzero(np.isnan(row)).tolist() for row in states])
    negative = Csr.from_lists([np.flatnonzero(row == 0).tolist() for row in states])
    half = np.arange(len(states)) % 2
    mixed = Csr.from_lists([(negative if odd else unknown).row(row).tolist() for row, odd in enumerate(half)])
    return [
        LabelSets(space=labels, positives=positives, exceptions=unknown),
        LabelSets(space=labels, positives=positives, exceptions=negative, sources=(LabelSource(unlisted="unknown"),)),
        LabelSets(
            space=labels,
            positives=positives,
            exceptions=mixed,
            sources=(LabelSource(), LabelSource(unlisted="unknown")),
            source_ids=half.astype(np.uint16),
        ),
    ]


def coarse_by_rule(links: Sequence[Sequence[int]], open_labels: Sequence[int], row: np.ndarray) -> list[float]:
    def state(label: int) -> float:
        parts = [row[fine] for fine in links[label]]
        if 1 in parts:
            return 1.0
        return 0.0 if parts and label not in open_labels and all(part == 0 for part in parts) else math.nan

    return [state(label) for label in range(len(links))]


def fine_by_rule(
    links: Sequence[Sequence[int]], open_labels: Sequence[int], row: np.ndarray, num_fine: int
) -> tuple[list[float], bool]:
    """Return the fine states, and whether a cell would be positive and negative at once (it is unknown here)."""
    states: list[float] = []
    clash = False
    for fine in range(num_fine):
        above = [label for label in range(len(links)) if fine in links[label]]
        negative = any(row[label] == 0 for label in above)
        positive = any(row[label] == 1 and len(links[label]) == 1 and label not in open_labels for label in above)
        clash |= negative and positive
        states.append(math.nan if negative == positive else float(positive))
    return states, clash


# Every set of links between 2 coarse and 3 fine labels.
SUBSETS = [tuple(ids) for size in range(4) for ids in itertools.combinations(range(3), size)]
LINKS = list(itertools.product(SUBSETS, repeat=2))


def test_every_small_mapping_leads_every_row_up_as_the_rule_says():
    states = every_row(3)
    for links in LINKS:
        for open_labels in ((), (1,)):
            mapping = mapping_of(links, 3, open_labels)
            expected = [coarse_by_rule(links, open_labels, row) for row in states]
            for sets in in_three_forms(states, mapping.fine):
                np.testing.assert_array_equal(mapping.to_coarse(sets).to_multi_hot(), expected)


def test_every_small_mapping_leads_every_row_down_as_the_rule_says():
    states = every_row(2)
    for links in LINKS:
        for open_labels in ((), (1,)):
            mapping = mapping_of(links, 3, open_labels)
            expected, clashes = zip(*(fine_by_rule(links, open_labels, row, 3) for row in states), strict=True)
            for sets in in_three_forms(states, mapping.coarse):
                fine = mapping.to_fine(sets, conflicts="unknown")
                np.testing.assert_array_equal(fine.to_multi_hot(), np.array(expected))
                if any(clashes):
                    with pytest.raises(LabelError, match=f"of row {clashes.index(True)}; mend the data"):
                        mapping.to_fine(sets)
                else:
                    np.testing.assert_array_equal(mapping.to_fine(sets).to_multi_hot(), np.array(expected))


@pytest.mark.parametrize("seed", range(20))
def test_labels_that_a_source_did_not_annotate_stay_unknown_both_ways(seed: int):
    rng = np.random.default_rng(seed)
    links = [np.flatnonzero(rng.random(5) < 0.4).tolist() for _ in range(4)]
    mapping = mapping_of(links, 5)
    for labels, apply, rule in (
        (mapping.fine, mapping.to_coarse, lambda row: coarse_by_rule(links, (), row)),
        (
            mapping.coarse,
            lambda sets: mapping.to_fine(sets, conflicts="unknown"),
            lambda row: fine_by_rule(links, (), row, 5)[0],
        ),
    ):
        annotated = tuple(np.flatnonzero(rng.random(len(labels)) < 0.6).tolist())
        sets = LabelSets(
            space=labels,
            positives=Csr.from_lists([np.flatnonzero(rng.random(len(labels)) < 0.3).tolist() for _ in range(23)]),
            sources=(LabelSource(annotated=annotated),),
        )
        expected = [rule(row) for row in sets.to_multi_hot()]
        np.testing.assert_array_equal(apply(sets).to_multi_hot(), expected)


def test_composed_mappings_lead_up_as_one_after_the_other():
    states = every_row(3)
    rng = np.random.default_rng(0)
    for links in LINKS[::3]:
        upper = mapping_of(links, 3)
        lower_links = [np.flatnonzero(rng.random(3) < 0.5).tolist() for _ in range(3)]
        lower = LabelMapping(coarse=upper.fine, fine=space("g", 3), links=Csr.from_lists(lower_links))
        sets = LabelSets.from_dense(states, lower.fine)
        both = upper.compose(lower)
        assert both.coarse == upper.coarse
        assert both.fine == lower.fine
        np.testing.assert_array_equal(
            both.to_coarse(sets).to_multi_hot(), upper.to_coarse(lower.to_coarse(sets)).to_multi_hot()
        )


def test_composed_mappings_know_downwards_what_one_after_the_other_know():
    states = every_row(2)
    rng = np.random.default_rng(1)
    for links in LINKS[::3]:
        upper = mapping_of(links, 3)
        lower_links = [np.flatnonzero(rng.random(3) < 0.5).tolist() for _ in range(3)]
        lower = LabelMapping(coarse=upper.fine, fine=space("g", 3), links=Csr.from_lists(lower_links))
        for row in states:
            sets = LabelSets.from_dense(row[None], upper.coarse)
            try:
                steps = lower.to_fine(upper.to_fine(sets)).to_multi_hot()
                at_once = upper.compose(lower).to_fine(sets).to_multi_hot()
            except LabelError:
                continue  # a contradiction has no right answer
            known = ~np.isnan(steps)
            np.testing.assert_array_equal(at_once[known], steps[known])


def test_inverting_twice_changes_nothing():
    for links in LINKS:
        mapping = mapping_of(links, 3)
        twice = mapping.invert().invert()
        assert (twice.coarse, twice.fine) == (mapping.coarse, mapping.fine)
        assert twice.links.indptr.tolist() == mapping.links.indptr.tolist()
        assert twice.links.ids.tolist() == mapping.links.ids.tolist()


def test_one_to_one_links_say_the_same_both_ways():
    mapping = mapping_of([[2], [], [0]], 4)
    states = every_row(3)
    down = mapping.to_fine(LabelSets.from_dense(states, mapping.coarse)).to_multi_hot()
    inverted = mapping.invert().to_coarse(LabelSets.from_dense(states, mapping.coarse)).to_multi_hot()
    np.testing.assert_array_equal(down, inverted)


def test_the_surest_fine_label_speaks_for_the_coarse_one():
    mapping = mapping_of([[0, 1], [1]], 2)
    sets = LabelSets(
        space=mapping.fine, positives=Csr.from_lists([[0, 1], [0]]), confidence=np.array([0.25, 0.75, 0.5], np.float16)
    )
    coarse = mapping.to_coarse(sets)
    assert coarse.positives.ids.tolist() == [0, 1, 0]
    assert coarse.confidence is not None
    assert coarse.confidence.tolist() == [0.75, 0.75, 0.5]
    fine = mapping.to_fine(
        LabelSets(space=mapping.coarse, positives=Csr.from_lists([[0, 1]]), confidence=np.array([0.5, 0.25]))
    )
    assert fine.confidence is not None
    assert (fine.positives.ids.tolist(), fine.confidence.tolist()) == ([1], [0.25])


def test_labels_of_the_same_name_are_linked_and_others_unknown():
    model, data = LabelSpace(names=("b", "x", "a")), LabelSpace(names=("a", "b"))
    aligned = LabelMapping.by_name(model, data).to_coarse(LabelSets.from_names([["a"], [], ["b"]], data))
    np.testing.assert_array_equal(aligned.to_multi_hot(), [[0, math.nan, 1], [0, math.nan, 0], [1, math.nan, 0]])


def test_a_hierarchy_is_a_mapping_of_a_space_to_itself():
    labels = LabelSpace(names=("tabby", "cat", "animal"), parents=((1,), (2,), ()))
    mapping = LabelMapping.of_hierarchy(Hierarchy.of(labels))
    sets = LabelSets.from_lists([[0], [], [1]], labels)
    assert mapping.to_coarse(sets).to_multi_hot().tolist() == [[1, 1, 1], [0, 0, 0], [0, 1, 1]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: mapping_of([[0], [3]], 3), "links: row 1 has label id 3, but there are 3 labels"),
        (lambda: mapping_of([[0]], 3, (1,)), "open label id 1 is outside the 1 coarse labels"),
        (
            lambda: LabelMapping(coarse=space("c", 2), fine=space("f", 3), links=Csr.from_lists([[0]])),
            "links have 1 rows for 2 coarse labels",
        ),
        (lambda: LabelMapping.from_names(space("c", 2), space("f", 2), {"c9": ["f0"]}), "'c9' is not among"),
        (lambda: LabelMapping.from_names(space("c", 2), space("f", 2), {"c0": ["g"]}), "'g' is not among"),
        (lambda: mapping_of([[0]], 1, (0,)).invert(), "'c0' holds more than its links say"),
        (lambda: mapping_of([[0]], 1).compose(mapping_of([[0]], 1)), "the first that differs is 'c0' for 'f0'"),
        (lambda: mapping_of([[0]], 1).to_coarse(LabelSets.from_names([["c0"]])), "LabelMapping.by_name"),
    ],
)
def test_what_does_not_fit_is_refused(make, message: str):
    with pytest.raises(LabelError, match=message):
        make()
