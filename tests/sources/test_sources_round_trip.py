"""Whatever labels a manifest holds, each format that can say them gives them back."""

import csv
import io
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from manyhot.labels import LabelSets, LabelSpace
from manyhot.sources import Manifest, SourceOptions, open_source
from manyhot.sources.tables import LABEL_COLUMNS, REFERENCE_COLUMNS

# Names to the letter, but for what the format itself uses: "|" and outer blanks in parted text.
NAMES = st.one_of(
    st.sampled_from(["N/A", "0012", "null", "true", "1e3", 'a"b', "a,b", "a;b", "é", "e\u0301", "[x]", "a\u2028b"]),
    st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="|"), min_size=1, max_size=12),
).filter(lambda name: name == name.strip())


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a manifest is made of; strategies that call checked functions would disturb hypothesis."""

    names: tuple[str, ...]
    matrix: list[list[float]]
    has_splits: bool
    groups: list[str | None]

    def manifest(self) -> Manifest:
        references = [f"{row:02}.jpg" for row in range(len(self.matrix))]
        splits = [("train", "val", "test")[row % 3] for row in range(len(self.matrix))] if self.has_splits else None
        labels = LabelSets.from_dense(np.array(self.matrix), LabelSpace(names=self.names))
        return Manifest.from_lists(Path(), references, labels, splits=splits, groups=self.groups)


@st.composite
def parts(draw: st.DrawFn, *, three_states: bool = False) -> Parts:
    names = tuple(sorted(draw(st.lists(NAMES, min_size=1, max_size=6, unique=True))))
    cells = st.sampled_from([0.0, 1.0, np.nan] if three_states else [0.0, 1.0])
    rows = draw(st.lists(st.lists(cells, min_size=len(names), max_size=len(names)), max_size=6))
    # A label that never occurs is not in a list of labels, so the space would be smaller when read back.
    matrix = [[1.0] * len(names), *rows]
    groups = [draw(st.sampled_from(["p1", "p|2", None])) for _ in matrix]
    return Parts(names=names, matrix=matrix, has_splits=draw(st.booleans()), groups=groups)


def lists_of(manifest: Manifest) -> list[list[str]]:
    names = manifest.labels.space.names
    rows = (manifest.labels.positives.row(row) for row in range(manifest.num_samples))
    return [[names[label] for label in row] for row in rows]


def records_of(manifest: Manifest) -> list[dict[str, object]]:
    columns = zip(manifest.references(), lists_of(manifest), manifest.splits(), manifest.groups(), strict=True)
    return [
        {"file": reference, "labels": labels, "split": split, "group": group}
        for reference, labels, split, group in columns
    ]


def write_delimited(manifest: Manifest, folder: Path, suffix: str, delimiter: str) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow(["file", "labels", "split", "group"])
    for record in records_of(manifest):
        labels = record["labels"]
        assert isinstance(labels, list)
        writer.writerow([record["file"], "|".join(labels), record["split"] or "", record["group"] or ""])
    (folder / f"labels{suffix}").write_text(text.getvalue(), encoding="utf-8", newline="")


def write_csv(manifest: Manifest, folder: Path) -> None:
    write_delimited(manifest, folder, ".csv", ",")


def write_tsv(manifest: Manifest, folder: Path) -> None:
    write_delimited(manifest, folder, ".tsv", "\t")


def write_json_lines(manifest: Manifest, folder: Path) -> None:
    lines = [json.dumps(record, ensure_ascii=False) for record in records_of(manifest)]
    (folder / "labels.jsonl").write_text("\n".join(lines), encoding="utf-8", newline="")


def write_parquet(manifest: Manifest, folder: Path) -> None:
    types = {"file": pa.string(), "labels": pa.list_(pa.string()), "split": pa.string(), "group": pa.string()}
    pq.write_table(pa.Table.from_pylist(records_of(manifest), pa.schema(types)), folder / "labels.parquet")


def write_json(manifest: Manifest, folder: Path) -> None:
    content = dict(zip(manifest.references(), lists_of(manifest), strict=True))
    (folder / "labels.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def read_back(manifest: Manifest, write: Callable[[Manifest, Path], None]) -> Manifest:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "images").mkdir()
        for reference in manifest.references():
            (folder / "images" / reference).write_bytes(b"")
        write(manifest, folder)
        # Said, so that labels with commas or brackets need no guess.
        return open_source(folder, SourceOptions(delimiter="|"))


@pytest.mark.parametrize("write", [write_csv, write_tsv, write_json_lines, write_parquet])
def test_a_column_of_labels_gives_back_what_was_written(write):
    @given(parts())
    @settings(max_examples=40, deadline=None)
    def check(drawn: Parts) -> None:
        manifest = drawn.manifest()
        assert read_back(manifest, write).fingerprint == manifest.fingerprint

    check()


@given(parts())
@settings(max_examples=40, deadline=None)
def test_labels_json_gives_back_what_was_written(drawn: Parts):
    manifest = drawn.manifest()
    plain = Manifest.from_lists(Path(), manifest.references(), manifest.labels)
    assert read_back(plain, write_json).fingerprint == plain.fingerprint


def write_cells(manifest: Manifest, folder: Path) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["reference", "split", "group", *manifest.labels.space.names])
    spelling = {0.0: "0", 1.0: "1"}
    columns = (manifest.references(), manifest.splits(), manifest.groups(), manifest.labels.to_multi_hot().tolist())
    for reference, split, group, cells in zip(*columns, strict=True):
        writer.writerow([reference, split or "", group or "", *(spelling.get(cell, "") for cell in cells)])
    (folder / "labels.csv").write_text(text.getvalue(), encoding="utf-8", newline="")


@given(parts(three_states=True))
@settings(max_examples=60, deadline=None)
def test_cells_give_back_all_three_states(drawn: Parts):
    # Columns of these names are roles, not labels.
    assume(not {name.casefold() for name in drawn.names} & {*REFERENCE_COLUMNS, *LABEL_COLUMNS, "split", "group"})
    manifest = drawn.manifest()
    assert read_back(manifest, write_cells).fingerprint == manifest.fingerprint
