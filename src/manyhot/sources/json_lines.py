"""JSON lines: one object a line."""

from pathlib import Path

from manyhot.sources.finding import FindingLog, quote
from manyhot.sources.strict_json import JsonFaultError, JsonObject, parse_json
from manyhot.sources.tables import Table
from manyhot.sources.text import read_text


def open_json_lines(path: Path, findings: FindingLog) -> Table | None:
    """Return the table of a file with a JSON object a line, or None where no line is one; other lines are left out."""
    text = read_text(path, findings)
    if text is None:
        return None
    rows: list[dict[str, object]] = []
    lines: list[int] = []
    # Not splitlines(): it would also part lines at characters that JSON allows inside text.
    for number, line in enumerate(text.split("\n"), start=1):
        row = _parse(line, number, path, findings) if line.strip() else None
        if row is not None:
            rows.append(row)
            lines.append(number)
    if not rows:
        return None
    names = list(dict.fromkeys(name for row in rows for name in row))
    return Table(
        file=str(path),
        names=names,
        num_rows=len(rows),
        column=lambda name: [row.get(name) for row in rows],
        place=lambda row: f"line {lines[row]}",
    )


def _parse(line: str, number: int, path: Path, findings: FindingLog) -> dict[str, object] | None:
    try:
        value = parse_json(line)
    except JsonFaultError as fault:
        findings.error("json-syntax", f"{path}: a line is not JSON; mend it", f"line {number}: {fault}")
        return None
    if not isinstance(value, JsonObject):
        findings.error(
            "json-shape", f'{path}: a line is no object; write {{"file": …, "labels": […]}}', f"line {number}"
        )
        return None
    repeated = value.repeated_keys()
    if repeated:
        message = f"{path}: a key stands twice in one object; delete one"
        findings.error("duplicate-key", message, f"line {number}: {quote(repeated[0])}")
        return None
    return dict(value)
