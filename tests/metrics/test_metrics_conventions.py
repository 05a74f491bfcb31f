"""What every evaluation keeps to: coverage beside each figure, order and batches without effect, clear errors."""

import ast
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from manyhot.errors import RunError, ScoreError, UsageError
from manyhot.labels import LabelCounts, LabelSets, LabelSource, LabelSpace, count_cells
from manyhot.metrics import Evaluation, Figure, evaluate, mean_average_precision, ranks
from manyhot.metrics.bands import label_bands
from manyhot.metrics.counts import count_decisions
from manyhot.metrics.truth import read_truth

POWER_LAW = LabelCounts(positives=np.array([10, 4, 3, 8, 0]), known=np.full(5, 20))


def evaluation_of(logits, truth, as_sets, **options):
    return evaluate(logits, as_sets(truth), kind="logits", **options)


@pytest.fixture(scope="module")
def rich(random_table, as_sets):
    logits, truth = random_table(40, 5, 3, unknown=0.1, levels=20)
    return evaluate(
        logits,
        as_sets(truth),
        kind="logits",
        preds=logits > 0.5,
        thresholds=np.array([0.6, 0.6, np.inf, 0.6, 0.6]),
        train_counts=POWER_LAW,
        min_positives=3,
    )


def test_order_of_rows_changes_no_bit(table, as_sets):
    logits, truth = table
    sets = as_sets(truth)
    options = {"kind": "logits", "train_counts": count_cells(sets)}
    order = np.random.default_rng(5).permutation(len(truth))
    assert evaluate(logits[order], sets.take(order), **options) == evaluate(logits, sets, **options)


def test_blocks_of_rows_change_no_bit(random_table, as_sets, monkeypatch):
    logits, truth = random_table(37, 13, 6, unknown=0.2, levels=10)
    whole = evaluation_of(logits, truth, as_sets, preds=logits > 1, train_counts=None)
    for cells in (1, 13 * 5, 13 * 36):
        monkeypatch.setattr("manyhot.metrics.truth.BLOCK_CELLS", cells)
        assert evaluation_of(logits, truth, as_sets, preds=logits > 1, train_counts=None) == whole


def test_counts_of_batches_add_up(random_table, as_sets):
    logits, truth = random_table(37, 13, 7, unknown=0.2)
    sets = as_sets(truth)
    whole = count_decisions(lambda rows: logits[rows] > 0, read_truth(sets)).labels
    first, second = (
        count_decisions(lambda rows, part=part: logits[part][rows] > 0, read_truth(sets.take(part))).labels
        for part in (range(10), range(10, 37))
    )
    total = first + second
    for name in ("hits", "predicted", "positives", "known"):
        assert getattr(total, name).tolist() == getattr(whole, name).tolist()


def test_order_of_labels_permutes_the_lines_only(random_table, as_sets):
    logits, truth = random_table(30, 8, 8)
    order = np.random.default_rng(0).permutation(8)
    before, after = (evaluation_of(logits[:, o], truth[:, o], as_sets) for o in (np.arange(8), order))
    assert [line.average_precision for line in after.labels] == [before.labels[i].average_precision for i in order]
    assert after.figures["map_macro"] == before.figures["map_macro"]


def test_layout_and_dtype_of_the_scores_do_not_matter(random_table, as_sets):
    logits, truth = random_table(20, 6, 9, levels=4)
    expected = evaluation_of(logits, truth, as_sets)
    read_only = logits.copy()
    read_only.flags.writeable = False
    strided = np.repeat(logits, 2, axis=1)[:, ::2]
    variants = [
        np.asfortranarray(logits),
        read_only,
        strided,
        logits.astype(np.float16),
        torch.tensor(logits).bfloat16(),
    ]
    for variant in variants:
        assert evaluation_of(variant, truth, as_sets) == expected


def test_scores_of_unknown_cells_take_part_in_nothing(random_table, as_sets):
    logits, truth = random_table(40, 7, 10, unknown=0.4)
    changed = np.where(np.isnan(truth), np.random.default_rng(1).normal(0, 99, truth.shape), logits).astype(np.float32)
    preds = np.random.default_rng(2).random(truth.shape) < 0.5
    options = {"train_counts": LabelCounts(positives=np.arange(7), known=np.full(7, 9))}
    assert evaluation_of(changed, truth, as_sets, preds=preds | np.isnan(truth), **options) == evaluation_of(
        logits, truth, as_sets, preds=preds & ~np.isnan(truth), **options
    )


