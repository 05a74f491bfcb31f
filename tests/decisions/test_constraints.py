"""Constraints: what holds for whole predictions, in which order, against a reference that goes row by row."""

import numpy as np
import pytest

from manyhot.decisions import Constraints, Group, constraints_of, fit_decision
from manyhot.decisions.constraints import Many
from manyhot.errors import BundleError, LabelError, UsageError
from manyhot.labels import LabelSets, LabelSpace, with_parents

INF = np.inf


def group(*label_ids: int, many: Many = "at-most-one") -> Group:
    return Group(name="group", label_ids=label_ids, many=many)


def applied(constraints: Constraints, probs: list[float], thresholds: list[float]) -> list[int]:
    table, limits = np.array([probs]), np.array(thresholds)
    return np.flatnonzero(constraints.apply(table >= limits, table, limits)[0]).tolist()


def reference(constraints: Constraints, probs: np.ndarray, thresholds: np.ndarray) -> set[int]:
    """One row, in plain Python."""
    ratio = [p / max(t, 1e-12) for p, t in zip(probs, thresholds, strict=True)]
    chosen = {label for label, value in enumerate(probs) if value >= thresholds[label]}
    forced: set[int] = set()
    for members in constraints.groups:
        best = max(members.label_ids, key=lambda label: (ratio[label], -label))
        one = thresholds[best] < INF if members.many == "exactly-one" else best in chosen
        chosen -= set(members.label_ids)
        chosen |= {best} if one else set()
        forced |= {best} if one and members.many == "exactly-one" else set()
    if constraints.at_most is not None:
        order = sorted(chosen, key=lambda label: (label not in forced, -ratio[label], label))
        chosen = set(order[: constraints.at_most])
    if constraints.at_least_one and not chosen:
        best = max(range(len(probs)), key=lambda label: (ratio[label], -label))
        chosen = {best} if thresholds[best] < INF else set()
    waiting = list(chosen) if constraints.parents else []
    while waiting:
        for parent in (constraints.parents or ())[waiting.pop()]:
            waiting += [] if parent in chosen else [parent]
            chosen.add(parent)
    return chosen


@pytest.mark.parametrize(
    "constraints",
    [
        Constraints(groups=(group(0, 3, 5),)),
        Constraints(groups=(group(0, 3, 5, many="exactly-one"), group(1, 2))),
        Constraints(at_most=2),
        Constraints(at_least_one=True),
        Constraints(parents=((1,), (2,), (), (2,), (), (4, 1), ())),
        Constraints(
            groups=(group(0, 3), group(1, 6, many="exactly-one")),
            at_most=2,
            at_least_one=True,
            parents=((1,), (2,), (), (2,), (), (4, 1), ()),
        ),
    ],
)
def test_every_row_is_put_right_as_the_plain_reference_says(constraints: Constraints):
    rng = np.random.default_rng(0)
    # Few distinct values: ties are common.
    probs, thresholds = rng.integers(0, 5, size=(41, 7)) / 5.0, np.array([0.2, 0.4, 0.6, 0.4, INF, 0.8, 0.4])
    preds = constraints.apply(probs >= thresholds, probs, thresholds)
    for row, decided in zip(probs, preds, strict=True):
        assert set(np.flatnonzero(decided).tolist()) == reference(constraints, row, thresholds)


def test_one_of_an_exclusive_group_stays_the_surest_in_relation_to_its_threshold():
    assert applied(Constraints(groups=(group(0, 1),)), [0.6, 0.3], [0.5, 0.1]) == [1]


def test_exactly_one_holds_where_none_reaches_its_threshold():
    constraints = Constraints(groups=(group(0, 1, many="exactly-one"),))
    assert applied(constraints, [0.1, 0.3, 0.0], [0.5, 0.5, 0.5]) == [1]


def test_label_that_is_never_predicted_is_added_by_no_rule_but_its_descendants():
    assert applied(Constraints(groups=(group(0, 1, many="exactly-one"),)), [0.0, 0.9], [INF, INF]) == []
    assert applied(Constraints(at_least_one=True), [0.9, 0.1], [INF, 0.5]) == [1]
    assert applied(Constraints(at_least_one=True), [0.9], [INF]) == []
    assert applied(Constraints(parents=((1,), ())), [0.9, 0.9], [0.5, INF]) == [0, 1]


