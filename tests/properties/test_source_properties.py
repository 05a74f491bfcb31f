"""Claims about sources that hold for any labels: what a format can say comes back, and damage never goes wild."""

import csv
import io
import json
import pickle
import re
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manyhot.runs.converting import convert
from manyhot.sources import Manifest, SourceOptions, open_source, read_source

# Names to the letter, but for what formats use themselves: line ends, tabs, "|", and blanks around them.
NAMES = st.one_of(
    st.sampled_from(
        ["N/A", "0012", "null", "true", 'a"b', "a'b", "a,b", "a;b", "a: b", "#a", "é", "e\u0301", "[x]", "<&>"]
    ),
    st.text(st.characters(exclude_categories=["Cc", "Cs", "Cn"], exclude_characters="|\\"), min_size=1, max_size=9),
).filter(lambda name: name == name.strip() and name not in ("No Finding", "labels", "label"))
SPLITS = ("train", "val", "test")
LABELS_ALONE = SourceOptions(pictures=False)


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Samples as plain values: for each cell 1, 0 or None for unknown, and more that only some formats can say.

    Row 0 is positive throughout, since a label that never occurs is in no list of labels. There are at least two rows
    of two splits: the name of a single file says none.
    """

    names: tuple[str, ...]
    cells: tuple[tuple[int | None, ...], ...]
    confidence: tuple[float, ...]
    splits: tuple[str, ...]
    groups: tuple[str, ...]

    def positives(self, row: int) -> list[str]:
        return [name for name, cell in zip(self.names, self.cells[row], strict=True) if cell == 1]

    def ids(self, row: int) -> list[int]:
        return [label for label, cell in enumerate(self.cells[row]) if cell == 1]

    def rows_of(self, split: str) -> list[int]:
        return [row for row, other in enumerate(self.splits) if other == split]


@dataclass(frozen=True, kw_only=True)
class Written:
    """A format: how rows are written in it, and what of them it can say beside positives.

    Args:
        write: Writes rows into a folder and returns what is to be opened.
        says: Any of unknown, confidence, splits, groups, names, features.
        options: How to read it.
    """

    write: Callable[[Rows, Path], Path]
    says: frozenset[str]
    options: SourceOptions = LABELS_ALONE


@st.composite
def any_rows(draw: st.DrawFn) -> Rows:
    names = tuple(
        sorted(draw(st.lists(NAMES, min_size=1, max_size=5, unique_by=lambda name: re.sub(r"\W", "", name) or name)))
    )
    cells = st.tuples(*[st.sampled_from([0, 1, None])] * len(names))
    drawn = (tuple([1] * len(names)), *draw(st.lists(cells, min_size=1, max_size=5)))
    return Rows(
        names=names,
        cells=drawn,
        confidence=tuple(draw(st.sampled_from([1.0, 0.5, 0.25])) for _ in range(len(drawn))),
        splits=("train", "test", *(draw(st.sampled_from(SPLITS)) for _ in drawn[2:])),
        groups=tuple(draw(st.sampled_from(["patient1", "patient2"])) for _ in drawn),
    )


def text(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8", newline="")
    return path


def csv_of(rows: Sequence[Sequence[object]]) -> str:
    stream = io.StringIO(newline="")
    csv.writer(stream).writerows(rows)
    return stream.getvalue()


def write_open_images(rows: Rows, folder: Path) -> Path:
    ids = [f"/m/{label}" for label in range(len(rows.names))]
    text(folder / "class-descriptions.csv", csv_of(list(zip(ids, rows.names, strict=True))))
    for split in sorted(set(rows.splits)):
        found = [("ImageID", "LabelName", "Confidence")]
        for row in rows.rows_of(split):
            guesses = {None: "0.5", 1: "1", 0: "0"}
            found += [(f"{row:03}", name, guesses[cell]) for name, cell in zip(ids, rows.cells[row], strict=True)]
        text(folder / f"{split}-labels.csv", csv_of(found))
    return folder


def write_tencent(rows: Rows, folder: Path) -> Path:
    lines = [f"{label}\tn{label}\t-1\t{name}" for label, name in enumerate(rows.names)]
    text(folder / "dictionary_and_semantic_hierarchy.txt", "\n".join(lines))
    found = [
        "\t".join([f"http://x/{row:03}", *(f"{label}:{rows.confidence[row]}" for label in rows.ids(row))])
        for row in range(len(rows.cells))
    ]
    return text(folder / "urls.txt", "\n".join(found) + "\n")


def write_extreme(rows: Rows, folder: Path) -> Path:
    text(folder / "names.txt", "\n".join(rows.names))
    lines = [f"{len(rows.cells)} 2 {len(rows.names)}"]
    lines += [f"{','.join(map(str, rows.ids(row)))} 0:{row + 0.5} 1:-1e-3" for row in range(len(rows.cells))]
    return text(folder / "rows.txt", "\n".join(lines) + "\n")


def write_extreme_labels(rows: Rows, folder: Path) -> Path:
    text(folder / "names.txt", "\n".join(rows.names))
    lines = [" ".join(f"{label}:{rows.confidence[row]}" for label in rows.ids(row)) for row in range(len(rows.cells))]
    return text(folder / "rows.txt", f"{len(lines)} {len(rows.names)}\n" + "\n".join(lines) + "\n")


def write_mulan(rows: Rows, folder: Path, *, sparse: bool = False) -> Path:
    labels = "".join(f"<label name={quoteattr(name)}/>" for name in rows.names)
    text(folder / "set.xml", f'<labels xmlns="http://mulan.sourceforge.net/labels">{labels}</labels>')
    quoted = ["'" + name.replace("'", "\\'") + "'" for name in rows.names]
    head = "@relation x\n@attribute size numeric\n" + "".join(f"@attribute {name} {{0,1}}\n" for name in quoted)
    for split in SPLITS:
        spelt = {1: "1", 0: "0", None: "?"}
        cells = [[str(row + 0.5), *(spelt[cell] for cell in rows.cells[row])] for row in rows.rows_of(split)]
        pairs = ["{" + ", ".join(f"{n} {cell}" for n, cell in enumerate(row) if cell != "0") + "}" for row in cells]
        lines = pairs if sparse else [",".join(row) for row in cells]
        if lines:
            text(folder / f"set-{split}.arff", f"{head}@data\n" + "\n".join(lines) + "\n")
    return folder / "set.xml"


def write_sparse_mulan(rows: Rows, folder: Path) -> Path:
    return write_mulan(rows, folder, sparse=True)


def write_coco(rows: Rows, folder: Path) -> Path:
    categories = [{"id": 10 + label, "name": name} for label, name in enumerate(rows.names)]
    for split in sorted(set(rows.splits)):
        images = [{"id": row, "file_name": f"{row:03}.jpg"} for row in rows.rows_of(split)]
        boxes = [{"image_id": row, "category_id": 10 + label} for row in rows.rows_of(split) for label in rows.ids(row)]
        content = {"images": images, "annotations": boxes, "categories": categories}
        text(folder / f"annotations/instances_{split}.json", json.dumps(content))
    return folder


def write_voc(rows: Rows, folder: Path) -> Path:
    for row in range(len(rows.cells)):
        objects = [
            (name, int(cell is None)) for name, cell in zip(rows.names, rows.cells[row], strict=True) if cell != 0
        ]
        boxes = "".join(
            f"<object><name>{escape(name)}</name><difficult>{hard}</difficult></object>" for name, hard in objects
        )
        text(folder / f"Annotations/{row:03}.xml", f"<annotation><filename>{row:03}.jpg</filename>{boxes}</annotation>")
    for split in SPLITS:
        text(folder / f"ImageSets/Main/{split}.txt", "".join(f"{row:03}\n" for row in rows.rows_of(split)))
    return folder


def write_yolo(rows: Rows, folder: Path) -> Path:
    text(
        folder / "data.yaml",
        "names:\n"
        + "".join(f"  {label}: {json.dumps(name, ensure_ascii=False)}\n" for label, name in enumerate(rows.names)),
    )
    for row, split in enumerate(rows.splits):
        text(folder / f"images/{split}/{row:03}.jpg", "")
        text(folder / f"labels/{split}/{row:03}.txt", "".join(f"{label} 0.5 0.5 1e-1 .1\n" for label in rows.ids(row)))
    return folder


def write_chexpert(rows: Rows, folder: Path) -> Path:
    spelt = {1: "1.0", 0: "0.0", None: ""}
    found: list[Sequence[object]] = [("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *rows.names)]
    for row, (cells, group) in enumerate(zip(rows.cells, rows.groups, strict=True)):
        found.append((f"train/{group}/{row:03}.jpg", "F", 50, "Frontal", "AP", *(spelt[cell] for cell in cells)))
    return text(folder / "train.csv", csv_of(found))


def write_nih(rows: Rows, folder: Path) -> Path:
    found = [("Image Index", "Finding Labels", "Patient ID")]
    for row, group in enumerate(rows.groups):
        found.append((f"{row:03}.png", "|".join(rows.positives(row)) or "No Finding", group))
    return text(folder / "entries.csv", csv_of(found))


def write_metadata(rows: Rows, folder: Path) -> Path:
    features = {"labels": [{"names": rows.names, "_type": "ClassLabel"}]}
    text(folder / "dataset_info.json", json.dumps({"features": features}))
    for split in sorted(set(rows.splits)):
        lines = [
            json.dumps({"file_name": f"{row:03}.jpg", "labels": rows.ids(row), "group": rows.groups[row]})
            for row in rows.rows_of(split)
        ]
        text(folder / split / "metadata.jsonl", "\n".join(lines))
    return folder


def hugging_face_table(rows: Rows, chosen: list[int]) -> pa.Table:
    features = {"labels": {"feature": {"names": rows.names, "_type": "ClassLabel"}, "_type": "List"}}
    pictures = pa.array(
        [{"bytes": b"%d" % row, "path": None} for row in chosen],
        pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
    )
    labels = pa.array([rows.ids(row) for row in chosen], pa.list_(pa.int64()))
    table = pa.table(
        {"image": pictures, "labels": labels, "group": pa.array([rows.groups[row] for row in chosen], pa.string())}
    )
    return table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})


def write_shards(rows: Rows, folder: Path) -> Path:
    (folder / "data").mkdir()
    for split in sorted(set(rows.splits)):
        chosen = rows.rows_of(split)
        for number, part in enumerate((chosen[:1], chosen[1:])):
            pq.write_table(hugging_face_table(rows, part), folder / f"data/{split}-{number:05d}-of-00002.parquet")
    return folder


def write_saved(rows: Rows, folder: Path) -> Path:
    splits = sorted(set(rows.splits))
    text(folder / "dataset_dict.json", json.dumps({"splits": splits}))
    for split in splits:
        text(folder / split / "state.json", '{"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}')
        table = hugging_face_table(rows, rows.rows_of(split))
        with pa.ipc.new_stream(str(folder / split / "data-00000-of-00001.arrow"), table.schema) as writer:
            writer.write_table(table)
    return folder


def write_webdataset(rows: Rows, folder: Path) -> Path:
    with tarfile.open(folder / "shard.tar", "w") as shard:
        for row in range(len(rows.cells)):
            members = {"jpg": b"x", "json": json.dumps({"labels": rows.positives(row)}).encode()}
            for suffix, content in members.items():
                info = tarfile.TarInfo(f"{row:03}.{suffix}")
                info.size = len(content)
                shard.addfile(info, io.BytesIO(content))
    return folder


def write_id_lists(rows: Rows, folder: Path) -> Path:
    text(folder / "label_names.json", json.dumps(rows.names))
    return text(folder / "real.json", json.dumps([rows.ids(row) for row in range(len(rows.cells))]))


def write_pickle(rows: Rows, folder: Path) -> Path:
    content = {
        f"{row:03}.jpg": np.array(rows.positives(row), dtype=object) if row % 2 else set(rows.positives(row))
        for row in range(len(rows.cells))
    }
    (folder / "labels.pkl").write_bytes(pickle.dumps(content))
    return folder / "labels.pkl"


def says(*what: str) -> frozenset[str]:
    return frozenset(what)


FORMATS = {
    "open-images": Written(write=write_open_images, says=says("unknown", "splits")),
    "tencent": Written(write=write_tencent, says=says("confidence")),
    "extreme": Written(write=write_extreme, says=says("features")),
    "extreme-labels": Written(write=write_extreme_labels, says=says("confidence")),
    "mulan": Written(write=write_mulan, says=says("unknown", "splits", "features")),
    "mulan-sparse": Written(write=write_sparse_mulan, says=says("unknown", "splits", "features")),
    "coco": Written(write=write_coco, says=says("splits")),
    "voc": Written(write=write_voc, says=says("unknown", "splits")),
    "yolo": Written(write=write_yolo, says=says("splits"), options=SourceOptions()),
    "chexpert": Written(write=write_chexpert, says=says("unknown", "groups")),
    "nih": Written(write=write_nih, says=says("groups")),
    "hugging-face": Written(write=write_metadata, says=says("splits", "groups")),
    "hugging-face-shards": Written(write=write_shards, says=says("splits", "groups")),
    "hugging-face-saved": Written(write=write_saved, says=says("splits", "groups")),
    "webdataset": Written(write=write_webdataset, says=says()),
    "id-lists": Written(write=write_id_lists, says=says()),
    "pickle": Written(write=write_pickle, says=says(), options=SourceOptions(pictures=False, trust_pickle=True)),
}  # fmt: skip


def order_of(rows: Rows, written: Written, manifest: Manifest) -> list[int]:
    """Return which row each sample of a manifest is: formats with splits give one split after the other."""
    found = [re.search(r"(\d{3})(\.\w+)?$", reference) for reference in manifest.references()]
    if all(match is not None for match in found):
        return [int(match[1]) for match in found if match is not None]
    if "splits" not in written.says:
        return list(range(len(rows.cells)))
    # Rows without a name of their own come file by file; saved splits in the order in which they were listed.
    return [row for split in dict.fromkeys(manifest.splits()) for row in rows.rows_of(str(split))]


def expected_cells(rows: Rows, written: Written, row: int) -> list[float]:
    unknown = float("nan") if "unknown" in written.says else 0.0
    return [unknown if cell is None else float(cell) for cell in rows.cells[row]]


@pytest.mark.parametrize("written", FORMATS.values(), ids=FORMATS)
def test_a_format_and_a_store_of_it_give_back_what_was_written(written: Written):
    @given(any_rows())
    @settings(max_examples=12, deadline=None, derandomize=True)
    def check(rows: Rows) -> None:
        with tempfile.TemporaryDirectory() as name:
            path = written.write(rows, Path(name))
            manifest = open_source(path, written.options)
            compare(rows, written, manifest)
            convert([path], Path(name, "store"), written.options)
            stored = open_source(Path(name, "store"), SourceOptions(pictures=manifest.has_pictures))
            assert stored.fingerprint == replace(manifest, features=None).fingerprint

    check()


def compare(rows: Rows, written: Written, manifest: Manifest) -> None:
    order = order_of(rows, written, manifest)
    assert sorted(order) == list(range(len(rows.cells)))
    ids = [manifest.labels.space.id_of(name) for name in rows.names]
    assert len(ids) == manifest.labels.num_labels
    states = manifest.labels.to_multi_hot()[:, ids]
    np.testing.assert_array_equal(states, [expected_cells(rows, written, row) for row in order])
    assert manifest.splits() == [rows.splits[row] if "splits" in written.says else None for row in order]
    assert manifest.groups() == [rows.groups[row] if "groups" in written.says else None for row in order]
    confidence = [rows.confidence[row] for row in order for _ in rows.ids(row)]
    if "confidence" in written.says and min(confidence) < 1:
        assert manifest.labels.confidence is not None
        assert manifest.labels.confidence.tolist() == confidence
    else:
        assert manifest.labels.confidence is None
    if "features" in written.says:
        assert manifest.features is not None
        assert manifest.features.to_dense()[:, 0].tolist() == [row + 0.5 for row in order]


SAMPLE = Rows(
    names=("cat", "dog", "N/A"),
    cells=((1, 1, 1), (0, 1, None), (0, 0, 0)),
    confidence=(1.0, 0.5, 1.0),
    splits=("train", "val", "test"),
    groups=("patient1", "patient2", "patient1"),
)


@pytest.mark.parametrize("written", FORMATS.values(), ids=FORMATS)
def test_damage_ends_in_one_error_or_in_data(written: Written):
    with tempfile.TemporaryDirectory() as name:
        path = written.write(SAMPLE, Path(name))
        files = sorted(file for file in Path(name).rglob("*") if file.is_file() and file.suffix != ".jpg")

        @given(st.sampled_from(files), st.integers(0, 2**16), st.binary(max_size=3), st.booleans())
        @settings(max_examples=25, deadline=None, derandomize=True)
        def check(file: Path, position: int, change: bytes, is_cut: bool) -> None:
            content = file.read_bytes()
            position %= max(len(content), 1)
            rest = b"" if is_cut else content[position + len(change) :]
            file.write_bytes(content[:position] + change + rest)
            reading = read_source(path, written.options)
            file.write_bytes(content)
            assert reading.manifest is not None or reading.errors
            assert all(finding.line.isprintable() for finding in reading.findings)

        check()
