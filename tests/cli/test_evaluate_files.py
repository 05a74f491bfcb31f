"""Any model's scores are measured from files, with everything that was assumed said on the way."""

import json
import logging
from pathlib import Path
from typing import get_args

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from manyhot.cli.evaluate import MAPPED_SCORES
from manyhot.cli.main import main
from manyhot.labels import LabelSets, LabelSpace
from manyhot.labels.mapped_scores import MappedScore
from manyhot.metrics import Evaluation, evaluate
from manyhot.runs.writing import PredictedRows, write_predictions

NAMES = ("ant", "bee", "cat")
SPACE = LabelSpace(names=NAMES)


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """An empty folder with logits and a truth in which a fifth of the cells is unknown."""
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    truth = (generator.random((17, 3)) < 0.4).astype(np.float32)
    logits = (generator.normal(size=truth.shape) + truth).astype(np.float32)
    truth[generator.random(truth.shape) < 0.2] = np.nan
    np.save("scores.npy", logits)
    np.save("truth.npy", truth)
    return logits, truth


def measured(arguments):
    assert main(["evaluate", *arguments, "--json", "figures.json"]) == 0
    return Evaluation.from_dict(json.loads(Path("figures.json").read_text(encoding="utf-8")))


def test_two_matrices_give_the_figures_of_the_call(desk, capsys):
    logits, truth = desk
    found = measured(["--scores", "scores.npy", "--truth", "truth.npy", "--kind", "logits"])
    expected = evaluate(
        logits, LabelSets.from_dense(truth, LabelSpace(names=("0", "1", "2"))), kind="logits", split="all"
    )
    assert found == expected
    shown = capsys.readouterr()
    assert "all: 17 samples, 3 labels (3 with at least 1 positive)" in shown.out
    assert "matched with samples by order, since scores.npy does not name them" in shown.err
    assert "next" not in shown.out


def test_minus_one_is_unknown_as_nan_is(desk):
    _, truth = desk
    np.save("minus.npy", np.nan_to_num(truth, nan=-1).astype(np.int8))
    flags = ["--scores", "scores.npy", "--kind", "logits", "--truth"]
    assert measured([*flags, "minus.npy"]) == measured([*flags, "truth.npy"])


def test_tables_are_joined_by_reference_and_by_label(desk):
    logits, truth = desk
    references = [f"{row}.jpg" for row in range(17)]
    columns = {name: truth[:, label] for label, name in enumerate(NAMES)}
    pq.write_table(pa.table({"file": references, **columns}), "truth.parquet")
    order = np.random.default_rng(1).permutation(17)
    mixed = {"image": [f"photos/{references[row]}" for row in order]}
    for label in (2, 0, 1):
        mixed[f"prob:{NAMES[label]}"] = (1 / (1 + np.exp(-logits[order, label].astype(np.float64)))).tolist()
    pa.csv.write_csv(pa.table(mixed), "scores.csv")
    found = measured(["--scores", "scores.csv", "--truth", "truth.parquet", "--kind", "probs"])
    expected = evaluate(logits, LabelSets.from_dense(truth, SPACE), kind="logits", split="all")
    by_name = {label.name: label for label in found.labels}
    assert list(by_name) == ["cat", "ant", "bee"]
    for label in expected.labels:
        assert by_name[label.name] == label


def test_what_predict_writes_is_read(desk):
    logits, truth = desk
    probs = 1 / (1 + np.exp(-logits))
    written = PredictedRows(
        references=[f"{row}.jpg" for row in range(17)], probs=probs, preds=probs > 0.5, logits=logits
    )
    write_predictions(Path("predictions.parquet"), SPACE, [written], with_logits=True)
    rows = [
        {"file": f"{row}.jpg", **{name: truth[row, label].item() for label, name in enumerate(NAMES)}}
        for row in range(17)
    ]
    pq.write_table(pa.Table.from_pylist(rows), "truth.parquet")
    found = measured(["--scores", "predictions.parquet", "--truth", "truth.parquet", "--kind", "probs"])
    assert found == evaluate(probs, LabelSets.from_dense(truth, SPACE), kind="probs", split="all")
    found = measured(["--scores", "predictions.parquet", "--truth", "truth.parquet", "--kind", "logits"])
    assert found == evaluate(logits, LabelSets.from_dense(truth, SPACE), kind="logits", split="all")


