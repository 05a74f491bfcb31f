"""One model's figures under several protocols, as a table that fits 80 columns and says why its columns differ."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from manyhot.cli.rendering import format_number
from manyhot.cli.tables import format_table
from manyhot.reports.headline import SIDE_BY_SIDE, count_samples_and_labels, headline_of

if TYPE_CHECKING:
    from manyhot.metrics import Evaluation, Figure

WIDTH = 80
# Names in two lines, so that eight columns fit.
SHORT = {"torchmetrics": ("torch-", "metrics"), "openimages": ("open-", "images")}


def render_side_by_side(evaluations: "Mapping[str, Evaluation]") -> str:
    """Return the figures of each protocol in a column, and below a line on what each does otherwise.

    A dash is undefined; where a protocol defines no such figure, nothing stands.

    Args:
        evaluations: Of the same scores, by the name of the protocol.
    """
    from manyhot.metrics.protocols import protocol_named

    first = next(iter(evaluations.values()))
    lines = [f"{first.split}: {count_samples_and_labels(first)}", ""]
    for names in SIDE_BY_SIDE:
        lines += _block(evaluations, headline_of(first.figures, names))
    width = max(map(len, evaluations))
    lines.append("what differs (labels or samples counted in the first figure)")
    for name, evaluation in evaluations.items():
        figure = next(iter(evaluation.figures.values()))
        told = f"{name:<{width}}  {figure.defined:,}/{figure.total:,}: {protocol_named(name).difference}"
        lines += textwrap.wrap(told, WIDTH, subsequent_indent=" " * (width + 2))
    return "\n".join(lines)


def render_unknown(unknown: int, cells: int, figure: "Figure") -> str:
    """Return a line on what becomes of the figures where unknown cells are taken for negatives.

    Args:
        unknown: Unknown cells.
        cells: All cells.
        figure: `map_macro` with unknown cells as negatives.
    """
    told = (
        f"{unknown:,} of {cells:,} cells are unknown and count in none of these; as negatives map_macro would be "
        f"{format_number(figure.value)}"
    )
    return "\n".join(["", *textwrap.wrap(told, WIDTH)])


def _block(evaluations: "Mapping[str, Evaluation]", names: Sequence[str]) -> list[str]:
    rows = [name for name in names if any(_has_value(evaluation, name) for evaluation in evaluations.values())]
    columns = [name for name in evaluations if any(row in evaluations[name].figures for row in rows)]
    if not rows:
        return []
    table = [["", *(SHORT.get(name, ("", ""))[0] for name in columns)]] if {*SHORT} & {*columns} else []
    table.append(["figure", *(SHORT.get(name, ("", name))[1] for name in columns)])
    table += [[row, *(_cell(evaluations[name], row) for name in columns)] for row in rows]
    return [*format_table(table), ""]


def _has_value(evaluation: "Evaluation", name: str) -> bool:
    return name in evaluation.figures and evaluation.figures[name].value is not None


def _cell(evaluation: "Evaluation", name: str) -> str:
    return format_number(evaluation.figures[name].value) if name in evaluation.figures else ""
