"""JSON lines: one object a line, read in blocks.

pyarrow parses many times as fast as Python and is as strict, but it does not say where a fault is. So a block is parsed
by pyarrow, under the schema that the first lines suggest; a block that does not fit is halved, until the few lines with
the odd one are parsed strictly. A column whose values pyarrow may have changed is parsed strictly when it is asked for.
Whatever the way, the result is the same.
"""

# pyarrow has no types:
# pyright: reportUnknownParameterType=false

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow as pa
from jaxtyping import Int64

from manyhot.errors import quote
from manyhot.sources.columns import ArrowColumn, Column, arrow_or_list
from manyhot.sources.finding import FindingLog
from manyhot.sources.line_blocks import TextBlock, line_ends, read_text_blocks
from manyhot.sources.strict_json import JsonFaultError, JsonObject, parse_json
from manyhot.sources.tables import Table, concatenated

_FEW_LINES = 512
# pyarrow looks for each key among the fields of the schema.
_MAX_FIELDS = 1_000

_TYPES: dict[type, pa.DataType] = {
    str: pa.large_string(),
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
}

Kinds: TypeAlias = dict[str, Counter[pa.DataType | None]]
"""How often each column held values of each type; None is a type that pyarrow is not asked to parse."""


def open_json_lines(path: Path, findings: FindingLog) -> Table | None:
    """Return the table of a file with a JSON object a line, or None where no line is one; other lines are left out."""
    tables = list(read_json_lines(path, findings))
    return None if findings.is_cut_short else concatenated(tables)


def read_json_lines(path: Path, findings: FindingLog) -> Iterator[Table]:
    """Yield such a file as tables of some rows each; a key that a table lacks is null there."""
    kinds: Kinds = {}
    has_rows = False
    for block in read_text_blocks(path, findings):
        waiting = [block]
        while waiting:
            part = waiting.pop()
            ends = line_ends(part.data)
            table = _parse_fast(part, ends, kinds, path)
            if table is None and len(ends) <= _FEW_LINES:
                table = _parse_strictly(part, kinds, path, findings)
            if table is None:
                # The first lines say what columns there are.
                waiting += _parted(part, ends, len(ends) // 2 if kinds else _FEW_LINES)
            elif table.num_rows:
                has_rows = True
                yield table
    if not has_rows and not findings.has_errors:
        findings.error("empty-data", f"{path}: no line holds an object; it needs at least one sample")


def _parted(block: TextBlock, ends: Int64[np.ndarray, " lines"], num_lines: int) -> list[TextBlock]:
    """Return the rest and the first lines of a block, in this order: the last of the list is parsed next."""
    end = int(ends[num_lines - 1])
    return [TextBlock(block.first_line + num_lines, block.data[end:]), TextBlock(block.first_line, block.data[:end])]


def _parse_fast(block: TextBlock, ends: Int64[np.ndarray, " lines"], kinds: Kinds, path: Path) -> Table | None:
    """Return the rows of a block, or None where pyarrow cannot tell what they are."""
    schema = _schema_of(kinds)
    if schema is None or not _is_an_object_a_line(block.data, ends):
        return None
    # Half the cost of `import pyarrow` again: only who reads JSON lines pays it.
    from pyarrow import json as arrow_json

    try:
        data = arrow_json.read_json(
            pa.BufferReader(block.data),
            read_options=arrow_json.ReadOptions(use_threads=False, block_size=len(block.data) + 1),
            # A key that stands twice in an object is an error, but only where the key is known.
            parse_options=arrow_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error"),
        )
    except pa.ArrowInvalid:
        return None
    if data.num_rows != len(ends):
        return None
    first = block.first_line

    def column(name: str) -> Column:
        found = data[name].combine_chunks()
        if _is_told_apart(found):
            return ArrowColumn(found)
        return _parse_strictly(block, {}, path, FindingLog()).column(name)

    names = data.schema.names
    return Table(
        file=str(path),
        names=names,
        num_rows=len(ends),
        column=column,
        place=lambda row: f"line {first + row}",
        is_json=True,
    )


def _schema_of(kinds: Kinds) -> pa.Schema | None:
    """Return the likeliest type of each column, or None where it is none that pyarrow is asked to parse."""
    fields: list[pa.Field] = []
    for name, counts in kinds.items():
        kind = max(counts, key=counts.__getitem__) if counts else pa.null()
        for whole, real in ((pa.int64(), pa.float64()), (_list_of(pa.int64()), _list_of(pa.float64()))):
            kind = real if kind == whole and real in counts else kind
        if kind is None:
            return None
        fields.append(pa.field(name, kind))
    return pa.schema(fields) if 0 < len(fields) <= _MAX_FIELDS else None


def _list_of(kind: pa.DataType) -> pa.DataType:
    return pa.list_(kind)


def _kind_of(value: object) -> pa.DataType | None:
    if type(value) is not list:
        return _TYPES.get(type(value))
    members = {_TYPES.get(type(member)) for member in value} or {pa.large_string()}
    if members == {pa.int64(), pa.float64()}:
        return _list_of(pa.float64())
    (member,) = members if len(members) == 1 else (None,)
    return None if member is None else _list_of(member)


def _is_told_apart(column: pa.Array) -> bool:
    """Return whether the values are what the strict way gives, none of them written in another way or null in a list."""
    if pa.types.is_list(column.type):
        return pa.types.is_large_string(column.type.value_type) and not (column.null_count or column.values.null_count)
    return pa.types.is_large_string(column.type)


def _is_an_object_a_line(data: bytes, ends: Int64[np.ndarray, " lines"]) -> bool:
    """Return whether every line starts with a brace and ends with one, so that no object goes on in the next line.

    Behind a brace that closes an inner object JSON has a comma or another brace, never one that opens: with as many
    objects as lines there is then one in each.
    """
    content = np.frombuffer(data, dtype=np.uint8)
    starts = np.concatenate([[0], ends[:-1]])
    last = ends - 1
    last -= content[last] == ord("\n")
    last -= content[np.maximum(last, 0)] == ord("\r")
    if not (last > starts).all():
        return False
    return bool((content[starts] == ord("{")).all() and (content[last] == ord("}")).all())


def _parse_strictly(block: TextBlock, kinds: Kinds, path: Path, findings: FindingLog) -> Table:
    rows: list[dict[str, object]] = []
    lines: list[int] = []
    # Not splitlines(): it would also part lines at characters that JSON allows inside text.
    for number, line in enumerate(block.data.decode().split("\n"), start=block.first_line):
        row = _parse_line(line, number, path, findings) if line.strip() else None
        if row is not None:
            rows.append(row)
            lines.append(number)
    for row in rows:
        for name, value in row.items():
            counts = kinds.setdefault(name, Counter())
            if value is not None:
                counts[_kind_of(value)] += 1
    return Table(
        file=str(path),
        names=list(kinds),
        num_rows=len(rows),
        column=lambda name: arrow_or_list([row.get(name) for row in rows]),
        place=lambda row: f"line {lines[row]}",
        is_json=True,
    )


def _parse_line(line: str, number: int, path: Path, findings: FindingLog) -> dict[str, object] | None:
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
