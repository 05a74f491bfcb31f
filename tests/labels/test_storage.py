"""Label stores: what goes in comes out, in constant memory, whole or not at all."""

import os
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from manyhot.errors import LabelError, StoreError
from manyhot.labels import Csr, LabelSets, LabelSource, LabelSpace
from manyhot.labels.building import StorePart, concatenate_stores, write_parts, write_store
from manyhot.labels.storage import LabelStore, StoreBatch, check_store, open_store

SPACE = LabelSpace(names=("ant", "bee", "cat", "dog"), groups=(None, None, "pet", "pet"), parents=((1,), (), (), (2,)))
UNKNOWN = LabelSource(name="ticked", unlisted="unknown")
PARTIAL = LabelSource(name="insects", annotated=(0, 1))


def samples(*references: str, split: str | None = None) -> pa.Table:
    absent = pa.nulls(len(references), pa.string())
    splits = absent if split is None else pa.array([split] * len(references))
    return pa.table({"reference": pa.array(references, pa.string()), "split": splits, "group": absent})


def mixed_batches() -> list[StoreBatch]:
    """Batches that differ in everything they may differ in."""
    return [
        StoreBatch(labels=LabelSets.from_lists([[0, 3], []], SPACE), samples=samples("a.jpg", "b.jpg")),
        StoreBatch(
            labels=LabelSets(
                space=SPACE,
                positives=Csr.from_lists([[1], [0, 2], []]),
                exceptions=Csr.from_lists([[2], [], [0, 1, 2, 3]]),
                sources=(UNKNOWN, PARTIAL),
                source_ids=np.array([0, 1, 0], dtype=np.uint16),
                confidence=np.array([0.5, 1.0, 0.25]),
            ),
            samples=samples("c.jpg", "d.jpg", "e.jpg", split="val"),
        ),
        StoreBatch(labels=LabelSets.from_lists([[2]], SPACE), samples=samples("f.jpg")),
    ]


def written(folder: Path, batches: list[StoreBatch]) -> LabelStore:
    write_store(folder, batches[0].labels.space, batches)
    return open_store(folder)


def cells(sets: LabelSets) -> list[list[float | None]]:
    return [[None if np.isnan(cell) else cell for cell in row] for row in sets.to_multi_hot().tolist()]


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_states_of_all_cells_come_back(tmp_path: Path):
    batches = mixed_batches()
    store = written(tmp_path / "store", batches)
    assert cells(store.labels) == [row for batch in batches for row in cells(batch.labels)]
    assert store.labels.space == SPACE


def test_samples_come_back_with_their_splits(tmp_path: Path):
    store = written(tmp_path / "store", mixed_batches())
    assert store.samples["reference"].to_pylist() == ["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg", "f.jpg"]
    assert store.samples["split"].to_pylist() == [None, None, "val", "val", "val", None]
    assert [store.labels.sources[number].name for number in store.samples["source"].to_pylist()] == [
        "data", "data", "ticked", "insects", "ticked", "data",
    ]  # fmt: skip


def test_positives_without_confidence_are_certain_beside_others(tmp_path: Path):
    confidence = written(tmp_path / "store", mixed_batches()).labels.confidence
    assert confidence is not None
    assert confidence.tolist() == [1, 1, 0.5, 1, 0.25, 1]


def test_confidence_is_never_rounded_to_none(tmp_path: Path):
    sets = LabelSets(space=SPACE, positives=Csr.from_lists([[0, 1]]), confidence=np.array([1e-9, 0.99999]))
    store = written(tmp_path / "store", [StoreBatch(labels=sets)])
    assert check_store(store.folder) == []
    assert store.labels.confidence is not None
    assert (store.labels.confidence > 0).all()


def test_optional_files_are_absent_where_nothing_needs_them(tmp_path: Path):
    written(tmp_path / "store", [StoreBatch(labels=LabelSets.from_lists([[0]], SPACE))])
    expected = ["ids.npy", "indptr.npy", "manifest.json", "samples.arrow", "sources.json", "space.json"]
    assert names_in(tmp_path / "store") == expected