def test_sources_with_other_labels_leave_their_cells_unknown(random_table, as_sets):
    logits, truth = random_table(30, 6, 11)
    truth[15:, 4:] = np.nan
    space = LabelSpace(names=tuple(f"label {i}" for i in range(6)))
    sets = LabelSets(
        space=space,
        positives=as_sets(truth).positives,
        sources=(LabelSource(name="all"), LabelSource(name="some", annotated=(0, 1, 2, 3))),
        source_ids=np.repeat(np.array([0, 1], dtype=np.uint16), 15),
    )
    assert evaluate(logits, sets, kind="logits") == evaluation_of(logits, truth, as_sets)


def test_a_figure_says_how_much_it_covers(as_sets):
    truth = np.array([[1, 0, 0, np.nan], [1, 0, 1, 0], [1, 0, 0, 0]], dtype=np.float32)
    logits = np.array([[1, -1, -1, 2], [2, -1, 3, -1], [0, -1, -1, -1]], dtype=np.float32)
    figures = evaluation_of(logits, truth, as_sets).figures
    coverage = {name: (figures[name].defined, figures[name].total) for name in figures}
    assert coverage["map_macro"] == (2, 4)
    assert coverage["auroc_macro"] == (1, 4), "a label that is positive everywhere has no pairs"
    assert coverage["map_micro"] == coverage["hamming_loss_at_half"] == coverage["brier"] == (11, 12)
    assert coverage["precision_macro_at_half"] == (2, 4), "of the labels that are predicted"
    assert coverage["lrap"] == coverage["f1_samples_at_half"] == (3, 3)
    assert coverage["argmax_accuracy"] == (2, 3)
    assert coverage["ece_macro"] == (0, 4)
    assert figures["ece_macro"].value is None


def test_a_label_without_positives_is_zero_once_it_is_predicted(as_sets):
    truth = np.array([[0.0, 0.0], [0.0, 0.0]])
    logits = np.array([[1.0, -1.0], [-1.0, -1.0]])
    evaluation = evaluation_of(logits, truth, as_sets)
    assert [line.f1 for line in evaluation.labels] == [0.0, None]
    assert evaluation.figures["f1_macro_at_half"] == Figure(0.0, 1, 2)
    assert evaluation.figures["f1_macro_min1_at_half"] == Figure(None, 0, 0)
    assert evaluation.value("f1_weighted_at_half") is None, "no positive carries any weight"
    assert evaluation.value("recall_micro_at_half") is None


def test_a_row_without_labels_is_right_when_nothing_is_predicted(as_sets):
    logits = np.array([[-1.0, -1.0], [-1.0, 1.0]])
    evaluation = evaluation_of(logits, np.zeros((2, 2)), as_sets)
    assert evaluation.value("f1_samples_at_half") == evaluation.value("jaccard_samples_at_half") == 0.5
    assert evaluation.value("subset_accuracy_at_half") == 0.5
    assert evaluation.figures["lrap"] == Figure(None, 0, 2)


def test_the_sigmoid_of_zero_is_at_half(as_sets):
    evaluation = evaluation_of(np.array([[0.0], [-1e-30]]), np.array([[1.0], [0.0]]), as_sets)
    assert evaluation.value("subset_accuracy_at_half") == 1.0


def test_figures_of_a_decision_need_a_decision(random_table, as_sets):
    logits, truth = random_table(9, 4, 12)
    evaluation = evaluation_of(logits, truth, as_sets)
    assert "f1_macro" not in evaluation.figures
    assert {line.threshold for line in evaluation.labels} == {0.5}
    with pytest.raises(ScoreError, match=r"no figure 'f1_macr_at_half'.*did you mean 'f1_macro_at_half'"):
        evaluation.value("f1_macr_at_half")


def test_thresholds_decide_on_probabilities_and_infinity_is_never_reached(random_table, as_sets):
    logits, truth = random_table(30, 4, 13)
    thresholds = np.array([0.2, 0.5, np.inf, 0.9])
    probs = 1 / (1 + np.exp(-logits.astype(np.float64)))
    by_thresholds = evaluation_of(logits, truth, as_sets, thresholds=thresholds)
    by_preds = evaluation_of(logits, truth, as_sets, preds=probs >= thresholds, thresholds=thresholds)
    assert by_thresholds == by_preds
    assert [line.threshold for line in by_preds.labels] == [0.2, 0.5, None, 0.9]
    calibrated = evaluation_of(logits, truth, as_sets, thresholds=thresholds, probs=np.full(truth.shape, 0.5))
    assert [line.recall for line in calibrated.labels] == [1.0, 1.0, 0.0, 0.0]
    assert calibrated.figures["map_macro"] == by_preds.figures["map_macro"]


