"""What other libraries get wrong, or leave to a guess: one test a trap.

Sixteen traps are known; that ranks with unequal numbers of updates hang takes several processes, and stands in
tests/distributed/test_metrics_ranks.py.
"""

import pickle

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, coverage_error, label_ranking_loss

from manyhot.errors import ScoreError, UsageError
from manyhot.labels import LabelSets, LabelSpace
from manyhot.metrics import evaluate
from manyhot.metrics.histogram_state import HistogramState

UNKNOWN = np.nan


def sets_of(matrix) -> LabelSets:
    matrix = np.asarray(matrix, dtype=np.float64)
    return LabelSets.from_dense(matrix, LabelSpace(names=tuple(f"label {i}" for i in range(matrix.shape[1]))))


def logits_and_truth(seed, num_samples=31, num_labels=7):
    generator = np.random.default_rng(seed)
    truth = (generator.random((num_samples, num_labels)) < 0.3).astype(np.float64)
    return (generator.normal(size=truth.shape) + truth).astype(np.float32), truth


def test_logits_that_happen_to_lie_between_zero_and_one_are_logits_still():
    _, truth = logits_and_truth(0)
    logits = np.random.default_rng(1).uniform(0.1, 0.9, truth.shape)
    evaluation = evaluate(logits, sets_of(truth), kind="logits")
    # All of them are above zero: each probability is above one half, whatever a look at the range would suggest.
    assert evaluation.value("recall_micro_at_half") == 1.0
    assert evaluation.value("cell_accuracy_at_half") == pytest.approx(truth.mean(), abs=1e-15)


@pytest.mark.usefixtures("without_shape_checks")
def test_the_kind_of_scores_is_never_guessed():
    logits, truth = logits_and_truth(2)
    with pytest.raises(UsageError, match="does not guess"):
        evaluate(logits, sets_of(truth), kind="auto")


def test_logits_whose_sigmoids_saturate_do_not_tie():
    # In float32 the sigmoids of 20 and 30 are both 1.
    logits, truth = np.array([[30.0], [20.0], [25.0], [18.0]], dtype=np.float32), [[1], [0], [1], [0]]
    assert evaluate(logits, sets_of(truth), kind="logits").value("map_macro") == 1.0
    sigmoids = (1 / (1 + np.exp(-logits))).astype(np.float32)
    assert evaluate(sigmoids, sets_of(truth), kind="probs").value("map_macro") == 0.5


def test_a_label_without_positives_is_left_out_of_the_mean_and_counted():
    logits, truth = logits_and_truth(3)
    truth[:, 2] = 0
    figure = evaluate(logits, sets_of(truth), kind="logits").figures["map_macro"]
    others = [label for label in range(7) if label != 2]
    expected = np.mean([average_precision_score(truth[:, label], logits[:, label]) for label in others])
    assert figure.value == pytest.approx(expected, abs=1e-12)
    assert (figure.defined, figure.total) == (6, 7)


def test_the_area_under_a_curve_of_one_class_is_undefined():
    logits, truth = logits_and_truth(4)
    truth[:, 0], truth[:, 1] = 1, 0
    evaluation = evaluate(logits, sets_of(truth), kind="logits")
    assert evaluation.labels[0].auroc is None
    assert evaluation.labels[1].auroc is None
    assert (evaluation.figures["auroc_macro"].defined, evaluation.figures["auroc_macro"].total) == (5, 7)


def test_a_label_neither_there_nor_predicted_has_no_f1_and_one_that_is_predicted_has_zero():
    preds = np.array([[True, False, True], [True, False, False]])
    evaluation = evaluate(np.zeros((2, 3)), sets_of([[1, 0, 0], [1, 0, 0]]), kind="logits", preds=preds)
    assert [label.f1 for label in evaluation.labels] == [1.0, None, 0.0]
    assert (evaluation.value("f1_macro"), evaluation.figures["f1_macro"].defined) == (0.5, 2)


def test_unknown_cells_take_no_place_in_coverage_and_ranking_loss():
    logits, truth = logits_and_truth(5, num_samples=40)
    truth[:, 0] = 1
    holes = np.random.default_rng(6).random(truth.shape) < 0.4
    holes[:, 0] = False
    holes[:, 1] = False
    truth[:, 1] = 0
    evaluation = evaluate(logits, sets_of(np.where(holes, UNKNOWN, truth)), kind="logits")
    rows = [(truth[row][~holes[row]][None], logits[row][~holes[row]][None]) for row in range(40)]
    assert evaluation.value("coverage_error") == pytest.approx(
        np.mean([coverage_error(*row) for row in rows]), abs=1e-12
    )
    expected = np.mean([label_ranking_loss(*row) for row in rows])
    assert evaluation.value("ranking_loss") == pytest.approx(expected, abs=1e-12)


def test_the_order_of_tied_samples_changes_no_figure():
    logits, truth = logits_and_truth(7, num_samples=60)
    logits = np.round(logits)
    turned = np.arange(60)[::-1]
    forth = evaluate(logits, sets_of(truth), kind="logits")
    back = evaluate(logits[turned], sets_of(truth[turned]), kind="logits")
    assert forth.figures == back.figures


