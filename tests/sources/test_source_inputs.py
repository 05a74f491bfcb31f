import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manyhot.errors import SourceError
from manyhot.labels import LabelSets
from manyhot.labels.building import write_store
from manyhot.labels.storage import StoreBatch
from manyhot.sources import Manifest, list_pictures, open_pictures


def test_a_folder_means_its_pictures_at_any_depth_and_nothing_else(write):
    root = write({"b.jpg": b"", "x/a.PNG": b"", "notes.txt": b"", ".hidden.jpg": b""})
    assert list_pictures(root) == [root / "b.jpg", root / "x/a.PNG"]


def test_a_folder_means_pictures_of_formats_that_are_not_opened_too(write):
    root = write({"b.jpg": b"", "a.bmp": b"BM", "c.heic": b"", "x/d.GIF": b"GIF89a"})
    assert list_pictures(root) == [root / name for name in ("a.bmp", "b.jpg", "c.heic", "x/d.GIF")]


def test_a_file_that_is_no_list_means_itself(write):
    root = write({"picture": b"", "a.jpg": b""})
    assert list_pictures(root / "picture") == [root / "picture"]
    assert list_pictures(root / "a.jpg") == [root / "a.jpg"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("new.csv", "file,note\na.jpg,x\nlost.jpg,y\n"),
        ("new.tsv", "file\na.jpg\nlost.jpg\n"),
        ("new.jsonl", '{"file": "a.jpg"}\n{"file": "lost.jpg"}\n'),
        ("new.json", '["a.jpg", "lost.jpg"]'),
        ("labels.json", '{"a.jpg": ["cat"], "lost.jpg": []}'),
    ],
)
def test_a_list_without_labels_means_the_pictures_it_names(write, name, content):
    root = write({name: content, "images/a.jpg": b""})
    assert list_pictures(root / name) == [root / "images/a.jpg", root / "images/lost.jpg"]


def test_names_start_from_the_list_where_there_is_no_image_folder(write, tmp_path):
    elsewhere = tmp_path / "c.jpg"
    root = write({"new.json": json.dumps(["x/a.jpg", str(elsewhere)])})
    assert list_pictures(root / "new.json") == [root / "x/a.jpg", elsewhere]


def test_another_column_names_the_pictures_where_given(write):
    root = write({})
    root.mkdir()
    pq.write_table(pa.table({"Image Index": ["a.jpg"], "name": ["Ann"]}), root / "new.parquet")
    assert list_pictures(root / "new.parquet", reference_column="Image Index") == [root / "a.jpg"]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("new.csv", "a,b\n1,2\n", "reference_column"),
        ("new.csv", "file,b\n,2\n", "line 2"),
        ("new.json", "[1]", "expected a list of names"),
        ("new.json", '"a.jpg', "line 1, column 1"),
        ("new.jsonl", '{"file": 1}', "line 1"),
        ("new.csv", "", "the file is empty"),
    ],
)
def test_a_list_that_names_no_pictures_ends_in_one_line(write, name, content, says):
    root = write({name: content})
    with pytest.raises(SourceError, match=says) as caught:
        list_pictures(root / name)
    assert str(root / name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_path_that_is_not_there_is_named():
    with pytest.raises(SourceError, match=r"nowhere: there is no such file or folder"):
        list_pictures(Path("nowhere"))


def test_pictures_come_from_files_tables_and_tars_alike(write):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as shard:
        info = tarfile.TarInfo("1.jpg")
        info.size = 3
        shard.addfile(info, io.BytesIO(b"two"))
    root = write({"a.jpg": b"one", "tars/s.tar": stream.getvalue(), "l.csv": "image\na.jpg\n"})
    pictures = open_pictures([root / "a.jpg", root / "tars", root / "l.csv"])
    assert [bytes(pictures.read(row)) for row in range(len(pictures))] == [b"one", b"two", b"one"]
    assert [pictures.size_of(row) for row in range(3)] == [3, 3, 3]
    assert pictures.name_of(1) == f"{root / 'tars/s.tar'}: 1.jpg"
    assert bytes(pictures.take(np.array([1])).read(0)) == b"two"


def test_a_label_store_means_the_pictures_of_its_samples(write):
    root = write({"a.jpg": b"one", "b.jpg": b"two", "other.jpg": b"three"})
    sets = LabelSets.from_names([["cat"], ["dog"]])
    store = root / "s.store"
    samples = Manifest.from_lists(root, ["b.jpg", "a.jpg"], sets).samples
    write_store(store, sets.space, [StoreBatch(labels=sets, samples=samples)], images=root)
    pictures = open_pictures([store])
    assert [bytes(pictures.read(row)) for row in range(len(pictures))] == [b"two", b"one"]


def test_a_label_store_without_pictures_cannot_be_predicted(tmp_path: Path):
    sets = LabelSets.from_names([["cat"]])
    write_store(tmp_path / "s.store", sets.space, [StoreBatch(labels=sets)])
    with pytest.raises(SourceError, match="knows no pictures"):
        open_pictures([tmp_path / "s.store"])


def test_a_folder_with_pictures_means_these_and_no_tar_beside_them(write):
    root = write({"a.jpg": b"one", "backup.tar": b""})
    assert open_pictures([root]).name_of(0) == str(root / "a.jpg")


def test_data_that_embed_no_pictures_cannot_be_predicted(write):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as shard:
        shard.addfile(tarfile.TarInfo("1.txt"))
    with pytest.raises(SourceError, match="embeds no pictures"):
        open_pictures([write({"s.tar": stream.getvalue()}) / "s.tar"])
