"""A check of several data sets sees what each alone cannot: the same picture in train of one and in test of another."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from manyhot.cli.main import main
from manyhot.config import DataConfig, Recipe
from manyhot.recipes import save_recipe
from manyhot.runs.checking import CheckReport, check_data_sets, check_run
from manyhot.runs.data_sets import joined, open_data
from manyhot.runs.packing import pack
from manyhot.runs.splits import Splits, save_splits
from manyhot.sources.finding import Finding

LEAKS = ("leaked-file", "leaked-sample", "leaked-group", "identical-files", "repeated-sample")


def write_data(folder: Path, splits: list[str] | None, seed: int) -> Path:
    folder.mkdir()
    lines = ["image,labels" + (",split" if splits else "")]
    for row in range(6):
        pixels = np.random.default_rng(10 * seed + row).integers(0, 256, (17, 41, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{row}.png")
        lines.append(f"{row}.png,{'cat' if row % 2 else 'dog'}" + (f",{splits[row]}" if splits else ""))
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def data(tmp_path: Path) -> tuple[Path, Path]:
    """Two data sets: the second picture of one is the fourth of the other, under another name."""
    own = ["train"] * 4 + ["val", "test"]
    first, second = write_data(tmp_path / "photos", own, 1), write_data(tmp_path / "scans", own[::-1], 2)
    shutil.copy(first / "1.png", second / "0.png")
    return first, second


def leaks(report: CheckReport) -> list[Finding]:
    return [finding for finding in report.findings if finding.name in LEAKS]


def test_one_picture_in_train_of_one_data_set_and_in_test_of_another_is_an_error(data: tuple[Path, Path]) -> None:
    assert all(leaks(check_data_sets([path], DataConfig())) == [] for path in data)
    (leak,) = leaks(check_data_sets(data, DataConfig()))
    assert (leak.name, leak.severity, leak.count) == ("leaked-file", "error", 1)
    assert leak.examples == ("'photos/1.png' (train) = 'scans/0.png' (test)",)


def test_packed_copies_are_found_too(data: tuple[Path, Path], tmp_path: Path) -> None:
    pack(data[1], tmp_path / "scans.pack")
    (leak,) = leaks(check_data_sets([data[0], tmp_path / "scans.pack"], DataConfig()))
    assert leak.examples == ("'photos/1.png' (train) = 'scans.pack/0.png' (test)",)


def test_without_splits_a_shared_picture_is_a_warning(data: tuple[Path, Path], tmp_path: Path) -> None:
    third = write_data(tmp_path / "more", None, 3)
    shutil.copy(data[0] / "1.png", third / "5.png")
    (leak,) = leaks(check_data_sets([data[0], third], DataConfig()))
    assert (leak.name, leak.severity) == ("identical-files", "warning")


def test_contradictions_between_data_sets_are_named(data: tuple[Path, Path]) -> None:
    found = {finding.name: finding for finding in check_data_sets(data, DataConfig()).findings}
    assert found["contradictory-labels"].examples == ("'photos/1.png' = 'scans/0.png': 'cat'",)


def test_facts_are_those_of_all_and_faults_those_of_each(data: tuple[Path, Path]) -> None:
    report = check_data_sets(data, DataConfig())
    assert report.facts is not None
    assert (report.facts.num_samples, report.facts.splits) == (12, {"train": 8, "val": 2, "test": 2})
    for path in data:
        (path / "3.png").write_bytes(b"<html>")
    damaged = [finding for finding in check_data_sets(data, DataConfig()).findings if "image" in finding.name]
    assert len(damaged) == 2


def test_labels_that_do_not_go_together_are_an_error_beside_the_rest(data: tuple[Path, Path]) -> None:
    report = check_data_sets(data, DataConfig(mapping={"scan": "links.json"}))
    found = {finding.name: finding for finding in report.findings}
    assert "data.mapping.scan: there is no such data set; did you mean 'scans'?" in found["unjoined-data"].message
    assert report.facts is None


@pytest.mark.parametrize("paths", [["more"], ["photos", "more"]])
@pytest.mark.parametrize(("code", "expected"), [(0, []), (2, ["leaked-file"])])
def test_a_run_is_checked_by_its_own_splits(data, tmp_path, paths: list[str], code: int, expected: list[str]) -> None:
    more = write_data(tmp_path / "more", None, 3)
    shutil.copy(more / "4.png", more / "5.png")
    run = tmp_path / "run"
    run.mkdir()
    config = DataConfig(path=tuple(str(tmp_path / name) for name in paths))
    save_recipe(Recipe(data=config), run / "recipe.toml")
    whole = joined([one.aligned() for one in open_data(config)])
    codes = np.array([0, 1, 2, 0, 0, code] * len(paths), dtype=np.uint8)
    save_splits(Splits(codes=codes, fingerprint=whole.fingerprint, origin="a test"), whole, run)
    assert [leak.name for leak in leaks(check_run(run))] == expected


def test_the_command_takes_several(data: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "findings.json"
    assert main(["check", *map(str, data), "--json", str(out)]) == 1
    shown = capsys.readouterr().out
    assert "'photos/1.png' (train) = 'scans/0.png' (test)" in shown
    assert "leaked-file" in {finding["name"] for finding in json.loads(out.read_text())["findings"]}
    assert main(["check", str(data[0]), "--run", str(tmp_path)]) == 2
    assert main(["check"]) == 2
