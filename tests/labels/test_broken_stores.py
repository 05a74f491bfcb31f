"""Broken stores: each fault is one line with the file and the mend, when it is opened or when it is checked."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from manyhot.errors import LabelError, StoreError
from manyhot.files import sha256_of
from manyhot.labels import (
    Csr,
    Hierarchy,
    LabelSets,
    LabelSource,
    LabelSpace,
    count_cells,
    expand_positives,
    split_samples,
)
from manyhot.labels.building import write_store
from manyhot.labels.cooccurrence import count_pairs, top_pairs
from manyhot.labels.expansion import count_violations
from manyhot.labels.imbalance import frequent_label_sets
from manyhot.labels.split_report import report_split
from manyhot.labels.storage import StoreBatch, check_store, open_store

SPACE = LabelSpace(names=("ant", "bee", "cat"))
Break = Callable[[Path], None]

LOOPS: dict[str, Callable[[LabelSets], object]] = {
    "counts": count_cells,
    "pairs": count_pairs,
    "top pairs": top_pairs,
    "frequent sets": frequent_label_sets,
    "split": lambda sets: split_samples(sets, (0.5, 0.5), seed=0),
    "split report": lambda sets: report_split(sets, np.zeros(4, dtype=np.int64), (1.0,)),
    "expansion": lambda sets: expand_positives(Hierarchy.of(SPACE), sets),
    "violations": lambda sets: count_violations(Hierarchy.of(SPACE), sets),
}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A sound store with every optional part."""
    sets = LabelSets(
        space=SPACE,
        positives=Csr.from_lists([[0, 2], [], [1], [0, 1]]),
        exceptions=Csr.from_lists([[1], [2], [], []]),
        sources=(LabelSource(unlisted="unknown"), LabelSource(name="b", annotated=(0, 1))),
        source_ids=np.array([0, 0, 1, 1], dtype=np.uint16),
        confidence=np.array([0.5, 1, 1, 1, 1]),
    )
    write_store(tmp_path / "store", SPACE, [StoreBatch(labels=sets)])
    return tmp_path / "store"


def seal(folder: Path) -> None:
    """Make the manifest fit the files, as one who writes a wrong store would."""

    def fit(manifest: dict[str, Any]) -> None:
        for name, entry in manifest["files"].items():
            if (folder / name).is_file():
                entry |= {"sha256": sha256_of(folder / name), "size_bytes": (folder / name).stat().st_size}

    edit("manifest.json", fit)(folder)


def edit(name: str, change: Callable[[dict[str, Any]], object], *, sealed: bool = False) -> Break:
    def apply(folder: Path) -> None:
        data = json.loads((folder / name).read_text())
        change(data)
        (folder / name).write_text(json.dumps(data))
        if sealed:
            seal(folder)

    return apply


def cut(name: str, size: int) -> Break:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:-size])


def longer(name: str) -> Break:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes() + b"\0") and None


def remove(name: str) -> Break:
    return lambda folder: (folder / name).unlink()


def text(name: str, content: bytes, *, sealed: bool = False) -> Break:
    def apply(folder: Path) -> None:
        (folder / name).write_bytes(content)
        if sealed:
            seal(folder)

    return apply


def flip(name: str, position: int) -> Break:
    def apply(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        content[position] ^= 1
        (folder / name).write_bytes(content)

    return apply


def replaced(name: str, old: bytes, new: bytes) -> Break:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes().replace(old, new)) and None


def array(name: str, values: object, dtype: str) -> Break:
    def apply(folder: Path) -> None:
        np.save(folder / name, np.array(values, dtype=dtype))
        seal(folder)

    return apply


def arrow(change: Callable[[pa.Table], pa.Table]) -> Break:
    def apply(folder: Path) -> None:
        table = change(pa.ipc.open_file(pa.BufferReader((folder / "samples.arrow").read_bytes())).read_all())
        with pa.ipc.new_file(str(folder / "samples.arrow"), table.schema) as writer:
            writer.write_table(table)
        seal(folder)

    return apply


def column(name: str, values: list[object], kind: pa.DataType) -> Break:
    return arrow(lambda table: table.set_column(table.schema.names.index(name), name, pa.array(values, kind)))


def sealed(damage: Break) -> Break:
    def apply(folder: Path) -> None:
        damage(folder)
        seal(folder)

    return apply


def npy_version_two(folder: Path) -> None:
    with (folder / "ids.npy").open("wb") as file:
        np.lib.format.write_array(file, np.array([0, 2, 1, 0, 1], dtype=np.uint16), version=(2, 0))
    seal(folder)


