"""Pictures that change between a stop of `manyhot pack` and the next call: the pack holds what the data are in the end."""

import errno
import io
import logging
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tqdm import tqdm

from manyhot.data.pack_work import Part, find_works
from manyhot.data.shards import ShardWriter
from manyhot.errors import SourceError
from manyhot.runs import packing
from manyhot.runs.packing import BadPictures, pack
from manyhot.sources.pack_files import PackSettings, is_finished

COUNT = 17
SETTINGS = PackSettings(shard_bytes=12_000)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    for row in range(COUNT):
        path = folder / f"{row}.jpg"
        Image.fromarray(np.random.default_rng(row).integers(0, 256, (17, 41, 3), dtype=np.uint8)).save(path)
        path.write_bytes(path.read_bytes() + b"behind the end")
    rows = [f"{row}.jpg,{'cat' if row % 2 else 'dog'}\n" for row in range(COUNT)]
    (folder / "labels.csv").write_text("image,labels\n" + "".join(rows))
    return folder


@pytest.fixture
def stop(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Pack, and run out of disk after so many samples."""

    def stop_after(count: int, data: Path, out: Path, bad: BadPictures | None = None) -> None:
        append, left = ShardWriter.append, [count]

        def failing(self: ShardWriter, *arguments: object) -> None:
            if not left[0]:
                raise OSError(errno.ENOSPC, "full")
            left[0] -= 1
            append(self, *arguments)

        with monkeypatch.context() as patch:
            patch.setattr(ShardWriter, "append", failing)
            with pytest.raises(SourceError, match="full"):
                pack(data, out, SETTINGS, bad=bad or BadPictures())

    return stop_after


def content_of(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def change(path: Path) -> None:
    """Change a byte behind the end of a JPEG: the file's size stays, and the picture can be read."""
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"!")


def test_a_picture_that_changed_after_a_stop_is_packed_as_it_is_now(data, tmp_path, stop, caplog) -> None:
    out = tmp_path / "pack"
    stop(14, data, out)
    first, second = sorted(out.glob("*.tar"))[:2]
    with tarfile.open(second) as shard:
        row = int(shard.getnames()[0].partition(".")[0])
    change(data / f"{row}.jpg")
    written = first.stat().st_mtime_ns
    with caplog.at_level(logging.WARNING, "manyhot"):
        pack(data, out, SETTINGS)
    assert first.stat().st_mtime_ns == written
    (line,) = caplog.messages
    assert line == f"warning: {data}/{row}.jpg: has changed since it was packed; packing again from {second.name} on"
    pack(data, tmp_path / "new", SETTINGS)
    assert content_of(out) == content_of(tmp_path / "new")


def test_pictures_that_were_only_copied_or_touched_are_not_packed_again(data, tmp_path, stop, caplog) -> None:
    out = tmp_path / "pack"
    stop(14, data, out)
    written = {path: path.stat().st_mtime_ns for path in out.glob("*.tar")}
    for path in data.glob("*.jpg"):
        os.utime(path, ns=(0, 0))
    with caplog.at_level(logging.WARNING, "manyhot"):
        pack(data, out, SETTINGS)
    assert not caplog.messages
    assert {path: path.stat().st_mtime_ns for path in written} == written


def test_no_shard_of_before_the_change_counts_after_a_second_stop(data, tmp_path, stop) -> None:
    out = tmp_path / "pack"
    stop(16, data, out)
    # Shards end elsewhere from here on, and there are fewer of them.
    assert len(list(out.glob("*.tar"))) > 3
    for row in range(4, 15):
        (data / f"{row}.jpg").write_bytes((data / "0.jpg").read_bytes())
    stop(5, data, out)
    pack(data, out, SETTINGS)
    pack(data, tmp_path / "new", SETTINGS)
    assert content_of(out) == content_of(tmp_path / "new")


