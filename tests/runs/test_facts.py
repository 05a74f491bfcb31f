"""The facts about data count what is there, with all three states."""

from pathlib import Path

import numpy as np

from manyhot.labels import LabelSets, LabelSpace
from manyhot.runs.facts import LabelShare, describe_data, describe_labels
from manyhot.sources import Manifest

SPACE = LabelSpace(names=("a", "N/A", "c"))


def test_facts_of_dense_labels_with_unknown_cells() -> None:
    nan = np.nan
    facts = describe_labels(LabelSets.from_dense(np.array([[1, nan, 0], [1, 1, 0], [0, 0, 0], [nan, 0, 0]]), SPACE))
    assert (facts.num_samples, facts.num_labels, facts.num_unknown) == (4, 3, 2)
    assert (facts.labels_per_sample, facts.most_labels, facts.num_unlabelled) == (0.75, 2, 2)
    assert facts.most_frequent is not None
    assert facts.least_frequent is not None
    assert (facts.most_frequent.name, facts.most_frequent.positives, facts.most_frequent.known) == ("a", 2, 3)
    assert (facts.least_frequent.name, facts.least_frequent.positives) == ("c", 0)
    assert facts.to_lines() == [
        "samples          4",
        "labels           3 (0.75 a sample, at most 2)",
        "most frequent    'a', positives: 2 (66.7% of 3)",
        "least frequent   'c', positives: 0 (0.0% of 4)",
        "never positive   1 (no figure is defined for them)",
        "without a label  2 (they stay)",
        "unknown cells    2 of 12",
    ]


def test_facts_of_labels_that_are_all_unknown() -> None:
    facts = describe_labels(LabelSets.from_lists([[], []], SPACE, unlisted="unknown"))
    assert facts.num_unknown == 6
    assert "no known cell" in facts.to_lines()[2]


def test_facts_of_no_samples() -> None:
    facts = describe_labels(LabelSets.from_lists([], SPACE))
    assert (facts.num_samples, facts.most_labels, facts.num_unlabelled) == (0, 0, 0)


def test_shares_of_rare_labels_are_not_shown_as_nothing() -> None:
    shares = [LabelShare(name="a", positives=positives, known=100_000) for positives in (0, 3, 33, 3_300)]
    assert [str(share).rpartition("(")[2] for share in shares] == [
        "0.0% of 100,000)", "<0.01% of 100,000)", "0.03% of 100,000)", "3.3% of 100,000)",
    ]  # fmt: skip


def test_splits_and_groups_are_counted() -> None:
    labels = LabelSets.from_names([["a"], [], ["a"], []])
    manifest = Manifest.from_lists(
        Path(), list("wxyz"), labels, splits=["test", "train", "test", None], groups=["p", None, "p", "q"]
    )
    facts = describe_data(manifest)
    assert list(facts.splits.items()) == [("train", 1), ("test", 2)]
    assert (facts.num_groups, facts.largest_group) == (2, 2)
    lines = facts.to_lines()
    assert "splits           train 1, test 2" in lines
    assert "groups           2, the largest of 2 samples (never parted)" in lines