FOUND_WHEN_OPENED: dict[str, tuple[Break, str]] = {
    "no manifest": (remove("manifest.json"), r"manifest\.json: is missing"),
    "manifest is no JSON": (text("manifest.json", b"{"), r"manifest\.json: cannot be read as JSON"),
    "manifest is not UTF-8": (text("manifest.json", b'{"format": "\xff"}'), r"manifest\.json: cannot be read as JSON"),
    "manifest is a list": (text("manifest.json", b"[]"), r"manifest\.json: holds no JSON object"),
    "manifest is nested too deeply": (text("manifest.json", b"[" * 100_000), r"manifest\.json: cannot be read"),
    "manifest of a bundle": (
        edit("manifest.json", lambda data: data.update(format="manyhot-bundle")),
        r"manifest\.json: is not the manifest of a label store",
    ),
    "a later version": (
        edit("manifest.json", lambda data: data.update(version=2)),
        r"manifest\.json: .* format version 2, and this manyhot reads version 1; install",
    ),
    "no version": (edit("manifest.json", lambda data: data.pop("version")), r"manifest\.json: .* format version None"),
    "no counts": (edit("manifest.json", lambda data: data.pop("counts")), r"manifest\.json: 'counts' lacks"),
    "a count that is true": (
        edit("manifest.json", lambda data: data["counts"].update(num_samples=True)),
        r"manifest\.json: 'counts' lacks",
    ),
    "a negative count": (
        edit("manifest.json", lambda data: data["counts"].update(num_positives=-1)),
        r"manifest\.json: 'counts' lacks",
    ),
    "a wrong number of samples": (
        edit("manifest.json", lambda data: data["counts"].update(num_samples=5)),
        r"samples\.arrow: has 4 rows where manifest\.json says 5",
    ),
    "a wrong number of positives": (
        edit("manifest.json", lambda data: data["counts"].update(num_positives=6)),
        r"indptr\.npy: row offsets run from 0 to 5; expected 0 to 6",
    ),
    "image roots that are none": (
        edit("manifest.json", lambda data: data.update(image_roots="images")),
        r"manifest\.json: 'image_roots' is no list",
    ),
    "a file without checksum": (
        edit("manifest.json", lambda data: data["files"]["ids.npy"].pop("sha256")),
        r"manifest\.json: does not say size and checksum of ids\.npy",
    ),
    "half of the exceptions": (
        edit("manifest.json", lambda data: data["files"].pop("exception_ids.npy")),
        r"manifest\.json: lists only one of exception_indptr\.npy and exception_ids\.npy",
    ),
    **{
        f"no {name}": (remove(name), rf"{name}: is missing")
        for name in ("space.json", "sources.json", "samples.arrow", "indptr.npy", "ids.npy")
    },
    "no promised exceptions": (remove("exception_ids.npy"), r"exception_ids\.npy: is missing"),
    "no promised confidence": (remove("confidence.npy"), r"confidence\.npy: is missing"),
    "ids cut": (cut("ids.npy", 1), r"ids\.npy: has 137 bytes where manifest\.json says 138"),
    "ids longer": (longer("ids.npy"), r"ids\.npy: has 139 bytes"),
    "samples cut": (cut("samples.arrow", 8), r"samples\.arrow: has "),
    "a header of ids cut": (cut("ids.npy", 130), r"ids\.npy: has 8 bytes"),
    "a changed space": (flip("space.json", 20), r"space\.json: was changed or damaged"),
    "changed sources": (flip("sources.json", 20), r"sources\.json: was changed or damaged"),
    "a name that stands twice": (
        edit("space.json", lambda data: data.update(names=["ant", "ant", "cat"]), sealed=True),
        r"space\.json: is no label space \(label 'ant' stands twice",
    ),
    "names that are numbers": (
        edit("space.json", lambda data: data.update(names=5), sealed=True),
        r"space\.json: is no label space",
    ),
    "too few names": (
        edit("space.json", lambda data: data.update(names=["ant"]), sealed=True),
        r"space\.json: names 1 labels where manifest\.json says 3",
    ),
    "no sources": (text("sources.json", b"{}", sealed=True), r"sources\.json: lists no source"),
    "a strange state": (
        edit("sources.json", lambda data: data["sources"][0].update(unlisted="maybe"), sealed=True),
        r"sources\.json: does not describe .*unlisted is 'maybe'",
    ),
    "an annotated label out of range": (
        edit("sources.json", lambda data: data["sources"][1].update(annotated=[3]), sealed=True),
        r"sources\.json: .*'b' annotates a label id outside 0\.\.2",
    ),
    "annotated labels that are names": (
        edit("sources.json", lambda data: data["sources"][1].update(annotated=["ant"]), sealed=True),
        r"sources\.json: .*neither null nor a list of label ids",
    ),
    "a source that is no object": (text("sources.json", b'{"sources": [1]}', sealed=True), r"sources\.json: does not"),
    "ids of another type": (
        array("ids.npy", [0, 2, 1, 0, 1], "<i4"),
        r"ids\.npy: holds int32 of shape \(5,\); expected uint16 of shape \(5,\)",
    ),
    "ids of another byte order": (array("ids.npy", [0, 2, 1, 0, 1], ">u2"), r"ids\.npy: holds >u2"),
    "offsets of another type": (array("indptr.npy", [0, 2, 2, 3, 5], "<u8"), r"indptr\.npy: holds uint64"),
    "ids in two dimensions": (array("ids.npy", [[0, 2, 1, 0, 1]], "<u2"), r"ids\.npy: .* shape \(1, 5\)"),
    "objects instead of ids": (array("ids.npy", [None] * 5, "O"), r"ids\.npy: holds object"),
    "too few ids": (array("ids.npy", [0, 2, 1, 0], "<u2"), r"ids\.npy: .* shape \(4,\)"),
    "no npy file": (text("ids.npy", b"0,2,1,0,1", sealed=True), r"ids\.npy: is no array in npy format"),
    "an empty file": (text("ids.npy", b"", sealed=True), r"ids\.npy: is no array in npy format"),
    "an open bracket in a header": (replaced("ids.npy", b"}", b" "), r"ids\.npy: is no array in npy format \("),
    "another npy version": (npy_version_two, r"ids\.npy: is of another version of the npy format"),
    "a header that promises more": (
        sealed(cut("ids.npy", 2)),
        r"ids\.npy: has 136 bytes; its header promises 138",
    ),
    "offsets that start late": (array("indptr.npy", [1, 2, 2, 3, 5], "<i8"), r"indptr\.npy: row offsets run from 1 to 5"),
    "offsets that end early": (array("indptr.npy", [0, 2, 2, 3, 4], "<i8"), r"indptr\.npy: row offsets run from 0 to 4"),
    "confidence of another type": (array("confidence.npy", [1] * 5, "<f4"), r"confidence\.npy: holds float32"),
    "samples that are no Arrow file": (text("samples.arrow", b"PAR1", sealed=True), r"samples\.arrow: is no Arrow file"),
    "sources of 272 bits": (
        replaced("samples.arrow", b"\x06\0\0\0\x10\0\0\0", b"\x06\0\0\0\x10\1\0\0"),
        r"samples\.arrow: is no Arrow file \(Integers with more than 64 bits",
    ),
    "empty samples": (text("samples.arrow", b"", sealed=True), r"samples\.arrow: is no Arrow file"),
    "samples with another column": (
        arrow(lambda table: table.rename_columns(["file", "split", "group", "source"])),
        r"samples\.arrow: has the columns \['file'",
    ),
    "samples of another type": (column("split", [1] * 4, pa.int64()), r"samples\.arrow: has the columns"),
    "too few samples": (arrow(lambda table: table.slice(1)), r"samples\.arrow: has 3 rows"),
    "a sample without reference": (
        column("reference", ["a", None, "c", "d"], pa.string()),
        r"samples\.arrow: a sample has no reference",
    ),
    "a row of a source that is not there": (
        column("source", [0, 0, 2, 1], pa.uint16()),
        r"samples\.arrow: row 2 is of source 2, and there are 2",
    ),
}  # fmt: skip

