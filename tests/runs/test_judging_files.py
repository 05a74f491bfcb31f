"""Samples and labels of two files are matched by name, or in order and said so; what does not match is one line."""

import json
import logging
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manyhot.errors import ScoreError, SourceError, UsageError
from manyhot.labels import LabelSpace
from manyhot.runs.judging_files import Files, judge_files, read_thresholds
from manyhot.runs.score_files import read_score_file
from manyhot.runs.truth_files import read_truth_file, sets_of_matrix
from manyhot.sources import SourceOptions

TRUTH = [("a.jpg", "ant|bee", "train"), ("b.jpg", "", "test"), ("c.jpg", "bee", "test"), ("d.jpg", "cat", "test")]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [f"{file},{labels},{split}" for file, labels, split in TRUTH]
    Path("truth.csv").write_text("\n".join(["file,labels,split", *rows]) + "\n")
    return tmp_path


def write_scores(references, names=("ant", "bee", "cat"), seed=0):
    values = np.random.default_rng(seed).normal(size=(len(references), len(names)))
    columns = {name: values[:, label] for label, name in enumerate(names)}
    pq.write_table(pa.table({"file": list(references), **columns}), "scores.parquet")
    return values


def judged(scores="scores.parquet", truth="truth.csv", **options):
    return judge_files(Files(scores=Path(scores), truth=Path(truth)), kind="logits", **options)


def test_rows_in_another_order_find_their_samples(folder):
    values = write_scores(["d.jpg", "b.jpg", "a.jpg", "c.jpg"])
    found = judged()
    assert found.sample_ids == ["d.jpg", "b.jpg", "a.jpg", "c.jpg"]
    assert found.truth.to_multi_hot().tolist() == [[0, 0, 1], [0, 0, 0], [1, 1, 0], [0, 1, 0]]
    np.testing.assert_array_equal(found.scores, values)


def test_scores_of_other_samples_are_left_out_and_counted(folder, caplog):
    caplog.set_level(logging.INFO, logger="manyhot")
    values = write_scores(["x.jpg", "d.jpg", "b.jpg", "a.jpg", "c.jpg"])
    found = judged(split="test")
    assert found.sample_ids == ["d.jpg", "b.jpg", "c.jpg"]
    np.testing.assert_array_equal(found.scores, values[[1, 2, 4]])
    assert "2 rows of scores are of samples that the truth lacks: left out" in caplog.text
    assert found.split == "test"


def test_a_folder_before_every_reference_is_looked_through(folder, caplog):
    caplog.set_level(logging.INFO, logger="manyhot")
    write_scores([f"/data/photos/{name}.jpg" for name in "abcd"])
    assert judged().sample_ids == ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]
    assert "from /data/photos/ on" in caplog.text


def test_labels_in_another_order_find_their_columns(folder):
    write_scores(["a.jpg", "b.jpg", "c.jpg", "d.jpg"], names=("cat", "ant", "bee", "dodo"))
    found = judged()
    assert found.truth.space.names == ("cat", "ant", "bee", "dodo")
    # A label that the truth does not know is unknown, not negative.
    np.testing.assert_array_equal(found.truth.to_multi_hot()[0], [0, 1, 1, np.nan])


def test_without_references_rows_are_matched_by_order(folder, caplog):
    caplog.set_level(logging.INFO, logger="manyhot")
    np.save("scores.npy", np.zeros((4, 3), dtype=np.float32))
    assert judged("scores.npy").sample_ids == ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]
    assert "rows are matched with samples by order, since scores.npy does not name them" in caplog.text
    assert "columns are matched with labels by order, since scores.npy does not name them" in caplog.text


@pytest.mark.parametrize(
    ("references", "names", "message"),
    [
        (["a.jpg", "b.jpg", "c.jpg"], ("ant", "bee", "cat"), "1 of 4 samples have no scores in scores.parquet; the first is 'd.jpg'"),
        (["a.jpg", "b.jpg", "b.jpg", "d.jpg"], ("ant", "bee", "cat"), "1 references stand twice; the first is 'b.jpg', in rows 2 and 3"),
        (["a.jpg", "b.jpg", "c.jpg", "d.jpg"], ("ant", "bee"), "has no scores for 1 of the 3 labels of truth.csv; the first is 'cat'"),
    ],
)  # fmt: skip
def test_samples_or_labels_that_do_not_match_are_told(folder, references, names, message):
    write_scores(references, names)
    with pytest.raises(ScoreError, match=message):
        judged()


@pytest.mark.parametrize(
    ("shape", "message"),
    [((5, 3), "has 5 rows, truth.csv 4 samples"), ((4, 2), "has 2 columns, truth.csv 3 labels")],
)
def test_matrices_of_another_shape_are_told(folder, shape, message):
    np.save("scores.npy", np.zeros(shape, dtype=np.float32))
    with pytest.raises(ScoreError, match=message):
        judged("scores.npy")


def test_a_split_that_is_not_there_is_told(folder):
    write_scores(["a.jpg", "b.jpg", "c.jpg", "d.jpg"])
    with pytest.raises(SourceError, match="no sample is of the split 'val'"):
        judged(split="val")


