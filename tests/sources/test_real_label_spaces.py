"""The real label spaces and tables: their counts as their own files state them, whole, and as stores."""

import gzip
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from manyhot.labels.expansion import count_violations, expand_positives
from manyhot.labels.hierarchy import Hierarchy
from manyhot.labels.splitting import split_samples
from manyhot.labels.storage import open_store
from manyhot.runs.converting import convert
from manyhot.sources import Manifest, SourceOptions, open_source, read_source
from manyhot.sources.tencent_dictionary import read_dictionary

pytestmark = pytest.mark.real_data

MULAN = {
    "Corel5k": (5_000, 499, 17_610),
    "bibtex": (7_395, 1_836, 17_762),
    "birds": (645, 260, 654),
    "cal500": (502, 68, 13_074),
    "delicious": (16_105, 500, 306_317),
    "emotions": (593, 72, 1_108),
    "enron": (1_702, 1_001, 5_750),
    "medical": (978, 1_449, 1_218),
    "scene": (2_407, 294, 2_585),
    "yeast": (2_417, 103, 10_241),
}


def read(path: Path, options: SourceOptions | None = None) -> Manifest:
    """Return what a path holds, without a single finding."""
    reading = read_source(path, options or SourceOptions())
    assert reading.findings == ()
    assert reading.manifest is not None
    return reading.manifest


@pytest.mark.parametrize("name", MULAN)
def test_every_benchmark_reads_with_the_labels_that_its_xml_states(shared_data: Path, name: str):
    xml = shared_data / "tabular_arff" / f"{name}.xml"
    manifest = read(xml)
    num_samples, num_features, num_positives = MULAN[name]
    assert manifest.labels.num_labels == len(re.findall(r"<label\s", xml.read_text(encoding="utf-8")))
    assert manifest.features is not None
    assert (manifest.num_samples, manifest.features.num_features) == (num_samples, num_features)
    assert manifest.labels.positives.size == num_positives
    assert set(manifest.splits()) == ({None} if name == "cal500" else {"train", "test"})


def test_relabelled_validation_rows_keep_those_without_labels(shared_data: Path):
    path = shared_data / "label_spaces" / "real.json"
    labels = read(path).labels
    lengths = labels.positives.lengths()
    assert (labels.num_samples, labels.num_labels) == (50_000, 1_000)
    assert (int((lengths == 0).sum()), int((lengths > 1).sum())) == (3_163, 7_443)
    rows = json.loads(path.read_text(encoding="utf-8"))
    assert all(labels.positives.row(row).tolist() == sorted(rows[row]) for row in range(0, 50_000, 97))


def test_the_chest_table_has_fourteen_findings_and_splits_that_share_no_patient(shared_data: Path):
    path = shared_data / "label_spaces" / "Data_Entry_2017_v2020.csv.gz"
    manifest = read(path, SourceOptions(pictures=False))
    assert (manifest.num_samples, manifest.labels.num_labels) == (112_120, 14)
    assert int((manifest.labels.positives.lengths() == 0).sum()) == 60_361
    assert "No Finding" not in manifest.labels.space.names
    patients = np.array(manifest.groups())
    part_of = split_samples(manifest.labels, (0.7, 0.15, 0.15), seed=0, groups=patients)
    parts = [set(patients[part_of == part]) for part in range(3)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 30_805


def test_the_rows_of_the_hierarchy_expand_and_survive_a_store(shared_data: Path, tmp_path: Path):
    folder = shared_data / "label_spaces"
    manifest = read(folder / "train_urls_tiny.txt")
    dictionary = read_dictionary(folder / "dictionary_and_semantic_hierarchy.txt")
    assert manifest.labels.space == dictionary.space
    assert (manifest.num_samples, manifest.labels.num_labels) == (100, 11_166)
    assert manifest.labels.confidence is not None
    hierarchy = Hierarchy.of(manifest.labels.space)
    expanded = expand_positives(hierarchy, manifest.labels)
    assert expanded.positives.size > manifest.labels.positives.size
    assert count_violations(hierarchy, expanded).sum() == 0
    convert([folder / "train_urls_tiny.txt"], tmp_path / "store")
    stored = open_source(tmp_path / "store")
    assert stored.fingerprint == manifest.fingerprint
    assert stored.labels.space.parents == dictionary.space.parents


MEASURE = """
import resource, sys
from pathlib import Path
from manyhot.runs.converting import convert
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
store = convert([Path(sys.argv[1])], Path(sys.argv[2])).store
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(store.num_samples, store.labels.num_labels, store.labels.positives.size, (after - before) // 1024)
"""


def test_a_hundred_thousand_rows_and_labels_become_a_store_without_being_dense(shared_data: Path, tmp_path: Path):
    path = shared_data / "label_spaces" / "amazontitles131k_test_labels.txt.gz"
    command = [sys.executable, "-c", MEASURE, str(path), str(tmp_path / "store")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    *counts, megabytes = map(int, done.stdout.split())
    assert counts == [134_835, 131_073, 284_746]
    # Measured: 150 MB. Dense would be 17,700 MB at a byte a cell.
    assert megabytes < 600
    store = open_store(tmp_path / "store")
    assert sum(file.stat().st_size for file in (tmp_path / "store").iterdir()) < 10 << 20
    with gzip.open(path, "rt", encoding="utf-8") as file:
        lines = file.read().split("\n")[1:]
    for row in range(0, 134_835, 991):
        stated = sorted(int(pair.partition(":")[0]) for pair in lines[row].split())
        assert store.labels.positives.row(row).tolist() == stated


def test_names_of_open_images_serve_as_class_descriptions(shared_data: Path, tmp_path: Path):
    (tmp_path / "rows.csv").write_text("ImageID,LabelName,Confidence\nx,/g/11jwzh3_l,1\nx,/g/12233hjw,0\n")
    names = shared_data / "label_spaces" / "dict.csv"
    space = read(tmp_path, SourceOptions(names=names, pictures=False)).labels.space
    assert len(space) == len(names.read_text(encoding="utf-8").splitlines()) == 7_881
    assert space.names[:2] == ("traditional sport", "volcanic landform")


@pytest.mark.parametrize("name", ["posters", "apparel", "clothes_tiny", "coco128"])
def test_a_store_of_real_pictures_is_what_it_was_made_from(shared_data: Path, tmp_path: Path, name: str):
    manifest = read(shared_data / name)
    convert([shared_data / name], tmp_path / "store")
    stored = open_source(tmp_path / "store")
    assert stored.fingerprint == manifest.fingerprint
    assert stored.path_of(0).is_file()


def test_a_store_of_a_feature_table_keeps_states_and_splits(shared_data: Path, tmp_path: Path):
    manifest = read(shared_data / "tabular_arff" / "enron.xml")
    convert([shared_data / "tabular_arff" / "enron.xml"], tmp_path / "store")
    assert open_source(tmp_path / "store").fingerprint == replace(manifest, features=None).fingerprint