FOUND_BY_CHECK: dict[str, tuple[Break, str]] = {
    **{
        f"a flipped byte in {name}": (flip(name, -1), rf"{name}: was changed or damaged, its SHA-256")
        for name in ("ids.npy", "exception_ids.npy", "confidence.npy")
    },
    "a flipped byte in offsets": (flip("indptr.npy", -20), r"indptr\.npy: was changed or damaged"),
    "a flipped byte in samples": (flip("samples.arrow", 700), r"samples\.arrow: "),
    "an id out of range": (array("ids.npy", [0, 3, 1, 0, 1], "<u2"), r"row 0 has label id 3, but there are 3 labels"),
    "unsorted ids": (array("ids.npy", [2, 0, 1, 0, 1], "<u2"), r"the ids of row 0 are not sorted and unique"),
    "an id twice in a row": (array("ids.npy", [0, 2, 1, 1, 1], "<u2"), r"the ids of row 3 are not sorted and unique"),
    "offsets that fall": (array("indptr.npy", [0, 3, 2, 3, 5], "<i8"), r"row offsets must grow"),
    "a cell in two lists": (
        array("exception_ids.npy", [0, 2], "<u2"),
        r"1 cells are both positive and in the exceptions; the first is label 'ant' of row 0",
    ),
    "a confidence that is NaN": (array("confidence.npy", [np.nan, 1, 1, 1, 1], "<f2"), r"a confidence is not in \(0, 1\]"),
    "a confidence of 2": (array("confidence.npy", [2, 1, 1, 1, 1], "<f2"), r"a confidence is not in \(0, 1\]"),
}  # fmt: skip


