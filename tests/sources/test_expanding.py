"""Positives bring their ancestors with them where a source is read so, whole or in a stream."""

import numpy as np
import pytest

from manyhot.errors import SourceError
from manyhot.runs.converting import convert
from manyhot.sources import SourceOptions, open_source, read_source

EXPANDED = SourceOptions(expand="ancestors")
DICTIONARY = "0\tn0\t-1\tthing\n1\tn1\t0\tcat\n2\tn2\t-1\tsky\n"
OPEN_IMAGES = {
    "train-labels.csv": "ImageID,LabelName,Confidence\nx,/m/1,1\nx,/m/3,0\ny,/m/1,1\n",
    "class-descriptions.csv": "/m/1,Cat\n/m/3,Animal\n",
    "hierarchy.json": '{"LabelName": "/m/0", "Subcategory": [{"LabelName": "/m/3", "Subcategory": [{"LabelName": "/m/1"}]}]}',
    "images/x.jpg": b"",
    "images/y.jpg": b"",
}


def test_an_ancestor_is_positive_with_the_confidence_of_its_descendant_in_data_and_in_a_store(write, tmp_path):
    root = write(
        {"dictionary_and_semantic_hierarchy.txt": DICTIONARY, "rows.txt": "http://x/a\t1:0.5\nhttp://x/b\t2:1\n"}
    )
    manifest = open_source(root / "rows.txt", EXPANDED)
    assert manifest.labels.to_multi_hot().tolist() == [[1, 1, 0], [0, 0, 1]]
    assert manifest.labels.confidence is not None
    assert manifest.labels.confidence.tolist() == [0.5, 0.5, 1.0]
    convert([root / "rows.txt"], tmp_path / "store", EXPANDED)
    assert open_source(tmp_path / "store").fingerprint == manifest.fingerprint
    convert([root / "rows.txt"], tmp_path / "plain")
    assert open_source(tmp_path / "plain", EXPANDED).fingerprint == manifest.fingerprint
    assert open_source(tmp_path / "plain").fingerprint != manifest.fingerprint


def test_a_verified_negative_above_a_positive_is_unknown_with_a_warning(write):
    reading = read_source(write(OPEN_IMAGES), EXPANDED)
    assert reading.manifest is not None
    np.testing.assert_array_equal(reading.manifest.labels.to_multi_hot(), [[1, np.nan], [1, 1]])
    warnings = {finding.name: finding.line for finding in reading.findings if finding.severity == "warning"}
    assert "it is taken as unknown ('x.jpg': 'Animal')" in warnings["contradiction"]


@pytest.mark.parametrize("read", [open_source, lambda path, options: convert([path], path.parent / "store", options)])
def test_data_without_a_hierarchy_cannot_be_expanded(write, read):
    root = write({"t.csv": "file,labels\na.jpg,cat\n"})
    with pytest.raises(SourceError, match=r"no label has a parent.*--data\.hierarchy FILE"):
        read(root / "t.csv", SourceOptions(expand="ancestors", pictures=False))
    assert not (root / "store").exists()