def test_thresholds_and_training_labels_add_decision_and_prevalence(desk):
    logits, truth = desk
    np.save("train.npy", (np.random.default_rng(2).random((50, 3)) < 0.3).astype(np.int8))
    flags = ["--scores", "scores.npy", "--truth", "truth.npy", "--kind", "logits"]
    found = measured([*flags, "--thresholds", "0.3", "--train-truth", "train.npy"])
    expected = evaluate(
        logits, LabelSets.from_dense(truth, SPACE), kind="logits", thresholds=np.full(3, 0.3), split="all"
    )
    assert found.value("f1_macro") == expected.value("f1_macro")
    assert found.baselines["predict prevalence"]["map_macro"] is not None
    assert "map_macro_head" in found.figures


def test_intervals_are_shown_on_80_columns(desk, capsys):
    flags = ["--scores", "scores.npy", "--truth", "truth.npy", "--kind", "logits"]
    found = measured([*flags, "--intervals", "20"])
    figure = found.figures["map_macro"]
    assert figure.low <= figure.value <= figure.high
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split() == ["figure", "model", "low", "high", "nothing", "prevalence", "all", "defined"]
    assert max(map(len, lines)) <= 80


def test_a_page_shows_all_protocols_and_reliability(desk, capsys):
    flags = ["--scores", "scores.npy", "--truth", "truth.npy", "--kind", "logits", "--protocol", "all"]
    assert main(["evaluate", *flags, "--report", "page.html"]) == 0
    page = Path("page.html").read_text(encoding="utf-8")
    assert "Under other protocols" in page
    assert page.count("Reliability of") == 3
    assert capsys.readouterr().out.endswith("report   page.html\n")


def test_nan_scores_are_one_line_that_names_sample_and_label(desk, capsys):
    logits, _ = desk
    logits[3, 1] = np.nan
    np.save("scores.npy", logits)
    assert main(["evaluate", "--scores", "scores.npy", "--truth", "truth.npy", "--kind", "logits"]) == 1
    message = capsys.readouterr().err.splitlines()[-1]
    assert "sample 3, label '1'" in message


def test_unknown_cells_counted_as_negatives_stand_below_the_protocols(desk, capsys):
    logits, truth = desk
    assert (
        main(["evaluate", "--scores", "scores.npy", "--truth", "truth.npy", "--kind", "logits", "--protocol", "all"])
        == 0
    )
    shown = " ".join(capsys.readouterr().out.split())
    flattened = evaluate(logits, LabelSets.from_dense(np.nan_to_num(truth), SPACE), kind="logits").value("map_macro")
    count = int(np.isnan(truth).sum())
    assert (
        f"{count} of 51 cells are unknown and count in none of these; as negatives map_macro would be {flattened:.3f}"
        in shown
    )


def test_labels_with_enough_positives_stand_side_by_side_too(desk, capsys):
    flags = ["--scores", "scores.npy", "--truth", "truth.npy", "--kind", "logits", "--min-positives", "2"]
    assert main(["evaluate", *flags, "--protocol", "all", "--report", "page.html"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "all: 17 samples, 3 labels (3 with at least 2 positives)"
    assert len(next(line for line in lines if line.startswith("map_macro_min2")).split()) == 9
    assert Path("page.html").read_text(encoding="utf-8").count("<code>map_macro_min2</code>") >= 3


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "s.csv",
            "image;ant;bee;cat\na;1.0;2.0;3.0\n",
            "the first row is one column, 'image;ant;bee;cat'; part columns with commas",
        ),
        ("s.tsv", "image,ant,bee,cat\na,1.0,2.0,3.0\n", "part columns with tabs"),
        ("s.csv", "0.25,-1.5,2\n0.5,1.0,2.0\n", "the first row holds numbers, 0.25 first, and not names"),
        ("s.csv", "image,ant,bee,dog\na,1.0,2.0,3.0\n", "no scores for 1 of the 3 labels of t.csv; the first is 'cat'"),
        ("s.csv", "image,ant,bee,catt\na,1.0,2.0,3.0\n", "did you mean 'catt'?; add or rename its column"),
    ],
)
def test_a_table_that_is_no_table_of_these_labels_is_told_in_one_line(desk, capsys, name, text, message):
    Path(name).write_text(text, encoding="utf-8")
    Path("t.csv").write_text("image,ant,bee,cat\na,1,0,1\n", encoding="utf-8")
    assert main(["evaluate", "--scores", name, "--truth", "t.csv", "--kind", "logits"]) == 1
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert message in told[0]


