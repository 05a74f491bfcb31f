"""Samples that a model was trained on are found by content, and no others."""

import pytest

from manyhot.config import SplitConfig
from manyhot.labels import LabelSets
from manyhot.runs.evaluating import _trained_on
from manyhot.runs.splits import decide_splits, load_splits, save_splits
from manyhot.sources import Manifest


@pytest.fixture
def saved(tmp_path):
    root = tmp_path / "data"
    root.mkdir()
    for row in range(10):
        (root / f"{row}.jpg").write_bytes(bytes([row]) * 100)
    labels = LabelSets.from_names([["ant"]] * 10)
    manifest = Manifest.from_lists(root, [f"{row}.jpg" for row in range(10)], labels)
    save_splits(decide_splits(manifest, SplitConfig(), seed=0), manifest, tmp_path)
    return load_splits(tmp_path)


def test_a_training_sample_is_found_in_another_folder(saved, tmp_path):
    row = saved.splits.rows("train")[0]
    copy = tmp_path / "elsewhere" / f"{row}.jpg"
    copy.parent.mkdir()
    copy.write_bytes((saved.root / f"{row}.jpg").read_bytes())
    assert _trained_on(saved, [copy]) == [copy]


def test_a_file_of_the_same_name_and_size_but_other_content_is_no_training_sample(saved, tmp_path):
    row = saved.splits.rows("train")[0]
    other = tmp_path / f"{row}.jpg"
    other.write_bytes(b"\xff" * 100)
    assert _trained_on(saved, [other]) == []


def test_name_and_size_decide_where_the_training_sample_is_gone(saved, tmp_path):
    row = saved.splits.rows("train")[0]
    other = tmp_path / f"{row}.jpg"
    other.write_bytes(b"\xff" * 100)
    (saved.root / f"{row}.jpg").unlink()
    assert _trained_on(saved, [other]) == [other]


def test_a_test_sample_of_the_run_is_no_training_sample(saved):
    paths = [saved.root / f"{row}.jpg" for row in saved.splits.rows("test")]
    assert paths
    assert _trained_on(saved, paths) == []
