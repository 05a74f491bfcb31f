"""Results read well on 80 columns, and show what is undefined."""

import numpy as np
import pytest

from manyhot.cli.rendering import render_evaluation, render_findings, render_predictions
from manyhot.labels import LabelSpace
from manyhot.metrics.figures import Evaluation, Figure, LabelFigures
from manyhot.runs.predicting import Predictions
from manyhot.sources.finding import Finding


def label(name: str, average_precision: float | None, threshold: float | None = 0.25) -> LabelFigures:
    return LabelFigures(
        name=name,
        positives=12,
        known=1_000,
        average_precision=average_precision,
        auroc=None,
        precision=0.5,
        recall=0.0004,
        f1=0.0,
        f2=None,
        accuracy=0.9,
        balanced_accuracy=0.5,
        mcc=None,
        threshold=threshold,
    )


@pytest.fixture
def evaluation() -> Evaluation:
    names = ("predict nothing", "predict prevalence", "predict all")
    return Evaluation(
        protocol="manyhot",
        split="test",
        num_samples=1_000,
        num_labels=7,
        figures={"map_macro": Figure(0.97345, 6, 7), "f1_macro": Figure(None, 0, 7), "unheard_of": Figure(1.0, 1, 1)},
        baselines={name: {"map_macro": 0.1, "f1_macro": None} for name in names},
        labels=tuple(
            label(f"label {index}", value) for index, value in enumerate([0.9, None, 0.1, 0.3, 0.2, 0.8, 0.7])
        ),
    )


def test_figures_stand_beside_every_baseline_with_their_coverage(evaluation: Evaluation) -> None:
    lines = render_evaluation(evaluation).splitlines()
    assert lines[0] == "test: 1,000 samples, 7 labels"
    assert lines[2].split() == ["figure", "model", "nothing", "prevalence", "all", "defined"]
    assert lines[3].split() == ["map_macro", "0.973", "0.100", "0.100", "0.100", "6/7"]


def test_figures_over_labels_with_enough_positives_follow_the_plain_ones(evaluation: Evaluation) -> None:
    asked = {"f1_macro_min5": Figure(0.25, 1, 2), "map_macro_min5": Figure(0.5, 2, 2)}
    banded = Evaluation(**{**vars(evaluation), "figures": evaluation.figures | asked})
    names = [line.split()[0] for line in render_evaluation(banded).splitlines()[3:7]]
    assert names == ["map_macro", "map_macro_min5", "f1_macro", "f1_macro_min5"]


def test_figures_over_labels_with_one_positive_are_shown_where_they_are_not_the_plain_ones(
    evaluation: Evaluation,
) -> None:
    figures = {"map_macro": Figure(0.9, 6, 7), "map_macro_min1": Figure(0.9, 6, 6), "f1_macro": Figure(0.5, 7, 7)}
    banded = Evaluation(**{**vars(evaluation), "figures": figures | {"f1_macro_min1": Figure(0.6, 6, 6)}})
    names = [line.split()[0] for line in render_evaluation(banded).splitlines()[3:6]]
    assert names == ["map_macro", "f1_macro", "f1_macro_min1"]


@pytest.mark.parametrize("least", [1, 5])
def test_how_many_positives_are_enough_is_said_in_any_case(evaluation: Evaluation, least: int) -> None:
    asked = evaluation.figures | {f"map_macro_min{least}": Figure(0.5, 4, 4)}
    told = f"(4 with at least {least} positive{'s' if least > 1 else ''})"
    assert render_evaluation(Evaluation(**{**vars(evaluation), "figures": asked})).splitlines()[0].endswith(told)


def test_what_the_decision_promises_stands_below_on_80_columns(evaluation: Evaluation) -> None:
    notes = (
        "no promise: 8 samples are too few for a false-negative rate at most 0.1, it takes 29; nothing is sure",
        "x",
    )
    lines = render_evaluation(evaluation, None, notes).splitlines()
    start = lines.index("the decision as a whole")
    assert " ".join(line.strip() for line in lines[start + 1 : -1]) == notes[0]
    assert lines[-1] == "x"
    assert max(map(len, lines)) <= 80


def test_an_undefined_figure_is_a_dash(evaluation: Evaluation) -> None:
    line = next(line for line in render_evaluation(evaluation).splitlines() if line.startswith("f1_macro"))
    assert line.split() == ["f1_macro", "-", "-", "-", "-", "0/7"]


def test_the_five_weakest_labels_come_weakest_first_without_the_undefined(evaluation: Evaluation) -> None:
    lines = render_evaluation(evaluation).splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith("weakest labels"))
    assert [line[:7] for line in lines[start + 1 :]] == ["label 2", "label 4", "label 3", "label 6", "label 5"]


