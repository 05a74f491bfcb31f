import json
from pathlib import Path

from manyhot.data.checking_labels import check_labels
from manyhot.data.checking_leaks import check_leaks
from manyhot.data.checking_pictures import check_images, check_unlisted
from manyhot.data.checking_shift import check_shift
from manyhot.labels import LabelSets, LabelSpace
from manyhot.sources import Finding, Manifest, read_source


def labelled(rows: list[list[str]], names: tuple[str, ...]) -> Manifest:
    references = [f"{row}.jpg" for row in range(len(rows))]
    return Manifest.from_lists(Path(), references, LabelSets.from_names(rows, LabelSpace(names=names)))


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


def test_pictures_that_cannot_be_opened_are_named_and_do_not_stop_the_others(tmp_path, jpeg, manifest_of):
    pictures = {"good.jpg": jpeg(), "cut.jpg": jpeg()[:-300], "text.png": b"no picture", "empty.jpg": b""}
    (finding,) = check_images(manifest_of(pictures))
    assert (finding.name, finding.severity, finding.count) == ("unreadable-image", "error", 3)
    assert [example.split(":")[0] for example in finding.examples] == ["'cut.jpg'", "'text.png'", "'empty.jpg'"]
    assert "replace it, or delete its row" in finding.message
    assert str(tmp_path) not in "".join(finding.examples)
    assert "\n" not in finding.line


def test_a_picture_that_vanished_is_named(tmp_path, jpeg, manifest_of):
    manifest = manifest_of({"a.jpg": jpeg(), "b.jpg": jpeg()})
    (tmp_path / "b.jpg").unlink()
    (finding,) = check_images(manifest)
    assert (finding.name, finding.severity, finding.examples) == ("missing-file", "error", ("'b.jpg'",))


def test_sound_pictures_bring_no_finding_and_progress_reaches_the_end(jpeg, manifest_of):
    manifest = manifest_of({"a.jpg": jpeg(), "b.jpg": jpeg(1)})
    seen: list[tuple[int, int]] = []
    assert check_images(manifest, progress=lambda done, total: seen.append((done, total)), threads=1) == []
    assert seen == [(2, 2)]


def test_no_samples_bring_no_finding():
    manifest = labelled([], ("cat",))
    assert check_images(manifest) == []
    assert check_leaks(manifest) == []
    assert check_shift(manifest) == []
    assert by_name(check_labels(manifest)).keys() == {"unknown-label"}


def test_a_folder_with_several_faults_has_each_of_them_named(tmp_path, jpeg):
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


def test_pictures_beside_those_of_the_samples_that_belong_to_none_are_named(tmp_path, manifest_of):
    (tmp_path / "sub").mkdir()
    (tmp_path / "elsewhere").mkdir()
    manifest = manifest_of({"a.jpg": b"1", "sub/b.jpg": b"2"})
    for name in ("more.JPG", "sub/c.png", ".hidden.jpg", "notes.txt", "elsewhere/d.jpg"):
        (tmp_path / name).write_bytes(b"3")
    (finding,) = check_unlisted(manifest)
    assert (finding.name, finding.severity, finding.examples) == (
        "unlisted-file",
        "warning",
        ("'more.JPG'", "'sub/c.png'"),
    )


def test_a_picture_folder_that_is_gone_is_left_to_the_check_of_pictures(tmp_path):
    manifest = Manifest.from_lists(tmp_path / "gone", ["a.jpg"], LabelSets.from_names([["cat"]]))
    assert check_unlisted(manifest) == []
    assert [finding.name for finding in check_images(manifest)] == ["missing-file"]
