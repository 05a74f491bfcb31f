"""CSV and TSV, read strictly: no row is stretched or cut, nothing is converted, and every fault names its line."""

import csv
import io
from collections import Counter
from pathlib import Path

import pyarrow as pa

from manyhot.sources.columns import ArrowColumn
from manyhot.sources.finding import FindingLog, quote
from manyhot.sources.format import suffix_of
from manyhot.sources.tables import Table
from manyhot.sources.text import read_text

MAX_PLAIN_COLUMNS = 1_000
_DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}


def open_delimited(path: Path, findings: FindingLog) -> Table | None:
    """Return the table of a CSV or TSV file, or None where it cannot be read; rows of another length are left out."""
    text = read_text(path, findings)
    if text is None:
        return None
    plain = _read_plain(path, text)
    if plain is not None:
        return plain
    # newline="": csv itself knows all line ends, and those inside quotes belong to the value.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_DELIMITERS[suffix_of(path)], strict=True)
    # One flat list of text: a list a row would cost more in garbage collection than in parsing.
    cells: list[str] = []
    starts: list[int] = []
    start = 1
    try:
        header = next((row for row in reader if row), [])
        if not _header_is_sound(header, path, findings):
            return None
        start = reader.line_num + 1
        for row in reader:
            if len(row) == len(header):
                cells.extend(row)
                starts.append(start)
            elif row:
                message = f"{path}: a row has another number of fields than the {len(header)} of the first line; "
                message += "quote values that hold the delimiter, and write every field"
                findings.error("ragged-row", message, f"line {start}: {len(row)} fields")
            start = reader.line_num + 1
    except csv.Error as error:
        message = f"{path}: the row that starts at line {start} cannot be read: {error}; check its quotes"
        findings.error("csv-syntax", message)
        return None
    return _table_of(path, header, cells, starts)


def _read_plain(path: Path, text: str) -> Table | None:
    """Return the table of a file without quotes and blank lines, several times as fast, or None where it is no such."""
    header = text.partition("\n")[0].split(_DELIMITERS[suffix_of(path)])
    is_plain = not ('"' in text or "\r" in text or "\n\n" in text or text.startswith("\n"))
    if not is_plain or len(header) > MAX_PLAIN_COLUMNS or len(set(header)) < len(header):
        return None
    from pyarrow import csv as arrow_csv  # half the cost of `import pyarrow` again: only who reads a table pays it

    try:
        data = arrow_csv.read_csv(
            pa.BufferReader(text.encode()),
            parse_options=arrow_csv.ParseOptions(
                delimiter=_DELIMITERS[suffix_of(path)], quote_char=False, ignore_empty_lines=False
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(header, pa.large_string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid:
        # A row of another length: the slow way names every one.
        return None

    def column(name: str) -> ArrowColumn:
        chunks = data[name].chunks
        return ArrowColumn(pa.concat_arrays(chunks) if chunks else pa.array([], pa.large_string()))

    return Table(
        file=str(path), names=header, num_rows=data.num_rows, column=column, place=lambda row: f"line {row + 2}"
    )


def _table_of(path: Path, header: list[str], cells: list[str], starts: list[int]) -> Table:
    index = {name: position for position, name in enumerate(header)}
    return Table(
        file=str(path),
        names=header,
        num_rows=len(starts),
        column=lambda name: ArrowColumn(pa.array(cells[index[name] :: len(header)], pa.large_string())),
        place=lambda row: f"line {starts[row]}",
    )


def _header_is_sound(header: list[str], path: Path, findings: FindingLog) -> bool:
    repeated = [name for name, count in Counter(header).items() if count > 1]
    for name in repeated:
        message = f"{path}: line 1: two columns have the same name; rename or delete one"
        findings.error("duplicate-column", message, quote(name))
    return not repeated
