"""What was measured while training, from the CSV file that the run keeps."""

import csv
import math
from pathlib import Path

from manyhot.reports.plots import Line

# Columns that say when and how fast, not how well.
NOT_SHOWN = ("epoch", "step", "seconds", "images_per_s", "waiting_share")


def read_history(path: Path) -> dict[str, Line]:
    """Return each measured column as a line over epochs; empty where there is no file.

    Rows of the same epoch give its mean; empty cells and what is not finite are left out.

    >>> read_history(Path("no-such-file.csv"))
    {}
    """
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    columns = [name for name in (rows[0] if rows else {}) if name not in NOT_SHOWN]
    lines = {name: Line(name=name, points=_points(rows, name)) for name in columns}
    return {name: line for name, line in lines.items() if line.points}


def _points(rows: list[dict[str, str]], name: str) -> tuple[tuple[float, float], ...]:
    values: dict[float, list[float]] = {}
    for row in rows:
        epoch, value = _number(row.get("epoch")), _number(row.get(name))
        if epoch is not None and value is not None:
            values.setdefault(epoch, []).append(value)
    return tuple((epoch, sum(found) / len(found)) for epoch, found in sorted(values.items()))


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None