def test_arrays_are_plain_npy_files_of_the_promised_types(tmp_path: Path):
    folder = tmp_path / "store"
    written(folder, mixed_batches())
    types = {path.stem: np.load(path).dtype for path in folder.glob("*.npy")}
    narrow = dict.fromkeys(["ids", "exception_ids"], np.uint16)
    offsets = dict.fromkeys(["indptr", "exception_indptr"], np.int64)
    assert types == narrow | offsets | {"confidence": np.float16}


@pytest.mark.parametrize(("num_labels", "dtype"), [(65_536, np.uint16), (65_537, np.uint32)])
def test_ids_are_as_narrow_as_the_label_space_allows(tmp_path: Path, num_labels: int, dtype: type):
    space = LabelSpace(names=tuple(map(str, range(num_labels))))
    store = written(tmp_path / "store", [StoreBatch(labels=LabelSets.from_lists([[num_labels - 1]], space))])
    assert store.labels.positives.ids.dtype == dtype
    assert store.labels.take([0]).positives.ids.tolist() == [num_labels - 1]


def test_a_store_without_samples_opens(tmp_path: Path):
    write_store(tmp_path / "store", SPACE, [])
    store = open_store(tmp_path / "store")
    assert (store.num_samples, store.labels.positives.size, store.find_images()) == (0, 0, None)
    assert check_store(tmp_path / "store") == []


def test_rows_without_labels_are_samples(tmp_path: Path):
    store = written(tmp_path / "store", [StoreBatch(labels=LabelSets.from_lists([[], [], []], SPACE))])
    assert store.num_samples == 3
    assert store.labels.take([2, 0]).positives.size == 0


def test_taken_rows_are_those_of_sets_in_memory(tmp_path: Path):
    generator = np.random.default_rng(0)
    rows = [generator.choice(41, size=generator.integers(0, 6), replace=False).tolist() for _ in range(170)]
    sets = LabelSets.from_lists(rows, LabelSpace(names=tuple(map(str, range(41)))))
    store = written(tmp_path / "store", [StoreBatch(labels=sets.take(range(n, n + 17))) for n in range(0, 170, 17)])
    chosen = generator.integers(0, 170, 64)
    taken, expected = store.labels.take(chosen), sets.take(chosen)
    assert taken.positives.indptr.tolist() == expected.positives.indptr.tolist()
    assert taken.positives.ids.tolist() == expected.positives.ids.tolist()


def test_opening_copies_nothing_and_nothing_can_be_written(tmp_path: Path):
    space = LabelSpace(names=tuple(map(str, range(100))))
    sets = LabelSets(space=space, positives=Csr(np.arange(300_001), np.zeros(300_000, dtype=np.uint16)))
    written(tmp_path / "store", [StoreBatch(labels=sets)])
    tracemalloc.start()
    store = open_store(tmp_path / "store")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 500_000  # the labels take 3,000,000 bytes; half of the peak is what hashing reads at a time
    assert not store.labels.positives.ids.flags.writeable
    assert not store.labels.positives.ids.flags.owndata


def test_building_holds_a_batch_and_no_more(tmp_path: Path):
    space = LabelSpace(names=tuple(map(str, range(1000))))

    def batches(count: int) -> Iterator[StoreBatch]:
        for number in range(count):
            ids = np.sort(np.random.default_rng(number).integers(0, 500, (2_000, 2)), axis=1)
            ids[:, 1] += 500
            indptr = np.arange(2_001, dtype=np.int64) * 2
            yield StoreBatch(labels=LabelSets(space=space, positives=Csr(indptr, ids.ravel())))

    peaks: list[int] = []
    for count in (3, 30):
        tracemalloc.start()
        write_store(tmp_path / f"store-{count}", space, batches(count))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # Ten times the rows: no more than a tenth more memory, for the allocator's moods.
    assert peaks[1] < 1.1 * peaks[0]
    assert open_store(tmp_path / "store-30").num_samples == 60_000


