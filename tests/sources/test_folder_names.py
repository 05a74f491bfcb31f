import os
import sys

import pytest

from manyhot.sources import SourceOptions, open_source, read_source


def names_of(manifest) -> dict[str, list[str]]:
    names = manifest.labels.space.names
    return {
        reference: [names[label] for label in manifest.labels.positives.row(row)]
        for row, reference in enumerate(manifest.references())
    }


def test_a_folders_name_is_a_label_to_the_letter(write):
    manifest = open_source(write({"dog/1.jpg": b"", "red_dress/2.PNG": b"", "N_A/3.webp": b""}))
    assert names_of(manifest) == {"N_A/3.webp": ["N_A"], "dog/1.jpg": ["dog"], "red_dress/2.PNG": ["red_dress"]}


def test_a_separator_parts_the_labels_in_a_folders_name(write):
    root = write({"red_dress/1.jpg": b"", "red_shoes/2.jpg": b"", "blue/3.jpg": b""})
    assert names_of(open_source(root, SourceOptions(separator="_"))) == {
        "blue/3.jpg": ["blue"],
        "red_dress/1.jpg": ["dress", "red"],
        "red_shoes/2.jpg": ["red", "shoes"],
    }


def test_a_slash_as_separator_makes_each_folder_a_label(write):
    root = write({"animal/dog/1.jpg": b"", "animal/2.jpg": b""})
    assert names_of(open_source(root, SourceOptions(separator="/"))) == {
        "animal/2.jpg": ["animal"],
        "animal/dog/1.jpg": ["animal", "dog"],
    }


def test_folders_named_for_splits_are_splits(write):
    manifest = open_source(write({"train/dog/1.jpg": b"", "valid/cat/2.jpg": b"", "test/dog/3.jpg": b""}))
    assert dict(zip(manifest.references(), manifest.splits(), strict=True)) == {
        "train/dog/1.jpg": "train",
        "valid/cat/2.jpg": "val",
        "test/dog/3.jpg": "test",
    }
    assert manifest.labels.space.names == ("cat", "dog")


def test_a_folder_that_is_called_test_beside_other_labels_is_a_label(write):
    assert open_source(write({"test/1.jpg": b"", "exam/2.jpg": b""})).labels.space.names == ("exam", "test")


def test_loose_and_hidden_pictures_take_no_part(write):
    root = write(
        {"dog/1.jpg": b"", "loose.jpg": b"", ".cache/2.jpg": b"", "dog/._1.jpg": b"", "dog/3.heic": b"", "owl/x": b""}
    )
    reading = read_source(root)
    assert reading.manifest is not None
    assert reading.manifest.references() == ["dog/1.jpg"]
    found = {finding.name: finding.examples for finding in reading.findings}
    assert found == {
        "unlisted-file": ("'loose.jpg'",),
        "unsupported-file": ("'dog/3.heic'",),
        "empty-folder": ("'owl'",),
    }
    assert all(finding.severity == "warning" for finding in reading.findings)


def test_declared_names_give_labels_that_never_occur(write):
    manifest = open_source(write({"dog/1.jpg": b"", "label_names.json": '["dog", "wolf"]'}))
    assert manifest.labels.space.names == ("dog", "wolf")


def test_names_that_all_hold_an_underscore_bring_a_hint(write):
    reading = read_source(write({"red_dress/1.jpg": b"", "blue_shoes/2.jpg": b""}))
    assert [(finding.name, finding.severity) for finding in reading.findings] == [("compound-names", "info")]
    assert "--data.separator _" in reading.findings[0].message


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pipes with a place in a folder")
def test_links_and_pipes_that_take_no_part_are_named(write, tmp_path):
    root = write({"cat/a.jpg": b"", "dog/b.jpg": b"", "notes/c.jpg": b""})
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "d.jpg").write_bytes(b"")
    (root / "cat/inside.jpg").symlink_to("../dog/b.jpg")
    (root / "cat/out.jpg").symlink_to(elsewhere / "d.jpg")
    (root / "cat/gone.jpg").symlink_to("nowhere.jpg")
    (root / "cat/gone.txt").symlink_to("nowhere.txt")
    (root / "cat/round.jpg").symlink_to("round.jpg")
    (root / "bird").symlink_to(elsewhere)
    os.mkfifo(root / "cat/pipe.jpg")
    read = read_source(root)
    assert read.errors == ()
    assert {finding.name: finding.examples for finding in read.findings} == {
        "linked-outside": (f"'cat/out.jpg' leads to '{elsewhere / 'd.jpg'}'",),
        "linked-folder": ("'bird'",),
        "no-file": ("'cat/gone.jpg'", "'cat/pipe.jpg'", "'cat/round.jpg'"),
    }


def test_a_folder_of_links_alone_says_so_beside_the_error(write, tmp_path):
    root = write({"cat/readme.md": b""})
    (root / "cat/a.jpg").symlink_to(tmp_path / "a.jpg")
    assert {finding.name for finding in read_source(root).findings} >= {"no-labels", "linked-outside"}
