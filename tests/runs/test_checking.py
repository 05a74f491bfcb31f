"""One check names everything that is wrong, and an error is what stops a training."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from manyhot.config import DataConfig, Recipe, SplitConfig
from manyhot.errors import RunError
from manyhot.recipes import save_recipe
from manyhot.runs import checking, splits
from manyhot.runs.checking import check_data, check_run
from manyhot.runs.converting import convert
from manyhot.runs.splits import decide_splits, save_splits
from manyhot.sources import open_source


def write_image(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (17, 41, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for index in range(6):
        write_image(tmp_path / "images" / f"{index}.jpg", index)
    return tmp_path


def write_rows(folder: Path, rows: list[str]) -> None:
    (folder / "labels.csv").write_text("image,labels\n" + "".join(f"{row}\n" for row in rows))


def names(findings) -> set[str]:
    return {finding.name for finding in findings}


def test_sound_data_have_no_errors(folder: Path) -> None:
    write_rows(folder, [f"{index}.jpg,{'cat' if index % 2 else 'dog'}" for index in range(6)])
    report = check_data(folder)
    assert not report.has_errors
    assert report.facts is not None
    assert (report.facts.num_samples, report.facts.num_labels) == (6, 2)


def test_a_truncated_picture_a_duplicate_row_and_a_missing_file_are_all_named(folder: Path) -> None:
    damaged = folder / "images" / "3.jpg"
    damaged.write_bytes(damaged.read_bytes()[:-400])
    rows = [f"{index}.jpg,{'cat' if index % 2 else 'dog'}" for index in range(6)]
    write_rows(folder, [*rows, "2.jpg,dog", "gone.jpg,cat"])
    report = check_data(folder)
    assert report.has_errors
    assert {"unreadable-image", "duplicate-row", "missing-file"} <= names(report.findings)
    shown = " ".join(finding.line for finding in report.findings)
    assert all(name in shown for name in ("3.jpg", "2.jpg", "gone.jpg"))


def test_a_constant_label_is_a_warning(folder: Path) -> None:
    write_rows(folder, [f"{index}.jpg,white{'|cat' if index % 2 else ''}" for index in range(6)])
    report = check_data(folder)
    assert not report.has_errors
    assert any(finding.name == "constant-label" and "white" in finding.line for finding in report.findings)


def test_data_are_read_as_told(folder: Path) -> None:
    rows = [{"file": f"{index}.jpg", "tags": "a;b"} for index in range(6)]
    (folder / "list.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = DataConfig(reference_column="file", label_column="tags", delimiter=";")
    report = check_data(folder / "list.jsonl", config)
    assert report.facts is not None
    assert report.facts.num_labels == 2


def test_data_that_are_not_there_are_an_error(tmp_path: Path) -> None:
    report = check_data(tmp_path / "nowhere")
    assert report.has_errors
    assert report.facts is None


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError):
        check_run(tmp_path)


@pytest.fixture
def run(folder: Path) -> Path:
    """A run that was interrupted: its recipe and its splits alone."""
    write_rows(folder, [f"{index}.jpg,{'cat' if index % 2 else 'dog'}" for index in range(6)])
    run = folder / "run"
    run.mkdir()
    recipe = Recipe(data=DataConfig(path=str(folder / "labels.csv")))
    save_recipe(recipe, run / "recipe.toml")
    manifest = open_source(folder / "labels.csv")
    save_splits(decide_splits(manifest, SplitConfig(), seed=0), manifest, run)
    return run


def test_pictures_that_changed_since_the_run_are_counted_and_the_first_named(folder: Path, run: Path) -> None:
    assert "changed-data" not in names(check_run(run).findings)
    for index in (2, 4):
        path = folder / "images" / f"{index}.jpg"
        path.write_bytes(path.read_bytes() + b"more")
    (changed,) = (finding for finding in check_run(run).findings if finding.name == "changed-data")
    assert (changed.severity, changed.count) == ("error", 2)
    assert "2 pictures have changed since the run, the first is '2.jpg'" in changed.message


def test_changed_labels_are_an_error_of_the_run(folder: Path, run: Path) -> None:
    write_rows(folder, [f"{index}.jpg,dog" for index in range(6)])
    (changed,) = (finding for finding in check_run(run).findings if finding.name == "changed-data")
    assert "its splits no longer fit" in changed.message


def test_the_data_and_the_splits_of_a_run_are_read_once(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read, load = checking.read_source, splits.load_splits
    calls: list[str] = []
    monkeypatch.setattr(checking, "read_source", lambda path, options: calls.append("data") or read(path, options))
    monkeypatch.setattr(splits, "load_splits", lambda folder: calls.append("splits") or load(folder))
    check_run(run)
    assert sorted(calls) == ["data", "splits"]


def test_a_label_store_is_checked_with_its_pictures(folder: Path) -> None:
    write_rows(folder, [f"{index}.jpg,{'cat' if index % 2 else 'dog'}" for index in range(6)])
    store = folder / "labels.store"
    convert([folder], store)
    assert not check_data(store).has_errors
    (folder / "images" / "2.jpg").unlink()
    write_image(folder / "images" / "new.jpg", 7)
    found = {finding.name: finding for finding in check_data(store).findings}
    assert found["missing-file"].examples == ("'2.jpg'",)
    assert found["unlisted-file"].examples == ("'new.jpg'",)


def test_pictures_of_a_store_that_are_all_gone_are_one_error(folder: Path) -> None:
    write_rows(folder, [f"{index}.jpg,{'cat' if index % 2 else 'dog'}" for index in range(6)])
    store = folder / "labels.store"
    convert([folder], store)
    (folder / "images").rename(folder / "elsewhere")
    report = check_data(store)
    assert [finding.name for finding in report.findings if finding.severity == "error"] == ["no-image-folder"]
    assert report.facts is not None
    assert not check_data(store, DataConfig(images=str(folder / "elsewhere"))).has_errors


def test_a_store_of_the_same_data_twice_has_its_repeated_samples_named(folder: Path) -> None:
    write_rows(folder, [f"{index}.jpg,{'cat' if index % 2 else 'dog'}" for index in range(6)])
    convert([folder, folder], folder / "twice.store")
    found = {finding.name: finding for finding in check_data(folder / "twice.store").findings}
    assert (found["repeated-sample"].count, found["repeated-sample"].examples[0]) == (6, "'0.jpg': 2 rows")


@pytest.mark.real_data
def test_the_hierarchy_of_tencent_is_checked(shared_data: Path) -> None:
    report = check_data(shared_data / "label_spaces" / "train_urls_tiny.txt")
    found = {finding.name: finding for finding in report.findings}
    assert (
        found["hierarchy-violation"].examples[0].startswith("'organism, being' without 'living thing, animate thing'")
    )
    assert found["near-duplicate-label"].count == 3
    assert not report.has_errors


@pytest.mark.real_data
def test_the_constant_label_of_real_data_is_named(shared_data: Path) -> None:
    report = check_data(shared_data / "clothes_tiny")
    assert any(finding.name == "constant-label" and "White" in finding.line for finding in report.findings)
    assert not report.has_errors


def test_labels_without_pictures_are_checked_as_labels_alone(tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("file,labels\nabsent.jpg,cat\nalso_absent.jpg,\n")
    names = {finding.name for finding in check_data(table, DataConfig(pictures=False)).findings}
    assert "unlabelled-samples" in names
    assert "unreadable-image" not in names
    assert "missing-file" not in names
