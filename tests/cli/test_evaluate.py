"""What was scored is never lost to a mistake in where it shall go."""

import pytest

from manyhot.cli.main import main
from manyhot.metrics.figures import Evaluation, Figure


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "recipe.toml").write_text("")
    return folder


def scored(*_args, **_options):
    return Evaluation(
        protocol="manyhot",
        split="test",
        num_samples=17,
        num_labels=1,
        figures={"map_macro": Figure(0.5, 1, 1)},
        baselines={},
        labels=(),
    )


def test_a_folder_that_is_not_there_is_told_before_anything_is_scored(run, monkeypatch, capsys):
    monkeypatch.setattr("manyhot.runs.evaluating.evaluate_run", pytest.fail)
    assert main(["evaluate", str(run), "--json", "nodir/figures.json"]) == 2
    assert "there is no folder nodir" in capsys.readouterr().err


def test_a_folder_in_the_place_of_the_file_is_told_before_anything_is_scored(run, monkeypatch, capsys):
    monkeypatch.setattr("manyhot.runs.evaluating.evaluate_run", pytest.fail)
    assert main(["evaluate", str(run), "--json", str(run)]) == 2
    assert "is a folder" in capsys.readouterr().err


def test_figures_are_shown_before_they_are_written(run, monkeypatch, capsys, tmp_path):
    def full_disk(*_args):
        raise OSError("no space left")

    monkeypatch.setattr("manyhot.runs.evaluating.evaluate_run", scored)
    monkeypatch.setattr("manyhot.files.write_json", full_disk)
    assert main(["evaluate", str(run), "--json", str(tmp_path / "figures.json")]) == 1
    assert "map_macro" in capsys.readouterr().out
