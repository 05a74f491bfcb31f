"""Tables that are read block by block end in the same store, or the same errors, as tables that are read whole."""

import json
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manyhot.errors import SourceError, StoreError
from manyhot.labels.storage import open_store
from manyhot.runs import converting
from manyhot.runs.converting import convert
from manyhot.sources import SourceOptions, json_lines, line_blocks, open_source, parquet, streaming

PLAIN = SourceOptions(pictures=False)
LABELS = st.lists(st.sampled_from(["cat", "dog", "owl", "x,y", "N/A", "é"]), max_size=3)
ROWS = st.lists(st.tuples(LABELS, st.sampled_from(["p1", "p2", None])), min_size=1, max_size=30)


@pytest.fixture
def small_blocks(monkeypatch) -> pytest.MonkeyPatch:
    """Make blocks of a few lines, so that short files have many."""
    monkeypatch.setattr(json_lines, "_FEW_LINES", 2)
    monkeypatch.setattr(line_blocks, "BLOCK_BYTES", 60)
    monkeypatch.setattr(parquet.read_parquet, "__kwdefaults__", {"num_rows": 4})
    return monkeypatch


def write_rows(folder: Path, kind: str, rows, names=None) -> Path:
    names = names or [f"{row}.jpg" for row in range(len(rows))]
    labels, groups = [labels for labels, _ in rows], [group for _, group in rows]
    path = folder / f"t.{kind}"
    if kind == "parquet":
        table = {
            "file": names,
            "labels": pa.array(labels, pa.list_(pa.string())),
            "group": pa.array(groups, pa.string()),
        }
        pq.write_table(pa.table(table), path)
    elif kind == "jsonl":
        lines = zip(names, labels, groups, strict=True)
        path.write_text("\n".join(json.dumps({"file": n, "labels": x, "group": g}) for n, x, g in lines))
    else:
        lines = [f'{name},"{"|".join(x)}",{g or ""}' for name, x, g in zip(names, labels, groups, strict=True)]
        path.write_text("\n".join(["file,labels,group", *lines]), encoding="utf-8")
    return path


def write_text_rows(folder: Path, kind: str, rows) -> Path:
    """Write rows as formats that know labels by number, the second of each row with a confidence."""
    ids = {name: number for number, name in enumerate(["cat", "dog", "owl", "x,y", "N/A", "é"])}
    numbers = [sorted({ids[name] for name in labels}) for labels, _ in rows]
    pairs = [" ".join(f"{label}:{0.5 if place == 1 else 1}" for place, label in enumerate(row)) for row in numbers]
    path = folder / "t.txt"
    if kind == "tencent":
        path.write_text("\n".join(f"http://x/{row}\t{pair}" for row, pair in enumerate(pairs)))
    elif kind == "extreme":
        lines = [f"{','.join(map(str, row))} 0:0.5 1:{n}" for n, row in enumerate(numbers)]
        path.write_text("\n".join([f"{len(rows)} 2 6", *lines]))
    else:
        path.write_text("\n".join([f"{len(rows)} 6", *pairs]) + "\n")
    return path


def outcome(call):
    """Return what was read, or the line of the error."""
    try:
        manifest = call()
    except SourceError as error:
        return str(error)
    return manifest.fingerprint


def through_a_store(path: Path, options: SourceOptions = PLAIN):
    out = path.parent.parent / f"{path.parent.name}-store"
    convert([path], out, options, overwrite=True)
    return open_source(out, options)


@pytest.fixture
def streamed(small_blocks) -> list[bool]:
    """Give a list that each conversion adds to: whether it read its data in flat memory."""
    found: list[bool] = []
    whole_way = converting.stream_source

    @contextmanager
    def counted(*arguments):
        with whole_way(*arguments) as source:
            found.append(source is not None)
            yield source

    small_blocks.setattr(converting, "stream_source", counted)
    return found


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "tencent", "extreme", "extreme-labels"])
def test_a_streamed_store_holds_what_a_whole_reading_gives(streamed, kind):
    write = write_rows if kind in ("csv", "jsonl", "parquet") else write_text_rows

    @given(ROWS)
    @settings(max_examples=10, deadline=None)
    def compare(rows) -> None:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder, "data")
            place.mkdir()
            path = write(place, kind, rows)
            whole = outcome(lambda: replace(open_source(path, PLAIN), features=None))
            assert outcome(lambda: through_a_store(path)) == whole

    compare()
    assert sum(streamed) > 2


PICTURES = {
    "beside": ("", "{}.jpg", []),
    "in images": ("images/", "{}.jpg", []),
    "in images, named from above": ("images/", "images/{}.jpg", []),
    "with other files": ("", "{}.jpg", ["notes.md", ".hidden.jpg"]),
}