def test_no_shard_behind_a_damaged_one_counts_after_a_second_stop(data, tmp_path, stop) -> None:
    out = tmp_path / "pack"
    stop(16, data, out)
    second = sorted(out.glob("*.tar"))[1]
    second.write_bytes(second.read_bytes()[:-1] + b"!")
    with tarfile.open(second) as shard:
        rows = [int(name.partition(".")[0]) for name in shard.getnames()[::2]]
    # It ends later than before, behind the start of the third.
    for row in rows:
        Image.new("RGB", (4, 4)).save(data / f"{row}.jpg")
    stop(6, data, out)
    pack(data, out, SETTINGS)
    pack(data, tmp_path / "new", SETTINGS)
    assert content_of(out) == content_of(tmp_path / "new")


def lose(record: Path, *, is_broken: bool) -> None:
    if is_broken:
        record.write_bytes(record.read_bytes()[:-30])
    else:
        record.unlink()


@pytest.mark.parametrize("is_broken", [False, True])
def test_no_shard_behind_a_lost_record_counts_after_a_second_stop(data, tmp_path, stop, caplog, is_broken) -> None:
    out = tmp_path / "pack"
    stop(16, data, out)
    second, record = sorted(out.glob("*.tar"))[1], next(out.rglob("record-00001.npz"))
    with tarfile.open(second) as shard:
        rows = [int(name.partition(".")[0]) for name in shard.getnames()[::2]]
    lose(record, is_broken=is_broken)
    # It ends later than before, behind the start of the third.
    for row in rows:
        Image.new("RGB", (4, 4)).save(data / f"{row}.jpg")
    with caplog.at_level(logging.WARNING, "manyhot"):
        stop(6, data, out)
    assert caplog.messages == [f"warning: {record}: is damaged or missing; packing again from {second.name} on"]
    assert pack(data, out, SETTINGS).num_samples == COUNT
    pack(data, tmp_path / "new", SETTINGS)
    assert content_of(out) == content_of(tmp_path / "new")


def test_a_record_with_any_flipped_bit_in_its_table_of_contents_is_read_or_lost(data, tmp_path, stop) -> None:
    out = tmp_path / "pack"
    stop(5, data, out)
    (work,) = find_works(out)
    assert len(work.records()) == 1
    record = work.record_path(0)
    content = record.read_bytes()
    for place in range(content.index(b"PK\x01\x02"), len(content)):
        for bit in (0x01, 0x08):
            record.write_bytes(content[:place] + bytes([content[place] ^ bit]) + content[place + 1 :])
            assert len(work.records()) <= 1


def test_no_shard_is_left_of_a_lost_record_that_nothing_takes_the_place_of(data, tmp_path, stop) -> None:
    out, skip = tmp_path / "pack", BadPictures(policy="skip", max_percent=100)
    stop(16, data, out)
    max(out.rglob("record-*.npz")).unlink()
    for row in range(1, COUNT):
        (data / f"{row}.jpg").write_bytes(b"<html>")
    pack(data, out, SETTINGS, bad=skip)
    pack(data, tmp_path / "new", SETTINGS, bad=skip)
    assert content_of(out) == content_of(tmp_path / "new")


def test_a_damaged_shard_that_is_packed_again_is_named(data, tmp_path, stop, caplog) -> None:
    out = tmp_path / "pack"
    stop(14, data, out)
    second = sorted(out.glob("*.tar"))[1]
    second.write_bytes(second.read_bytes()[:-1] + b"!")
    with caplog.at_level(logging.WARNING, "manyhot"):
        pack(data, out, SETTINGS)
    assert caplog.messages == [f"warning: {second}: is damaged or missing; packing again from {second.name} on"]


@pytest.mark.parametrize("is_broken", [False, True])
@pytest.mark.parametrize("place", [0, -1])
def test_a_part_that_is_done_is_packed_again_where_a_record_is_lost(data, tmp_path, caplog, place, is_broken) -> None:
    out, parts = tmp_path / "pack", [Part(number=number, total=2) for number in (1, 2)]
    pack(data, out, SETTINGS, part=parts[0])
    record = sorted(out.rglob("record-*.npz"))[place]
    lose(record, is_broken=is_broken)
    with caplog.at_level(logging.WARNING, "manyhot"):
        for part in parts:
            pack(data, out, SETTINGS, part=part)
            pack(data, tmp_path / "new", SETTINGS, part=part)
    (line,) = caplog.messages
    assert line.startswith(f"warning: {record}: is damaged or missing; packing again from shard-01-of-02-")
    assert content_of(out) == content_of(tmp_path / "new")


