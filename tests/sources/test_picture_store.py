"""Wherever pictures are, they are read the same way: by row, in any order, from threads and from other processes."""

import io
import os
import pickle
import subprocess
import sys
import tarfile
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manyhot.errors import ImageError
from manyhot.runs.converting import convert
from manyhot.sources import open_source
from manyhot.sources.picture_store import PictureFiles, PictureStore

CONTENTS = [b"%d" % row * (row + 1) for row in range(17)]


def write_files(root: Path) -> None:
    (root / "labels.csv").write_text("image,labels\n" + "".join(f"{row}.jpg,a\n" for row in range(17)))
    for row, content in enumerate(CONTENTS):
        (root / f"{row}.jpg").write_bytes(content)


def write_tars(root: Path) -> None:
    for name, rows in (("a.tar", range(9)), ("b.tar", range(9, 17))):
        with tarfile.open(root / name, "w") as shard:
            for row in rows:
                for suffix, content in (("json", b'["a"]'), ("jpg", CONTENTS[row])):
                    info = tarfile.TarInfo(f"{row:02d}.{suffix}")
                    info.size = len(content)
                    shard.addfile(info, io.BytesIO(content))


def table_of(contents: list[bytes]) -> pa.Table:
    pictures = pa.array(
        [{"bytes": content, "path": None} for content in contents],
        pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
    )
    return pa.table({"image": pictures, "labels": [["a"]] * len(contents)})


def write_parquet(root: Path) -> None:
    pq.write_table(table_of(CONTENTS[:11]), root / "train-00000-of-00002.parquet", row_group_size=3)
    pq.write_table(table_of(CONTENTS[11:]), root / "train-00001-of-00002.parquet", row_group_size=4)


def write_arrow(root: Path) -> None:
    table = table_of(CONTENTS)
    with pa.ipc.new_stream(str(root / "data.arrow"), table.schema) as writer:
        writer.write_table(table, max_chunksize=4)
    (root / "state.json").write_text('{"_data_files": [{"filename": "data.arrow"}]}')


@pytest.fixture(params=[write_files, write_tars, write_parquet, write_arrow])
def pictures(request, tmp_path: Path) -> PictureStore:
    request.param(tmp_path)
    manifest = open_source(tmp_path)
    assert manifest.has_pictures
    assert isinstance(manifest.pictures, PictureStore)
    return manifest.pictures


def test_a_label_store_of_such_data_finds_the_pictures_again(
    pictures: PictureStore, tmp_path: Path, tmp_path_factory
) -> None:
    store = convert([tmp_path], tmp_path_factory.mktemp("stores") / "store").store.folder
    assert all_of(open_source(store).pictures) == CONTENTS


def all_of(pictures: PictureStore) -> list[bytes]:
    return [bytes(pictures.read(row)) for row in range(len(pictures))]


def test_each_row_gives_its_picture_in_any_order(pictures: PictureStore) -> None:
    assert all_of(pictures) == CONTENTS
    for row in np.random.default_rng(0).permutation(17).tolist():
        assert bytes(pictures.read(row)) == CONTENTS[row]
        assert pictures.size_of(row) == len(CONTENTS[row])


def test_taken_rows_keep_their_pictures_and_names(pictures: PictureStore) -> None:
    taken = pictures.take(np.array([16, 3, 3]))
    assert all_of(taken) == [CONTENTS[16], CONTENTS[3], CONTENTS[3]]
    assert [taken.name_of(row) for row in range(3)] == [pictures.name_of(row) for row in (16, 3, 3)]
    assert len(pictures.take(np.zeros(0, dtype=np.int64))) == 0


def test_threads_and_other_processes_read_the_same(pictures: PictureStore) -> None:
    rows = np.random.default_rng(1).integers(0, 17, 400).tolist()
    with ThreadPoolExecutor(4) as pool:
        assert [bytes(content) for content in pool.map(pictures.read, rows)] == [CONTENTS[row] for row in rows]
    assert all_of(pickle.loads(pickle.dumps(pictures))) == CONTENTS


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_process_reads_the_same(pictures: PictureStore) -> None:
    all_of(pictures)
    there, here = os.pipe()
    with warnings.catch_warnings():
        # Threads of pyarrow's pool: the child must do without them, which is what is tested.
        warnings.filterwarnings("ignore", message=".*fork", category=DeprecationWarning)
        child = os.fork()
    if not child:
        os.write(here, b"".join(all_of(pictures)))
        os._exit(0)
    os.waitpid(child, 0)
    os.close(here)
    with os.fdopen(there, "rb") as pipe:
        assert pipe.read() == b"".join(CONTENTS)


@pytest.mark.slow
def test_a_spawned_process_reads_the_same(pictures: PictureStore) -> None:
    all_of(pictures)
    script = "import pickle, sys; p = pickle.load(sys.stdin.buffer); "
    script += "sys.stdout.buffer.write(b''.join(bytes(p.read(row)) for row in range(len(p))))"
    run = subprocess.run([sys.executable, "-c", script], input=pickle.dumps(pictures), capture_output=True, check=True)
    assert run.stdout == b"".join(CONTENTS)


def test_a_picture_that_is_gone_is_an_image_error(pictures: PictureStore, tmp_path: Path) -> None:
    for path in tmp_path.iterdir():
        path.unlink()
    with pytest.raises(ImageError):
        pictures.read(16)


def test_a_shard_that_was_cut_meanwhile_is_an_image_error(tmp_path: Path) -> None:
    write_tars(tmp_path)
    pictures = open_source(tmp_path).pictures
    content = (tmp_path / "b.tar").read_bytes()
    (tmp_path / "b.tar").write_bytes(content[:2000])
    with pytest.raises(ImageError, match=r"cut off with its shard b\.tar"):
        pictures.read(16)


def test_a_file_has_a_size_and_a_time_and_what_is_no_file_has_none(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"abc")
    os.utime(tmp_path / "a.jpg", ns=(1, 1_234_567_891))
    files = PictureFiles(tmp_path, pa.array(["a.jpg", "b.jpg", "a\0.jpg"]))
    assert [files.size_and_time_of(row) for row in range(3)] == [(3, 1_234_567_891), (-1, -1), (-1, -1)]


def test_absolute_paths_are_taken_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"abc")
    files = PictureFiles.from_paths([tmp_path / "a.jpg", tmp_path])
    assert (files.read(0), files.size_of(0), files.name_of(0)) == (b"abc", 3, str(tmp_path / "a.jpg"))
    with pytest.raises(ImageError, match="is a folder"):
        files.read(1)