def test_a_batch_of_another_space_is_refused_and_leaves_nothing(tmp_path: Path):
    other = LabelSets.from_names([["zebra"]])
    batches = [*mixed_batches(), StoreBatch(labels=other)]
    with pytest.raises(LabelError, match="another label space"):
        write_store(tmp_path / "store", SPACE, batches)
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (samples("a.jpg"), "1 rows of .* for 2 rows of labels"),
        (samples("a.jpg", "b.jpg").drop_columns("group"), "give one row of"),
        (samples("a.jpg", "b.jpg").set_column(0, "reference", pa.array(["a.jpg", None])), "no reference"),
    ],
)
def test_samples_that_do_not_fit_are_refused(tmp_path: Path, table: pa.Table, message: str):
    batch = StoreBatch(labels=LabelSets.from_lists([[0], []], SPACE), samples=table)
    with pytest.raises(LabelError, match=message):
        write_store(tmp_path / "store", SPACE, [batch])
    assert names_in(tmp_path) == []


def test_what_is_no_store_is_never_replaced(tmp_path: Path):
    (tmp_path / "diary").mkdir()
    (tmp_path / "diary" / "monday.txt").write_text("dear")
    for overwrite in (False, True):
        with pytest.raises(StoreError, match="something else than a label store"):
            write_store(tmp_path / "diary", SPACE, mixed_batches(), overwrite=overwrite)
    assert (tmp_path / "diary" / "monday.txt").read_text() == "dear"


def test_a_strange_file_in_a_store_keeps_it_from_being_replaced(tmp_path: Path):
    store = written(tmp_path / "store", mixed_batches())
    (store.folder / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match=r"'notes\.txt', which is not ours to delete"):
        write_store(store.folder, SPACE, mixed_batches(), overwrite=True)
    assert open_store(store.folder).num_samples == 6


def test_a_store_is_replaced_only_when_asked_and_its_readers_keep_the_old_one(tmp_path: Path):
    store = written(tmp_path / "store", mixed_batches())
    before = cells(store.labels)
    with pytest.raises(StoreError, match="is a label store already"):
        write_store(store.folder, SPACE, [])
    write_store(store.folder, SPACE, mixed_batches()[:1], overwrite=True)
    assert open_store(store.folder).num_samples == 2
    assert cells(store.labels) == before
    assert names_in(tmp_path) == ["store"]


def test_a_store_can_be_written_over_itself(tmp_path: Path):
    store = written(tmp_path / "store", mixed_batches())
    before = cells(store.labels)
    write_store(store.folder, SPACE, store.blocks(2), overwrite=True)
    assert cells(open_store(store.folder).labels) == before


def test_a_missing_parent_folder_is_named(tmp_path: Path):
    with pytest.raises(StoreError, match=r"absent: there is no such folder .* make it first"):
        write_store(tmp_path / "absent" / "store", SPACE, [])


def test_killed_builder_leaves_no_store(tmp_path: Path):
    code = """
import os, signal, sys
from pathlib import Path
from manyhot.labels import LabelSets
from manyhot.labels.building import write_store
from manyhot.labels.storage import StoreBatch
sets = LabelSets.from_names([["cat"], []] * 1000)
def batches():
    for number in range(20):
        if number == 10:
            os.kill(os.getpid(), signal.SIGKILL)
        yield StoreBatch(labels=sets)
write_store(Path(sys.argv[1]), sets.space, batches(), overwrite=True)
"""
    old = written(tmp_path / "old", mixed_batches())
    for folder in (tmp_path / "new", old.folder):
        done = subprocess.run([sys.executable, "-c", code, str(folder)], check=False)
        assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "new").exists()
    assert open_store(old.folder).num_samples == 6
    assert check_store(old.folder) == []


