"""Broken Hugging Face data sets: each ends in one error with the file, the place and the mend."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manyhot.errors import SourceError
from manyhot.sources import SourceOptions, open_source, read_source

CLASSES = {"names": ["cat", "dog"], "_type": "ClassLabel"}
PICTURES = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
EMBEDDED = [{"bytes": b"x", "path": "a.jpg"}, {"bytes": b"y", "path": "b.jpg"}]
LABELS = pa.array([[1], [0]], pa.list_(pa.int64()))


def table(
    labels=LABELS, *, pictures=EMBEDDED, names: object = ("cat", "dog"), description: bytes | None = None
) -> pa.Table:
    data = pa.table({"image": pa.array(pictures, PICTURES), "labels": labels})
    info = {"info": {"features": {"labels": {"feature": {"names": names, "_type": "ClassLabel"}, "_type": "List"}}}}
    return data.replace_schema_metadata({"huggingface": json.dumps(info) if description is None else description})


def parquet(data: pa.Table) -> bytes:
    stream = io.BytesIO()
    pq.write_table(data, stream)
    return stream.getvalue()


def arrow(data: pa.Table) -> bytes:
    stream = io.BytesIO()
    with pa.ipc.new_stream(stream, data.schema) as writer:
        writer.write_table(data, max_chunksize=1)
    return stream.getvalue()


def saved(state: object = None, data: bytes | None = None, info: bytes | str = "{}") -> dict[str, bytes | str]:
    name = "data-00000-of-00001.arrow"
    state = {"_data_files": [{"filename": name}]} if state is None else state
    content = state if isinstance(state, (str, bytes)) else json.dumps(state)
    return {name: arrow(table()) if data is None else data, "state.json": content, "dataset_info.json": info}


def files_of(name: str, *, beside: str = "data-00000-of-00001.arrow") -> dict[str, object]:
    return {"_data_files": [{"filename": beside}, {"filename": name}]}


TWICE = pa.Table.from_arrays([LABELS, LABELS], names=["labels", "labels"]).replace_schema_metadata(
    {"huggingface": "{}"}
)
SEVERAL = json.dumps({"info": {"features": {"fine": CLASSES, "coarse": CLASSES}}})
NO_LABELS = pa.table({"fine": [0], "coarse": [1]}).replace_schema_metadata({"huggingface": SEVERAL})
OTHER = pa.table({"image": pa.array(EMBEDDED, PICTURES), "labels": [["a"], []]})
INDEXED = {"_data_files": [{"filename": "data-00000-of-00001.arrow"}], "_indices_data_files": [{"filename": "i.arrow"}]}
ONE = "train-00000-of-00001.parquet"

BROKEN: dict[str, tuple[dict[str, bytes | str], str, tuple[str, ...]]] = {
    # Parquet shards
    "a shard cut off": ({ONE: parquet(table())[:-9]}, "unreadable-file", (ONE, "write it again")),
    "a shard that is none": ({ONE: b"PAR1"}, "unreadable-file", (ONE, "get it again")),
    "an empty shard": ({ONE: b""}, "unreadable-file", (ONE, "get it again")),
    "a pointer instead of a shard": ({ONE: "version https://git-lfs.github.com/spec/v1\n"}, "unreadable-file", (ONE, "git lfs pull")),
    "the second shard cut off": ({"train-00000-of-00002.parquet": parquet(table()), "train-00001-of-00002.parquet": b"PAR1"}, "unreadable-file", ("train-00001-of-00002.parquet",)),
    "a shard that is missing": ({"train-00000-of-00003.parquet": parquet(table()), "train-00002-of-00003.parquet": parquet(table())}, "missing-file", ("'train-00001-of-00003.parquet'", "get it")),
    "a shard of other columns": ({"train-0.parquet": parquet(table()), "train-1.parquet": parquet(OTHER)}, "other-columns", ("train-1.parquet", "'labels'", "alike")),
    "a shard of no split": ({"train-0.parquet": parquet(table()), "more.parquet": parquet(table())}, "partial-split", ("'more.parquet'", "rename it")),
    "two versions of the data": ({"big/train.parquet": parquet(table()), "small/train.parquet": parquet(table())}, "several-folders", ("big", "small", "name one of them")),
    "no rows": ({ONE: parquet(table().slice(0, 0))}, "empty-data", ("no rows", "at least one sample")),
    "a column twice": ({ONE: parquet(TWICE)}, "duplicate-column", (ONE, "'labels'", "rename one")),
    "no column of labels": ({ONE: parquet(NO_LABELS)}, "no-label-column", ("'fine', 'coarse'", "label_column")),
    "a description that is no JSON": ({ONE: parquet(table(description=b"{"))}, "json-syntax", (ONE, "line 1", "write it again")),
    "a description in Latin-1": ({ONE: parquet(table(description=b'{"\xe9": 1}'))}, "json-syntax", (ONE, "write it again")),
    # Labels
    "a number too large": ({ONE: parquet(table(pa.array([[1], [2]])))}, "unknown-label", ("row 2: 2", "below 2", "mend it")),
    "a negative number": ({ONE: parquet(table(pa.array([[-7], [1]])))}, "unknown-label", ("row 1: -7", "mend it")),
    "a number past all bounds": ({ONE: parquet(table(pa.array([[1], [2**64 - 1]], pa.list_(pa.uint64()))))}, "unknown-label", ("row 2: 18446744073709551615",)),
    "withheld labels": ({ONE: parquet(table(pa.array([1, -1])))}, "withheld-label", ("row 2", "read the other splits")),
    "null labels": ({ONE: parquet(table(pa.array([[1], None])))}, "null-labels", ("row 2", "write []")),
    "a null label": ({ONE: parquet(table(pa.array([[1, None], [0]])))}, "label-type", ("row 1", "write its name")),
    "a null class": ({ONE: parquet(table(pa.array([None, 1])))}, "null-labels", ("row 1", "delete the row")),
    "fractions as labels": ({ONE: parquet(table(pa.array([[0.5], [1.0]])))}, "column-type", ("'labels' is of type list<element: double>", "lists of text")),
    "NaN as label": ({ONE: parquet(table(pa.array([[float("nan")], [1.0]])))}, "column-type", ("double",)),
    "objects as labels": ({ONE: parquet(table(pa.array([[{"a": 1}], []])))}, "column-type", ("struct",)),
    "a name twice": ({ONE: parquet(table(names=["cat", "cat"]))}, "duplicate-label", ("name 2: 'cat' as in name 1", "rename")),
    "an empty name": ({ONE: parquet(table(names=["cat", ""]))}, "label-name", ("name 2", "empty name", "mend the name")),
    "a control character": ({ONE: parquet(table(names=["cat", "d\x07g"]))}, "label-name", (r"d\x07g", "control character")),
    "a name of 10,000 letters": ({ONE: parquet(table(names=["cat", "x" * 10_000]))}, "label-name", ("10,000", "at most 1,000")),
    "half a surrogate pair": ({ONE: parquet(table(names=["cat", "\ud800"]))}, "label-name", (r"\ud800", "mend the name")),
    "a picture without bytes": ({ONE: parquet(table(pictures=[EMBEDDED[0], {"bytes": None, "path": "b.jpg"}]))}, "no-picture", ("row 2", "embed it")),
    "no picture at all": ({ONE: parquet(table(pictures=[EMBEDDED[0], None]))}, "no-picture", ("row 2", "delete the row")),
    "a path out of the root": ({ONE: parquet(table(pictures=[{"bytes": None, "path": "/etc/passwd"}, {"bytes": None, "path": "/b.jpg"}]))}, "outside-root", ("row 1: '/etc/passwd'",)),
    # Saved data sets
    "a saved file cut off": (saved(data=arrow(table())[:-40]), "unreadable-file", (".arrow", "cut off")),
    "a saved file cut between batches": (saved(data=arrow(table())[:-8]), "unreadable-file", (".arrow", "cut off")),
    "an empty saved file": (saved(data=b""), "unreadable-file", (".arrow", "empty")),
    "a saved file that is none": (saved(data=b"x" * 99 + b"\xff\xff\xff\xff\0\0\0\0"), "unreadable-file", (".arrow", "no sound file")),
    "a saved file that is missing": (saved(files_of("data-1.arrow")), "unreadable-file", ("data-1.arrow", "no such file")),
    "a saved file out of the root": (saved(files_of("../x.arrow")), "outside-root", ("'../x.arrow'", "save the data set again")),
    "an absolute saved file": (saved(files_of("/etc/passwd")), "outside-root", ("'/etc/passwd'",)),
    "a saved file named as number": (saved({"_data_files": [{"filename": 1}]}), "json-shape", ("state.json", "save the data set again")),
    "no saved file": (saved({"_data_files": []}), "json-shape", ("state.json", "_data_files")),
    "saved indices": (saved(INDEXED), "saved-indices", ("state.json", "save it again")),
    "a state that is a list": (saved([]), "json-shape", ("state.json", "no JSON object")),
    "a state that is no JSON": (saved("{"), "json-syntax", ("state.json", "line 1")),
    "a state in UTF-16": (saved("{}".encode("utf-16")), "encoding", ("state.json", "UTF-16")),
    "an empty state": (saved(""), "empty-data", ("state.json", "empty")),
    "a description beside that is no JSON": (saved(info="[,"), "json-syntax", ("dataset_info.json", "line 1")),
    "splits that are none": ({"dataset_dict.json": '{"splits": "train"}'}, "json-shape", ("dataset_dict.json", "splits")),
    "a split out of the root": ({"dataset_dict.json": '{"splits": [".."]}'}, "json-shape", ("dataset_dict.json",)),
    "a split without folder": ({"dataset_dict.json": '{"splits": ["train"]}'}, "missing-file", ("'train'", "state.json")),
    "a split of another name": ({"dataset_dict.json": '{"splits": ["train", "extra"]}', **{f"train/{name}": content for name, content in saved().items()}}, "unknown-split", ("'extra'", "by itself")),
}  # fmt: skip


@pytest.mark.parametrize(("files", "name", "says"), BROKEN.values(), ids=BROKEN)
def test_a_broken_data_set_ends_in_one_error_with_place_and_mend(write, files, name, says):
    root = write(files)
    reading = read_source(root)
    assert [finding.name for finding in reading.errors] == [name], reading.findings
    line = reading.errors[0].line
    for words in (str(root), *says):
        assert words in line
    assert line.isprintable()
    with pytest.raises(SourceError) as caught:
        open_source(root)
    assert str(caught.value) == line


def test_settings_that_name_no_column_are_errors(write):
    root = write({ONE: parquet(table())})
    for options in (
        SourceOptions(label_column="tags"),
        SourceOptions(label_columns=("labels", "tags")),
        SourceOptions(reference_column="tags"),
    ):
        (finding,) = read_source(root, options).errors
        assert finding.name == "no-column"
        assert "'tags' (columns: 'image', 'labels')" in finding.line


@pytest.mark.parametrize("make", [parquet, arrow])
def test_any_byte_changed_ends_in_data_or_in_one_error(write: Callable[..., Path], make):
    content = make(table())
    name = ONE if make is parquet else "data-00000-of-00001.arrow"
    files = {ONE: content} if make is parquet else saved()
    root = write(files)
    for position in range(0, len(content), 23):
        damaged = bytearray(content)
        damaged[position] ^= 1 << (position // 23 % 8)
        (root / name).write_bytes(damaged)
        reading = read_source(root)
        assert reading.manifest is not None or reading.errors
        assert all(finding.line.isprintable() for finding in reading.findings)
        (root / name).write_bytes(content[:position])
        assert read_source(root).errors