def test_calibrated_probabilities_replace_the_sigmoid(random_table, as_sets):
    logits, truth = random_table(30, 4, 14)
    probs = np.random.default_rng(0).random(truth.shape).astype(np.float32)
    both = evaluation_of(logits, truth, as_sets, probs=probs)
    own = evaluate(probs, as_sets(truth), kind="probs")
    for name in ("brier", "bce", "ece_micro", "ece_macro", "f1_micro_at_half"):
        assert both.figures[name] == own.figures[name]
    assert both.figures["lrap"] == evaluation_of(logits, truth, as_sets).figures["lrap"]


def test_bands_part_the_training_positives_in_thirds(rich):
    bands = label_bands(np.array([5, 2, 3, 1, 0]), POWER_LAW.positives, 3)
    assert {name: np.flatnonzero(band).tolist() for name, band in bands.items()} == {
        "": [0, 1, 2, 3, 4],
        "_min3": [0, 2],
        "_head": [0],
        "_mid": [3],
        "_tail": [1, 2, 4],
    }
    assert rich.figures["map_macro_head"].total == 1
    assert rich.figures["f1_macro_tail_at_half"].total == 3
    assert rich.figures["map_macro_mid"].value == rich.labels[3].average_precision


def test_bands_do_not_part_labels_with_equal_counts():
    bands = label_bands(np.ones(4, dtype=int), np.array([2, 2, 2, 2]), 1)
    assert bands["_head"].all()
    assert not label_bands(np.ones(2, dtype=int), np.zeros(2, dtype=int), 1)["_head"].any()


def test_min_positives_keeps_labels_with_enough_of_them(rich):
    enough = [line.average_precision for line in rich.labels if line.positives >= 3]
    figure = rich.figures["map_macro_min3"]
    assert figure.total == len(enough) < 5
    assert figure.value == pytest.approx(np.mean(enough), abs=1e-15)


def test_baselines_name_every_figure(rich):
    assert list(rich.baselines) == ["predict nothing", "predict prevalence", "predict all"]
    for values in rich.baselines.values():
        assert list(values) == list(rich.figures)


def test_predicting_nothing_flatters_the_accuracy_of_cells(as_sets):
    truth = np.zeros((10, 10))
    truth[:4, 0] = 1.0
    baselines = evaluation_of(truth, truth, as_sets, preds=truth == 1, train_counts=None).baselines
    nothing, everything = baselines["predict nothing"], baselines["predict all"]
    assert nothing["cell_accuracy"] == nothing["cell_accuracy_at_half"] == 0.96
    assert nothing["brier"] == pytest.approx(0.04)
    assert nothing["recall_micro"] == nothing["f1_micro"] == nothing["cf1"] == 0.0
    assert nothing["precision_micro"] is None
    assert everything["recall_micro"] == 1.0
    assert everything["precision_micro"] == 0.04
    for baseline in (nothing, everything):
        assert baseline["map_macro"] is baseline["lrap"] is baseline["ece_micro"] is baseline["cf1_top3"] is None
    assert set(baselines["predict prevalence"].values()) == {None}, "there are no training counts"


def test_prevalence_ranks_labels_but_no_sample(rich):
    prevalence = rich.baselines["predict prevalence"]
    shares = [line.positives / line.known for line in rich.labels if line.positives]
    assert prevalence["auroc_macro"] == 0.5
    assert prevalence["map_macro"] == pytest.approx(np.mean(shares))
    assert prevalence["lrap"] is not None
    assert prevalence["f1_macro"] == prevalence["f1_macro_at_half"]


def test_weakest_labels_are_those_with_the_lowest_average_precision(rich):
    defined = sorted(line.average_precision for line in rich.labels if line.average_precision is not None)
    assert [line.average_precision for line in rich.weakest_labels(2)] == defined[:2]
    assert len(rich.weakest_labels(99)) == len(defined)


