"""Rare labels are seen more often, by the factors of the literature."""

from collections import Counter

import numpy as np
import pytest

from manyhot.data.balancing import sampling_repeats
from manyhot.data.sampling import Repeated
from manyhot.errors import UsageError
from manyhot.labels import LabelSets, LabelSource, LabelSpace


@pytest.fixture
def sets() -> LabelSets:
    """A long tail: label k in about every 2^k-th of 600 rows; some rows have none."""
    generator = np.random.default_rng(0)
    rows = [[f"label {label}" for label in range(7) if generator.random() < 0.5 ** (label + 1)] for _ in range(600)]
    return LabelSets.from_names(rows)


def shares(sets: LabelSets) -> np.ndarray:
    return np.nanmean(sets.to_multi_hot(), axis=0, dtype=np.float64)


@pytest.mark.parametrize(("sampling", "power"), [("square-root", -0.5), ("inverse", -1.0)])
def test_a_sample_has_the_factor_of_its_rarest_label(sets: LabelSets, sampling: str, power: float) -> None:
    dense = sets.to_multi_hot()
    empty = (dense == 0).all(axis=1)
    assert 0 < empty.sum() < 600
    # Plain loops, and a column for rows without a label.
    with_none = np.column_stack([dense, empty])
    columns = with_none.mean(axis=0, dtype=np.float64)
    expected = np.array([max(columns[label] ** power for label in np.flatnonzero(row)) for row in with_none])
    expected *= 600 / expected.sum()
    np.testing.assert_allclose(sampling_repeats(sets, sampling, max_repeats=1e9), expected)


def test_each_set_of_labels_gets_the_same_part(sets: LabelSets) -> None:
    repeats = sampling_repeats(sets, "label-sets", max_repeats=1e9)
    totals: dict[tuple[float, ...], float] = {}
    for row, repeat in zip(sets.to_multi_hot().tolist(), repeats.tolist(), strict=True):
        totals[tuple(row)] = totals.get(tuple(row), 0.0) + repeat
    np.testing.assert_allclose(list(totals.values()), 600 / len(totals))


def test_repeat_factors_leave_frequent_labels_and_empty_rows_alone(sets: LabelSets) -> None:
    repeats = sampling_repeats(sets, "repeat-factor", threshold=0.1)
    dense, frequency = sets.to_multi_hot(), shares(sets)
    expected = [max([1.0, *(np.sqrt(0.1 / frequency[label]) for label in np.flatnonzero(row))]) for row in dense]
    np.testing.assert_allclose(repeats, expected)
    assert repeats.max() > 2


def test_rare_labels_are_seen_more_often_in_an_epoch(sets: LabelSets) -> None:
    before = shares(sets)
    order = Repeated(sampling_repeats(sets, "square-root"), seed=0)
    after = shares(sets.take(order.draw(0, 0, order.epoch_length).indices))
    assert after[-1] > 2 * before[-1]
    assert order.epoch_length == 600


def test_no_sample_comes_more_often_than_it_may(sets: LabelSets) -> None:
    for sampling in ("square-root", "inverse", "label-sets", "repeat-factor"):
        repeats = sampling_repeats(sets, sampling, threshold=1.0, max_repeats=1.5)
        assert repeats.max() <= 1.5
        assert (repeats > 0).all()


def test_labels_without_positives_change_nothing() -> None:
    plain = LabelSets.from_names([["a"], ["a"], ["b"], []])
    padded = plain.take([0, 1, 2, 3])
    for sampling in ("square-root", "inverse", "repeat-factor"):
        np.testing.assert_array_equal(sampling_repeats(plain, sampling), sampling_repeats(padded, sampling))
    only_empty = LabelSets.from_names([["a"], [], []]).take([1, 2])
    np.testing.assert_array_equal(sampling_repeats(only_empty, "inverse"), [1.0, 1.0])
    assert len(sampling_repeats(only_empty.take([]), "inverse")) == 0


def test_what_makes_no_sense_is_refused(sets: LabelSets) -> None:
    for options in ({"threshold": 0.0}, {"threshold": 1.5}, {"max_repeats": 0.5}):
        with pytest.raises(UsageError, match="make no sense"):
            sampling_repeats(sets, "inverse", **options)


def test_a_label_that_few_samples_know_is_no_rarer_for_it() -> None:
    space = LabelSpace(names=("cat", "dog"))
    plain = LabelSets.from_lists([[0], [1]] * 5 + [[0]] * 10, space)
    # Dogs are judged in the first ten samples alone, and half of these have one.
    sets = LabelSets(
        space=space,
        positives=plain.positives,
        sources=(LabelSource(name="all"), LabelSource(name="cats", annotated=(0,))),
        source_ids=np.repeat([0, 1], 10).astype(np.uint16),
    )
    repeats = sampling_repeats(sets, "repeat-factor", threshold=1.0)
    np.testing.assert_allclose(repeats[:2], [np.sqrt(20 / 15), np.sqrt(2)])


def test_sets_of_labels_are_told_apart_at_the_size_of_real_data() -> None:
    rng = np.random.default_rng(0)
    rows = [sorted(set(rng.integers(0, 40, rng.integers(0, 4)).tolist())) for _ in range(3_000)]
    sets = LabelSets.from_lists(rows, LabelSpace(names=tuple(map(str, range(40)))))
    sizes = Counter(map(tuple, rows))
    repeats = sampling_repeats(sets, "label-sets", max_repeats=1e9)
    np.testing.assert_allclose(repeats, [3_000 / len(sizes) / sizes[tuple(row)] for row in rows])
