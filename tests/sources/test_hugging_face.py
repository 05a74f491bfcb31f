"""Hugging Face data sets: shards of Parquet and what `save_to_disk` writes, with labels named by their schema."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manyhot.errors import SourceError
from manyhot.sources import SourceOptions, open_source, read_embedded_picture, read_source

CLASSES = {"names": ["cat", "dog"], "_type": "ClassLabel"}
PICTURES = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
LISTS = ({"feature": CLASSES, "_type": "Sequence"}, {"feature": CLASSES, "_type": "List"}, [CLASSES])


def table_of(labels, *, feature: object = LISTS[0], pictures=None, **columns) -> pa.Table:
    """Return a table as the library writes it, with the description of its columns in the schema."""
    pictures = (
        [{"bytes": b"%d" % row, "path": f"{row}.jpg"} for row in range(len(labels))] if pictures is None else pictures
    )
    data = {"image": pa.array(pictures, PICTURES), "labels": pa.array(labels, pa.list_(pa.int64())), **columns}
    features = {"image": {"_type": "Image"}, "labels": feature}
    description = json.dumps({"info": {"features": features}})
    return pa.table(data).replace_schema_metadata({"huggingface": description})


def write_parquet(root: Path, name: str, table: pa.Table) -> Path:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, root / name, row_group_size=2)
    return root


def save(root: Path, parts: list[pa.Table], *, split: str | None = None, classes: bool = True) -> Path:
    """Write a folder as `Dataset.save_to_disk` does."""
    root.mkdir(parents=True, exist_ok=True)
    names = [f"data-{number:05d}-of-{len(parts):05d}.arrow" for number in range(len(parts))]
    for name, part in zip(names, parts, strict=True):
        with pa.ipc.new_stream(str(root / name), part.schema) as writer:
            writer.write_table(part, max_chunksize=2)
    state = {"_data_files": [{"filename": name} for name in names], "_fingerprint": "x", "_split": split}
    (root / "state.json").write_text(json.dumps(state))
    features = {"labels": LISTS[0]} if classes else {}
    (root / "dataset_info.json").write_text(json.dumps({"features": features}))
    return root


def dense(manifest) -> list[list[float]]:
    return np.nan_to_num(manifest.labels.to_multi_hot(), nan=-1).tolist()


@pytest.mark.parametrize("feature", LISTS)
def test_shards_give_names_splits_and_rows_without_labels(tmp_path, feature):
    write_parquet(tmp_path, "data/train-00000-of-00002.parquet", table_of([[1], [], [1, 0]], feature=feature))
    write_parquet(tmp_path, "data/train-00001-of-00002.parquet", table_of([[0]], feature=feature))
    write_parquet(tmp_path, "data/validation-00000-of-00001.parquet", table_of([[]], feature=feature))
    reading = read_source(tmp_path)
    assert [finding.name for finding in reading.findings] == ["embedded-pictures"]
    manifest = reading.manifest
    assert manifest.labels.space.names == ("cat", "dog")
    assert dense(manifest) == [[0, 1], [0, 0], [1, 1], [1, 0], [0, 0]]
    assert manifest.splits() == ["train"] * 4 + ["val"]
    assert manifest.has_pictures
    assert [manifest.pictures.read(row) for row in range(5)] == [b"0", b"1", b"2", b"0", b"0"]


def test_a_reference_leads_to_its_picture(tmp_path):
    first, second = table_of([[1], [], [0]]), table_of([[0]], pictures=[{"bytes": b"other", "path": None}])
    write_parquet(tmp_path / "parquet", "train-00000-of-00002.parquet", first)
    write_parquet(tmp_path / "parquet", "train-00001-of-00002.parquet", second)
    save(tmp_path / "saved", [first, second])
    for root in (tmp_path / "parquet", tmp_path / "saved"):
        manifest = open_source(root)
        pictures = [read_embedded_picture(manifest.root, reference) for reference in manifest.references()]
        assert pictures == [b"0", b"1", b"2", b"other"]
        assert [manifest.pictures.read(row) for row in (3, 0, 2, 1)] == [b"other", b"0", b"2", b"1"]
        for wrong in ("train.parquet/1", f"{manifest.references()[0]}9", manifest.references()[0][:-2], "/0"):
            with pytest.raises(SourceError, match="check the reference"):
                read_embedded_picture(manifest.root, wrong)


def test_a_saved_data_set_reads_as_its_shards_do(tmp_path):
    parts = [table_of([[1], [], [1, 0]]), table_of([[0]])]
    manifest = open_source(save(tmp_path / "saved", parts, split="test"))
    assert dense(manifest) == [[0, 1], [0, 0], [1, 1], [1, 0]]
    assert manifest.splits() == ["test"] * 4
    assert manifest.references()[2:] == ["data-00000-of-00002.arrow/3", "data-00001-of-00002.arrow/1"]


def test_a_saved_dictionary_of_data_sets_keeps_its_splits(tmp_path):
    for name, labels in (("train", [[1], [0]]), ("validation", [[]]), ("test", [[1, 0]])):
        save(tmp_path / name, [table_of(labels)])
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "validation", "test"]}')
    manifest = open_source(tmp_path)
    assert manifest.splits() == ["train", "train", "val", "test"]
    assert dense(manifest) == [[0, 1], [1, 0], [0, 0], [1, 1]]
    assert manifest.references()[-1] == "test/data-00000-of-00001.arrow/1"


def test_names_beside_a_saved_data_set_serve_where_the_schema_has_none(tmp_path):
    manifest = open_source(save(tmp_path, [table_of([[1]]).replace_schema_metadata()]))
    assert manifest.labels.space.names == ("cat", "dog")


def test_a_single_class_label_is_found_by_its_kind(tmp_path):
    features = {"scene": CLASSES, "text": {"dtype": "string", "_type": "Value"}}
    table = pa.table({"text": ["x", "y"], "scene": [1, 0]})
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    manifest = open_source(write_parquet(tmp_path, "test.parquet", table) / "test.parquet")
    assert dense(manifest) == [[0, 1], [1, 0]]
    assert manifest.references() == ["test.parquet/1", "test.parquet/2"]


def test_numbers_without_names_are_called_by_themselves_and_said_to_be(tmp_path):
    reading = read_source(write_parquet(tmp_path, "train.parquet", table_of([[10], [2], []], feature={})))
    assert [finding.name for finding in reading.findings] == ["embedded-pictures", "unnamed-labels"]
    assert reading.manifest.labels.space.names == ("2", "10")
    (tmp_path / "classes.txt").write_text("\n".join(f"name {number}" for number in range(11)))
    assert open_source(tmp_path).labels.space.names[10] == "name 10"


def test_text_and_groups_stay_as_they_are(tmp_path):
    table = pa.table(
        {"image": pa.array([{"bytes": b"", "path": "a"}] * 2, PICTURES), "labels": [["N/A"], []], "group": ["p", None]}
    )
    manifest = open_source(write_parquet(tmp_path, "train.parquet", table))
    assert manifest.labels.space.names == ("N/A",)
    assert manifest.groups() == ["p", None]


def test_columns_of_zeros_and_ones_are_labels_when_asked_for(tmp_path):
    table = (
        table_of([[0], [1]])
        .drop(["labels"])
        .append_column("cat", pa.array([1, 0]))
        .append_column("dog", pa.array([None, 1]))
    )
    manifest = open_source(write_parquet(tmp_path, "a.parquet", table), SourceOptions(label_columns=("cat", "dog")))
    assert dense(manifest) == [[1, -1], [0, 1]]


def test_pictures_that_are_not_embedded_are_files(tmp_path):
    paths = [{"bytes": None, "path": "a.jpg"}, {"bytes": None, "path": "b.jpg"}]
    write_parquet(tmp_path, "train.parquet", table_of([[0], [1]], pictures=paths))
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(b"")
    manifest = open_source(tmp_path)
    assert manifest.has_pictures
    assert manifest.path_of(1) == tmp_path / "b.jpg"


def test_null_labels_in_a_metadata_table_are_errors_not_negatives(tmp_path):
    (tmp_path / "dataset_info.json").write_text(json.dumps({"features": {"label": CLASSES}}))
    lines = [
        {"file_name": "a.jpg", "label": 1},
        {"file_name": "b.jpg", "label": None},
        {"file_name": "c.jpg", "label": -1},
    ]
    (tmp_path / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)))
    reading = read_source(tmp_path, SourceOptions(pictures=False))
    assert {finding.name: finding.examples for finding in reading.errors} == {
        "null-labels": ("line 2",),
        "withheld-label": ("line 3",),
    }
    assert reading.manifest.references() == ["a.jpg"]
