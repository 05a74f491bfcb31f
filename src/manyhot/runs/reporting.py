"""The page of a run, from what the run holds."""

from pathlib import Path

from manyhot.decisions import Decision
from manyhot.labels import LabelSets
from manyhot.metrics import Evaluation
from manyhot.recipes import dump_recipe, load_recipe
from manyhot.reports.history import read_history
from manyhot.reports.page import Report, write_page
from manyhot.reports.plots import Line
from manyhot.runs.facts import describe_labels

FILE_NAME = "report.html"


def write_report(folder: Path, evaluation: Evaluation, decision: Decision, labels: LabelSets) -> Path:
    """Write `report.html` into a run folder that holds its recipe and its history, and return its path.

    Args:
        folder: The run folder.
        evaluation: The figures on the test split.
        decision: Its reasons stand beside each label's threshold.
        labels: All labels of the data.
    """
    path = folder / FILE_NAME
    recipe = load_recipe(folder / "recipe.toml")
    report = Report(
        title=f"{folder.name}: {recipe.encoder.name}, {recipe.training.epochs} epochs",
        evaluation=evaluation,
        facts=describe_labels(labels).to_lines(),
        reasons=dict(zip(labels.space.names, decision.reasons, strict=True)),
        history=_plots(read_history(folder / "metrics.csv")),
        recipe=dump_recipe(recipe),
    )
    write_page(path, report)
    return path


def _plots(lines: dict[str, Line]) -> dict[str, list[Line]]:
    """Return the lines by plot: losses share an axis, everything else has one of its own."""
    losses = [line for name, line in lines.items() if "loss" in name]
    others = {name: [line] for name, line in lines.items() if "loss" not in name}
    return ({"loss": losses} if losses else {}) | others
