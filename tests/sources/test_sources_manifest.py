from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from manyhot.errors import SourceError
from manyhot.labels import Csr, LabelSets, LabelSource, LabelSpace
from manyhot.sources import Manifest

SPACE = LabelSpace(names=("cat", "dog", "owl"))


def manifest_of(
    names: list[list[str]], *, splits: list[str | None] | None = None, groups: list[str | None] | None = None
) -> Manifest:
    references = [f"{row}.jpg" for row in range(len(names))]
    labels = LabelSets.from_names(names, SPACE)
    return Manifest.from_lists(Path("data"), references, labels, splits=splits, groups=groups)


def test_take_keeps_samples_and_labels_together():
    manifest = manifest_of([["cat"], [], ["dog", "owl"]], splits=["train", "val", "test"], groups=["a", None, "b"])
    taken = manifest.take([2, 0, 2])
    assert taken.references() == ["2.jpg", "0.jpg", "2.jpg"]
    assert taken.splits() == ["test", "train", "test"]
    assert taken.groups() == ["b", "a", "b"]
    assert taken.labels.to_multi_hot().tolist() == [[0, 1, 1], [1, 0, 0], [0, 1, 1]]


def test_take_of_no_rows_is_an_empty_manifest():
    assert manifest_of([["cat"]]).take([]).num_samples == 0


def test_has_splits_only_if_every_sample_has_one():
    assert manifest_of([[], []], splits=["train", "test"]).has_splits
    assert not manifest_of([[], []], splits=["train", None]).has_splits
    assert not manifest_of([[], []]).has_splits
    assert not manifest_of([]).has_splits


def test_the_fingerprint_does_not_depend_on_where_the_folder_stands_or_on_the_type_of_ids():
    manifest = manifest_of([["cat"], ["owl"]])
    wide = Csr(manifest.labels.positives.indptr, manifest.labels.positives.ids.astype(np.uint32))
    moved = Manifest(root=Path("/elsewhere"), samples=manifest.samples, labels=LabelSets(space=SPACE, positives=wide))
    assert moved.fingerprint == manifest.fingerprint


@pytest.mark.parametrize(
    "other",
    [
        manifest_of([["cat"], ["dog"]]),
        manifest_of([["cat", "owl"], []]),
        manifest_of([["cat"], ["owl"]], splits=["train", "test"]),
        manifest_of([["cat"], ["owl"]], groups=["a", "b"]),
        manifest_of([["cat"], ["owl"]], groups=["ab", None]),
        manifest_of([["cat"], ["owl"]], groups=["", "ab"]),
        manifest_of([["cat"], ["owl"]]).take([1, 0]),
        Manifest.from_lists(Path(), ["0.jpg", "01.jpg"], LabelSets.from_names([["cat"], ["owl"]], SPACE)),
        Manifest.from_lists(
            Path(), ["0.jpg", "1.jpg"], LabelSets.from_names([["cat"], ["owl"]], SPACE, unlisted="unknown")
        ),
        Manifest.from_lists(
            Path(),
            ["0.jpg", "1.jpg"],
            LabelSets(
                space=SPACE,
                positives=Csr.from_lists([[0], [2]]),
                sources=(LabelSource(annotated=(0, 2)),),
            ),
        ),
        Manifest.from_lists(Path(), ["0.jpg", "1.jpg"], LabelSets.from_lists([[0], [2]], SPACE, exceptions=[[], [1]])),
        Manifest.from_lists(
            Path(),
            ["0.jpg", "1.jpg"],
            LabelSets(space=SPACE, positives=Csr.from_lists([[0], [2]]), confidence=np.array([1.0, 0.5])),
        ),
    ],
)
def test_the_fingerprint_changes_with_anything_that_training_sees(other: Manifest):
    assert other.fingerprint != manifest_of([["cat"], ["owl"]]).fingerprint


def test_columns_of_another_name_or_type_are_refused():
    labels = LabelSets.from_names([["cat"]], SPACE)
    with pytest.raises(SourceError, match="expected"):
        Manifest(root=Path(), samples=pa.table({"reference": ["a.jpg"]}), labels=labels)


def test_another_number_of_label_rows_is_refused():
    with pytest.raises(SourceError, match="2 samples have 1 rows of labels"):
        Manifest.from_lists(Path(), ["a.jpg", "b.jpg"], LabelSets.from_names([["cat"]], SPACE))


def test_an_unknown_split_is_refused():
    with pytest.raises(SourceError, match="'holdout' is none of train, val, test"):
        manifest_of([["cat"]], splits=["holdout"])
