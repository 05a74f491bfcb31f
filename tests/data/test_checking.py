import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from manyhot.data.checking import check_images, check_labels, check_splits
from manyhot.labels import LabelSets, LabelSpace
from manyhot.sources import Finding, Manifest, open_source, read_source


def jpeg(shade: int = 0) -> bytes:
    stream = io.BytesIO()
    pixels = np.random.default_rng(shade).integers(0, 256, (17, 41, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, "JPEG")
    return stream.getvalue()


def manifest_of(
    root: Path,
    pictures: dict[str, bytes],
    *,
    splits: list[str | None] | None = None,
    groups: list[str | None] | None = None,
) -> Manifest:
    for name, content in pictures.items():
        (root / name).write_bytes(content)
    labels = LabelSets.from_names([["cat"]] * len(pictures))
    return Manifest.from_lists(root, list(pictures), labels, splits=splits, groups=groups)


def labelled(rows: list[list[str]], names: tuple[str, ...]) -> Manifest:
    references = [f"{row}.jpg" for row in range(len(rows))]
    return Manifest.from_lists(Path(), references, LabelSets.from_names(rows, LabelSpace(names=names)))


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


def test_pictures_that_cannot_be_opened_are_named_and_do_not_stop_the_others(tmp_path):
    pictures = {"good.jpg": jpeg(), "cut.jpg": jpeg()[:-300], "text.png": b"no picture", "empty.jpg": b""}
    (finding,) = check_images(manifest_of(tmp_path, pictures))
    assert (finding.name, finding.severity, finding.count) == ("unreadable-image", "error", 3)
    assert [example.split(":")[0] for example in finding.examples] == ["'cut.jpg'", "'text.png'", "'empty.jpg'"]
    assert "replace it, or delete its row" in finding.message
    assert str(tmp_path) not in "".join(finding.examples)
    assert "\n" not in finding.line


def test_a_picture_that_vanished_is_named(tmp_path):
    manifest = manifest_of(tmp_path, {"a.jpg": jpeg(), "b.jpg": jpeg()})
    (tmp_path / "b.jpg").unlink()
    (finding,) = check_images(manifest)
    assert finding.examples[0].startswith("'b.jpg'")


def test_sound_pictures_bring_no_finding_and_progress_reaches_the_end(tmp_path):
    manifest = manifest_of(tmp_path, {"a.jpg": jpeg(), "b.jpg": jpeg(1)})
    seen: list[tuple[int, int]] = []
    assert check_images(manifest, progress=lambda done, total: seen.append((done, total)), threads=1) == []
    assert seen == [(2, 2)]


def test_no_samples_bring_no_finding():
    manifest = labelled([], ("cat",))
    assert check_images(manifest) == []
    assert check_splits(manifest) == []
    assert by_name(check_labels(manifest)).keys() == {"empty-label"}


def test_a_label_that_is_always_positive_is_named():
    found = by_name(check_labels(labelled([["cat", "dog"], ["cat"]] * 5, ("cat", "dog"))))
    assert found["constant-label"].examples == ("'cat'",)
    assert found["constant-label"].severity == "warning"
    assert "empty-label" not in found


def test_labels_without_and_with_few_positives_are_named_with_their_counts():
    rows = [["cat"]] * 7 + [["owl"]] * 4 + [[]] * 2
    found = by_name(check_labels(labelled(rows, ("cat", "dog", "owl"))))
    assert found["empty-label"].examples == ("'dog'",)
    assert found["rare-label"].examples == ("'owl': 4",)
    assert found["unlabelled-samples"].message.startswith("2 of 13 samples")
    assert found["unlabelled-samples"].severity == "info"
    assert "imbalance" not in found


def test_the_most_frequent_and_the_rarest_label_are_compared():
    rows = [["cat"]] * 40 + [["owl"]] * 2
    message = by_name(check_labels(labelled(rows, ("cat", "dog", "owl"))))["imbalance"].message
    assert "'cat' (95.24%), is 20 times as frequent as the rarest, 'owl' (4.76%)" in message


def test_unknown_cells_do_not_hide_a_constant_label():
    matrix = np.array([[1, np.nan], [np.nan, 0], [1, 1]])
    labels = LabelSets.from_dense(matrix, LabelSpace(names=("cat", "dog")))
    manifest = Manifest.from_lists(Path(), ["a", "b", "c"], labels)
    assert by_name(check_labels(manifest))["constant-label"].examples == ("'cat'",)


def test_names_that_differ_in_form_only_are_named():
    names = ("Cat", "cat ", "\u00e9", "e\u0301", "dog")
    finding = by_name(check_labels(labelled([["dog"]], names)))["near-duplicate-label"]
    assert finding.count == 2
    assert finding.examples == ("'Cat' and 'cat '", r"'\xe9' and 'e\u0301'")


def test_the_same_picture_in_two_splits_is_an_error(tmp_path):
    pictures = {"a.jpg": jpeg(), "b.jpg": jpeg(1), "c.jpg": jpeg()}
    (finding,) = check_splits(manifest_of(tmp_path, pictures, splits=["train", "train", "test"]))
    assert (finding.name, finding.severity) == ("leaked-file", "error")
    assert finding.examples == ("'a.jpg' (train) = 'c.jpg' (test)",)


def test_the_same_picture_twice_in_one_split_does_not_leak(tmp_path):
    pictures = {"a.jpg": jpeg(), "b.jpg": jpeg()}
    assert check_splits(manifest_of(tmp_path, pictures, splits=["train", "train"])) == []


def test_without_splits_the_same_picture_twice_is_a_warning(tmp_path):
    (finding,) = check_splits(manifest_of(tmp_path, {"a.jpg": jpeg(), "b.jpg": jpeg(), "c.jpg": jpeg()}))
    assert (finding.name, finding.severity, finding.count) == ("identical-files", "warning", 1)


def test_without_splits_the_same_picture_in_one_group_is_safe(tmp_path):
    pictures = {"a.jpg": jpeg(), "b.jpg": jpeg()}
    assert check_splits(manifest_of(tmp_path, pictures, groups=["p1", "p1"])) == []


def test_files_of_one_size_but_other_bytes_are_not_the_same(tmp_path):
    assert check_splits(manifest_of(tmp_path, {"a.jpg": b"1234", "b.jpg": b"1243"})) == []


def test_a_group_in_two_splits_is_an_error(tmp_path):
    pictures = {"a.jpg": b"1", "b.jpg": b"2", "c.jpg": b"3"}
    manifest = manifest_of(tmp_path, pictures, splits=["train", "test", "test"], groups=["p1", "p1", None])
    (finding,) = check_splits(manifest)
    assert (finding.name, finding.examples) == ("leaked-group", ("'p1': test, train",))


def test_a_folder_with_several_faults_has_each_of_them_named(tmp_path):
    for name, content in {"a.jpg": jpeg(), "cut.jpg": jpeg(1)[:-300]}.items():
        (tmp_path / name).write_bytes(content)
    rows = [("a.jpg", "cat"), ("a.jpg", "cat"), ("cut.jpg", "dog"), ("lost.jpg", "dog")]
    text = "".join(f"{json.dumps({'file': name, 'labels': [label]})}\n" for name, label in rows)
    (tmp_path / "labels.jsonl").write_text(text)
    reading = read_source(tmp_path)
    assert reading.manifest is not None
    found = by_name([*reading.findings, *check_images(reading.manifest)])
    assert "'a.jpg'" in found["duplicate-row"].line
    assert "'lost.jpg'" in found["missing-file"].line
    assert "'cut.jpg'" in found["unreadable-image"].line


@pytest.mark.real_data
def test_the_constant_label_of_clothes_tiny_is_named(shared_data):
    assert by_name(check_labels(open_source(shared_data / "clothes_tiny")))["constant-label"].examples == ("'White'",)


@pytest.mark.real_data
def test_coco_has_two_samples_without_labels_and_nine_labels_that_never_occur(shared_data):
    manifest = open_source(shared_data / "coco128")
    found = by_name(check_labels(manifest))
    assert found["empty-label"].count == 9
    assert found["unlabelled-samples"].message.startswith("2 of 128 samples")
    assert check_images(manifest) == []
