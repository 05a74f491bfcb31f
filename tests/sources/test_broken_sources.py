"""Broken inputs: each ends in one line that names the file, the place and the mend."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manyhot.errors import SourceError
from manyhot.sources import SourceOptions, open_source, read_source


@dataclass(frozen=True, kw_only=True)
class Broken:
    """A label file that is wrong, the finding it must bring, and what the line must say."""

    claim: str
    name: str
    says: tuple[str, ...]
    file: str = "labels.csv"
    content: str | bytes = ""
    beside: dict[str, str | bytes] = field(default_factory=dict)
    options: SourceOptions = field(default_factory=SourceOptions)


def broken_json(claim: str, content: str | bytes, name: str, *says: str, **beside: str | bytes) -> Broken:
    files = {key.replace("__", "."): value for key, value in beside.items()}
    return Broken(claim=claim, file="labels.json", content=content, name=name, says=says, beside=files)


def broken_csv(claim: str, content: str | bytes, name: str, *says: str) -> Broken:
    return Broken(claim=claim, content=content, name=name, says=says)


def broken_lines(claim: str, content: str, name: str, *says: str) -> Broken:
    return Broken(claim=claim, file="labels.jsonl", content=content, name=name, says=says)


CASES = [
    # Encodings
    broken_csv("latin-1", "file,labels\na.jpg,xyz\xe9\n".encode("latin-1"), "encoding", "line 2", "0xe9 at position 21", "save the file as UTF-8"),
    broken_csv("UTF-16 with a mark", "file,labels\na.jpg,cat\n".encode("utf-16"), "encoding", "UTF-16", "save it as UTF-8"),
    broken_csv("UTF-16 without a mark", "file,labels\na.jpg,cat\n".encode("utf-16-le"), "encoding", "line 1", "NUL", "UTF-8"),
    broken_json("latin-1 in JSON", '{"a.jpg": ["é"]}'.encode("latin-1"), "encoding", "position 12", "save the file as UTF-8"),
    # Nothing there
    broken_csv("no byte", b"", "empty-data", "the file is empty", "needs at least one sample"),
    broken_csv("a mark alone", b"\xef\xbb\xbf", "empty-data", "nothing but blanks", "needs at least one sample"),
    broken_csv("a header alone", "file,labels\n", "empty-data", "no rows", "needs at least one sample"),
    broken_json("an empty object", "{}", "empty-data", "the object is empty", "needs at least one sample"),
    broken_json("no label at all", '{"a.jpg": [], "b.jpg": []}', "empty-data", "no sample has a label", "list the labels"),
    # Rows of another length
    broken_csv("a row too long", "file,labels\na.jpg,cat,dog\nb.jpg,dog\n", "ragged-row", "line 2: 3 fields", "than the 2", "quote values"),
    broken_csv("a row too short", "file,labels,split\na.jpg,cat,train\nb.jpg,dog\n", "ragged-row", "line 3: 2 fields", "write every field"),
    broken_csv("a quote not closed", 'file,labels\na.jpg,cat\nb.jpg,"dog\n', "csv-syntax", "starts at line 3", "check its quotes"),
    broken_csv("text after a quote", 'file,labels\na.jpg,"cat"dog\n', "csv-syntax", "starts at line 2", "check its quotes"),
    # Columns
    broken_csv("no header", "a.jpg,cat\nb.jpg,dog\n", "no-reference-column", "'a.jpg', 'cat'", "reference_column"),
    broken_csv("semicolons", "file;labels\na.jpg;cat\n", "no-reference-column", "'file;labels'", "semicolons", "save it with commas"),
    broken_csv("no labels", "file,split\na.jpg,train\n", "no-label-column", "'file', 'split'", "label_column"),
    broken_csv("a column twice", "file,labels,labels\na.jpg,cat,dog\n", "duplicate-column", "line 1", "'labels'", "rename or delete one"),
    broken_csv("a column without a name", ",file,cat\n0,a.jpg,1\n", "label-name", "empty name", "index=False"),
    Broken(claim="no such column", content="file,labels\na.jpg,cat\n", options=SourceOptions(label_column="tags"), name="no-column", says=("'tags'", "columns: 'file', 'labels'", "label_column")),
    # Cells
    broken_csv("a cell of -1", "file,cat,dog\na.jpg,1,0\nb.jpg,-1,0\n", "uncertain-value", "line 3", "column 'cat'", "(uncertain, --data.uncertain unknown)"),
    broken_csv("a number in a cell", "file,cat\na.jpg,0.7\n", "cell-value", "line 2", "'0.7'", "label_column"),
    broken_csv("an empty label", "file,labels\na.jpg,cat||dog\nb.jpg,cat|\n", "label-name", "line 2", "line 3", "empty name", "mend the name"),
    broken_csv("another delimiter", 'file,labels\na.jpg,"cat,dog"\nb.jpg,cat\n', "unclear-delimiter", "column 'labels'", "1 rows hold ','", "--data.delimiter ','"),
    broken_csv("a Python list", "file,labels\na.jpg,\"['cat', 'dog']\"\n", "json-syntax", "line 2", "line 1, column 2", 'write it as ["a", "b"]'),
    broken_csv("no picture named", "file,labels\n,cat\na.jpg,dog\n", "empty-reference", "line 2", "names no picture", "delete the row"),
    broken_csv("a control character", "file,labels\na.jpg,c\x07t\n", "label-name", "line 2", r"c\x07t", "control character"),
    broken_csv("a name of 10,000 letters", f"file,labels\na.jpg,{'x' * 10_000}\n", "label-name", "line 2", "10,000 characters", "at most 1,000"),
    # Splits
    broken_csv("an unknown split", "file,labels,split\na.jpg,cat,holdout\nb.jpg,dog,train\n", "unknown-split", "line 2: 'holdout'", "train, val, test"),
    broken_csv("a split for some", "file,labels,split\na.jpg,cat,train\nb.jpg,dog,\n", "partial-split", "line 3", "fill in all of them or none"),
    # Pictures
    broken_csv("a row twice", "file,labels\na.jpg,cat\nb.jpg,dog\n./a.jpg,dog\n", "duplicate-row", "line 4: './a.jpg' as in line 2", "delete the other"),
    broken_csv("a missing picture", "file,labels\na.jpg,cat\nlost.jpg,dog\n", "missing-file", "line 3: 'lost.jpg'", "add it, mend the name or delete the row"),
    broken_csv("a path that climbs", "file,labels\n../data/a.jpg,cat\n", "outside-root", "line 2: '../data/a.jpg'", "move the picture into the folder"),
    broken_csv("a path that climbs and returns", "file,labels\nx/../../a.jpg,cat\n", "outside-root", "line 2", ".."),
    broken_csv("an absolute path", "file,labels\n/etc/passwd,cat\n", "outside-root", "line 2: '/etc/passwd'", "without a drive or leading /"),
    broken_csv("a drive", "file,labels\nC:\\a.jpg,cat\n", "outside-root", "line 2", "without a drive"),
    Broken(claim="backslashes", content="file,labels\nx\\a.jpg,cat\n", beside={"x/a.jpg": b""}, name="backslash", says=("line 2", "write /")),
    # JSON
    broken_json("a comma too many", '{"a.jpg": ["cat"],}', "json-syntax", "line 1, column 1", "mend the JSON there"),
    broken_json("a leading zero", '{\n"a.jpg": [0012]}', "json-syntax", "line 2, column 12", "0012"),
    broken_json("a list", '[["a.jpg", ["cat"]]]', "json-shape", "{name: [label, …]}", "write one"),
    broken_json("a key twice", '{"a.jpg": ["cat"], "a.jpg": ["dog"]}', "duplicate-row", "key 'a.jpg'", "again", "delete the other"),
    broken_json("an empty key", '{"": ["cat"], "a.jpg": ["cat"]}', "empty-reference", "key ''", "names no picture"),
    broken_json("a number as label", '{"a.jpg": ["cat", 12]}', "label-type", "key 'a.jpg': 12", "put it in quotes"),
    broken_json("NaN as label", '{"a.jpg": [NaN], "b.jpg": ["cat"]}', "label-type", "key 'a.jpg': NaN", "put it in quotes"),
    broken_json("a truth value as labels", '{"a.jpg": true}', "label-type", "key 'a.jpg': true", "put it in quotes"),
    broken_json("null as labels", '{"a.jpg": null, "b.jpg": ["cat"]}', "null-labels", "key 'a.jpg'", "write []"),
    broken_json("lists in lists", '{"a.jpg": [["cat"]]}', "label-type", "key 'a.jpg': a list in a list"),
    broken_json("groups in groups", '{"a.jpg": {"type": {"kind": "cat"}}}', "label-type", "key 'a.jpg': an object"),
    broken_json("a group twice", '{"a.jpg": {"type": "cat", "type": "dog"}}', "duplicate-key", "key 'a.jpg': 'type'", "merge the two"),
    broken_json("lists beside groups", '{"a.jpg": ["cat"], "b.jpg": {"type": "dog"}}', "mixed-entries", "key 'a.jpg': a list", "key 'b.jpg': groups", "the same way"),
    broken_json("half a surrogate pair", '{"a.jpg": ["\\ud800"]}', "label-name", "key 'a.jpg'", r"\ud800", "control character"),
    broken_json("an empty group", '{"a.jpg": {"": "cat"}}', "label-name", "key 'a.jpg'", "in a group that has an empty name"),
    broken_json("nested without end", "[" * 100_000, "json-syntax", "nested too deeply", "mend the JSON"),
    broken_json("a number without end", f'{{"a.jpg": {"9" * 5_000}}}', "json-syntax", "digits", "mend the JSON"),
    broken_json("an ambiguous name", '{"a.jpg": {"x": ["y:z", "z"], "y": "z"}, "b.jpg": {"x": "y:z"}}', "ambiguous-name", "'y:z'", "rename one"),
    # label_names.json
    broken_json("a label not declared", '{"a.jpg": ["comdy"]}', "unknown-label", "key 'a.jpg': 'comdy'", "did you mean 'comedy'", "label_names.json", label_names__json='["comedy"]'),
    broken_json("a name declared twice", '{"a.jpg": ["cat"]}', "duplicate-label", "label_names.json", "'cat'", "delete one", label_names__json='["cat", "cat"]'),
    broken_json("declared numbers", '{"a.jpg": ["cat"]}', "label-names", "label_names.json", "put every name in quotes", label_names__json="[1]"),
    broken_json("broken names", '{"a.jpg": ["cat"]}', "json-syntax", "label_names.json", "line 1, column 8", label_names__json='["cat",'),
    # JSON lines
    broken_lines("a broken line", '{"file": "a.jpg", "labels": ["cat"]}\n{"file": \n', "json-syntax", "line 2", "mend it"),
    broken_lines("blanks of another kind", "\x1c\n\u00a0\n", "empty-data", "no line holds an object", "at least one sample"),
    broken_lines("a list as line", '{"file": "a.jpg", "labels": ["cat"]}\n["b.jpg"]\n', "json-shape", "line 2", '"labels"'),
    broken_lines("a key twice in a line", '{"file": "a.jpg", "file": "b.jpg", "labels": []}\n', "duplicate-key", "line 1: 'file'", "delete one"),
    broken_lines("labels left out", '{"file": "a.jpg", "labels": ["cat"]}\n{"file": "b.jpg"}\n', "null-labels", "line 2", "write []"),
    broken_lines("a number as picture", '{"file": 12, "labels": ["cat"]}\n', "column-type", "line 1", "'file' is not text", "put it in quotes"),
    broken_lines("a list in a cell", '{"file": "a.jpg", "cat": [1]}\n', "cell-value", "line 1", "column 'cat' holds [1]"),
    broken_lines("half a pair in a group", '{"file": "a.jpg", "labels": ["cat"], "group": "\\udc80"}', "encoding", "line 1", "'group'", "mend the text"),
    # Files that are none
    Broken(claim="text as Parquet", file="labels.parquet", content="file,labels\n", name="unreadable-file", says=("no sound Parquet", "write it again")),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.claim)
def test_a_broken_file_ends_in_one_line_with_file_place_and_mend(write, case: Broken):
    root = write({"a.jpg": b"", "b.jpg": b"", **case.beside, case.file: case.content})
    findings = [finding for finding in read_source(root, case.options).errors if finding.name == case.name]
    assert findings, read_source(root, case.options).findings
    line = " ".join(finding.line for finding in findings)
    for words in (str(root), *case.says):
        assert words in line
    with pytest.raises(SourceError) as caught:
        open_source(root, case.options)
    assert len(str(caught.value).splitlines()) == 1
    assert findings[0].message in str(caught.value)


def error_of(path: Path, options: SourceOptions | None = None) -> str:
    with pytest.raises(SourceError) as caught:
        open_source(path, options or SourceOptions())
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_a_path_that_is_not_there_brings_the_nearest_name(write):
    root = write({"posters/labels.json": "{}"})
    assert error_of(root / "poster").endswith("check the path; did you mean 'posters'?")


def test_a_label_file_that_is_not_there_is_named(write):
    root = write({"a.jpg": b""})
    assert "mine.csv: there is no such label file" in error_of(root, SourceOptions(labels=root / "mine.csv"))


def test_an_image_folder_that_is_not_there_is_named(write):
    root = write({"labels.json": '{"a.jpg": ["cat"]}'})
    assert "elsewhere: there is no such image folder" in error_of(root, SourceOptions(images=root / "elsewhere"))


def test_a_folder_without_labels_names_a_file_that_may_hold_them(write):
    root = write({"a.jpg": b"", "mine.csv": "file,labels\na.jpg,cat\n"})
    assert error_of(root).endswith(f"name the file that holds labels, as in {root}/mine.csv")


def test_two_label_files_are_an_error_that_says_how_to_choose(write):
    root = write({"labels.json": "{}", "labels.csv": "file,labels\n"})
    assert f"(labels.json, labels.csv); name the one to read, as in {root}/labels.json" in error_of(root)


def test_a_file_of_an_unknown_kind_lists_the_known_ones(write):
    root = write({"labels.xlsx": b"PK"})
    line = error_of(root / "labels.xlsx")
    assert "label files are a label store; " in line
    assert "; Open Images CSV" in line


def test_pictures_in_folders_within_folders_need_a_decision(write):
    line = error_of(write({"animal/dog/1.jpg": b"", "animal/2.jpg": b""}))
    assert "--data.separator /" in line
    assert "folder 'animal/dog'" in line


def test_a_folder_name_with_an_empty_part_is_named(write):
    line = error_of(write({"red__dress/1.jpg": b""}), SourceOptions(separator="_"))
    assert "empty name" in line
    assert "folder 'red__dress'" in line


@pytest.mark.parametrize("folder", [False, True])
def test_links_that_lead_out_of_the_folder_are_refused(write, tmp_path, folder):
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "a.jpg").write_bytes(b"")
    root = write({"labels.json": '{"x/a.jpg": ["cat"]}', "images/b.jpg": b""})
    if folder:
        (root / "images/x").symlink_to(secret)
    else:
        (root / "images/x").mkdir()
        (root / "images/x/a.jpg").symlink_to(secret / "a.jpg")
    line = error_of(root)
    assert "outside of" in line
    assert "key 'x/a.jpg'" in line


def test_a_link_that_leads_nowhere_is_a_missing_picture(write):
    root = write({"labels.json": '{"a.jpg": ["cat"]}', "images/b.jpg": b""})
    (root / "images/a.jpg").symlink_to("gone.jpg")
    assert "add it, mend the name" in error_of(root)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads files whatever their permissions")
def test_a_file_without_permission_is_named(write):
    root = write({"labels.json": '{"a.jpg": ["cat"]}', "a.jpg": b""})
    (root / "labels.json").chmod(0)
    assert "labels.json: Permission denied" in error_of(root)


PARQUET_CASES = [
    ("labels of numbers", pa.array([[1], [2]]), "column-type", "list<element: int64>", "lists of text"),
    ("null lists", pa.array([["cat"], None]), "null-labels", "row 2", "write []"),
    ("null labels", pa.array([["cat"], ["dog", None]]), "label-type", "row 2", "write its name"),
]


@pytest.mark.parametrize(("claim", "labels", "name", "place", "mend"), PARQUET_CASES)
def test_a_parquet_column_of_the_wrong_type_is_named(write, claim, labels, name, place, mend):
    root = write({"a.jpg": b"", "b.jpg": b""})
    pq.write_table(pa.table({"file": ["a.jpg", "b.jpg"], "labels": labels}), root / "labels.parquet")
    (finding,) = read_source(root).errors
    assert finding.name == name
    assert place in finding.line
    assert mend in finding.line
    assert "labels.parquet" in finding.line


def test_a_truncated_parquet_file_is_named(write):
    root = write({"a.jpg": b""})
    path = root / "labels.parquet"
    pq.write_table(pa.table({"file": ["a.jpg"], "labels": [["cat"]]}), path)
    path.write_bytes(path.read_bytes()[:-20])
    assert "labels.parquet: no sound Parquet file" in error_of(root)


def test_several_kinds_of_error_are_one_line(write):
    text = "file,labels,split\na.jpg,cat,holdout\nlost.jpg,dog,train\na.jpg,cat,train\n../b.jpg,dog,train\nb.jpg\n"
    line = error_of(write({"labels.csv": text, "a.jpg": b"", "b.jpg": b""}))
    assert "line 6: 1 fields" in line
    assert "and 2 more kinds of error: `manyhot check` lists them" in line
