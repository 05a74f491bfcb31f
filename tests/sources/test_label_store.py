"""A label store is data like any other: opened, checked, converted and put together."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from manyhot.cli.main import main
from manyhot.errors import SourceError, StoreError
from manyhot.labels.building import concatenate_stores
from manyhot.labels.storage import open_store
from manyhot.runs.checking import check_data
from manyhot.runs.converting import convert
from manyhot.sources import SourceOptions, open_source, read_source

LABELS = {"a.png": ["cat", "dog"], "b.png": [], "c.png": ["ant"], "d.png": ["cat"]}


def write_pictures(folder: Path, labels: dict[str, list[str]]) -> Path:
    (folder / "images").mkdir(parents=True)
    for number, name in enumerate(labels):
        Image.fromarray(np.full((8, 8, 3), 10 * number, dtype=np.uint8)).save(folder / "images" / name)
    (folder / "labels.json").write_text(json.dumps(labels))
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_pictures(tmp_path / "photos", LABELS)


@pytest.fixture
def store(photos: Path, tmp_path: Path) -> Path:
    convert([photos], tmp_path / "store")
    return tmp_path / "store"


def test_a_store_is_the_data_that_it_was_made_from(photos: Path, store: Path):
    read, stored = open_source(photos), open_source(store)
    assert stored.references() == read.references()
    assert stored.labels.to_multi_hot().tolist() == read.labels.to_multi_hot().tolist()
    assert [stored.path_of(row).resolve() for row in range(4)] == [read.path_of(row).resolve() for row in range(4)]
    assert stored.fingerprint == read.fingerprint
    assert stored.has_pictures


def test_checking_a_sound_store_finds_no_error(store: Path):
    assert not check_data(store).has_errors


def test_checking_finds_a_flipped_byte_and_counts_nothing(store: Path):
    content = bytearray((store / "ids.npy").read_bytes())
    content[-1] ^= 64
    (store / "ids.npy").write_bytes(content)
    report = check_data(store)
    assert [(finding.name, finding.severity) for finding in report.findings] == [("damaged-store", "error")]
    assert "ids.npy: was changed or damaged" in report.findings[0].message


def leave_the_file(store: Path) -> None:
    """Let the second reference end far behind the end of `samples.arrow`."""
    path = store / "samples.arrow"
    content = path.read_bytes()
    offsets = np.arange(0, 25, 5, dtype="<i4")
    assert content.count(offsets.tobytes()) == 1
    offsets[2] ^= 1 << 30
    path.write_bytes(content.replace(np.arange(0, 25, 5, dtype="<i4").tobytes(), offsets.tobytes()))


def test_references_that_lie_outside_of_the_file_are_an_error_and_never_read(store: Path, tmp_path: Path):
    leave_the_file(store)
    with pytest.raises(SourceError, match=r"samples\.arrow: is damaged .*; copy the store again"):
        open_source(store)
    with pytest.raises(StoreError, match=r"samples\.arrow: is damaged"):
        concatenate_stores(tmp_path / "both", [store, store])
    assert not (tmp_path / "both").exists()
    with pytest.raises(StoreError, match=r"samples\.arrow: is damaged"):
        next(open_store(store).blocks())


def test_what_is_left_of_a_store_is_named_and_not_read_as_pictures(store: Path):
    (store / "manifest.json").unlink()
    with pytest.raises(SourceError, match=r"manifest\.json: is missing.*convert its data again"):
        open_source(store)


def test_lost_pictures_are_an_error_until_their_folder_is_named(photos: Path, store: Path):
    (photos / "images").rename(photos / "elsewhere")
    reading = read_source(store)
    assert [finding.name for finding in reading.errors] == ["no-image-folder"]
    assert "--data.images FOLDER" in reading.errors[0].message
    manifest = open_source(store, SourceOptions(images=photos / "elsewhere"))
    assert manifest.path_of(0).is_file()


def test_labels_of_several_data_are_matched_by_name(photos: Path, tmp_path: Path):
    other = write_pictures(tmp_path / "more", {"e.png": ["zebra"], "f.png": ["cat", "zebra"]})
    done = convert([photos, other], tmp_path / "both")
    names = done.store.labels.space.names
    assert names == ("ant", "cat", "dog", "zebra")
    states = done.store.labels.to_multi_hot()
    assert np.isnan(states[:4, names.index("zebra")]).all()
    assert np.isnan(states[4:, names.index("dog")]).all()
    assert states[5].tolist()[1::2] == [1, 1]
    manifest = open_source(tmp_path / "both")
    assert all(manifest.path_of(row).is_file() for row in range(6))
    assert {source.name for source in manifest.labels.sources} == {"photos", "more"}


def test_data_of_one_name_are_told_apart_by_the_folders_before_it(tmp_path: Path):
    data = [
        write_pictures(tmp_path / "a" / "train", {"a.png": ["cat"]}),
        write_pictures(tmp_path / "b" / "train", {"b.png": ["dog"]}),
    ]
    done = convert([*data, data[0]], tmp_path / "both")
    names = [source.name for source in done.store.labels.sources]
    assert names == ["a/train", "b/train", "a/train (2)"]


def test_a_store_converts_to_itself(store: Path, tmp_path: Path):
    before = open_source(store).fingerprint
    convert([store], store, overwrite=True)
    assert open_source(store).fingerprint == before


def test_command_writes_a_store_and_says_what_is_next(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "made"
    assert main(["convert", str(photos), "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "samples  4" in shown
    assert f"manyhot train {out}" in shown
    assert open_store(out).num_samples == 4


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["photos"], 2, "convert needs --out STORE"),
        (["--out", "made"], 2, "DATA"),
        (["photos", "--out", "made", "--overwite"], 2, "did you mean '--overwrite'?"),
        (["phots", "--out", "made"], 1, "did you mean 'photos'?"),
        (["photos", "--out", "photos"], 1, "something else than a label store"),
        (["photos", "--out", "absent/made"], 1, "there is no such folder to write the store into"),
        (["photos", "--out", "made", "--optimiser.lr", "1"], 2, "convert takes --data.FIELD alone"),
    ],
)
def test_command_fails_in_one_line(
    photos: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    message: str,
):
    monkeypatch.chdir(photos.parent)
    assert main(["convert", *arguments]) == code
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1 or error.splitlines()[-1].startswith("manyhot: error")
    assert sorted(path.name for path in photos.parent.iterdir()) == ["photos"]


def test_command_does_not_replace_a_store_unasked(photos: Path, store: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["convert", str(photos), "--out", str(store)]) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert main(["convert", str(photos), "--out", str(store), "--overwrite"]) == 0
