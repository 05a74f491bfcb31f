"""Predictions can be read back from every format, whatever the labels are called."""

import csv
import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from manyhot.errors import UsageError
from manyhot.labels import LabelSpace
from manyhot.runs.writing import PredictedRows, write_predictions

SPACE = LabelSpace(names=("N/A", 'quoted "name", with comma', "0012"))
BATCHES = [
    PredictedRows(
        references=["a.jpg", "häßlich, b.jpg"],
        probs=np.array([[0.25, 0.5, 0.75], [0.125, 0.0, 1.0]], dtype=np.float32),
        preds=np.array([[True, False, True], [False, False, False]]),
    ),
    PredictedRows(references=["c.jpg"], probs=np.full((1, 3), 0.5, np.float32), preds=np.array([[False, True, False]])),
]
LABELS = [["N/A", "0012"], [], ['quoted "name", with comma']]
REFERENCES = ["a.jpg", "häßlich, b.jpg", "c.jpg"]
PROBS = [[0.25, 0.5, 0.75], [0.125, 0.0, 1.0], [0.5, 0.5, 0.5]]


def test_csv_holds_labels_and_a_probability_a_label(tmp_path):
    write_predictions(tmp_path / "p.csv", SPACE, BATCHES)
    with (tmp_path / "p.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["image", "labels", *(f"prob:{name}" for name in SPACE.names)]
    assert [row[0] for row in rows] == REFERENCES
    assert [row[1].split("|") if row[1] else [] for row in rows] == LABELS
    assert [[float(cell) for cell in row[2:]] for row in rows] == PROBS


def test_json_lines_hold_labels_and_probabilities_by_name(tmp_path):
    write_predictions(tmp_path / "p.jsonl", SPACE, BATCHES)
    rows = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["image"] for row in rows] == REFERENCES
    assert [row["labels"] for row in rows] == LABELS
    assert [list(row["probs"].values()) for row in rows] == PROBS
    assert list(rows[0]["probs"]) == list(SPACE.names)


def test_parquet_holds_lists_and_the_names_of_the_labels(tmp_path):
    write_predictions(tmp_path / "p.parquet", SPACE, BATCHES)
    table = pq.read_table(tmp_path / "p.parquet")
    assert table.column("image").to_pylist() == REFERENCES
    assert table.column("labels").to_pylist() == LABELS
    assert table.column("probs").to_pylist() == PROBS
    assert json.loads(table.schema.field("probs").metadata[b"labels"]) == list(SPACE.names)


@pytest.mark.parametrize("name", ["p.csv", "p.jsonl", "p.parquet"])
def test_no_prediction_at_all_is_a_file_with_no_rows(tmp_path, name):
    write_predictions(tmp_path / name, SPACE, [])
    assert (tmp_path / name).is_file()


def test_a_failure_half_way_leaves_the_old_file(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("old")

    def batches():
        yield BATCHES[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_predictions(path, SPACE, batches())
    assert [entry.name for entry in tmp_path.iterdir()] == ["p.csv"]
    assert path.read_text() == "old"


def test_an_unknown_ending_or_a_missing_folder_is_refused_before_work_starts(tmp_path):
    def never():
        raise AssertionError("work started")
        yield

    with pytest.raises(UsageError, match=r"choose one of these endings"):
        write_predictions(tmp_path / "p.xlsx", SPACE, never())
    with pytest.raises(UsageError, match="there is no such folder"):
        write_predictions(tmp_path / "gone" / "p.csv", SPACE, never())
