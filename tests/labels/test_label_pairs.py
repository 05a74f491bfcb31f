"""Pairs, frequent sets, imbalance and shift, against the dense matrix."""

import itertools
from collections import Counter

import numpy as np
import pytest

from manyhot.errors import LabelError
from manyhot.labels import LabelCounts, LabelSets, LabelSpace, cooccurrence
from manyhot.labels.cooccurrence import count_pairs, top_pairs
from manyhot.labels.imbalance import frequent_label_sets, imbalance_ratios, label_shift


def random_sets(num_samples: int, num_labels: int, seed: int) -> LabelSets:
    dense = np.random.default_rng(seed).random((num_samples, num_labels)) < 0.2
    return LabelSets.from_dense(dense, LabelSpace(names=tuple(map(str, range(num_labels)))))


@pytest.mark.parametrize("shape", [(17, 41), (1, 1), (0, 3), (5, 1)])
def test_pairs_are_those_of_the_dense_product(shape: tuple[int, int]):
    sets = random_sets(*shape, seed=0)
    dense = sets.to_multi_hot().astype(np.int64)
    together = count_pairs(sets)
    assert together.to_dense().tolist() == (dense.T @ dense).tolist()
    for label in range(shape[1]):
        assert together.row(label).tolist() == (dense.T @ dense)[label].tolist()
        assert together.of(label, 0) == together.of(0, label) == (dense.T @ dense)[label, 0]


@pytest.mark.parametrize("block", [1, 7, 100])
def test_pairs_do_not_depend_on_the_blocks(block: int, monkeypatch: pytest.MonkeyPatch):
    # Rows without labels, and rows of more labels than a block may hold.
    sets = random_sets(43, 17, seed=3)
    whole = count_pairs(sets).triangle
    monkeypatch.setattr(cooccurrence, "BLOCK_POSITIVES", block)
    told: list[tuple[int, int]] = []
    parts = count_pairs(sets, progress=lambda done, total: told.append((done, total)))
    assert parts.triangle.tolist() == whole.tolist()
    assert told[-1] == (43, 43)
    assert all(before < after for before, after in itertools.pairwise(told))


@pytest.mark.parametrize("k", [1, 7, 10_000])
def test_top_pairs_are_the_largest_of_all_pairs_ties_to_the_lowest_ids(k: int):
    sets = random_sets(29, 23, seed=1)
    dense = sets.to_multi_hot().astype(np.int64)
    product = dense.T @ dense
    pairs = [(a, b, int(product[a, b])) for a in range(23) for b in range(a + 1, 23) if product[a, b]]
    assert top_pairs(sets, k) == sorted(pairs, key=lambda pair: (-pair[2], pair[0], pair[1]))[:k]


def test_no_pairs_are_none():
    assert top_pairs(LabelSets.from_names([["a"], []])) == []


def test_too_many_labels_for_all_pairs_are_refused():
    space = LabelSpace(names=tuple(map(str, range(20_001))))
    with pytest.raises(LabelError, match="use top_pairs"):
        count_pairs(LabelSets.from_lists([[0]], space))


def test_long_work_tells_how_far_it_is():
    told: list[tuple[int, int]] = []
    count_pairs(random_sets(5, 3, seed=0), progress=lambda done, total: told.append((done, total)))
    assert told == [(5, 5)]


def test_frequent_sets_are_those_that_a_dictionary_counts():
    sets = random_sets(200, 5, seed=2)
    rows = [tuple(sets.positives.row(row).tolist()) for row in range(200)]
    assert frequent_label_sets(sets, None) == Counter(rows).most_common()
    assert frequent_label_sets(LabelSets.from_names([])) == []


def test_imbalance_is_relative_to_the_most_frequent_label():
    counts = LabelCounts(positives=np.array([8, 2, 0]), known=np.array([10, 10, 10]))
    np.testing.assert_array_equal(imbalance_ratios(counts), [1.0, 4.0, np.nan])


def test_shift_is_the_test_of_two_proportions_on_known_cells():
    space = LabelSpace(names=("a", "b"))
    matrix = np.array([[1, 0]] * 30 + [[0, 0]] * 30 + [[1, np.nan]] * 10 + [[0, 1]] * 30)
    sets = LabelSets.from_dense(matrix, space)
    shift = label_shift(sets, np.repeat([0, 1], [60, 40]))
    np.testing.assert_allclose(shift.prevalence, [[0.5, 0.0], [0.25, 1.0]])
    error = np.sqrt(0.4 * 0.6 * (1 / 60 + 1 / 40))
    np.testing.assert_allclose(shift.z[:, 0], [0.25 / error, -0.25 / error])
    assert shift.worst(1)[0][0] == "b"


def test_parts_need_one_entry_a_sample():
    with pytest.raises(LabelError, match=r"shape \(1,\) for 2 samples"):
        label_shift(LabelSets.from_names([["a"], []]), np.array([0]))


@pytest.mark.parametrize("label", [-1, 2])
def test_pairs_of_a_label_that_is_not_there_are_refused(label: int):
    together = count_pairs(LabelSets.from_names([["a", "b"]]))
    with pytest.raises(LabelError, match=f"label id {label} is outside the 2 labels"):
        together.row(label)
    with pytest.raises(LabelError, match=f"label id {label} is outside the 2 labels"):
        together.of(0, label)
