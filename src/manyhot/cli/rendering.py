"""Results as plain text that reads well on 80 columns."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from manyhot.cli.tables import format_table, shorten, width_of
from manyhot.reports.headline import count_samples_and_labels, headline_of
from manyhot.sources.finding import Finding

if TYPE_CHECKING:
    from manyhot.metrics import Evaluation
    from manyhot.runs.predicting import Predictions
    from manyhot.runs.run import Run

LEAST_SHOWN = 3
NUM_WEAKEST = 5
NUM_EXAMPLES = 5
NUM_PREDICTIONS = 20
NUM_LIKELY = 3
LABEL_WIDTH = 18
WIDTH = 80


def render_evaluation(
    evaluation: "Evaluation", reasons: Mapping[str, str] | None = None, notes: Sequence[str] = ()
) -> str:
    """Return the main figures beside the baselines, with intervals if there are any, and the weakest labels.

    Args:
        evaluation: The figures.
        reasons: For each label why its threshold is what it is; said of the weakest.
        notes: What holds for the decision as a whole, such as what it promises.
    """
    names = list(evaluation.baselines)
    has_intervals = any(figure.low is not None for figure in evaluation.figures.values())
    header = ["figure", "model", *(["low", "high"] if has_intervals else [])]
    header += [*(name.removeprefix("predict ") for name in names), "defined"]
    shown = headline_of(evaluation.figures)
    if len(shown) < LEAST_SHOWN:
        # A protocol that defines few of the main figures shows all that it does define.
        shown = [name for name in evaluation.figures if not name.endswith("_min1")]
    rows = [header, *(_figure_row(evaluation, name, with_interval=has_intervals) for name in shown)]
    title = f"{evaluation.split}: {count_samples_and_labels(evaluation)}"
    if evaluation.protocol != "manyhot":
        from manyhot.metrics.protocols import protocol_named

        title += f"\nprotocol {evaluation.protocol}: {protocol_named(evaluation.protocol).difference}"
    beside = "beside the model: " + ", ".join(names) if names else "no baselines"
    return "\n".join(
        [
            *(title, "", *format_table(rows), "", beside, "", *_weakest(evaluation)),
            *_reasons(evaluation, reasons or {}),
            *(["", "the decision as a whole"] if notes else []),
            *(line for note in notes for line in textwrap.wrap(note, WIDTH, subsequent_indent="  ")),
        ]
    )


def _figure_row(evaluation: "Evaluation", name: str, *, with_interval: bool) -> list[str]:
    figure = evaluation.figures[name]
    beside = [format_number(values.get(name)) for values in evaluation.baselines.values()]
    interval = [format_number(figure.low), format_number(figure.high)] if with_interval else []
    return [name, format_number(figure.value), *interval, *beside, f"{figure.defined:,}/{figure.total:,}"]


def _weakest(evaluation: "Evaluation") -> list[str]:
    weakest = evaluation.weakest_labels(NUM_WEAKEST)
    if not weakest and evaluation.protocol == "xc":
        return ["the protocol judges samples, and says nothing of single labels"]
    if not weakest:
        return ["no label has a positive here, so none can be judged"]
    header = ["weakest labels", "positives", "ap", "auroc", "f1", "precision", "recall", "threshold"]
    rows = [
        [
            shorten(label.name, LABEL_WIDTH),
            f"{label.positives:,}",
            *map(format_number, (label.average_precision, label.auroc, label.f1, label.precision, label.recall)),
            "never" if label.threshold is None else format_number(label.threshold),
        ]
        for label in weakest
    ]
    return format_table([header, *rows])


def _reasons(evaluation: "Evaluation", reasons: Mapping[str, str]) -> list[str]:
    told = [label.name for label in evaluation.weakest_labels(NUM_WEAKEST) if reasons.get(label.name)]
    if not told:
        return []
    width = max(width_of(shorten(name, LABEL_WIDTH)) for name in told)
    lines = ["", "why these thresholds"]
    for name in told:
        first, *rest = textwrap.wrap(reasons[name], WIDTH - width - 2)
        shown = shorten(name, LABEL_WIDTH)
        lines.append(shown + " " * (width + 2 - width_of(shown)) + first)
        lines += [" " * (width + 2) + line for line in rest]
    return lines


def format_number(value: float | None) -> str:
    """Return three decimals; what is undefined is a dash, what is tiny is not shown as nothing.

    >>> format_number(0.28612), format_number(0.00012), format_number(None)
    ('0.286', '1e-04', '-')
    """
    if value is None:
        return "-"
    return f"{value:.3f}" if value == 0 or abs(value) >= 0.0005 else f"{value:.0e}"


def render_run(run: "Run") -> str:
    """Return the figures of a finished run and what to type next."""
    folder, bundle = quote(str(run.folder)), run.bundle
    reasons = dict(zip(bundle.space.names, bundle.decision.reasons, strict=True))
    return "\n".join(
        [
            "",
            render_evaluation(run.evaluation, reasons, bundle.decision.notes),
            "",
            f"report   {run.folder / 'report.html'}",
            f"next     manyhot predict {folder} PICTURES --out predictions.csv",
        ]
    )


def render_predictions(predictions: "Predictions", truth: Mapping[str, Sequence[str]] | None = None) -> str:
    """Return a short table: each picture's labels, and the likeliest labels with their probabilities.

    Args:
        predictions: What was predicted.
        truth: The true labels of some pictures by reference; adds a column.
    """
    header = ["picture", *([] if truth is None else ["true"]), "predicted", "likeliest"]
    rows: list[list[str]] = [header]
    names = predictions.space.names
    for index, labels in enumerate(predictions.labels()[:NUM_PREDICTIONS]):
        reference, probs = predictions.references[index], predictions.probs[index]
        likely = probs.argsort(kind="stable")[::-1][:NUM_LIKELY].tolist()
        shown = ", ".join(f"{shorten(names[label], 16)} {probs[label]:.2f}" for label in likely)
        true = [] if truth is None else [_joined(truth.get(reference, ()))]
        rows.append([shorten(Path(reference).name, 24), *true, _joined(labels), shown])
    lines = format_table(rows, left=len(header))
    hidden = len(predictions.references) - NUM_PREDICTIONS
    if hidden > 0:
        lines.append(f"and {hidden:,} more; --out FILE.csv writes all of them")
    return "\n".join(lines)


def _joined(labels: Sequence[str]) -> str:
    return shorten(", ".join(labels), 40) if labels else "(none)"


def render_findings(findings: Sequence[Finding]) -> str:
    """Return the findings, the worst first, each with its count and examples, and a line that sums up."""
    lines: list[str] = []
    for severity in ("error", "warning", "info"):
        for finding in (one for one in findings if one.severity == severity):
            lines.append(f"{severity}: {finding.name} ({finding.count:,}): {finding.message}")
            # In full, also where it is long: what cannot be told apart cannot be mended.
            lines += [f"    {example}" for example in finding.examples[:NUM_EXAMPLES]]
            if finding.count > len(finding.examples[:NUM_EXAMPLES]) > 0:
                lines.append(f"    and {finding.count - len(finding.examples[:NUM_EXAMPLES]):,} more")
    errors, warnings = (sum(one.severity == severity for one in findings) for severity in ("error", "warning"))
    if not errors and not warnings:
        return "\n".join([*lines, "nothing wrong was found"])
    return "\n".join([*lines, f"{_counted(errors, 'error')}, {_counted(warnings, 'warning')}"])


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
