"""What was scored is never lost to a mistake in where it shall go."""

import json
import sys
from typing import ClassVar

import pytest

from manyhot.cli.evaluate import PROTOCOLS
from manyhot.cli.main import main
from manyhot.metrics.figures import Evaluation, Figure
from manyhot.metrics.protocols import PROTOCOL_NAMES


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "recipe.toml").write_text("")
    return folder


class Scored:
    """Scores whose figures are known."""

    num_unknown = 0
    reasons: ClassVar = {}
    notes = ()

    def evaluate(self, *, protocol, min_positives, intervals):
        return Evaluation(
            protocol=protocol,
            split="test",
            num_samples=17,
            num_labels=1,
            figures={"precision_at_1" if protocol == "xc" else "map_macro": Figure(0.5, 1, 1)},
            baselines={},
            labels=(),
        )


def test_a_folder_that_is_not_there_is_told_before_anything_is_scored(run, monkeypatch, capsys):
    monkeypatch.setattr("manyhot.runs.evaluating.score_run", pytest.fail)
    assert main(["evaluate", str(run), "--json", "nodir/figures.json"]) == 2
    assert "there is no folder nodir" in capsys.readouterr().err


def test_a_folder_in_the_place_of_the_file_is_told_before_anything_is_scored(run, monkeypatch, capsys):
    monkeypatch.setattr("manyhot.runs.evaluating.score_run", pytest.fail)
    assert main(["evaluate", str(run), "--json", str(run)]) == 2
    assert "is a folder" in capsys.readouterr().err


def test_figures_are_shown_before_they_are_written(run, monkeypatch, capsys, tmp_path):
    def full_disk(*_args):
        raise OSError("no space left")

    monkeypatch.setattr("manyhot.runs.evaluating.score_run", lambda *_args, **_options: Scored())
    monkeypatch.setattr("manyhot.files.write_json", full_disk)
    assert main(["evaluate", str(run), "--json", str(tmp_path / "figures.json")]) == 1
    assert "map_macro" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "evaluate takes RUN, or --scores FILE --truth FILE"),
        (["--scores", "s.npy", "--truth", "t.npy"], "say what the scores are, --kind logits or --kind probs"),
        (["--scores", "s.npy", "--kind", "logits"], "--scores FILE goes with --truth FILE"),
        (["run", "--scores", "s.npy"], "either RUN or --scores FILE, not run beside it"),
        (["run", "--train-truth", "t.npy"], "--train-truth goes with --scores FILE"),
        (["run", "--kind", "sigmoid"], "invalid choice: 'sigmoid'"),
        (["run", "--protocol", "voc7"], "--protocol voc7 is not known; did you mean 'voc07'?"),
        (["run", "--intervals", "--protocol", "asl"], "--intervals are of the protocol manyhot alone, not of asl"),
        (["--intervals", "run"], "'run' is no number of replicates; write RUN first, or --intervals 200"),
    ],
)
def test_flags_that_do_not_go_together_are_told_at_once(arguments, message, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert main(["evaluate", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_help_names_every_protocol(capsys):
    assert main(["evaluate", "--help"]) == 0
    shown = capsys.readouterr().out
    assert PROTOCOLS == PROTOCOL_NAMES
    for name in PROTOCOL_NAMES:
        assert name in shown


def test_all_protocols_stand_side_by_side_and_in_one_file(run, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("manyhot.runs.evaluating.score_run", lambda *_args, **_options: Scored())
    path = tmp_path / "all.json"
    assert main(["evaluate", str(run), "--protocol", "all", "--json", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines if not line.startswith("next")) <= 80
    row = next(line for line in lines if line.startswith("map_macro"))
    assert row.split() == ["map_macro", *["0.500"] * 8]
    written = json.loads(path.read_text())
    assert written["protocol"] == "all"
    assert list(written["evaluations"]) == list(PROTOCOL_NAMES)
    assert Evaluation.from_dict(written["evaluations"]["voc07"]).protocol == "voc07"