def test_a_tiny_value_is_not_shown_as_nothing(evaluation: Evaluation) -> None:
    assert "4e-04" in render_evaluation(evaluation)


def test_an_evaluation_fits_80_columns_whatever_the_names(evaluation: Evaluation) -> None:
    labels = (label("a very long name of a label that goes on and on", 0.5, None), label("犬" * 40, 0.1))
    wide = Evaluation(**{**vars(evaluation), "labels": labels})
    assert max(len(line) for line in render_evaluation(wide).splitlines()) <= 80
    assert "never" in render_evaluation(wide)


def test_an_evaluation_without_judgeable_labels_says_so(evaluation: Evaluation) -> None:
    empty = Evaluation(**{**vars(evaluation), "labels": (label("a", None),)})
    assert "no label has a positive here" in render_evaluation(empty)


def test_predictions_show_labels_and_the_likeliest_of_the_others() -> None:
    predictions = Predictions(
        references=("folder/a.jpg", "b.jpg"),
        space=LabelSpace(names=("cat", "N/A", "dog")),
        probs=np.array([[0.9, 0.5, 0.1], [0.1, 0.2, 0.05]], dtype=np.float32),
        preds=np.array([[True, True, False], [False, False, False]]),
        failures=(),
    )
    lines = render_predictions(predictions).splitlines()
    assert lines[1].split("  ") == ["a.jpg  ".strip(), "", *lines[1].split("  ")[2:]]
    assert "cat, N/A" in lines[1]
    assert "cat 0.90, N/A 0.50, dog 0.10" in lines[1]
    assert "(none)" in lines[2]
    assert "cat" in render_predictions(predictions, {"b.jpg": ["cat"]}).splitlines()[2]


def test_many_predictions_are_cut_with_a_word_on_how_to_get_all() -> None:
    count = 23
    predictions = Predictions(
        references=tuple(f"{index}.jpg" for index in range(count)),
        space=LabelSpace(names=("cat",)),
        probs=np.full((count, 1), 0.5, dtype=np.float32),
        preds=np.zeros((count, 1), dtype=bool),
        failures=(),
    )
    lines = render_predictions(predictions).splitlines()
    assert len(lines) == 22
    assert lines[-1] == "and 3 more; --out FILE.csv writes all of them"


def test_findings_come_worst_first_with_counts_and_examples() -> None:
    findings = [
        Finding(name="rare-label", severity="warning", message="rare", count=1, examples=("'x'",)),
        Finding(name="missing-file", severity="error", message="gone", count=7, examples=tuple("abcde")),
    ]
    lines = render_findings(findings).splitlines()
    assert lines[0] == "error: missing-file (7): gone"
    assert lines[1:7] == ["    a", "    b", "    c", "    d", "    e", "    and 2 more"]
    assert lines[-1] == "1 error, 1 warning"


def test_nothing_wrong_is_said() -> None:
    assert render_findings([]) == "nothing wrong was found"


def test_intervals_stand_beside_their_figures(evaluation: Evaluation) -> None:
    figures = evaluation.figures | {"map_macro": Figure(0.97345, 6, 7, 0.95, 0.99)}
    lines = render_evaluation(Evaluation(**{**vars(evaluation), "figures": figures})).splitlines()
    assert lines[2].split() == ["figure", "model", "low", "high", "nothing", "prevalence", "all", "defined"]
    assert lines[3].split() == ["map_macro", "0.973", "0.950", "0.990", "0.100", "0.100", "0.100", "6/7"]
    assert lines[4].split() == ["f1_macro", "-", "-", "-", "-", "-", "-", "0/7"]


def test_another_protocol_says_what_differs_and_shows_all_of_its_few_figures(evaluation: Evaluation) -> None:
    figures = {"precision_at_3": Figure(0.5, 9, 9), "map_macro_min1": Figure(0.5, 9, 9)}
    lines = render_evaluation(Evaluation(**{**vars(evaluation), "protocol": "xc", "figures": figures})).splitlines()
    assert lines[1] == "protocol xc: samples without labels count 0"
    assert [line.split()[0] for line in lines[4:6] if line] == ["precision_at_3"]


def test_thresholds_of_the_weakest_labels_are_explained(evaluation: Evaluation) -> None:
    reasons = {
        "label 2": "threshold 0.31: F*/2 on 1,204 validation positives, " * 3,
        "label 0": "not among the weakest",
    }
    text = render_evaluation(evaluation, reasons)
    assert "label 2  threshold 0.31: F*/2 on 1,204 validation positives" in text
    assert "label 0" not in text
    assert max(map(len, text.splitlines())) <= 80
