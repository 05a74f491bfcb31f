"""Files are written whole or not at all."""

import json
from pathlib import Path

import pytest

from manyhot.files import sha256_of, write_atomically, write_json, write_text


def test_failed_write_keeps_the_old_file_and_leaves_nothing_else(tmp_path: Path):
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        write_atomically(path, fail)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a.txt", "old")]


def test_temporary_file_stands_in_the_same_folder_and_keeps_the_ending(tmp_path: Path):
    seen: list[Path] = []

    def note(temporary: Path) -> None:
        seen.append(temporary)

    write_atomically(tmp_path / "a.parquet", note)
    assert seen[0].parent == tmp_path
    assert seen[0].suffix == ".parquet"


def test_file_is_as_readable_as_any_other(tmp_path: Path):
    write_text(tmp_path / "ours", "")
    (tmp_path / "any").write_text("")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "any").stat().st_mode


def test_line_feeds_stay_as_they_are(tmp_path: Path):
    write_text(tmp_path / "a.txt", "a\nb\r\n")
    assert (tmp_path / "a.txt").read_bytes() == b"a\nb\r\n"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_number_that_json_lacks_is_refused(tmp_path: Path, value: float):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"value": value})
    assert list(tmp_path.iterdir()) == []


def test_json_reads_back(tmp_path: Path):
    data = {"label": "N/A", "größe": [1, None, 0.25]}
    write_json(tmp_path / "a.json", data)
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == data


def test_checksum_tells_one_flipped_byte(tmp_path: Path):
    content = bytes(range(256)) * 8_192
    (tmp_path / "a").write_bytes(content)
    (tmp_path / "b").write_bytes(content[:-1] + b"\x00")
    assert sha256_of(tmp_path / "a") != sha256_of(tmp_path / "b")