def test_what_a_group_needs_stays_among_the_at_most():
    constraints = Constraints(groups=(group(0, 1, many="exactly-one"),), at_most=1)
    assert applied(constraints, [0.1, 0.0, 0.9], [0.5, 0.5, 0.5]) == [0]


def test_ancestors_are_added_past_at_most():
    assert applied(Constraints(at_most=1, parents=((1,), ())), [0.9, 0.1], [0.5, 0.5]) == [0, 1]


def test_more_groups_that_need_one_than_labels_allowed_are_refused():
    two = (group(0, 1, many="exactly-one"), group(2, 3, many="exactly-one"))
    with pytest.raises(UsageError, match="at most 1 labels are allowed, and 2 groups need one each"):
        Constraints(groups=two, at_most=1)
    with pytest.raises(UsageError, match="at most 0"):
        Constraints(at_most=0)


def test_constraints_travel_with_the_decision():
    space = LabelSpace(names=("cat", "dog", "animal"), groups=("kind", "kind", None))
    space = with_parents(space, {"cat": ["animal"], "dog": ["animal"]})
    constraints = constraints_of(space, exclusive={"kind": "exactly-one"}, at_most=2, at_least_one=True, ancestors=True)
    rng = np.random.default_rng(1)
    truth = LabelSets.from_dense((rng.random((60, 3)) < 0.4) * 1.0, space)
    decision = fit_decision(rng.normal(size=(60, 3)), truth, constraints=constraints)
    again = type(decision).from_dict(decision.to_dict())
    logits = rng.normal(size=(17, 3))
    np.testing.assert_array_equal(again.preds(logits), decision.preds(logits))
    assert again.notes == (
        "exactly one of group 'kind'",
        "at most 2 labels",
        "at least one label",
        "ancestors of predicted labels are predicted",
    )
    preds = again.preds(logits)
    assert (preds[:, :2].sum(axis=1) == 1).all()
    assert preds[:, 2].all()


def test_group_that_is_not_there_is_named_with_the_nearest():
    space = LabelSpace(names=("red", "blue"), groups=("colour", "colour"))
    with pytest.raises(LabelError, match="'color' is no group of labels; did you mean 'colour'"):
        constraints_of(space, exclusive={"color": "at-most-one"})
    with pytest.raises(LabelError, match="the labels have no parents"):
        constraints_of(space, ancestors=True)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"at_mots": 3}, "does not know the constraint 'at_mots'; did you mean 'at_most'"),
        ({"groups": [{"name": "a", "label_ids": [0], "many": "some"}]}, "neither at-most-one nor exactly-one"),
        ({"groups": [{"name": "a"}]}, "makes no sense"),
        ({"parents": 3}, "makes no sense"),
    ],
)
def test_constraints_that_make_no_sense_are_refused(data, message):
    with pytest.raises(BundleError, match=message):
        Constraints.from_dict(data)


def test_ids_past_the_labels_are_refused():
    for constraints in (Constraints(groups=(group(0, 2),)), Constraints(parents=((),)), Constraints(groups=(group(),))):
        with pytest.raises(BundleError, match="not among its 2 labels"):
            constraints.check_width(2)


def test_rows_in_blocks_are_put_right_alike(monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(2)
    space = LabelSpace(names=("a", "b", "c", "d", "e"))
    truth = LabelSets.from_dense((rng.random((80, 5)) < 0.4) * 1.0, space)
    decision = fit_decision(rng.normal(size=(80, 5)), truth, constraints=Constraints(at_most=1, at_least_one=True))
    logits = rng.normal(size=(29, 5))
    whole = decision.preds(logits)
    assert (whole.sum(axis=1) == 1).all()
    monkeypatch.setattr("manyhot.decisions.decision._BLOCK_CELLS", 12)
    np.testing.assert_array_equal(decision.preds(logits), whole)
    assert decision.preds(np.zeros((0, 5))).shape == (0, 5)