@pytest.mark.parametrize(("below", "name", "others"), PICTURES.values(), ids=PICTURES)
def test_pictures_are_looked_for_while_rows_wait_on_disk(streamed, tmp_path, below, name, others):
    rows = [(["cat"], None), (["dog", "cat"], "p1"), ([], None)] * 5
    (tmp_path / "data" / below).mkdir(parents=True)
    for file in [*(f"{row}.jpg" for row in range(15)), *others]:
        (tmp_path / "data" / below / file).touch()
    path = write_rows(tmp_path / "data", "csv", rows, [name.format(row) for row in range(15)])
    stored = through_a_store(path, SourceOptions())
    assert streamed == [True]
    assert stored.fingerprint == open_source(path).fingerprint
    assert stored.has_pictures
    assert (stored.root / stored.references()[0]).is_file()


STRANGE = {
    "a missing picture": ("0.jpg", None),
    "a name in another form": (None, "./0.jpg"),
    "a row twice": (None, "1.jpg"),
    "a row without a name": (None, ""),
    "a picture without a row": ("x.jpg", None),
    "a picture of another kind without a row": ("x.heic", None),
}


@pytest.mark.parametrize(("file", "name"), STRANGE.values(), ids=STRANGE)
def test_what_is_strange_about_pictures_is_said_as_by_a_whole_reading(streamed, tmp_path, caplog, file, name):
    (tmp_path / "data").mkdir()
    for row in range(15):
        (tmp_path / "data" / f"{row}.jpg").touch()
    if file is not None and (tmp_path / "data" / file).exists():
        (tmp_path / "data" / file).unlink()
    elif file is not None:
        (tmp_path / "data" / file).touch()
    names = [f"{row}.jpg" for row in range(15)]
    path = write_rows(
        tmp_path / "data", "csv", [(["cat"], None)] * 15, [names[0] if name is None else name, *names[1:]]
    )
    whole = outcome(lambda: open_source(path))
    said = [record.message for record in caplog.records if record.levelname == "WARNING"]
    caplog.clear()
    assert outcome(lambda: through_a_store(path, SourceOptions())) == whole
    assert [record.message for record in caplog.records if record.levelname == "WARNING"][: len(said)] == said
    assert streamed == [False]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_names_that_repeat_across_blocks_are_errors_with_both_places(small_blocks, tmp_path, kind):
    rows = [(["cat"], None)] * 30
    names = [f"{row % 25}.jpg" for row in range(30)]
    path = write_rows(tmp_path, kind, rows, names)
    with pytest.raises(SourceError, match="repeats the name of an earlier row") as caught:
        convert([path], tmp_path / "store", PLAIN)
    assert str(caught.value) == outcome(lambda: open_source(path, PLAIN))
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    "text",
    [
        "file,labels\n" + "".join(f'{row}.jpg,"cat,dog"\n' for row in range(20)),
        "file,labels\n" + "".join(f"{row}.jpg,cat\n" for row in range(20)) + "20.jpg\n21.jpg,dog\n",
        "file,labels\n" + "".join(f"{row}.jpg,cat\n" for row in range(20)) + '20.jpg,"dog\n',
        "file,labels\n" + "".join(f"{row}.jpg,cat||dog\n" for row in range(20)),
        "file,labels\n" + "".join(f"{row}.jpg,\n" for row in range(20)),
        "file,labels,split\n" + "".join(f"{row}.jpg,cat,{'train' if row < 15 else ''}\n" for row in range(20)),
        "file,labels\n" + "".join(f"{row}.jpg,cat\n" for row in range(20)) + ",dog\n",
        "file,labels\n",
        "file,dog\n" + "".join(f"{row}.jpg,1\n" for row in range(20)),
        "file,labels\n" + "".join(f'{row}.jpg,"[""a"", ""b""]"\n' for row in range(20)),
        "name\nx\n",
    ],
)
def test_streaming_ends_in_the_same_samples_or_the_same_line(small_blocks, tmp_path, text):
    path = tmp_path / "t.csv"
    path.write_text(text)
    assert outcome(lambda: through_a_store(path)) == outcome(lambda: open_source(path, PLAIN))


def test_two_names_of_the_same_hash_are_not_taken_for_one(small_blocks, tmp_path):
    small_blocks.setattr(streaming, "hash", len, raising=False)
    path = write_rows(tmp_path, "csv", [(["cat"], None)] * 20)
    assert convert([path], tmp_path / "store", PLAIN).store.num_samples == 20


def test_a_store_that_is_there_is_refused_before_anything_is_read(tmp_path):
    path = write_rows(tmp_path, "csv", [(["cat"], None)] * 3)
    convert([path], tmp_path / "store", PLAIN)
    path.write_text("not a table")
    with pytest.raises(StoreError, match="is a label store already"):
        convert([path], tmp_path / "store", PLAIN)
    assert open_store(tmp_path / "store").num_samples == 3
