"""The page of a run: one HTML file that needs no network, no script and no other file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from manyhot.files import write_text
from manyhot.reports.headline import HEADLINE, SIDE_BY_SIDE, count_samples_and_labels, headline_of
from manyhot.reports.plots import Line, plot_lines
from manyhot.reports.reliability import ReliabilityCurve, plot_reliability
from manyhot.reports.style import STYLE

if TYPE_CHECKING:
    from manyhot.metrics import Evaluation, LabelFigures

# Past this many labels the page would be slow to open; metrics.json has them all.
MOST_LABELS = 2_000


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a page is made of.

    Args:
        title: Name of the run.
        evaluation: The figures to show.
        facts: Lines on the data and the training.
        notes: Lines on what holds for the decision as a whole.
        reasons: For each label, by name, why its threshold is what it is.
        reliability: For some labels, what probabilities said beside what came true.
        others: The same scores under other protocols, with a line on what each does otherwise.
        history: Lines of what was measured while training, by the title of their plot, over epochs.
        recipe: The resolved recipe, as TOML.
    """

    title: str
    evaluation: "Evaluation"
    facts: Sequence[str] = ()
    notes: Sequence[str] = ()
    reasons: Mapping[str, str] = field(default_factory=dict[str, str])
    reliability: Sequence[ReliabilityCurve] = ()
    others: "Sequence[tuple[Evaluation, str]]" = ()
    history: Mapping[str, Sequence[Line]] = field(default_factory=dict[str, Sequence[Line]])
    recipe: str = ""


def write_page(path: Path, report: Report) -> None:
    """Write the page of a run, whole or not at all."""
    write_text(path, render_page(report))


def render_page(report: Report) -> str:
    """Return the page as HTML."""
    evaluation = report.evaluation
    count = count_samples_and_labels(evaluation)
    parts = [
        f"<h1>{escape(report.title)}</h1>",
        f"<p>Figures on <b>{escape(evaluation.split)}</b>: {count}; protocol {escape(evaluation.protocol)}.</p>",
        _facts(report.facts),
        "<h2>Figures beside the baselines</h2>",
        _figures(evaluation, headline_of(evaluation.figures)),
        _details("All figures", _figures(evaluation, list(evaluation.figures))),
        *_protocols(evaluation, report.others),
        "<h2>Labels, the weakest first</h2>",
        _facts(report.notes),
        _labels(evaluation.labels, report.reasons),
        *_reliability(report.reliability),
        *_history(report.history),
        _details("The recipe that repeats this run", f"<pre>{escape(report.recipe)}</pre>") if report.recipe else "",
        "<footer>made by manyhot; every name is defined in its table of figures</footer>",
    ]
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{escape(report.title)}</title><style>{STYLE}</style>"
    )
    body = "\n".join(part for part in parts if part)
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body><main>\n{body}\n</main></body></html>\n'


def _facts(facts: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(fact)}</li>" for fact in facts) + "</ul>" if facts else ""


def _details(summary: str, content: str) -> str:
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"


def _figures(evaluation: "Evaluation", names: Sequence[str]) -> str:
    baselines = evaluation.baselines
    has_intervals = any(figure.low is not None for figure in evaluation.figures.values())
    header = ["figure", "model", *(["interval"] if has_intervals else []), *baselines, "defined"]
    rows: list[list[str]] = []
    for name in names:
        figure = evaluation.figures.get(name)
        if figure is None:
            continue
        meaning = f"<small>{escape(HEADLINE[name])}</small>" if name in HEADLINE else ""
        beside = [_number(values.get(name)) for values in baselines.values()]
        defined = f'<span class="one-line">{figure.defined:,} / {figure.total:,}</span>'
        shown = [f"<b>{_number(figure.value)}</b>"]
        if has_intervals:
            ends = "–" if figure.low is None else f"{_number(figure.low)} to {_number(figure.high)}"
            shown.append(f'<span class="one-line">{ends}</span>')
        rows.append([f"<code>{escape(name)}</code>{meaning}", *shown, *beside, defined])
    return _table(header, rows)


def _protocols(evaluation: "Evaluation", others: "Sequence[tuple[Evaluation, str]]") -> list[str]:
    """Return the figures of each protocol in a column, and what each does otherwise; nothing where there is one alone."""
    if not others:
        return []
    columns = [evaluation, *(other for other, _ in others)]
    rows = [
        [f"<code>{escape(name)}</code>"]
        + [_number(one.figures[name].value) if name in one.figures else "" for one in columns]
        for names in SIDE_BY_SIDE
        for name in headline_of(evaluation.figures, names)
        if any(name in one.figures and one.figures[name].value is not None for one in columns)
    ]
    told = "".join(f"<li><b>{escape(other.protocol)}</b>: {escape(line)}</li>" for other, line in others)
    table = _table(["figure", *(one.protocol for one in columns)], rows)
    return ["<h2>Under other protocols</h2>", f"<ul>{told}</ul>", table]


def _reliability(curves: Sequence[ReliabilityCurve]) -> list[str]:
    if not curves:
        return []
    told = (
        "<p>To the right the probability that was given, upwards the share that was positive, in bins of equal numbers of "
        "samples; on the diagonal both agree. The labels with the most positives.</p>"
    )
    return ["<h2>Reliability</h2>", told, plot_reliability(curves)]


def _labels(labels: "Sequence[LabelFigures]", reasons: Mapping[str, str]) -> str:
    ordered = sorted(labels, key=_weakest_first)
    header = ["label", "positives", "known", "average precision", "auroc", "precision", "recall", "f1", "threshold"]
    if reasons:
        header.append("why this threshold")
    rows: list[list[str]] = []
    for label in ordered[:MOST_LABELS]:
        numbers = [_number(value) for value in (label.auroc, label.precision, label.recall, label.f1)]
        row = [escape(label.name), f"{label.positives:,}", f"{label.known:,}", _bar(label.average_precision), *numbers]
        row.append("never" if label.threshold is None else _number(label.threshold))
        rows.append([*row, f"<small>{escape(reasons.get(label.name, ''))}</small>"] if reasons else row)
    note = f"<p>The weakest {MOST_LABELS:,} of {len(labels):,} labels; metrics.json has all of them.</p>"
    return (note if len(labels) > MOST_LABELS else "") + _table(header, rows, last_is_text=bool(reasons))


def _weakest_first(label: "LabelFigures") -> tuple[bool, float]:
    # Labels without a positive cannot be judged: they come last.
    return label.average_precision is None, label.average_precision or 0.0


def _history(history: Mapping[str, Sequence[Line]]) -> list[str]:
    if not history:
        return []
    plots = [
        f"<h3>{escape(title)}</h3>{plot_lines(lines, title=title, x_name='epoch')}" for title, lines in history.items()
    ]
    return ["<h2>Training</h2>", *plots]


def _bar(value: float | None) -> str:
    if value is None:
        return "–"
    return f'<span class="bar" style="--share:{min(value, 1.0):.3f}">{_number(value)}</span>'


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if value == 0 or abs(value) >= 0.0005 else f"{value:.0e}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], *, last_is_text: bool = False) -> str:
    """Return a table; the header is text, the cells are HTML already."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>\n" for row in rows)
    kind = ' class="reasons"' if last_is_text else ""
    return f'<div class="wide"><table{kind}><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table></div>'
