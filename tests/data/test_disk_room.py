"""Room on disk: what is put there stays as it was, and nothing is left behind."""

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from manyhot.data import disk_room
from manyhot.data.disk_room import DiskRoom


def test_copies_stay_as_they_were_put_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_room, "SEGMENT_BYTES", 10_000)
    generator, room = np.random.default_rng(0), DiskRoom(tmp_path)
    # Empty, odd, as large as a segment, larger than one, and not contiguous.
    shapes = [(0, 4, 3), (1,), (7, 11, 3), (4096,), (10_000,), (123, 321, 3)] * 3
    arrays = [generator.integers(0, 256, shape, dtype=np.uint8) for shape in shapes]
    arrays.append(arrays[2].transpose(1, 0, 2)[::2])
    kept = [room.put(array) for array in arrays]
    for array, copy in zip(arrays, kept, strict=True):
        assert np.array_equal(array, copy)
        assert not copy.flags.writeable


@pytest.mark.parametrize("reserves", [True, False])
def test_copies_without_the_systems_way_to_take_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reserves: bool
) -> None:
    monkeypatch.setattr(disk_room, "SEGMENT_BYTES", 3 << 20)
    if not reserves:
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
    room = DiskRoom(tmp_path)
    kept = [room.put(np.full(1 << 20, number, dtype=np.uint8)) for number in range(5)]
    assert [int(copy.max()) for copy in kept] == [int(copy.min()) for copy in kept] == list(range(5))


def test_room_for_others_stays_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    free = disk_room.reserve_bytes(tmp_path) + disk_room.SEGMENT_BYTES
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=free - 1))
    with pytest.raises(OSError, match="No space left"):
        DiskRoom(tmp_path).put(np.zeros(1, dtype=np.uint8))
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=free))
    assert DiskRoom(tmp_path).put(np.zeros(1, dtype=np.uint8)).tolist() == [0]


def test_threads_share_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_room, "SEGMENT_BYTES", 4096)
    room, wrong = DiskRoom(tmp_path), []

    def fill(number: int) -> None:
        copies = [room.put(np.full(1 + step * 37 % 1000, number, dtype=np.uint8)) for step in range(200)]
        wrong.extend(copy for copy in copies if not (copy == number).all())

    threads = [threading.Thread(target=fill, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.skipif(os.name == "nt", reason="Windows shows the file until it is closed")
def test_nothing_is_left_behind_and_nothing_written_before_it_is_needed(tmp_path: Path) -> None:
    room = DiskRoom(tmp_path / "later")
    (tmp_path / "later").mkdir()
    copy = room.put(np.arange(9, dtype=np.uint8))
    assert list((tmp_path / "later").iterdir()) == []
    del room
    assert copy.tolist() == list(range(9))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limit")
def test_a_full_disk_is_an_error_and_no_crash(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
import numpy as np
from manyhot.data import disk_room
disk_room.SEGMENT_BYTES, disk_room.RESERVE_BYTES, disk_room.RESERVE_SHARE = 1 << 20, 0, 0
room = disk_room.DiskRoom(Path(sys.argv[1]))
kept = []
try:
    while True:
        kept.append(room.put(np.full(300_000, len(kept), dtype=np.uint8)))
except OSError as error:
    print(len(kept), error.strerror, all((copy == number).all() for number, copy in enumerate(kept)))
"""

    def limit() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 20, 4 << 20))

    run = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, preexec_fn=limit, check=True
    )
    assert run.stdout == "12 File too large True\n"
