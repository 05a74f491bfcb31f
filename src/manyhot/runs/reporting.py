"""The page of a run, from what the run holds."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from manyhot.decisions import Decision, reliability
from manyhot.labels import LabelSets, LabelSpace
from manyhot.metrics import Evaluation
from manyhot.metrics.protocols import protocol_named
from manyhot.metrics.truth import read_truth
from manyhot.recipes import dump_recipe, load_recipe
from manyhot.reports.history import read_history
from manyhot.reports.page import Report, write_page
from manyhot.reports.plots import Line
from manyhot.reports.reliability import ReliabilityCurve
from manyhot.runs.facts import describe_labels
from manyhot.runs.judging import Judgeable

FILE_NAME = "report.html"
MOST_CURVES = 12


def write_report(
    folder: Path,
    evaluation: Evaluation,
    decision: Decision,
    labels: LabelSets,
    *,
    curves: Sequence[ReliabilityCurve] = (),
) -> Path:
    """Write `report.html` into a run folder that holds its recipe and its history, and return its path.

    Args:
        folder: The run folder.
        evaluation: The figures on the test split.
        decision: Its reasons stand beside each label's threshold.
        labels: All labels of the data.
        curves: `reliability_curves` of the same samples as the figures.
    """
    path = folder / FILE_NAME
    recipe = load_recipe(folder / "recipe.toml")
    report = Report(
        title=f"{folder.name}: {recipe.encoder.name}, {recipe.training.epochs} epochs",
        evaluation=evaluation,
        facts=[*describe_labels(labels).to_lines(), *(f"decision: {note}" for note in decision.notes)],
        notes=decision.notes,
        reasons=dict(zip(labels.space.names, decision.reasons, strict=True)),
        reliability=curves,
        history=_plots(read_history(folder / "metrics.csv")),
        recipe=dump_recipe(recipe),
    )
    write_page(path, report)
    return path


def write_judgement(path: Path, judgeable: Judgeable, evaluations: Sequence[Evaluation], *, title: str) -> None:
    """Write the page of an evaluation to a file of its own.

    Args:
        path: The file.
        judgeable: What was judged.
        evaluations: Its figures under one protocol or several, the one to show in full first.
        title: What was judged, in words.
    """
    first, *others = evaluations
    report = Report(
        title=title,
        evaluation=first,
        facts=describe_labels(judgeable.truth).to_lines(),
        notes=judgeable.notes,
        reasons=judgeable.reasons,
        reliability=reliability_curves(judgeable.probabilities(), judgeable.truth),
        others=[(other, protocol_named(other.protocol).difference) for other in others],
    )
    write_page(path, report)


def reliability_curves(probs: Float[np.ndarray, "n l"], truth: LabelSets) -> list[ReliabilityCurve]:
    """Return the reliability of the labels with the most positives, at most 12 of them; a label without any has none.

    >>> truth = LabelSets.from_names([[], ["cat"], [], ["cat"]])
    >>> reliability_curves(np.array([[0.1], [0.8], [0.3], [0.6]]), truth)[0].name
    'cat'
    """
    known = read_truth(truth)
    order = np.argsort(-known.label_positives, kind="stable")[:MOST_CURVES]
    kept = [label for label in order.tolist() if known.label_positives[label]]
    if not kept:
        return []
    states = np.zeros((truth.num_samples, len(kept)), dtype=np.float32)
    for column, label in enumerate(kept):
        states[known.columns.row(label), column] = 1
        is_known = known.known_column(label)
        if is_known is not None:
            states[~is_known, column] = np.nan
    space = LabelSpace(names=tuple(truth.space.names[label] for label in kept))
    table = reliability(probs[:, kept], LabelSets.from_dense(states, space))
    rows = zip(space.names, table.errors().tolist(), table.mean_probs, table.shares, strict=True)
    return [
        ReliabilityCurve(
            name=name,
            error=error,
            points=tuple((float(p), float(s)) for p, s in zip(means, shares, strict=True) if not np.isnan(p)),
        )
        for name, error, means, shares in rows
    ]


def _plots(lines: dict[str, Line]) -> dict[str, list[Line]]:
    """Return the lines by plot: losses share an axis, everything else has one of its own."""
    losses = [line for name, line in lines.items() if "loss" in name]
    others = {name: [line] for name, line in lines.items() if "loss" not in name}
    return ({"loss": losses} if losses else {}) | others
