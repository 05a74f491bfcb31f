import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manyhot.sources import SourceOptions, open_source, read_source

PICTURES = {"a.jpg": b"", "b.jpg": b"", "c.jpg": b""}


def names_of(manifest) -> list[list[str]]:
    labels = manifest.labels
    return [[labels.space.names[label] for label in labels.positives.row(row)] for row in range(labels.num_samples)]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_and_byte_order_mark_do_not_matter(write, end, mark):
    text = mark + end.join(["file,labels", "a.jpg,cat|dog", "b.jpg,", ""])
    assert names_of(open_source(write({"labels.csv": text, **PICTURES}))) == [["cat", "dog"], []]


def test_cells_are_text_to_the_letter(write):
    text = "file,labels\na.jpg,N/A|0012\nb.jpg,null\nc.jpg,1.50\n"
    assert names_of(open_source(write({"labels.csv": text, **PICTURES}))) == [["0012", "N/A"], ["null"], ["1.50"]]


def test_blanks_around_parted_labels_are_no_part_of_them(write):
    manifest = open_source(write({"labels.csv": "file,labels\na.jpg, cat | potted plant\n", **PICTURES}))
    assert names_of(manifest) == [["cat", "potted plant"]]


def test_quoted_values_may_hold_delimiters_quotes_and_line_ends(write):
    text = 'file,labels,note\na.jpg,"cat, big|""dog""","two\nlines"\nb.jpg,owl,x\n'
    assert names_of(open_source(write({"labels.csv": text, **PICTURES}))) == [['"dog"', "cat, big"], ["owl"]]


def test_another_delimiter_is_used_where_given(write):
    root = write({"labels.csv": 'file,labels\na.jpg,"cat,dog"\n', **PICTURES})
    assert names_of(open_source(root, SourceOptions(delimiter=","))) == [["cat", "dog"]]
    assert names_of(open_source(root, SourceOptions(delimiter="|"))) == [["cat,dog"]]


def test_json_lists_in_a_text_column_are_lists(write):
    text = 'file,labels\na.jpg,"[""cat|big"", ""dog""]"\nb.jpg,[]\nc.jpg,\n'
    assert names_of(open_source(write({"labels.csv": text, **PICTURES}))) == [["cat|big", "dog"], [], []]


def test_tsv_parts_columns_at_tabs_only(write):
    text = "file\tlabels\na.jpg\tcat, big|dog\n"
    assert names_of(open_source(write({"labels.tsv": text, **PICTURES}))) == [["cat, big", "dog"]]


def test_splits_and_groups_are_read_under_their_usual_names(write):
    text = "file,labels,split,group\na.jpg,cat,train,p1\nb.jpg,cat,Validation,\nc.jpg,dog,test,p1\n"
    manifest = open_source(write({"labels.csv": text, **PICTURES}))
    assert manifest.splits() == ["train", "val", "test"]
    assert manifest.groups() == ["p1", None, "p1"]
    assert manifest.has_splits


def test_a_blank_split_column_is_no_split(write):
    manifest = open_source(write({"labels.csv": "file,labels,split\na.jpg,cat,\nb.jpg,,\n", **PICTURES}))
    assert manifest.splits() == [None, None]


def test_one_column_a_label_holds_ones_zeros_and_nothing_for_unknown(write):
    text = "file,cat,dog,owl\na.jpg,1,0,\nb.jpg,0,1.0,0\nc.jpg,,True,0.0\n"
    manifest = open_source(write({"labels.csv": text, **PICTURES}))
    expected = [[1, 0, np.nan], [0, 1, 0], [np.nan, 1, 0]]
    assert manifest.labels.space.names == ("cat", "dog", "owl")
    assert np.array_equal(manifest.labels.to_multi_hot(), expected, equal_nan=True)


def test_mostly_unknown_cells_are_stored_as_unlisted(write):
    text = "file,cat,dog,owl\na.jpg,1,,\nb.jpg,,,0\nc.jpg,,,\n"
    labels = open_source(write({"labels.csv": text, **PICTURES})).labels
    assert labels.sources[0].unlisted == "unknown"
    assert labels.exceptions is not None
    assert labels.exceptions.size == 1
    expected = [[1, np.nan, np.nan], [np.nan, np.nan, 0], [np.nan] * 3]
    assert np.array_equal(labels.to_multi_hot(), expected, equal_nan=True)


def test_columns_beside_a_label_column_are_named_as_not_used(write):
    reading = read_source(write({"labels.csv": "file,labels,width\na.jpg,cat,640\n", "a.jpg": b""}))
    (finding,) = reading.findings
    assert (finding.severity, finding.name, finding.examples) == ("info", "ignored-column", ("'width'",))


