"""Whatever a label file holds, reading it ends in a manifest or in findings, never in a traceback."""

import io
import json
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manyhot.sources import read_source

PIECES = st.sampled_from(
    ["file", "labels", "split", "group", "a.jpg", "b.jpg", "train", "cat", "1", "0", "-1", "", '"', "|", ",", "\t", "\n",
     "\r", "{", "}", "[", "]", ":", "null", "NaN", "..", "/", "\\", "\ufeff", "\0", "é", "\ud800".encode("utf-8", "replace").decode()]
)  # fmt: skip
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.just("\ud800")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3) | st.just("a.jpg"), inner, max_size=3)
    ),
    max_leaves=8,
)
ROLES = st.sampled_from(["file", "labels", "split", "group", "cat", "dog"])


def parquet() -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table({"file": ["a.jpg", "b.jpg"], "labels": [["cat"], []]}), stream)
    return stream.getvalue()


def check(name: str, content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for picture in ("a.jpg", "b.jpg"):
            (root / picture).write_bytes(b"")
        (root / name).write_bytes(content)
        reading = read_source(root)
    assert reading.manifest is not None or reading.errors
    for finding in reading.findings:
        assert len(finding.line.splitlines()) == 1
        assert finding.line.isprintable()


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".json", ".jsonl"])
def test_any_text_is_read_or_refused(suffix):
    @given(st.lists(PIECES, max_size=25), st.booleans())
    @settings(max_examples=60, deadline=None)
    def fuzz(pieces: list[str], has_header: bool) -> None:
        header = {".csv": "file,labels,cat\n", ".tsv": "file\tcat\n"}.get(suffix, "")
        check(f"labels{suffix}", ((header if has_header else "") + "".join(pieces)).encode())

    fuzz()


@given(st.binary(max_size=60))
@settings(max_examples=60, deadline=None)
def test_any_bytes_are_read_or_refused(content: bytes):
    check("labels.csv", content)


@given(st.dictionaries(st.sampled_from(["a.jpg", "b.jpg", "", ".", "c\n"]), JSON, max_size=3), JSON)
@settings(max_examples=60, deadline=None)
def test_any_json_is_read_or_refused(labels: dict[str, object], names: object):
    check("labels.json", json.dumps(labels).encode())
    check("label_names.json", json.dumps(names).encode())


@given(st.lists(st.dictionaries(ROLES, JSON, max_size=6), min_size=1, max_size=3))
@settings(max_examples=60, deadline=None)
def test_any_json_lines_are_read_or_refused(rows: list[dict[str, object]]):
    check("labels.jsonl", "\n".join(map(json.dumps, rows)).encode())


@given(st.integers(0, len(parquet()) - 1), st.integers(1, 255))
@settings(max_examples=100, deadline=None)
def test_a_parquet_file_with_one_byte_changed_is_read_or_refused(position: int, change: int):
    content = bytearray(parquet())
    content[position] ^= change
    check("labels.parquet", bytes(content))
