from dataclasses import replace

import numpy as np
import pyarrow as pa

from manyhot.data.checking_leaks import check_leaks
from manyhot.labels import LabelSets, LabelSource, LabelSpace
from manyhot.sources import Manifest


def test_the_same_picture_in_two_splits_is_an_error(jpeg, manifest_of):
    pictures = {"a.jpg": jpeg(), "b.jpg": jpeg(1), "c.jpg": jpeg()}
    (finding,) = check_leaks(manifest_of(pictures, splits=["train", "train", "test"]))
    assert (finding.name, finding.severity) == ("leaked-file", "error")
    assert finding.examples == ("'a.jpg' (train) = 'c.jpg' (test)",)


def test_the_same_picture_twice_in_one_split_does_not_leak(jpeg, manifest_of):
    pictures = {"a.jpg": jpeg(), "b.jpg": jpeg()}
    assert check_leaks(manifest_of(pictures, splits=["train", "train"])) == []


def test_without_splits_the_same_picture_twice_is_a_warning(jpeg, manifest_of):
    (finding,) = check_leaks(manifest_of({"a.jpg": jpeg(), "b.jpg": jpeg(), "c.jpg": jpeg()}))
    assert (finding.name, finding.severity, finding.count) == ("identical-files", "warning", 1)


def test_without_splits_the_same_picture_in_one_group_is_safe(jpeg, manifest_of):
    pictures = {"a.jpg": jpeg(), "b.jpg": jpeg()}
    assert check_leaks(manifest_of(pictures, groups=["p1", "p1"])) == []


def test_files_of_one_size_but_other_bytes_are_not_the_same(manifest_of):
    assert check_leaks(manifest_of({"a.jpg": b"1234", "b.jpg": b"1243"})) == []


def test_a_group_in_two_splits_is_an_error(manifest_of):
    pictures = {"a.jpg": b"1", "b.jpg": b"2", "c.jpg": b"3"}
    manifest = manifest_of(pictures, splits=["train", "test", "test"], groups=["p1", "p1", None])
    (finding,) = check_leaks(manifest)
    assert (finding.name, finding.examples) == ("leaked-group", ("'p1': train, test",))


def test_identical_files_whose_labels_contradict_each_other_are_named(tmp_path):
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (tmp_path / name).write_bytes(b"same")
    space = LabelSpace(names=("cat", "dog"))
    matrix = np.array([[1, 1], [1, np.nan], [0, np.nan]])
    manifest = Manifest.from_lists(tmp_path, ["a.jpg", "b.jpg", "c.jpg"], LabelSets.from_dense(matrix, space))
    identical, contradictory = check_leaks(manifest)
    assert (identical.name, contradictory.name, contradictory.severity) == (
        "identical-files", "contradictory-labels", "warning",
    )  # fmt: skip
    assert contradictory.examples == ("'a.jpg' = 'b.jpg' = 'c.jpg': 'cat'",)


def test_an_unknown_cell_contradicts_nothing(tmp_path):
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(b"same")
    labels = LabelSets.from_dense(np.array([[1.0, np.nan], [np.nan, 0.0]]), LabelSpace(names=("cat", "dog")))
    findings = check_leaks(Manifest.from_lists(tmp_path, ["a.jpg", "b.jpg"], labels))
    assert [finding.name for finding in findings] == ["identical-files"]


def test_of_many_identical_files_the_rest_is_counted(manifest_of):
    (finding,) = check_leaks(manifest_of({f"{name}.jpg": b"same" for name in "abcde"}))
    assert finding.examples == ("'a.jpg' = 'b.jpg' = 'c.jpg' and 2 more",)


def test_a_sample_that_stands_twice_is_a_warning_and_in_two_splits_an_error(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"1")
    (tmp_path / "b.jpg").write_bytes(b"2")
    names, labels = ["a.jpg", "b.jpg", "a.jpg"], LabelSets.from_names([["cat"]] * 3)
    (repeated,) = check_leaks(Manifest.from_lists(tmp_path, names, labels))
    assert (repeated.name, repeated.severity, repeated.examples) == ("repeated-sample", "warning", ("'a.jpg': 2 rows",))
    (leaked,) = check_leaks(Manifest.from_lists(tmp_path, names, labels, splits=["train", "train", "test"]))
    assert (leaked.name, leaked.severity, leaked.examples) == ("leaked-sample", "error", ("'a.jpg': train, test",))


def test_rows_without_pictures_are_not_looked_for(tmp_path):
    labels = LabelSets.from_names([["cat"]] * 2)
    assert check_leaks(Manifest.from_lists(tmp_path, ["a", "b"], labels, has_pictures=False)) == []


def test_repeated_samples_are_found_across_the_chunks_of_a_table(tmp_path):
    first = Manifest.from_lists(tmp_path, ["a", "b"], LabelSets.from_names([["cat"]] * 2), has_pictures=False)
    samples = pa.concat_tables([first.samples, first.samples.slice(1), first.samples.slice(2)])
    manifest = replace(first, samples=samples, labels=first.labels.take([0, 1, 1]))
    (finding,) = check_leaks(manifest)
    assert finding.examples == ("'b': 2 rows",)


def test_splits_of_a_run_count_where_they_are_given(jpeg, manifest_of):
    manifest = manifest_of({"a.jpg": jpeg(), "b.jpg": jpeg(), "c.jpg": jpeg(1)})
    (finding,) = check_leaks(manifest, splits=np.array([0, 2, 1], dtype=np.uint8))
    assert (finding.name, finding.examples) == ("leaked-file", ("'a.jpg' (train) = 'b.jpg' (test)",))
    assert check_leaks(manifest, splits=np.array([0, 0, 1], dtype=np.uint8)) == []


def test_a_picture_beside_one_without_a_split_is_a_risk_and_no_leak_yet(jpeg, manifest_of):
    pictures = {"a.jpg": jpeg(), "b.jpg": jpeg(), "c.jpg": b"1", "d.jpg": b"2"}
    groups = [None, None, "p1", "p1"]
    (finding,) = check_leaks(manifest_of(pictures, splits=["train", None, "test", None], groups=groups))
    assert (finding.name, finding.severity, finding.examples) == ("identical-files", "warning", ("'a.jpg' = 'b.jpg'",))


def test_what_several_sources_say_of_one_sample_in_one_split_is_no_repetition(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"1")
    labels = LabelSets(
        space=LabelSpace(names=("cat",)),
        positives=LabelSets.from_names([["cat"], ["cat"]]).positives,
        sources=(LabelSource(name="ann"), LabelSource(name="bob")),
        source_ids=np.array([0, 1], dtype=np.uint16),
    )
    told = Manifest.from_lists(tmp_path, ["a.jpg"] * 2, labels, splits=["train", "train"])
    assert check_leaks(told) == []
    parted = Manifest.from_lists(tmp_path, ["a.jpg"] * 2, labels, splits=["train", "test"])
    assert [finding.name for finding in check_leaks(parted)] == ["leaked-sample"]
    undecided = Manifest.from_lists(tmp_path, ["a.jpg"] * 2, labels)
    assert [finding.name for finding in check_leaks(undecided)] == ["repeated-sample"]