@pytest.mark.parametrize("is_broken", [False, True])
def test_parts_whose_records_and_labels_differ_are_not_merged(data, tmp_path, is_broken: bool) -> None:
    out, parts = tmp_path / "pack", [Part(number=number, total=2) for number in (1, 2)]
    pack(data, out, SETTINGS, part=parts[0])
    record = max(out.rglob("record-*.npz"))
    lose(record, is_broken=is_broken)
    told = (
        rf"1-of-2: has records of \d samples and labels of 8: {record.name} is damaged or missing; pack this part again"
    )
    with pytest.raises(SourceError, match=told):
        pack(data, out, SETTINGS, part=parts[1])
    assert not is_finished(out)
    for part in parts:
        pack(data, out, SETTINGS, part=part)
        pack(data, tmp_path / "new", SETTINGS, part=part)
    assert content_of(out) == content_of(tmp_path / "new")


@pytest.mark.parametrize("is_done", [False, True])
def test_comparing_is_told_and_counted(data, tmp_path, stop, caplog, monkeypatch, is_done: bool) -> None:
    out, part = tmp_path / "pack", Part(number=1, total=2)
    if is_done:
        pack(data, out, SETTINGS, part=part)
    else:
        stop(14, data, out)
        part = Part()
    counts: list[tuple[str, int, int]] = []

    class Bar(tqdm):
        def __init__(self, **options: object) -> None:
            super().__init__(**options | {"disable": False, "file": io.StringIO()})

        def close(self) -> None:
            counts.append((self.desc, self.n, self.total))
            super().close()

    monkeypatch.setattr(packing, "tqdm", Bar)
    with caplog.at_level(logging.INFO, "manyhot"):
        pack(data, out, SETTINGS, part=part)
    desc, count, total = counts[0]
    assert desc == "comparing"
    assert 0 < count == total <= COUNT
    assert f"{out}: comparing the " in caplog.text


def test_a_refused_picture_that_was_mended_after_a_stop_is_packed(data, tmp_path, stop) -> None:
    out, skip = tmp_path / "pack", BadPictures(policy="skip", max_percent=50)
    good = (data / "1.jpg").read_bytes()
    (data / "1.jpg").write_bytes(b"<html>")
    stop(12, data, out, skip)
    (data / "1.jpg").write_bytes(good)
    assert pack(data, out, SETTINGS, bad=skip).num_refused == 0
    pack(data, tmp_path / "new", SETTINGS)
    assert content_of(out) == content_of(tmp_path / "new")


def test_a_part_that_is_done_is_packed_again_where_its_pictures_changed(data: Path, tmp_path: Path) -> None:
    out, parts = tmp_path / "pack", [Part(number=number, total=2) for number in (1, 2)]
    pack(data, out, SETTINGS, part=parts[0])
    change(data / "3.jpg")
    for part in parts:
        pack(data, out, SETTINGS, part=part)
        pack(data, tmp_path / "new", SETTINGS, part=part)
    assert content_of(out) == content_of(tmp_path / "new")


def test_pictures_inside_of_a_changed_tar_are_found_by_their_bytes(data, tmp_path, stop, caplog) -> None:
    def write_tar() -> None:
        with tarfile.open(tmp_path / "data.tar", "w") as shard:
            for row in range(COUNT):
                shard.add(data / f"{row}.jpg", f"{row:02d}.jpg")
                (tmp_path / "label.cls").write_text("0")
                shard.add(tmp_path / "label.cls", f"{row:02d}.cls")

    write_tar()
    stop(14, tmp_path / "data.tar", tmp_path / "pack")
    change(data / "1.jpg")
    write_tar()
    with caplog.at_level(logging.WARNING, "manyhot"):
        pack(tmp_path / "data.tar", tmp_path / "pack", SETTINGS)
    assert "has changed since it was packed; packing again from shard-00000.tar on" in caplog.text
    pack(tmp_path / "data.tar", tmp_path / "new", SETTINGS)
    assert content_of(tmp_path / "pack") == content_of(tmp_path / "new")
