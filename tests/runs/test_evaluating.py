"""Evaluating other data: labels are matched by name, what is not annotated is unknown, training samples are refused."""

import numpy as np
import pytest

from manyhot.config import SplitConfig
from manyhot.errors import SourceError
from manyhot.labels import LabelSets, LabelSource, LabelSpace
from manyhot.runs.evaluating import _trained_on, align_labels
from manyhot.runs.splits import decide_splits, load_splits, save_splits
from manyhot.sources import Manifest

MODEL = LabelSpace(names=("ant", "bee", "cow", "dog"))


def test_labels_are_matched_by_name_and_what_the_data_lack_is_unknown():
    sets = LabelSets.from_names([["dog", "ant"], [], ["ant"]], LabelSpace(names=("dog", "ant")))
    aligned = align_labels(sets, MODEL)
    nan = np.nan
    expected = [[1, nan, nan, 1], [0, nan, nan, 0], [1, nan, nan, 0]]
    np.testing.assert_array_equal(aligned.to_multi_hot(), expected)


def test_unlisted_cells_that_mean_unknown_stay_unknown_and_verified_negatives_negative():
    space = LabelSpace(names=("cow", "bee"))
    sets = LabelSets.from_lists([[0], []], space, exceptions=[[1], [0]], unlisted="unknown")
    nan = np.nan
    expected = [[nan, 0, 1, nan], [nan, nan, 0, nan]]
    np.testing.assert_array_equal(align_labels(sets, MODEL).to_multi_hot(), expected)


def test_a_source_that_annotated_nothing_stays_unknown_everywhere():
    sets = LabelSets(
        space=LabelSpace(names=("bee", "ant")),
        positives=LabelSets.from_names([[]], LabelSpace(names=("bee", "ant"))).positives,
        sources=(LabelSource(annotated=()),),
    )
    assert np.isnan(align_labels(sets, MODEL).to_multi_hot()).all()


def test_confidence_follows_its_positive():
    space = LabelSpace(names=("dog", "ant"))
    plain = LabelSets.from_names([["dog", "ant"]], space)
    sets = LabelSets(space=space, positives=plain.positives, confidence=np.array([0.25, 0.75], dtype=np.float16))
    aligned = align_labels(sets, MODEL)
    assert aligned.positives.ids.tolist() == [0, 3]
    assert aligned.confidence.tolist() == [0.75, 0.25]


def test_a_label_that_the_model_does_not_know_is_named():
    with pytest.raises(SourceError, match="1 labels of the data are unknown to the model, the first is 'elk'"):
        align_labels(LabelSets.from_names([["elk"], ["ant"]]), MODEL)


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