def is_helpful(line: str, folder: Path) -> bool:
    mends = ("copy the store again", "install the version of manyhot", "check the path")
    return "\n" not in line and line.startswith(str(folder)) and any(mend in line for mend in mends)


def test_the_unbroken_store_is_sound(store: Path):
    assert check_store(store) == []
    assert open_store(store).num_samples == 4


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize(("damage", "message"), FOUND_WHEN_OPENED.values(), ids=FOUND_WHEN_OPENED)
def test_damage_is_found_when_the_store_is_opened(store: Path, damage: Break, message: str):
    damage(store)
    with pytest.raises(StoreError, match=message) as caught:
        open_store(store)
    assert is_helpful(str(caught.value), store), str(caught.value)
    assert check_store(store) == [str(caught.value)]


@pytest.mark.parametrize(("damage", "message"), FOUND_BY_CHECK.values(), ids=FOUND_BY_CHECK)
def test_damage_inside_is_found_by_check(store: Path, damage: Break, message: str):
    damage(store)
    faults = check_store(store)
    assert len(faults) == 1
    assert re.search(message, faults[0]), faults
    assert is_helpful(faults[0], store), faults[0]


def test_a_store_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(StoreError, match="absent: there is no such label store; check the path"):
        open_store(tmp_path / "absent")


def test_taking_a_row_with_a_damaged_id_is_an_error_that_names_the_check(store: Path):
    array("ids.npy", [0, 3, 1, 0, 1], "<u2")(store)
    labels = open_store(store).labels
    assert labels.take([2]).positives.ids.tolist() == [1]
    with pytest.raises(LabelError, match="3 is no label id: the ids are damaged; `manyhot check` names the file"):
        labels.take([2, 0])


@pytest.mark.parametrize("offsets", [[0, 9, 2, 3, 5], [0, -9, 2, 3, 5], [0, 3, 2, 3, 5]])
def test_taking_a_row_with_damaged_offsets_is_an_error(store: Path, offsets: list[int]):
    array("indptr.npy", offsets, "<i8")(store)
    with pytest.raises(LabelError, match=r"the offsets of row [01] are damaged"):
        open_store(store).labels.take([3, 0, 1])


@pytest.mark.parametrize("work", LOOPS.values(), ids=LOOPS)
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            array("ids.npy", [0, 9, 1, 0, 1], "<u2"),
            r"ids\.npy: in rows 0 to 3 a label id is 9, and there are 3 labels; ",
        ),
        (array("indptr.npy", [0, 9, 2, 3, 5], "<i8"), r"ids\.npy: in rows 0 to 3 the row offsets do not grow"),
        (array("exception_ids.npy", [1, 7], "<u2"), r"exception_ids\.npy: in rows 0 to 3 a label id is 7"),
    ],
)
def test_no_loop_over_a_store_leaves_its_labels(
    store: Path, damage: Break, message: str, work: Callable[[LabelSets], object]
):
    damage(store)
    with pytest.raises(StoreError, match=message):
        work(open_store(store).labels)


@pytest.mark.parametrize("seed", range(60))
def test_a_flipped_byte_anywhere_is_never_read_in_silence(store: Path, seed: int):
    generator = np.random.default_rng(seed)
    path = sorted(store.iterdir())[int(generator.integers(len(list(store.iterdir()))))]
    before = path.read_bytes()
    flip(path.name, int(generator.integers(len(before))))(store)
    faults = check_store(store)
    if path.name == "manifest.json":
        # Its text names no checksum of itself: only what it says of others is compared.
        assert all("\n" not in fault for fault in faults)
    else:
        assert len(faults) == 1
        assert str(path) in faults[0]
