"""Packs hold the same samples as their data, byte for byte the same however often the packing was stopped."""

import errno
import io
import json
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from manyhot.data.folder_lock import lock_folder
from manyhot.data.pack_work import PackWork, Part, find_works
from manyhot.data.shards import ShardWriter
from manyhot.errors import SourceError, UsageError
from manyhot.labels import LabelSets, LabelSource, LabelSpace
from manyhot.labels.building import write_store
from manyhot.labels.csr import Csr
from manyhot.labels.storage import StoreBatch
from manyhot.runs import merging
from manyhot.runs.merging import merge_parts
from manyhot.runs.packing import BadPictures, pack
from manyhot.sources import SourceOptions, open_pictures, open_source, read_source
from manyhot.sources.pack_files import PackSettings
from manyhot.sources.packs import PackedImages, check_pack

NUM_SAMPLES = 23
SMALL = PackSettings(short_side=16, shard_bytes=12_000)
SKIP = BadPictures(policy="skip", max_percent=50)


def write_picture(path: Path, seed: int, kind: str = "JPEG") -> None:
    generator = np.random.default_rng(seed)
    height, width = generator.integers(12, 60, 2)
    pixels = generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, kind)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    rows = ["image,labels,split,group"]
    for row in range(NUM_SAMPLES):
        write_picture(folder / f"{row} ü.b.jpg", row, "PNG" if row % 5 == 0 else "JPEG")
        rows.append(f"{row} ü.b.jpg,{'|'.join(['cat', 'sea fish'][: row % 3])},{'train' if row % 4 else 'val'},g{row}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def content_of(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(bytes(content))


def test_a_pack_without_a_size_holds_every_file_to_the_byte(data: Path, tmp_path: Path) -> None:
    done = pack(data, tmp_path / "pack", PackSettings(shard_bytes=20_000))
    assert (done.num_samples, done.num_refused, done.is_whole) == (NUM_SAMPLES, 0, True)
    assert done.num_shards > 2
    plain, packed = open_source(data), open_source(tmp_path / "pack")
    assert packed.fingerprint == plain.fingerprint
    assert all(packed.pictures.read(row) == plain.pictures.read(row) for row in range(NUM_SAMPLES))
    assert all(path.stat().st_size <= 20_000 for path in (tmp_path / "pack").glob("*.tar"))
    assert check_pack(tmp_path / "pack") == ()


def test_larger_pictures_get_the_short_side_and_smaller_ones_stay_as_they_are(data: Path, tmp_path: Path) -> None:
    pack(data, tmp_path / "pack", SMALL)
    plain, packed = open_source(data), open_source(tmp_path / "pack")
    for row in range(NUM_SAMPLES):
        before, after = plain.pictures.read(row), packed.pictures.read(row)
        old, new = Image.open(io.BytesIO(before)).size, Image.open(io.BytesIO(after)).size
        assert min(new) == min(16, *old)
        assert (before == after) == (min(old) <= 16)
        assert abs(new[0] / new[1] - old[0] / old[1]) < 0.1


def test_shards_are_ordinary_tars_that_say_all_three_states(data: Path, tmp_path: Path) -> None:
    space = LabelSpace(names=("cat", "dog", "N/A"))
    sets = LabelSets(
        space=space,
        positives=Csr.from_lists([[0], [], [1, 2]]),
        exceptions=Csr.from_lists([[1], [2], []]),
        sources=(LabelSource(name="a"), LabelSource(name="b", unlisted="unknown")),
        source_ids=np.array([0, 1, 1], dtype=np.uint16),
    )
    samples = open_source(data).samples.slice(0, 3)
    write_store(tmp_path / "store", space, [StoreBatch(labels=sets, samples=samples)], images=data)
    pack(tmp_path / "store", tmp_path / "pack")
    assert open_source(tmp_path / "pack").fingerprint == open_source(tmp_path / "store").fingerprint
    with tarfile.open(tmp_path / "pack" / "shard-00000.tar") as shard:
        assert shard.getnames()[:3] == ["000000000.png", "000000000.json", "000000001.jpg"]
        texts = [json.load(shard.extractfile(f"00000000{row}.json")) for row in range(3)]
    first = {"reference": "0 ü.b.jpg", "labels": ["cat"], "unknown": ["dog"], "split": "val", "group": "g0"}
    assert texts[0] == first
    assert {name: texts[1][name] for name in ("labels", "negative")} == {"labels": [], "negative": ["N/A"]}
    assert {name: texts[2][name] for name in ("labels", "negative")} == {"labels": ["dog", "N/A"], "negative": []}


def test_shards_alone_are_read_as_the_web_data_set_that_they_are(data: Path, tmp_path: Path) -> None:
    pack(data, tmp_path / "pack", SMALL)
    (tmp_path / "tars").mkdir()
    for path in (tmp_path / "pack").glob("*.tar"):
        shutil.copy(path, tmp_path / "tars")
    alone, packed = open_source(tmp_path / "tars"), open_source(tmp_path / "pack")
    assert alone.labels.space.names == packed.labels.space.names
    assert np.array_equal(alone.labels.to_multi_hot(), packed.labels.to_multi_hot())
    assert all(alone.pictures.read(row) == packed.pictures.read(row) for row in range(NUM_SAMPLES))


@pytest.mark.parametrize(
    ("listed", "unlisted", "expected"),
    [("unknown", "negative", [1, 0, np.nan]), ("negative", "unknown", [1, np.nan, 0])],
)
def test_unknown_cells_of_a_shard_alone_are_never_taken_for_negatives(tmp_path, listed, unlisted, expected) -> None:
    (tmp_path / "classes.txt").write_text("cat\ndog\nsea\n")
    with tarfile.open(tmp_path / "s.tar", "w") as shard:
        for name, content in (("0.jpg", b"x"), ("0.json", json.dumps({"labels": ["cat"], listed: ["sea"]}).encode())):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            shard.addfile(info, io.BytesIO(content))
    manifest = open_source(tmp_path, SourceOptions(unlisted=unlisted))
    np.testing.assert_array_equal(manifest.labels.to_multi_hot(), [expected])
    other = "unknown" if unlisted == "negative" else "negative"
    assert [error.name for error in read_source(tmp_path, SourceOptions(unlisted=other)).errors] == ["unlisted-state"]


@pytest.mark.parametrize("settings", [SMALL, PackSettings(shard_bytes=20_000)])
def test_bytes_depend_on_no_thread(data: Path, tmp_path: Path, settings: PackSettings) -> None:
    for workers in (1, 3):
        pack(data, tmp_path / str(workers), settings, workers=workers)
    assert content_of(tmp_path / "1") == content_of(tmp_path / "3")


def fail_after(count: int, error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    append, left = ShardWriter.append, [count]

    def failing(self, *arguments):
        if not left[0]:
            raise error
        left[0] -= 1
        append(self, *arguments)

    monkeypatch.setattr(ShardWriter, "append", failing)


@pytest.mark.parametrize("count", [0, 1, 9, 22])
def test_after_a_full_disk_the_same_command_goes_on_to_the_same_bytes(data, tmp_path, monkeypatch, count) -> None:
    pack(data, tmp_path / "whole", SMALL)
    with monkeypatch.context() as patch:
        fail_after(count, OSError(errno.ENOSPC, "No space left on device"), patch)
        with pytest.raises(SourceError, match=r"No space left on device; \d+ shards are whole") as raised:
            pack(data, tmp_path / "pack", SMALL)
        assert "\n" not in str(raised.value)
    assert not list((tmp_path / "pack").rglob(".manyhot-*"))
    pack(data, tmp_path / "pack", SMALL)
    assert content_of(tmp_path / "pack") == content_of(tmp_path / "whole")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit for the size of files")
@pytest.mark.parametrize("size_bytes", [0, 100, 3_000, 9_000])
def test_a_file_that_cannot_grow_is_told_in_one_line_and_leaves_nothing_behind(data, tmp_path, size_bytes: int) -> None:
    import resource

    pack(data, tmp_path / "whole", SMALL)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        # Unlike an error that is raised by a test's own function, this one comes back when a file is closed.
        resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
        with pytest.raises(
            SourceError, match=r"pack: cannot be written: File too large; \d shards? (is|are) whole"
        ) as raised:
            pack(data, tmp_path / "pack", SMALL)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(raised.value)
    assert not list((tmp_path / "pack").rglob(".manyhot-*"))
    pack(data, tmp_path / "pack", SMALL)
    assert content_of(tmp_path / "pack") == content_of(tmp_path / "whole")


def test_whole_shards_are_kept_and_damaged_ones_packed_again(data: Path, tmp_path: Path, monkeypatch) -> None:
    pack(data, tmp_path / "whole", SMALL)
    with monkeypatch.context() as patch:
        fail_after(20, OSError(errno.ENOSPC, "full"), patch)
        with pytest.raises(SourceError, match="full"):
            pack(data, tmp_path / "pack", SMALL)
    first, second = sorted((tmp_path / "pack").glob("*.tar"))[:2]
    flip(second, 700)
    written = first.stat().st_mtime_ns
    pack(data, tmp_path / "pack", SMALL)
    assert first.stat().st_mtime_ns == written
    assert content_of(tmp_path / "pack") == content_of(tmp_path / "whole")


@pytest.mark.slow
def test_after_kill_9_at_any_point_the_same_command_goes_on_to_the_same_bytes(data: Path, tmp_path: Path) -> None:
    pack(data, tmp_path / "whole", SMALL)
    out = tmp_path / "pack"
    script = f"""if True:
        import sys, time
        from pathlib import Path
        from manyhot.data.shards import ShardWriter
        from manyhot.runs.packing import pack
        from manyhot.sources.pack_files import PackSettings
        write = ShardWriter._write
        ShardWriter._write = lambda self, content: (time.sleep(0.004), write(self, content))[1]
        print("ready", flush=True)
        pack(Path({str(data)!r}), Path({str(out)!r}), PackSettings(short_side=16, shard_bytes=12_000))
    """
    generator = np.random.default_rng(0)
    kills = 0
    while not (out / "manifest.json").exists() and kills < 12:
        process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(generator.uniform(0.05, 1.0))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kills += 1
        # What has a shard's name is whole, whenever the kill came.
        for path in out.glob("*.tar") if out.exists() else ():
            assert path.read_bytes() == (tmp_path / "whole" / path.name).read_bytes()
    pack(data, out, SMALL)
    assert content_of(out) == content_of(tmp_path / "whole")


def test_parts_make_the_same_samples_as_the_whole(data: Path, tmp_path: Path) -> None:
    pack(data, tmp_path / "whole", SMALL)
    for number in (2, 1, 3):
        done = pack(data, tmp_path / "pack", SMALL, part=Part(number=number, total=3))
        assert done.is_whole == (number == 3)
    whole, parts = PackedImages.open(tmp_path / "whole"), PackedImages.open(tmp_path / "pack")
    assert parts.keys == whole.keys
    assert [parts.read(row) for row in range(NUM_SAMPLES)] == [whole.read(row) for row in range(NUM_SAMPLES)]
    assert open_source(tmp_path / "pack").fingerprint == open_source(data).fingerprint
    assert check_pack(tmp_path / "pack") == ()
    assert find_works(tmp_path / "pack") == []


def test_parts_that_were_copied_into_one_folder_are_merged_and_missing_ones_named(data: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        pack(data, tmp_path / str(number), SMALL, part=Part(number=number, total=2))
    with pytest.raises(UsageError, match="the parts 2/2 are missing"):
        merge_parts(tmp_path / "1")
    shutil.copytree(tmp_path / "2", tmp_path / "1", dirs_exist_ok=True)
    assert merge_parts(tmp_path / "1").num_samples == NUM_SAMPLES
    assert open_source(tmp_path / "1").fingerprint == open_source(data).fingerprint
    shutil.copytree(tmp_path / "2", tmp_path / "other")
    pack(data, tmp_path / "3", PackSettings(short_side=8), part=Part(number=1, total=2))
    shutil.copytree(tmp_path / "3", tmp_path / "other", dirs_exist_ok=True)
    with pytest.raises(UsageError, match="are parts of different packs"):
        merge_parts(tmp_path / "other")


def test_an_unfinished_pack_is_no_data(data: Path, tmp_path: Path) -> None:
    pack(data, tmp_path / "pack", SMALL, part=Part(number=1, total=2))
    (error,) = read_source(tmp_path / "pack").errors
    assert "is missing, so this is no pack, or not a finished one" in error.message


def test_a_merge_that_was_killed_is_done_again(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack(data, tmp_path / "whole", SMALL)

    def killed(*arguments: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(merging, "write_pack_manifest", killed)
        with pytest.raises(SystemExit):
            pack(data, tmp_path / "pack", SMALL)
    with monkeypatch.context() as patch:
        patch.setattr(PackWork, "remove", killed)
        with pytest.raises(SystemExit):
            pack(data, tmp_path / "pack", SMALL)
    pack(data, tmp_path / "pack", SMALL)
    assert content_of(tmp_path / "pack") == content_of(tmp_path / "whole")


def test_what_a_killed_merge_left_half_done_is_cleared_away(data: Path, tmp_path: Path, monkeypatch) -> None:
    pack(data, tmp_path / "whole", SMALL)
    out = tmp_path / "pack"
    with monkeypatch.context() as patch:
        patch.setattr(merging, "_merge", lambda *_: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            pack(data, out, SMALL)
    # The names that `manyhot.files` gives to what is not whole yet.
    (out / ".manyhot-0123.npy").write_bytes(b"half")
    shutil.copytree(tmp_path / "whole" / "labels", out / ".manyhot-4567")
    pack(data, out, SMALL)
    assert content_of(out) == content_of(tmp_path / "whole")


def test_a_bad_picture_stops_the_packing_until_it_is_mended(data: Path, tmp_path: Path) -> None:
    pack(data, tmp_path / "whole", SMALL)
    bad = data / "11 ü.b.jpg"
    good = bad.read_bytes()
    bad.write_bytes(good[:-40])
    with pytest.raises(SourceError, match=r"11 ü\.b\.jpg: .*--bad skip"):
        pack(data, tmp_path / "pack", SMALL)
    bad.write_bytes(good)
    pack(data, tmp_path / "pack", SMALL)
    assert content_of(tmp_path / "pack") == content_of(tmp_path / "whole")


@pytest.mark.parametrize("rows", [[0], [22], [5, 6, 7], [21, 22]])
def test_bad_pictures_are_left_out_and_listed_if_asked_for(data: Path, tmp_path: Path, rows: list[int]) -> None:
    for row in rows:
        (data / f"{row} ü.b.jpg").write_bytes(b"<html>")
    done = pack(data, tmp_path / "pack", SMALL, bad=SKIP)
    assert (done.num_samples, done.num_refused) == (NUM_SAMPLES - len(rows), len(rows))
    kept = [row for row in range(NUM_SAMPLES) if row not in rows]
    assert open_source(tmp_path / "pack").fingerprint == open_source(data).take(kept).fingerprint
    listed = (tmp_path / "pack" / "refused.csv").read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[:2] for line in listed[1:]] == [[str(row), f"{row} ü.b.jpg"] for row in rows]
    assert all("is an HTML page" in line for line in listed[1:])


def test_too_many_bad_pictures_stop_the_packing(data: Path, tmp_path: Path) -> None:
    for row in (3, 4):
        (data / f"{row} ü.b.jpg").write_bytes(b"")
    with pytest.raises(SourceError, match="2 of 23 pictures cannot be decoded, more than --max-bad 5 percent"):
        pack(data, tmp_path / "pack", SMALL, bad=BadPictures(policy="skip", max_percent=5))


def test_data_of_bad_pictures_alone_make_no_pack(data: Path, tmp_path: Path) -> None:
    for path in data.glob("*.jpg"):
        path.write_bytes(b"")
    with pytest.raises(SourceError, match="none of the pictures could be decoded"):
        pack(data, tmp_path / "pack", SMALL, bad=BadPictures(policy="skip", max_percent=100))


def test_other_settings_other_data_and_foreign_files_are_refused(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "pack"
    pack(data, out, SMALL, part=Part(number=1, total=2))
    with pytest.raises(UsageError, match="was begun with short side 16, quality 90"):
        pack(data, out, PackSettings(short_side=8), part=Part(number=1, total=2))
    with pytest.raises(UsageError, match="was begun with 2 parts"):
        pack(data, out, SMALL, part=Part(number=1, total=3))
    pack(data, out, SMALL, part=Part(number=2, total=2))
    (data / "labels.csv").write_text("image,labels\n" + "".join(f"{row} ü.b.jpg,cat\n" for row in range(9)))
    with pytest.raises(UsageError, match="is a finished pack of other data"):
        pack(data, out, SMALL)
    with pytest.raises(UsageError, match=r"holds .* and is no pack; name a new folder"):
        pack(data, data)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        pack(data, tmp_path / "file")


def test_a_finished_pack_is_left_as_it_is(data: Path, tmp_path: Path) -> None:
    pack(data, tmp_path / "pack", SMALL)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "pack").rglob("*")}
    assert pack(data, tmp_path / "pack", SMALL).num_samples == NUM_SAMPLES
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "pack").rglob("*")} == before


def test_of_two_packers_in_one_folder_one_is_refused(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "pack"
    pack(data, out, SMALL, part=Part(number=1, total=2))
    work = find_works(out)[0]
    assert isinstance(work, PackWork)
    with lock_folder(work.folder, "a test"), pytest.raises(UsageError, match="another manyhot pack is at work there"):
        pack(data, out, SMALL, part=Part(number=1, total=2))


def test_a_picture_that_strayed_into_a_pack_changes_nothing_that_is_predicted(data: Path, tmp_path: Path) -> None:
    pack(data, tmp_path / "pack")
    write_picture(tmp_path / "pack" / "stray.jpg", 1)
    assert len(open_pictures([tmp_path / "pack"])) == NUM_SAMPLES


def test_a_pack_is_packed_again_like_any_data(data: Path, tmp_path: Path) -> None:
    pack(data, tmp_path / "large", PackSettings(shard_bytes=20_000))
    pack(tmp_path / "large", tmp_path / "small", SMALL)
    pack(data, tmp_path / "direct", SMALL)
    again, direct = PackedImages.open(tmp_path / "small"), PackedImages.open(tmp_path / "direct")
    assert [again.read(row) for row in range(NUM_SAMPLES)] == [direct.read(row) for row in range(NUM_SAMPLES)]


def test_check_names_the_damaged_sample(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "pack"
    pack(data, out, SMALL)
    pictures = PackedImages.open(out).pictures
    row = 13
    shard = out / pictures.shards[int(pictures.shard_ids[row])]
    flip(shard, int(pictures.offsets[row]) + pictures.size_of(row) - 1)
    (finding,) = check_pack(out)
    assert (finding.name, finding.examples) == ("damaged-pack", ("'13 ü.b.jpg'",))
    flip(shard, int(pictures.offsets[row]) + pictures.size_of(row) - 1)
    flip(shard, int(pictures.offsets[row]) - 500)
    (finding,) = check_pack(out)
    assert "none of its pictures was" in finding.message


@pytest.mark.parametrize("name", ["offsets.npy", "lengths.npy", "shard_ids.npy", "checksums.npy", "labels/ids.npy"])
def test_check_names_the_damaged_file(data: Path, tmp_path: Path, name: str) -> None:
    pack(data, tmp_path / "pack", SMALL)
    flip(tmp_path / "pack" / name, 129)
    assert any(name.rpartition("/")[2] in finding.message for finding in check_pack(tmp_path / "pack"))


@pytest.mark.parametrize(
    "name", ["manifest.json", "offsets.npy", "shard-00000.tar", "labels/space.json", "refused.csv"]
)
def test_a_pack_that_lacks_a_file_or_its_end_is_refused_in_one_line(data: Path, tmp_path: Path, name: str) -> None:
    pack(data, tmp_path / "pack", SMALL)
    path = tmp_path / "pack" / name
    content = path.read_bytes()
    for damaged in (None, content[:-5]):
        path.unlink() if damaged is None else path.write_bytes(damaged)
        errors = read_source(tmp_path / "pack").errors
        assert [error.name for error in errors] == ["damaged-pack"]
        assert name.rpartition("/")[2] in errors[0].line
        assert "\n" not in errors[0].line
