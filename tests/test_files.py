"""Files are there whole or not at all."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from manyhot.files import (
    current_folder,
    sha256_of,
    write_atomically,
    write_folder_atomically,
    write_json,
    write_text,
)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_file_is_replaced_and_nothing_stays_beside_it(tmp_path: Path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    write_text(path, "new")
    assert path.read_text() == "new"
    assert names_in(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_failed_writing_keeps_the_old_content_and_leaves_nothing(tmp_path: Path, error: type[BaseException]):
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def write_half(temporary: Path) -> None:
        temporary.write_text("hal")
        raise error

    with pytest.raises(error):
        write_atomically(path, write_half)
    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["a.txt"]


def test_killed_writer_leaves_the_old_content(tmp_path: Path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    code = (
        "import os, signal, pathlib, sys; from manyhot.files import write_atomically\n"
        "def write(path):\n"
        "    path.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_atomically(pathlib.Path(sys.argv[1]), write)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode != 0
    assert path.read_text() == "old"


def test_content_is_complete_before_the_name_changes(tmp_path: Path):
    path = tmp_path / "a.txt"

    def write(temporary: Path) -> None:
        temporary.write_text("content")
        assert temporary.parent == path.parent
        assert not path.exists()

    write_atomically(path, write)
    assert path.read_text() == "content"


def test_temporary_name_keeps_the_ending_so_that_writers_add_none(tmp_path: Path):
    path = tmp_path / "scores.npy"
    write_atomically(path, lambda temporary: np.save(temporary, np.arange(3)))
    assert np.load(path).tolist() == [0, 1, 2]
    assert names_in(tmp_path) == ["scores.npy"]


def test_file_is_readable_as_any_other(tmp_path: Path):
    write_text(tmp_path / "ours.txt", "")
    (tmp_path / "plain.txt").write_text("")
    assert (tmp_path / "ours.txt").stat().st_mode == (tmp_path / "plain.txt").stat().st_mode


def test_link_is_followed_not_replaced(tmp_path: Path):
    target, link = tmp_path / "target.txt", tmp_path / "link.txt"
    target.write_text("old")
    link.symlink_to(target)
    write_text(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_device_is_written_directly():
    write_text(Path(os.devnull), "gone")
    assert not Path(os.devnull).is_file()


def test_missing_folder_is_an_error_that_names_it(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="missing"):
        write_text(tmp_path / "missing" / "a.txt", "")


def test_text_is_the_same_on_every_system(tmp_path: Path):
    write_text(tmp_path / "a.txt", "é\nü\n")
    assert (tmp_path / "a.txt").read_bytes() == "é\nü\n".encode()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_number_that_json_does_not_know_is_refused(tmp_path: Path, value: float):
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "a.json", {"value": [value]})
    assert names_in(tmp_path) == []


def test_json_can_be_read_by_a_strict_reader(tmp_path: Path):
    data = {"name": "café", "values": [1.5, None, True]}
    write_json(tmp_path / "a.json", data)
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8"), parse_constant=pytest.fail) == data


@pytest.mark.parametrize("size", [0, 1, 1_000_003])
def test_checksum_is_that_of_the_whole_content(tmp_path: Path, size: int):
    content = np.random.default_rng(0).bytes(size)
    (tmp_path / "a").write_bytes(content)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(content).hexdigest()


# Writes generation 2 over generation 1 and kills itself at the given system call, or finishes if there are fewer.
KILLED = """
import os, signal, sys
from pathlib import Path
from manyhot import files
folder, last, exchanges = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "exchange"
calls = 0
def counted(function):
    def wrapper(*args, **kwargs):
        global calls
        calls += 1
        if calls == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)
    return wrapper
for name in ("rename", "replace", "unlink", "rmdir", "mkdir", "open"):
    setattr(os, name, counted(getattr(os, name)))
files._exchange = counted(files._exchange) if exchanges else (lambda first, second: False)
def write(new):
    for name in ("a", "b"):
        files.write_text(new / name, "2")