def test_an_evaluation_survives_strict_json(table, rich, as_sets):
    logits, truth = table
    for evaluation in (rich, evaluation_of(logits, truth, as_sets)):
        text = json.dumps(evaluation.to_dict(), allow_nan=False)
        assert Evaluation.from_dict(json.loads(text)) == evaluation


def test_json_has_the_documented_fields_and_no_other(rich):
    data = rich.to_dict()
    assert list(data) == ["schema", "protocol", "split", "num_samples", "num_labels", "figures", "baselines", "labels"]
    assert (data["schema"], data["protocol"], data["split"], data["num_samples"]) == (1, "manyhot", "test", 40)
    assert list(data["figures"]["map_macro"]) == ["value", "defined", "total", "low", "high"]
    columns = [
        "name",
        "positives",
        "known",
        "average_precision",
        "auroc",
        "precision",
        "recall",
        "f1",
        "f2",
        "accuracy",
        "balanced_accuracy",
        "mcc",
        "threshold",
    ]
    assert list(data["labels"][2]) == columns
    assert data["labels"][2]["threshold"] is None, "infinity is null"


def test_json_of_another_format_is_refused(rich):
    with pytest.raises(RunError, match="schema 2; this version reads 1"):
        Evaluation.from_dict({**rich.to_dict(), "schema": 2})
    with pytest.raises(RunError, match="'extra' is missing or unknown"):
        Evaluation.from_dict({**rich.to_dict(), "extra": 1})
    with pytest.raises(RunError, match="'split' is missing or unknown"):
        Evaluation.from_dict({name: value for name, value in rich.to_dict().items() if name != "split"})


def test_nan_is_refused_and_the_cell_named(as_sets):
    scores = np.zeros((5, 3), dtype=np.float32)
    scores[3, 1] = scores[4, 0] = math.nan
    for score in (evaluate, mean_average_precision):
        options = {"kind": "logits"} if score is evaluate else {}
        with pytest.raises(ScoreError, match="2 scores are NaN; the first is of sample 3, label 'label 1'"):
            score(scores, as_sets(np.zeros((5, 3))), **options)


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "probs"}, "are outside \\[0, 1\\].*say kind='logits'"),
        ({"kind": "sigmoid"}, "kind is 'sigmoid'"),
        ({"kind": "logits", "min_positives": 0}, "min_positives is 0"),
        ({"kind": "logits", "preds": np.ones((2, 2), dtype=bool)}, "preds are bool of shape \\(2, 2\\)"),
        ({"kind": "logits", "preds": np.ones((2, 3))}, "preds are float64 of shape \\(2, 3\\); expected booleans"),
        ({"kind": "logits", "thresholds": np.ones(2)}, "thresholds have shape \\(2,\\)"),
        ({"kind": "logits", "thresholds": np.full(3, np.nan)}, "no NaN"),
        ({"kind": "logits", "train_counts": POWER_LAW}, "5 labels, the truth 3"),
        ({"kind": "logits", "probs": np.full((2, 3), 1.5)}, "6 probabilities are outside"),
    ],
)
def test_wrong_arguments_are_refused(options, message, as_sets):
    with pytest.raises((ScoreError, UsageError), match=message):
        evaluate(np.full((2, 3), -2.0), as_sets(np.zeros((2, 3))), **options)


def test_scores_of_another_shape_are_refused(as_sets):
    with pytest.raises(ScoreError, match="scores have shape \\(3, 2\\), but the truth describes 2 samples × 3 labels"):
        mean_average_precision(np.zeros((3, 2)), as_sets(np.zeros((2, 3))))


def test_the_compiler_loads_at_first_use_only():
    for path in Path(ranks.__file__).parent.glob("*.py"):
        heads = [node for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.ImportFrom)]
        modules = {node.module for node in heads}
        lazy = {"numba", "manyhot.metrics.kernels", "manyhot.compiling"}
        assert modules.isdisjoint(lazy) or path.stem.endswith("kernels"), path.name


def test_a_read_only_installation_compiles_without_a_cache(monkeypatch):
    from numba.core.dispatcher import Dispatcher

    from manyhot.compiling import compiled

    def refuse(dispatcher):
        raise RuntimeError("cannot cache function: no locator available")

    def double(values):
        for i in range(len(values)):
            values[i] *= 2

    monkeypatch.setattr(Dispatcher, "enable_caching", refuse)
    values = np.ones(3)
    compiled(double)(values)
    assert values.tolist() == [2.0, 2.0, 2.0]
