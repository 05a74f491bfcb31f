"""CSV and TSV, read strictly: no row is stretched or cut, nothing is converted, and every fault names its line."""

import csv
import io
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pyarrow as pa

from manyhot.errors import quote
from manyhot.sources.columns import ArrowColumn
from manyhot.sources.finding import FindingLog
from manyhot.sources.format import suffix_of
from manyhot.sources.line_blocks import TextBlock, read_text_blocks
from manyhot.sources.tables import Table, concatenated

MAX_PLAIN_COLUMNS = 1_000
_BLOCK_CELLS = 1 << 22
_DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}


def open_delimited(path: Path, findings: FindingLog) -> Table | None:
    """Return the table of a CSV or TSV file, or None where it cannot be read; rows of another length are left out."""
    tables = list(read_delimited(path, findings))
    return None if findings.is_cut_short else concatenated(tables)


def read_delimited(path: Path, findings: FindingLog) -> Iterator[Table]:
    """Yield such a file as tables of some rows each, the first of which may have none."""
    blocks = read_text_blocks(path, findings)
    header: list[str] = []
    for block in blocks:
        data = block.data.replace(b"\r\n", b"\n")
        is_plain = not (b'"' in data or b"\r" in data or b"\n\n" in data or data.startswith(b"\n"))
        if is_plain and not header:
            names = data.partition(b"\n")[0].decode().split(_DELIMITERS[suffix_of(path)])
            is_plain = len(names) <= MAX_PLAIN_COLUMNS and len(set(names)) == len(names)
            header = names if is_plain else []
        # Outside of quotes here: no block before this one held any.
        table = _read_plain(path, data, block.first_line, header) if is_plain else None
        if table is None:
            yield from _read_quoted(path, chain([block], blocks), block.first_line, header, findings)
            return
        yield table


def _read_plain(path: Path, data: bytes, first_line: int, header: list[str]) -> Table | None:
    """Return the rows of a block without quotes and blank lines, or None where one has another length."""
    from pyarrow import csv as arrow_csv  # half the cost of `import pyarrow` again: only who reads a table pays it

    start = first_line
    if first_line == 1:
        data, start = data.partition(b"\n")[2], 2
    if not data:
        return _table_of(path, header, [], [])
    try:
        rows = arrow_csv.read_csv(
            pa.BufferReader(data),
            read_options=arrow_csv.ReadOptions(column_names=header, use_threads=False, block_size=len(data) + 1),
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
    return Table(
        file=str(path),
        names=header,
        num_rows=rows.num_rows,
        column=lambda name: ArrowColumn(rows[name].combine_chunks()),
        place=lambda row: f"line {row + start}",
    )


def _read_quoted(
    path: Path, blocks: Iterator[TextBlock], first_line: int, header: list[str], findings: FindingLog
) -> Iterator[Table]:
    reader = csv.reader(_lines_of(blocks), delimiter=_DELIMITERS[suffix_of(path)], strict=True)
    before = first_line - 1
    # One flat list of text: a list a row would cost more in garbage collection than in parsing.
    cells: list[str] = []
    starts: list[int] = []
    start = first_line
    try:
        if first_line == 1:
            header = next((row for row in reader if row), [])
            if not _header_is_sound(header, path, findings):
                return
            start = reader.line_num + 1
        for row in reader:
            if len(row) == len(header):
                cells.extend(row)
                starts.append(start)
                if len(cells) >= _BLOCK_CELLS:
                    yield _table_of(path, header, cells, starts)
                    cells, starts = [], []
            elif row:
                message = f"{path}: a row has another number of fields than the {len(header)} of the first line; "
                message += "quote values that hold the delimiter, and write every field"
                findings.error("ragged-row", message, f"line {start}: {len(row)} fields")
            start = before + reader.line_num + 1
    except csv.Error as error:
        message = f"{path}: the row that starts at line {start} cannot be read: {error}; check its quotes"
        findings.error("csv-syntax", message)
        return
    if starts or first_line == 1:
        yield _table_of(path, header, cells, starts)


def _lines_of(blocks: Iterator[TextBlock]) -> Iterator[str]:
    for block in blocks:
        # newline="": csv itself knows all line ends, and those inside quotes belong to the value.
        yield from io.StringIO(block.data.decode(), newline="")


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
