"""Figures from the ids of the best labels are those of all scores."""

import numpy as np
import pytest

from manyhot.errors import ScoreError
from manyhot.labels import LabelCounts, LabelSets, LabelSource, LabelSpace
from manyhot.metrics import evaluate, evaluate_best


def random_truth(num_samples: int, num_labels: int) -> LabelSets:
    dense = np.random.default_rng(0).random((num_samples, num_labels)) < 0.15
    dense[::5] = False
    return LabelSets.from_dense(dense, LabelSpace(names=tuple(map(str, range(num_labels)))))


@pytest.mark.parametrize("num_labels", [5, 41])
@pytest.mark.parametrize("kept", [3, 5, 9])
def test_figures_are_those_of_all_scores(num_labels: int, kept: int):
    truth, rng = random_truth(17, num_labels), np.random.default_rng(1)
    # Few levels: ties go to the lower id.
    scores = rng.integers(0, 6, (17, num_labels)).astype(np.float32)
    best = np.argsort(-scores, axis=1, kind="stable")[:, :kept]
    counts = LabelCounts(positives=rng.integers(0, 50, num_labels), known=np.full(num_labels, 99))
    found = evaluate_best(best, truth, train_counts=counts)
    expected = evaluate(scores, truth, kind="logits", train_counts=counts).figures
    assert found == {name: expected[name] for name in found}
    assert ("psp_at_5" in found) == (best.shape[1] >= 5)


def test_no_sample_has_no_figure():
    assert evaluate_best(np.zeros((0, 5), dtype=np.int64), random_truth(0, 9))["precision_at_5"].value is None


def test_unknown_cells_and_other_sizes_are_refused():
    unknown = LabelSets.from_names([["cat"], []], unlisted="unknown")
    with pytest.raises(ScoreError, match="unknown cells"):
        evaluate_best(np.zeros((2, 1), dtype=np.int64), unknown)
    with pytest.raises(ScoreError, match="16 samples, and truth of 17"):
        evaluate_best(np.zeros((16, 1), dtype=np.int64), random_truth(17, 9))


@pytest.mark.parametrize("ids", [[0, 9], [-1, 3], [4, 4]])
def test_ids_of_no_label_and_ids_twice_are_refused(ids):
    with pytest.raises(ScoreError, match=r"sample 1 are \[.*0 to 8"):
        evaluate_best(np.array([[0, 1], ids]), random_truth(2, 9))


@pytest.mark.parametrize("ids", [np.zeros(2, dtype=np.int64), np.zeros((2, 1)), np.zeros((2, 1), dtype=bool)])
def test_what_are_no_ids_is_refused(ids, without_shape_checks):
    with pytest.raises(ScoreError, match=r"give whole numbers, a row a sample"):
        evaluate_best(ids, random_truth(2, 9))


@pytest.mark.parametrize("counted", [8, 10])
def test_training_counts_of_other_labels_are_refused(counted):
    counts = LabelCounts(positives=np.ones(counted, dtype=np.int64), known=np.full(counted, 5))
    with pytest.raises(ScoreError, match=f"the training counts have {counted} labels, the truth 9"):
        evaluate_best(np.zeros((2, 1), dtype=np.int64), random_truth(2, 9), train_counts=counts)


def test_rows_without_unknown_cells_are_judged_whatever_other_sources_leave_open():
    plain = random_truth(8, 5)
    mixed = LabelSets(
        space=plain.space,
        positives=plain.positives,
        sources=(LabelSource(name="all"), LabelSource(name="some", unlisted="unknown")),
        source_ids=np.repeat([0, 1], 4).astype(np.uint16),
    )
    best = np.tile(np.arange(3), (4, 1))
    assert evaluate_best(best, mixed.take(range(4))) == evaluate_best(best, plain.take(range(4)))
    with pytest.raises(ScoreError, match="unknown cells"):
        evaluate_best(best, mixed.take(range(3, 7)))
