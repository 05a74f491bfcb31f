"""Compressed files unpack in a stream, and never to more than they may."""

import gzip

import pytest

from manyhot.errors import SourceError
from manyhot.sources import SourceOptions, open_source, read_source
from manyhot.sources.unpacking import UnpackedTooLargeError, limit_unpacking, open_binary

ROWS = "".join(f"{row}.jpg,{'cat' if row % 3 else ''}\n" for row in range(20_000))
FILES = {
    "t.csv.gz": f"file,labels\n{ROWS}",
    "t.tsv.gz": "file\tlabels\n" + ROWS.replace(",", "\t"),
    "t.jsonl.gz": "".join(f'{{"file": "{row}.jpg", "labels": ["cat"]}}\n' for row in range(20_000)),
    "t.json.gz": "{" + ", ".join(f'"{row}.jpg": ["cat"]' for row in range(20_000)) + "}",
    "t.txt.gz": "20000 3\n" + "1:1\n" * 20_000,
    "rows.txt.gz": "http://a/1.jpg 3:0.5\n" * 20_000,
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_unpacks_to_more_than_it_may_is_refused_in_one_line(write, name):
    path = write({name: gzip.compress(FILES[name].encode())}) / name
    with pytest.raises(SourceError) as caught:
        open_source(path, SourceOptions(pictures=False, max_unpacked_gb=2e-5))
    line = str(caught.value)
    assert "\n" not in line
    assert f"{path}: unpacks to more than 2e-05 GB" in line
    assert "--data.max_unpacked_gb" in line


def test_a_file_that_unpacks_to_as_much_as_it_may_is_read(write):
    root = write({"t.csv.gz": gzip.compress(FILES["t.csv.gz"].encode())})
    size_gb = len(FILES["t.csv.gz"]) / 1e9
    reading = read_source(root / "t.csv.gz", SourceOptions(pictures=False, max_unpacked_gb=size_gb))
    assert reading.manifest is not None
    assert reading.manifest.num_samples == 20_000


def test_plain_files_are_of_any_size(write):
    root = write({"t.csv": FILES["t.csv.gz"]})
    assert not read_source(root / "t.csv", SourceOptions(pictures=False, max_unpacked_gb=1e-9)).errors


def test_a_bomb_is_refused_before_it_fills_the_memory(tmp_path):
    path = tmp_path / "bomb.gz"
    with gzip.open(path, "wb") as file:
        for _ in range(8):
            file.write(bytes(1 << 20))
    with limit_unpacking(1e-3), open_binary(path) as file:
        assert len(file.read(900_000)) == 900_000
        with pytest.raises(UnpackedTooLargeError):
            file.read(200_000)
