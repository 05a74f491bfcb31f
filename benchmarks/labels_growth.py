"""Draw how time and memory of label work grow from 1M to 12M rows, from the recorded results: docs/growth.svg.

python benchmarks/labels_growth.py
"""

import json
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
TARGET = Path(__file__).parent.parent / "docs" / "growth.svg"
WIDTH, HEIGHT, LEFT, TOP, SPAN = 340, 230, 52, 40, 260
COLOURS = {"5 folds": "#1769aa", "co-occurrence": "#c2571a", "build a store": "#2e7d4f", "counts": "#7b4ea3"}
Lines = dict[str, dict[int, float]]


def recorded(name: str) -> list[dict[str, object]]:
    """Return the entries of a file of results, the oldest first."""
    return [json.loads(line) for line in (RESULTS / name).read_text(encoding="utf-8").splitlines()]


def gathered() -> tuple[Lines, Lines]:
    """Return seconds and megabytes by what was done and by rows; the last record of each counts.

    Megabytes are those that no file backs; of building, where nothing is mapped, those of the whole process.
    """
    seconds: Lines = {"5 folds": {}, "co-occurrence": {}, "build a store": {}, "counts": {}}
    memory: Lines = {"5 folds": {}, "build a store": {}, "co-occurrence": {}}
    for entry in recorded("labels_statistics.jsonl"):
        if "counts" in entry:
            rows = entry["rows"]
            seconds["counts"][rows] = entry["counts"]["wall_s"]
            seconds["co-occurrence"][rows] = entry["pairs"]["wall_s"]
            memory["co-occurrence"][rows] = entry["pairs_own_mb"]
    for entry in recorded("labels_splits.jsonl"):
        if "own_mb" in entry and entry["seed"] == 0:
            seconds["5 folds"][entry["rows"]] = entry["wall_s"]
            memory["5 folds"][entry["rows"]] = entry["own_mb"]
    for report in recorded("labels_store.jsonl"):
        for entry in report["growth"]:
            seconds["build a store"][entry["rows"]] = entry["build"]["wall_s"]
            memory["build a store"][entry["rows"]] = entry["build"]["peak_mb"]
    return seconds, memory


def panel(lines: Lines, title: str, shift: int, top: float) -> str:
    """Return one plot; both axes start at 0, so that a line through 0 is growth in proportion."""
    bottom = TOP + HEIGHT

    def at(rows: float, value: float) -> tuple[float, float]:
        return shift + LEFT + rows / 12e6 * SPAN, bottom - value / top * HEIGHT

    parts = [f'<text x="{shift + LEFT}" y="22" font-weight="600">{title}</text>']
    for share in (0, 0.5, 1):
        y = bottom - share * HEIGHT
        parts.append(f'<path d="M{shift + LEFT} {y}h{SPAN}" stroke="#c9d1d9"/>')
        parts.append(f'<text x="{shift + LEFT - 6}" y="{y + 4}" text-anchor="end">{top * share:.3g}</text>')
    parts += [
        f'<text x="{at(rows * 1e6, 0)[0]:.1f}" y="{bottom + 18}" text-anchor="middle">{rows}M</text>'
        for rows in (1, 4, 12)
    ]
    for name, points in lines.items():
        colour = COLOURS[name]
        places = [at(rows, value) for rows, value in sorted(points.items())]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        x, y = places[-1]
        parts.append(f'<text x="{x + 8:.1f}" y="{y + 4:.1f}" fill="{colour}">{name}</text>')
    return "".join(parts)


def main() -> None:
    """Draw both plots side by side."""
    seconds, memory = gathered()
    step = WIDTH + 100
    width, height = 2 * step, TOP + HEIGHT + 30
    drawn = panel(seconds, "seconds by rows", 0, 12) + panel(memory, "megabytes beyond the labels, by rows", step, 600)
    TARGET.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="system-ui, sans-serif" '
        f'font-size="12" fill="#57606a"><rect width="{width}" height="{height}" fill="#ffffff"/>{drawn}</svg>\n',
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
