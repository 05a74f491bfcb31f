"""The facts about data count what is there, with all three states."""

import numpy as np

from manyhot.labels import LabelSets, LabelSpace
from manyhot.runs.facts import describe_labels

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
        "without a label  2 (they stay, as samples of negatives)",
        "unknown cells    2 of 12",
    ]


def test_facts_of_labels_that_are_all_unknown() -> None:
    facts = describe_labels(LabelSets.from_lists([[], []], SPACE, unlisted="unknown"))
    assert facts.num_unknown == 6
    assert "no known cell" in facts.to_lines()[2]


def test_facts_of_no_samples() -> None:
    facts = describe_labels(LabelSets.from_lists([], SPACE))
    assert (facts.num_samples, facts.most_labels, facts.num_unlabelled) == (0, 0, 0)
