"""Large tars are walked through once; what their headers say is kept beside them, and never outlives them."""

import io
import os
import tarfile
from pathlib import Path

import pytest

from manyhot.sources import open_source, read_source, tar_index

LONG = "deep/" * 30 + "k" * 120


@pytest.fixture(autouse=True)
def every_tar_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_index, "WORTH_BYTES", 1)


def write_tar(path: Path, members: dict[str, bytes], kind: int = tarfile.PAX_FORMAT) -> None:
    with tarfile.open(path, "w", format=kind) as shard:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            info.pax_headers = {"comment": "ü" * 600} if kind == tarfile.PAX_FORMAT else {}
            shard.addfile(info, io.BytesIO(content))


def forbid_walks(monkeypatch: pytest.MonkeyPatch) -> None:
    def walk(path: Path, findings: object) -> None:
        raise AssertionError(f"{path} was walked through again")

    monkeypatch.setattr(tar_index, "scan_tar", walk)


MEMBERS = {
    f"{LONG}.JPG": b"one", f"{LONG}.json": b'{"labels": ["ant"]}', "b ü.png": b"two", "b ü.cls": b"ant\nbee",
    "c.webp": b"three", "c.seg.png": b"mask", "c.json": b"[]", "__key__": b"", "c.txt": b"words",
}  # fmt: skip


@pytest.mark.parametrize("kind", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_the_second_reading_is_that_of_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: int) -> None:
    write_tar(tmp_path / "s.tar", {name: content for name, content in MEMBERS.items() if name != "__key__"}, kind)
    first = open_source(tmp_path)
    assert first.references() == [f"{LONG}.JPG", "b ü.png", "c.webp"]
    assert [bytes(first.pictures.read(row)) for row in range(3)] == [b"one", b"two", b"three"]
    forbid_walks(monkeypatch)
    again = open_source(tmp_path)
    assert again.fingerprint == first.fingerprint
    assert [bytes(again.pictures.read(row)) for row in range(3)] == [b"one", b"two", b"three"]


def test_another_tar_of_the_same_name_is_walked_through(tmp_path: Path) -> None:
    write_tar(tmp_path / "s.tar", {"a.jpg": b"one", "a.json": b'["ant"]'})
    open_source(tmp_path)
    write_tar(tmp_path / "s.tar", {"b.jpg": b"one", "b.json": b'["bee"]'})
    os.utime(tmp_path / "s.tar", ns=(1, 1))
    assert open_source(tmp_path).references() == ["b.jpg"]


@pytest.mark.parametrize("content", [b"", b"ARROW1\0\0", b"x" * 999])
def test_a_damaged_index_counts_for_nothing(tmp_path: Path, content: bytes) -> None:
    write_tar(tmp_path / "s.tar", {"a.jpg": b"one", "a.json": b'["ant"]'})
    (tmp_path / "s.tar.manyhot-index").write_bytes(content)
    assert open_source(tmp_path).references() == ["a.jpg"]
    assert (tmp_path / "s.tar.manyhot-index").read_bytes() != content


def test_where_nothing_can_be_written_it_is_read_all_the_same(tmp_path: Path, monkeypatch, caplog) -> None:
    def refuse(path: Path, write: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(tar_index, "write_atomically", refuse)
    write_tar(tmp_path / "s.tar", {"a.jpg": b"one", "a.json": b'["ant"]'})
    with caplog.at_level("INFO"):
        assert open_source(tmp_path).references() == ["a.jpg"]
    assert "cannot be kept beside it" in caplog.text


def test_a_tar_with_errors_is_never_indexed(tmp_path: Path) -> None:
    write_tar(tmp_path / "s.tar", {"a.jpg": b"one", "a.png": b"two", "a.json": b"[]"})
    for _ in range(2):
        (error,) = read_source(tmp_path).errors
        assert (error.name, error.examples) == ("several-pictures", ("'a.png'",))
    assert not list(tmp_path.glob("*index"))