def open_bracket_in_header():
    np.save("s.npy", np.zeros((4, 3)))
    Path("s.npy").write_bytes(Path("s.npy").read_bytes().replace(b"}", b" "))


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda: np.save("s.npy", np.zeros(4)), r"holds an array of shape \(4,\)"),
        (lambda: np.save("s.npy", np.zeros((4, 3), dtype=int)), "holds int64, not floating-point scores"),
        (lambda: Path("s.npy").write_bytes(b"\x93NUMPY"), "is no sound .npy file"),
        (open_bracket_in_header, "is no sound .npy file"),
        (lambda: np.save("s.npy", np.array([[{}]]), allow_pickle=True), "is no sound .npy file"),
    ],
)
def test_what_is_no_matrix_of_scores_is_told(folder, write, message):
    write()
    with pytest.raises((SourceError, ScoreError), match=message):
        read_score_file(Path("s.npy"))


def test_a_file_that_is_not_there_is_told_with_the_nearest(folder):
    with pytest.raises(SourceError, match=r"there is no such file; check the path; did you mean 'truth\.csv'"):
        read_score_file(Path("truht.csv"))


def test_tables_that_hold_no_scores_are_told(folder):
    pq.write_table(pa.table({"file": ["a"], "colour": ["red"]}), "s.parquet")
    with pytest.raises(ScoreError, match="column 'colour' is of type string, not numbers"):
        read_score_file(Path("s.parquet"))
    pq.write_table(pa.table({"file": ["a", "b"], "scores": [[1.0], [1.0, 2.0]]}), "s.parquet")
    with pytest.raises(ScoreError, match="lists of column 'scores' differ in length"):
        read_score_file(Path("s.parquet"))


def test_a_matrix_of_scores_is_mapped_not_loaded(folder):
    np.save("s.npy", np.zeros((7, 3), dtype=np.float32))
    values = read_score_file(Path("s.npy")).values
    assert not values.flags.owndata
    assert isinstance(values.base, np.memmap)


def test_references_that_look_like_numbers_keep_their_zeros(folder):
    Path("s.csv").write_text("file,ant,bee\n0012,0.5,1\n7,0.25,0\n")
    found = read_score_file(Path("s.csv"))
    assert found.references == ("0012", "7")
    assert found.names == ("ant", "bee")
    assert found.values.tolist() == [[0.5, 1.0], [0.25, 0.0]]


@pytest.mark.parametrize("unknown", [0.1, 0.9])
def test_a_matrix_of_three_states_is_read_block_by_block(folder, unknown, monkeypatch):
    monkeypatch.setattr("manyhot.runs.truth_files.BLOCK_CELLS", 20)
    generator = np.random.default_rng(3)
    truth = (generator.random((17, 7)) < 0.3).astype(np.float32)
    truth[generator.random(truth.shape) < unknown] = np.nan
    np.testing.assert_array_equal(sets_of_matrix(truth, Path("t.npy")).to_multi_hot(), truth)
    whole = np.nan_to_num(truth, nan=-1).astype(np.int8)
    np.testing.assert_array_equal(sets_of_matrix(whole, Path("t.npy")).to_multi_hot(), truth)


def test_another_value_in_a_matrix_of_truth_is_told_with_its_place(folder):
    truth = np.zeros((4, 3))
    truth[2, 1] = 2
    with pytest.raises(SourceError, match=r"the cell of row 2, column 1 is 2\.0"):
        sets_of_matrix(truth, Path("t.npy"))


def test_a_table_of_numbers_without_references_is_a_plain_matrix(folder):
    Path("plain.csv").write_text("ant,bee\n1,0\n,-1\n")
    found = read_truth_file(Path("plain.csv"), SourceOptions())
    assert found.references is None
    np.testing.assert_array_equal(found.labels.to_multi_hot(), [[1, 0], [np.nan, np.nan]])
    with pytest.raises(SourceError, match="plain matrix and knows no split"):
        read_truth_file(Path("plain.csv"), SourceOptions(), split="test")


def test_lists_of_numbers_are_a_plain_matrix_too(folder):
    pq.write_table(pa.table({"file": ["a", "b"], "truth": [[1, 0], [0, -1]]}), "plain.parquet")
    found = read_truth_file(Path("plain.parquet"), SourceOptions())
    assert found.references == ("a", "b")
    np.testing.assert_array_equal(found.labels.to_multi_hot(), [[1, 0], [0, np.nan]])


SPACE = LabelSpace(names=("ant", "bee"))


def test_thresholds_are_a_number_or_a_file_by_label(folder):
    Path("t.json").write_text(json.dumps({"bee": None, "ant": 0.25, "dodo": 0.5}))
    np.save("t.npy", np.array([0.1, 0.2]))
    assert read_thresholds("0.3", SPACE).tolist() == [0.3, 0.3]
    assert read_thresholds("t.json", SPACE).tolist() == [0.25, np.inf]
    assert read_thresholds("t.npy", SPACE).tolist() == [0.1, 0.2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read"),
        ("[0.5]", "write an object of thresholds by label"),
        ('{"ant": 0.5}', "1 labels have none, the first is 'bee'"),
        ('{"ant": 0.5, "bee": "high"}', "'high' is no number"),
    ],
)
def test_thresholds_that_make_no_sense_are_told(folder, content, message):
    Path("t.json").write_text(content)
    with pytest.raises(UsageError, match=message):
        read_thresholds("t.json", SPACE)
    with pytest.raises(UsageError, match="neither a number nor"):
        read_thresholds("half", SPACE)