def test_forked_processes_read_the_same_store(tmp_path: Path):
    store = written(tmp_path / "store", mixed_batches())
    reader, writer = os.pipe()
    child = os.fork() if sys.platform == "linux" else None
    if child is None:
        pytest.skip("forks")
    if child == 0:
        os.write(writer, bytes(store.labels.take([5, 0]).positives.ids.tolist()))
        os._exit(0)
    os.waitpid(child, 0)
    assert list(os.read(reader, 10)) == [2, 0, 3]


def test_concatenation_keeps_what_each_source_says(tmp_path: Path):
    complete = written(tmp_path / "complete", mixed_batches()[:1])
    mixed = written(tmp_path / "mixed", mixed_batches())
    concatenate_stores(tmp_path / "both", [complete.folder, mixed.folder])
    both = open_store(tmp_path / "both")
    assert cells(both.labels) == cells(complete.labels) + cells(mixed.labels)
    assert {source.name for source in both.labels.sources} == {"data", "ticked", "insects"}
    assert check_store(both.folder) == []


def test_stores_over_different_spaces_are_not_put_together_unasked(tmp_path: Path):
    first = written(tmp_path / "first", mixed_batches())
    second = written(tmp_path / "second", [StoreBatch(labels=LabelSets.from_names([["cat"]]))])
    with pytest.raises(LabelError, match="label space of 'data' is not that of 'data'"):
        concatenate_stores(tmp_path / "both", [first.folder, second.folder])
    assert not (tmp_path / "both").exists()


def test_labels_that_a_store_does_not_know_are_unknown_in_its_rows(tmp_path: Path):
    cats = written(tmp_path / "cats", [StoreBatch(labels=LabelSets.from_names([["cat"], []]))])
    dogs = written(tmp_path / "dogs", [StoreBatch(labels=LabelSets.from_names([["dog"]]))])
    space = LabelSpace(names=("dog", "cat"))
    concatenate_stores(tmp_path / "both", [cats.folder, dogs.folder], space=space)
    assert cells(open_store(tmp_path / "both").labels) == [[None, 1], [None, 0], [1, None]]


def test_references_of_parts_start_from_the_folder_that_holds_all_pictures(tmp_path: Path):
    sets = LabelSets.from_lists([[0]], SPACE)
    for name in ("x", "y"):
        (tmp_path / "data" / name / "images").mkdir(parents=True)
        (tmp_path / "data" / name / "images" / "1.jpg").write_bytes(b"")
    parts = [
        StorePart(labels=sets, samples=samples("1.jpg"), images=tmp_path / "data" / name / "images", description=name)
        for name in ("x", "y")
    ]
    write_parts(tmp_path / "store", parts)
    store = open_store(tmp_path / "store")
    root = store.find_images()
    assert root is not None
    assert [(root / name).is_file() for name in store.samples["reference"].to_pylist()] == [True, True]
    with pytest.raises(LabelError, match="'y' names no pictures"):
        write_parts(tmp_path / "other", [parts[0], replace(parts[1], images=None)])


def test_pictures_are_found_after_both_were_moved_and_after_the_store_was(tmp_path: Path):
    (tmp_path / "project" / "images").mkdir(parents=True)
    (tmp_path / "project" / "images" / "a.jpg").write_bytes(b"")
    batch = StoreBatch(labels=LabelSets.from_lists([[0]], SPACE), samples=samples("a.jpg"))
    write_store(tmp_path / "project" / "store", SPACE, [batch], images=tmp_path / "project" / "images")
    (tmp_path / "project").rename(tmp_path / "moved")
    found = open_store(tmp_path / "moved" / "store").find_images()
    assert found is not None
    assert found.resolve() == tmp_path / "moved" / "images"
    (tmp_path / "moved").rename(tmp_path / "project")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "project" / "store").rename(tmp_path / "elsewhere" / "store")
    assert open_store(tmp_path / "elsewhere" / "store").find_images() == tmp_path / "project" / "images"