def test_columns_that_are_numbered_are_labels_by_name(desk):
    rows = "\n".join(f"{row},{row % 2},{row % 3 % 2}" for row in range(9))
    Path("t.csv").write_text(f"image,0,1\n{rows}\n", encoding="utf-8")
    Path("s.csv").write_text("1,0\n" + "0.25,0.75\n" * 9, encoding="utf-8")
    assert measured(["--scores", "s.csv", "--truth", "t.csv", "--kind", "logits"]).num_labels == 2


@pytest.mark.parametrize("threshold", ["1.5", "-0.1", "nan", "off.npy", "short.npy", "off.json"])
def test_thresholds_that_are_no_probabilities_are_refused(desk, capsys, threshold):
    np.save("off.npy", np.array([0.5, 2.0, np.inf]))
    np.save("short.npy", np.array([0.5, 0.25]))
    Path("off.json").write_text('{"0": 0.5, "1": -2, "2": null}', encoding="utf-8")
    flags = ["--scores", "scores.npy", "--truth", "truth.npy", "--kind", "logits", "--thresholds", threshold]
    assert main(["evaluate", *flags]) == 2
    expected = "give one for each of 3 labels" if threshold == "short.npy" else "thresholds are on probabilities"
    assert expected in capsys.readouterr().err


def test_a_log_is_silent_where_everything_has_a_name(desk, caplog):
    logits, truth = desk
    table = {"file": [f"{row}.jpg" for row in range(17)]}
    pq.write_table(pa.table(table | {name: logits[:, label] for label, name in enumerate(NAMES)}), "scores.parquet")
    pq.write_table(pa.table(table | {name: truth[:, label] for label, name in enumerate(NAMES)}), "truth.parquet")
    caplog.set_level(logging.INFO, logger="manyhot")
    measured(["--scores", "scores.parquet", "--truth", "truth.parquet", "--kind", "logits"])
    assert "order" not in caplog.text


def test_coarser_labels_are_judged_by_links(desk, capsys):
    Path("truth.csv").write_text("image,labels\n" + "".join(f"{row},{'ab'[row % 2]}\n" for row in range(17)))
    Path("links.json").write_text('{"a": [0, 1], "b": 2}')
    flags = ["--scores", "scores.npy", "--truth", "truth.csv", "--kind", "logits", "--mapping", "links.json"]
    found = measured([*flags, "--mapped-score", "mean-softmax"])
    logits = desk[0].astype(np.float64)
    exponentials = np.exp(logits)
    means = np.stack([exponentials[:, :2].mean(axis=1), exponentials[:, 2]], axis=1)
    assert found.value("argmax_accuracy") == np.mean(means.argmax(axis=1) == np.arange(17) % 2)
    assert main(["evaluate", *flags]) == 2
    assert "--mapping FILE goes with --mapped-score NAME (there are max," in capsys.readouterr().err


def test_links_of_a_run_need_the_data_that_carry_the_labels(tmp_path, capsys):
    assert main(["evaluate", str(tmp_path), "--mapping", "links.json", "--mapped-score", "max"]) == 2
    assert "--mapping goes with DATA" in capsys.readouterr().err


def test_ways_to_map_are_those_of_the_library():
    assert get_args(MappedScore) == MAPPED_SCORES