def test_nan_is_refused_and_its_cell_is_named():
    logits, truth = logits_and_truth(8)
    logits[4, 5] = np.nan
    with pytest.raises(ScoreError, match="sample 4, label 'label 5'"):
        evaluate(logits, sets_of(truth), kind="logits")


def test_the_accuracy_of_cells_stands_beside_what_predicting_nothing_reaches():
    generator = np.random.default_rng(9)
    truth = (generator.random((200, 40)) < 0.036).astype(np.float64)
    evaluation = evaluate(generator.normal(size=truth.shape) - 4, sets_of(truth), kind="logits")
    nothing = evaluation.baselines["predict nothing"]
    assert nothing["cell_accuracy_at_half"] == pytest.approx(1 - truth.mean(), abs=1e-15)
    assert nothing["cell_accuracy_at_half"] > 0.95
    assert nothing["f1_macro_at_half"] == 0.0


def test_a_row_is_right_when_its_known_cells_are_whatever_is_said_of_the_others():
    truth = [[1, 0, UNKNOWN], [1, UNKNOWN, 0], [UNKNOWN, UNKNOWN, UNKNOWN]]
    preds = np.array([[True, False, True], [True, True, False], [True, True, True]])
    figure = evaluate(np.zeros((3, 3)), sets_of(truth), kind="logits", preds=preds).figures["subset_accuracy"]
    assert (figure.value, figure.defined, figure.total) == (1.0, 2, 3)


def test_a_figure_of_the_split_is_no_mean_over_batches():
    logits, truth = logits_and_truth(10, num_samples=64)
    whole = evaluate(logits, sets_of(truth), kind="logits").value("map_macro")
    batches = [
        evaluate(logits[start : start + 8], sets_of(truth[start : start + 8]), kind="logits").value("map_macro")
        for start in range(0, 64, 8)
    ]
    expected = np.mean([average_precision_score(truth[:, label], logits[:, label]) for label in range(7)])
    assert whole == pytest.approx(expected, abs=1e-12)
    assert abs(np.mean(batches) - whole) > 0.05


@pytest.mark.parametrize("positives_first", [True, False])
def test_a_constant_score_has_the_precision_of_predicting_everything(positives_first):
    truth = np.zeros((1000, 1))
    truth[:100] = 1
    truth = truth if positives_first else truth[::-1]
    evaluation = evaluate(np.full((1000, 1), 0.3), sets_of(truth), kind="probs")
    assert evaluation.value("map_macro") == pytest.approx(0.1, abs=1e-15)
    assert evaluation.value("auroc_macro") == 0.5


def test_a_perfect_model_is_perfect_however_little_is_known():
    # Each row verifies one positive and one negative; of the other positives, which the model finds, nobody said anything.
    generator = np.random.default_rng(11)
    truth = (generator.random((300, 12)) < 0.4).astype(np.float64)
    logits = 4 * truth - 2 + generator.normal(size=truth.shape) * 0.1
    known = generator.random(truth.shape) < 1 / 6
    judged = evaluate(logits, sets_of(np.where(known, truth, UNKNOWN)), kind="logits")
    assert judged.value("map_macro") == 1.0
    assert judged.value("f1_macro_at_half") == 1.0
    as_negative = evaluate(logits, sets_of(np.where(known, truth, 0)), kind="logits")
    assert as_negative.value("map_macro") < 0.35


def test_bins_say_how_far_off_they_may_be_and_are_not():
    # Scores within a hundredth of one another: bins of fixed width between 0 and 1 would put them all into one.
    generator = np.random.default_rng(12)
    truth = (generator.random((800, 5)) < 0.1).astype(np.float64)
    logits = (-6 + 0.01 * (generator.normal(size=truth.shape) + truth)).astype(np.float32)
    state = HistogramState(kind="logits")
    state.update(logits, sets_of(truth), sample_ids=np.arange(800))
    found = state.compute()
    exact = evaluate(logits, sets_of(truth), kind="logits")
    values = np.array([label.average_precision for label in exact.labels])
    bounds = found.average_precision
    assert ((bounds.low <= values) & (values <= bounds.high)).all()
    figure = found.evaluation.figures["map_macro"]
    assert figure.low <= exact.value("map_macro") <= figure.high


def test_a_state_of_bins_does_not_grow_with_scores():
    generator = np.random.default_rng(13)
    state = HistogramState(kind="logits", num_bins=16)
    sizes = []
    for batch in range(4):
        truth = (generator.random((100, 500)) < 0.01).astype(np.float64)
        ids = np.arange(100) + 100 * batch
        state.update(generator.normal(size=truth.shape).astype(np.float32), sets_of(truth), sample_ids=ids)
        sizes.append(len(pickle.dumps(state)))
    # Bins are there from the first batch. Of a sample a few numbers are kept and its positives, of a score nothing:
    # the scores of a batch would be 200,000 bytes.
    assert (np.diff(sizes) < 60_000).all()
