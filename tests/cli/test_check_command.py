"""`manyhot check` on label tables: what it shows and writes, and when it returns 1."""

import json
from pathlib import Path

import pytest

from manyhot.cli.main import main

NAME = "a_rather_long_name_of_a_picture_that_no_terminal_of_eighty_columns_shows_on_one_line"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = [
        f"{NAME}_{row}.jpg,{'Cat|dog' if row % 2 else 'dog'},{'train' if row < 20 else 'test'}" for row in range(30)
    ]
    path = tmp_path / "labels.csv"
    path.write_text("\n".join(["image,labels,split", *rows, f"{NAME}_30.jpg,cat|dog,test\n"]))
    return path


def test_risks_are_shown_in_full_and_are_no_failure(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(table), "--data.pictures", "false"]) == 0
    shown = capsys.readouterr().out
    assert "splits           train 20, test 11" in shown
    assert "    'Cat' (15) and 'cat' (1)\n" in shown
    assert "    'cat': 0 in train, 1 in test\n" in shown
    assert "    'dog': 31 of 31\n" in shown


def test_errors_name_pictures_in_full_and_return_1(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(table)]) == 1
    assert f"'{NAME}_0.jpg'" in capsys.readouterr().out


def test_facts_and_findings_are_written_as_json(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "findings.json"
    assert main(["check", str(table), "--data.pictures", "false", "--json", str(out)]) == 0
    report = json.loads(out.read_text())
    assert (report["schema"], report["facts"]["num_samples"], report["facts"]["splits"]) == (
        1, 31, {"train": 20, "test": 11},
    )  # fmt: skip
    found = {finding["name"]: finding for finding in report["findings"]}
    assert found["near-duplicate-label"]["examples"] == ["'Cat' (15) and 'cat' (1)"]
    assert found["near-duplicate-label"].keys() == {"name", "severity", "message", "count", "examples"}


def test_data_that_cannot_be_read_have_no_facts(tmp_path: Path) -> None:
    out = tmp_path / "findings.json"
    assert main(["check", str(tmp_path / "nowhere"), "--json", str(out)]) == 1
    assert json.loads(out.read_text())["facts"] is None


def test_a_file_that_cannot_be_written_is_told_before_the_work(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(table), "--json", str(tmp_path / "gone" / "x.json")]) == 2
    captured = capsys.readouterr()
    assert "there is no folder" in captured.err
    assert captured.out == ""