files.write_folder_atomically(folder, ["a", "b"], write)
"""


def write_pair(folder: Path, text: str) -> None:
    def write(new: Path) -> None:
        for name in ("a", "b"):
            write_text(new / name, text)

    write_folder_atomically(folder, ["a", "b"], write)


def read_pair(folder: Path) -> str:
    folder = current_folder(folder)
    assert names_in(folder) == ["a", "b"]
    return (folder / "a").read_text() + (folder / "b").read_text()


@pytest.mark.parametrize("way", ["exchange", "aside"])
def test_folder_is_old_or_new_wherever_its_writer_is_killed(tmp_path: Path, way: str):
    seen: list[str] = []
    for last in range(1, 100):
        folder = tmp_path / str(last) / "bundle"
        folder.parent.mkdir()
        write_pair(folder, "1")
        done = subprocess.run([sys.executable, "-c", KILLED, str(folder), str(last), way], check=False).returncode == 0
        seen.append(read_pair(folder))
        write_pair(folder, "3")
        assert read_pair(folder) == "33", "the next writer goes on from what the killed one left"
        if done:
            break
    assert seen == sorted(seen)
    assert seen[0] == "11"
    assert seen[-1] == "22"


def test_replaced_folder_leaves_nothing_beside_it(tmp_path: Path):
    write_pair(tmp_path / "bundle", "1")
    write_pair(tmp_path / "bundle", "2")
    assert read_pair(tmp_path / "bundle") == "22"
    assert names_in(tmp_path) == ["bundle"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_folder_that_another_process_wrote_meanwhile_is_kept_unless_it_may_be_replaced(tmp_path: Path, overwrite: bool):
    folder = tmp_path / "bundle"

    def write(new: Path) -> None:
        write_pair(folder, "1")
        for name in ("a", "b"):
            write_text(new / name, "2")

    if overwrite:
        write_folder_atomically(folder, ["a", "b"], write)
    else:
        with pytest.raises(FileExistsError, match="was written by another process meanwhile, and is kept"):
            write_folder_atomically(folder, ["a", "b"], write, overwrite=False)
    assert read_pair(folder) == ("22" if overwrite else "11")
    assert names_in(tmp_path) == ["bundle"]


def test_folder_that_appears_at_the_last_moment_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder, rename = tmp_path / "bundle", Path.rename

    def rename_late(path: Path, target: Path) -> Path:
        monkeypatch.setattr(Path, "rename", rename)
        write_pair(folder, "1")
        return path.rename(target)

    monkeypatch.setattr(Path, "rename", rename_late)
    write_pair(folder, "2")
    assert read_pair(folder) == "22"


def test_failed_writing_keeps_the_old_folder(tmp_path: Path):
    write_pair(tmp_path / "bundle", "1")

    def write_half(new: Path) -> None:
        write_text(new / "a", "2")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_folder_atomically(tmp_path / "bundle", ["a", "b"], write_half)
    assert read_pair(tmp_path / "bundle") == "11"
    assert names_in(tmp_path) == ["bundle"]


def test_empty_folder_is_taken(tmp_path: Path):
    (tmp_path / "bundle").mkdir()
    write_pair(tmp_path / "bundle", "1")
    assert read_pair(tmp_path / "bundle") == "11"


def test_folder_with_a_file_of_somebody_else_is_refused_and_kept(tmp_path: Path):
    folder = tmp_path / "bundle"
    write_pair(folder, "1")
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"holds 'notes\.txt', which is not ours"):
        write_pair(folder, "2")
    assert names_in(folder) == ["a", "b", "notes.txt"]
    assert (folder / "a").read_text() == "1"


def test_file_in_the_place_of_the_folder_is_refused_and_kept(tmp_path: Path):
    (tmp_path / "bundle").write_text("mine")
    with pytest.raises(FileExistsError, match="is a file"):
        write_pair(tmp_path / "bundle", "1")
    assert (tmp_path / "bundle").read_text() == "mine"
