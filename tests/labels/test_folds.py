"""Folds, the second pass, and the report of a split."""

import json
from pathlib import Path

import numpy as np
import pytest

from manyhot.errors import LabelError, UsageError
from manyhot.labels import LabelSets, LabelSpace
from manyhot.labels.split_report import report_split
from manyhot.labels.splitting import fold_samples, split_samples

FIVE = (0.2,) * 5


def random_sets(num_samples: int, num_labels: int, seed: int) -> LabelSets:
    rng = np.random.default_rng(seed)
    dense = rng.random((num_samples, num_labels)) < 1 / (np.arange(num_labels) + 2)
    return LabelSets.from_dense(dense, LabelSpace(names=tuple(map(str, range(num_labels)))))


@pytest.mark.parametrize("seed", range(3))
def test_folds_have_equal_sizes_and_equal_labels(seed: int):
    sets = random_sets(1_003, 23, seed)
    fold_of = fold_samples(sets, 5, seed=seed)
    assert sorted(np.bincount(fold_of).tolist()) == [200, 200, 201, 201, 201]
    assert report_split(sets, fold_of, FIVE).mean_worst_deviation < 1
    assert fold_of.tolist() == fold_samples(sets, 5, seed=seed).tolist()


@pytest.mark.parametrize("seed", range(8))
def test_sizes_are_within_one_largest_group(seed: int):
    rng = np.random.default_rng(seed)
    groups = rng.choice(20, size=300, p=rng.dirichlet(np.full(20, 0.3)))
    sets = random_sets(300, 7, seed)
    sizes = np.bincount(split_samples(sets, (0.6, 0.3, 0.1), seed=seed, groups=groups), minlength=3)
    assert (np.abs(sizes - np.array([180, 90, 30])) <= np.bincount(groups).max()).all()


@pytest.mark.parametrize("num_folds", [0, 1, 5])
def test_folds_are_at_least_two_and_at_most_the_samples(num_folds: int):
    with pytest.raises(UsageError, match=f"{num_folds} folds of 4"):
        fold_samples(LabelSets.from_names([["a"]] * 4), num_folds, seed=0)


def test_the_report_counts_what_the_dense_matrix_holds():
    sets = random_sets(57, 9, 0)
    part_of = np.random.default_rng(0).integers(0, 3, 57)
    report = report_split(sets, part_of, (0.5, 0.25, 0.25))
    dense = sets.to_multi_hot()
    counts = np.stack([dense[part_of == part].sum(axis=0) for part in range(3)])
    assert report.counts.tolist() == counts.tolist()
    assert report.sizes.tolist() == np.bincount(part_of).tolist()
    assert report.empty_counts.sum() == (dense.sum(axis=1) == 0).sum()
    expected = np.abs(counts - np.outer((0.5, 0.25, 0.25), counts.sum(axis=0))).max(axis=0)
    np.testing.assert_allclose(report.worst_deviations, expected)
    assert abs(report.worst(1)[0][2]) == pytest.approx(expected.max())


def test_a_label_that_a_part_lacks_is_named():
    sets = LabelSets.from_names([["a"], ["a"], ["b"], []])
    assert report_split(sets, np.array([0, 0, 1, 1]), (0.5, 0.5)).missing.tolist() == [0]


def test_the_report_refuses_parts_that_do_not_fit():
    sets = LabelSets.from_names([["a"], []])
    with pytest.raises(LabelError, match=r"shape \(1,\) for 2"):
        report_split(sets, np.array([0]), FIVE)
    with pytest.raises(LabelError, match="run from 0 to 5; there are 5"):
        report_split(sets, np.array([0, 5]), FIVE)


@pytest.mark.real_data
def test_the_second_pass_brings_every_label_of_fifty_thousand_rows_near_its_share(shared_data: Path):
    rows = json.loads((shared_data / "label_spaces" / "real.json").read_text(encoding="utf-8"))
    sets = LabelSets.from_lists(rows, LabelSpace(names=tuple(map(str, range(1_000)))))
    report = report_split(sets, fold_samples(sets, 5, seed=0), FIVE)
    assert report.sizes.tolist() == [10_000] * 5
    assert report.empty_counts.sum() == 3_163
    assert report.mean_worst_deviation < 0.7
    assert report.missing.size == 0
