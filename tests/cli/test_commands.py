"""The commands from end to end, on a handful of pictures: what they print, write and return."""

import csv
import json
import shutil
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest

from manyhot.cli.main import main
from manyhot.runs.digits import LABELS, write_pictures

TRAINING = ["--encoder", "test_resnet", "--pretrained", "none", "--image-size", "32", "--epochs", "1"]
TRAINING += ["--images.flip", "false", "--training.workers", "0"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "pictures"
    write_pictures(folder, {"train": 60, "val": 30, "test": 31}, seed=0)
    return folder


@dataclass(frozen=True)
class Trained:
    """A run that the command trained, and what it said on stdout and stderr."""

    folder: Path
    shown: str
    told: str


@pytest.fixture(scope="module")
def trained(pictures: Path) -> Trained:
    folder = pictures.parent / "a run"
    with redirect_stdout(StringIO()) as shown, redirect_stderr(StringIO()) as told:
        assert main(["train", str(pictures), "--out", str(folder), *TRAINING]) == 0
    return Trained(folder, shown.getvalue(), told.getvalue())


@pytest.fixture
def run(trained: Trained) -> Path:
    return trained.folder


def test_training_shows_figures_beside_baselines_and_what_to_type_next(trained: Trained) -> None:
    assert all(word in trained.shown for word in ("map_macro", "prevalence", "weakest labels"))
    last = trained.shown.splitlines()[-1]
    assert last == f"next     manyhot predict '{trained.folder}' PICTURES --out predictions.csv"


def test_training_says_what_the_data_are_like_and_nothing_of_what_it_stands_on(trained: Trained) -> None:
    assert "without a label" in trained.told
    assert not [word for word in ("Warning", "lightning", "rank_zero", "GPU available") if word in trained.told]


def test_training_leaves_a_whole_run(run: Path) -> None:
    names = {"recipe.toml", "splits.parquet", "metrics.csv", "metrics.json", "report.html", "bundle", "checkpoints"}
    assert names <= {path.name for path in run.iterdir()}


def test_the_report_of_a_run_names_every_label_and_keeps_the_history(run: Path) -> None:
    page = (run / "report.html").read_text(encoding="utf-8")
    assert all(name in page for name in LABELS)
    assert "<svg" in page


def test_a_run_is_never_written_over(pictures: Path, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (run / "recipe.toml").read_bytes()
    assert main(["train", str(pictures), "--out", str(run), *TRAINING]) == 1
    assert "not empty" in capsys.readouterr().err
    assert (run / "recipe.toml").read_bytes() == before


def test_evaluating_a_run_gives_the_figures_that_training_wrote(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "figures.json"
    assert main(["evaluate", str(run), "--json", str(path)]) == 0
    assert "test: 31 samples, 10 labels" in capsys.readouterr().out
    figures, written = json.loads(path.read_text()), json.loads((run / "metrics.json").read_text())
    assert figures["figures"].keys() == written["figures"].keys()
    assert figures["figures"]["map_macro"]["value"] == pytest.approx(written["figures"]["map_macro"]["value"], abs=1e-6)
    assert figures["schema"] == 1


def test_predictions_go_to_a_file_of_the_format_asked_for(pictures: Path, run: Path, tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    assert main(["predict", str(run), str(pictures / "images" / "test"), "--out", str(path)]) == 0
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 31
    assert all(0 <= float(row[f"prob:{name}"]) <= 1 for row in rows for name in LABELS)


def test_a_bundle_alone_predicts(pictures: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    moved = tmp_path / "bundle"
    moved.symlink_to(run / "bundle")
    assert main(["predict", str(moved), str(pictures / "images" / "test" / "00000.png")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["picture", "predicted", "likeliest"]
    assert lines[1].startswith("00000.png")


def test_a_picture_that_cannot_be_read_is_named_and_stops_no_other(
    pictures: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes((pictures / "images" / "test" / "00001.png").read_bytes()[:100])
    out = tmp_path / "predictions.jsonl"
    sound = pictures / "images" / "test" / "00000.png"
    assert main(["predict", str(run), str(damaged), str(sound), "--out", str(out)]) == 1
    assert "damaged.png" in capsys.readouterr().err
    assert [json.loads(line)["image"] for line in out.read_text().splitlines()] == [str(sound)]


def test_a_sound_run_is_checked_without_errors(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--run", str(run)]) == 0
    assert "error" not in capsys.readouterr().out.replace("0 errors", "")


def test_a_changed_bundle_is_found(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "bundle"
    shutil.copytree(run / "bundle", copy)
    weights = copy / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert main(["check", "--run", str(copy)]) == 1
    assert "damaged-bundle" in capsys.readouterr().out
    assert main(["predict", str(copy), "a.png"]) == 1


@pytest.mark.parametrize("command", [["evaluate"], ["predict"], ["check", "--run"]])
def test_a_run_that_is_not_there_is_one_line(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rest = ["a.png"] if command == ["predict"] else []
    assert main([*command, str(tmp_path / "nowhere"), *rest]) == 1
    text = capsys.readouterr().err
    assert text.startswith("manyhot: error: ")
    assert text.count("\n") == 1


@pytest.mark.slow
def test_the_demonstration_shows_facts_figures_and_predictions(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--out", str(tmp_path / "demo"), "--epochs", "1", "--pictures", "200"]) == 0
    shown, told = capfd.readouterr()
    assert "most frequent" in told
    assert all(word in shown for word in ("map_macro", "weakest labels", "next     manyhot predict", "true"))
    assert sorted(path.name for path in (tmp_path / "demo").iterdir()) == ["pictures", "run"]