def test_columns_of_other_names_are_used_where_given(write):
    root = write({"labels.csv": "Image Index,Finding Labels\na.jpg,Mass|Edema\n", **PICTURES})
    options = SourceOptions(reference_column="Image Index", label_column="Finding Labels")
    assert names_of(open_source(root, options)) == [["Edema", "Mass"]]


def test_column_names_are_found_without_regard_to_case(write):
    manifest = open_source(write({"labels.csv": "Filename,Labels\na.jpg,cat\n", **PICTURES}))
    assert manifest.references() == ["a.jpg"]


def test_names_that_all_start_with_images_start_from_the_label_file(write):
    root = write({"labels.csv": "file,labels\nimages/a.jpg,cat\n", "images/a.jpg": b""})
    manifest = open_source(root)
    assert manifest.root == root
    assert manifest.references() == ["images/a.jpg"]


def test_a_label_file_may_stand_apart_from_its_pictures(write):
    root = write({"lists/mine.csv": "file,labels\na.jpg,cat\n", "pictures/a.jpg": b""})
    options = SourceOptions(images=root / "pictures")
    assert open_source(root / "lists/mine.csv", options).path_of(0) == root / "pictures/a.jpg"
    options = SourceOptions(labels=root / "lists/mine.csv")
    assert open_source(root / "pictures", options).path_of(0) == root / "pictures/a.jpg"


def test_json_lines_hold_lists_text_and_groups(write):
    rows = [
        {"file": "a.jpg", "labels": ["x|y", "cat"]},
        {"file": "b.jpg", "labels": "cat|dog"},
        {"file": "c.jpg", "labels": []},
    ]
    text = "\r\n".join(json.dumps(row) for row in rows)
    assert names_of(open_source(write({"labels.jsonl": text, **PICTURES}))) == [["cat", "x|y"], ["cat", "dog"], []]


def test_json_lines_may_hold_one_key_a_label(write):
    text = '{"file": "a.jpg", "cat": 1, "dog": null}\n\n{"file": "b.jpg", "dog": false}\n'
    manifest = open_source(write({"labels.jsonl": text, **PICTURES}))
    assert np.array_equal(manifest.labels.to_multi_hot(), [[1, np.nan], [np.nan, 0]], equal_nan=True)


@pytest.mark.parametrize("kind", [pa.list_(pa.string()), pa.large_list(pa.large_string())])
def test_parquet_lists_are_kept_to_the_letter(write, kind):
    root = write(PICTURES)
    labels = pa.chunked_array([pa.array([["N/A", " x|y"], []], kind), pa.array([["0012"]], kind)])
    pq.write_table(pa.table({"file": ["a.jpg", "b.jpg", "c.jpg"], "labels": labels}), root / "labels.parquet")
    assert names_of(open_source(root)) == [[" x|y", "N/A"], [], ["0012"]]


def test_parquet_text_may_be_dictionary_encoded(write):
    root = write(PICTURES)
    labels = pa.array(["cat|dog", "", "cat|dog"]).dictionary_encode()
    references = pa.array(["a.jpg", "b.jpg", "c.jpg"]).dictionary_encode()
    pq.write_table(pa.table({"file": references, "labels": labels}), root / "labels.parquet")
    assert names_of(open_source(root)) == [["cat", "dog"], [], ["cat", "dog"]]


def test_parquet_numbers_and_truth_values_are_cells_and_null_or_nan_is_unknown(write):
    root = write(PICTURES)
    columns = {
        "file": ["a.jpg", "b.jpg", "c.jpg"],
        "cat": pa.array([True, None, False]),
        "dog": pa.array([1.0, float("nan"), 0.0]),
        "owl": pa.array([0, 1, 0], pa.int8()),
    }
    pq.write_table(pa.table(columns), root / "labels.parquet")
    expected = [[1, 1, 0], [np.nan, np.nan, 1], [0, 0, 0]]
    assert np.array_equal(open_source(root).labels.to_multi_hot(), expected, equal_nan=True)


def test_many_label_columns_cost_no_more_than_their_cells(write):
    names = [f"label {index}" for index in range(3_000)]
    lines = [",".join(["file", *names]), ",".join(["a.jpg", *["0"] * 2_999, "1"])]
    labels = open_source(write({"labels.csv": "\n".join(lines), **PICTURES})).labels
    assert labels.num_labels == 3_000
    assert labels.positives.row(0).tolist() == [2_999]
