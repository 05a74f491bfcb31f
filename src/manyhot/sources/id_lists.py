"""A JSON list with a list of label numbers for each sample: `[[970, 795], [], [809]]`."""

import re
from pathlib import Path

import numpy as np

from manyhot.labels import LabelSpace
from manyhot.sources.cell_lists import CellList, sets_of
from manyhot.sources.finding import FindingLog
from manyhot.sources.format import stem_of, suffix_of
from manyhot.sources.label_names import find_names, numbered_space, read_numbered_names
from manyhot.sources.line_blocks import first_bytes
from manyhot.sources.listing import Listing, Reader
from manyhot.sources.options import SourceOptions
from manyhot.sources.strict_json import JsonFaultError, parse_json
from manyhot.sources.text import read_text

_START = re.compile(rb"\s*\[\s*\[\s*(\]|-?[\d.]+\s*[\],])")


def is_id_lists(path: Path) -> bool:
    """Return whether a JSON file starts with a list in a list that is empty or holds a number."""
    return suffix_of(path) == ".json" and path.is_file() and _START.match(first_bytes(path)) is not None


def read_id_lists(path: Path, options: SourceOptions, findings: FindingLog) -> Listing | None:
    """Return a sample a list, empty ones too, or None where the file is none.

    Labels are called by their numbers, as many as the greatest asks for, unless a file names them.
    """
    text = read_text(path, findings)
    if text is None:
        return None
    try:
        value = parse_json(text)
    except JsonFaultError as fault:
        findings.error("json-syntax", f"{path}: {fault}; mend the JSON there")
        return None
    reader = Reader(str(path), findings, lambda row: f"entry {row}")
    rows = [_ids_of(entry, row, reader) for row, entry in enumerate(value if isinstance(value, list) else [])]
    lengths = [len(row) for row in rows]
    ids = np.array([number for row in rows for number in row], dtype=np.int64)
    space = _space_of(path, int(ids.max()) + 1 if ids.size else 0, options, findings)
    if space is None:
        return None
    row_ids = np.repeat(np.arange(len(rows)), lengths)
    known = ids < len(space)
    for position in np.flatnonzero(~known).tolist():
        message = f"a label's number is not below {len(space):,}, the number of names; labels count from 0"
        reader.fault(int(row_ids[position]), "unknown-label", message, str(int(ids[position])))
    cells = CellList(num_rows=len(rows), row_ids=row_ids[known], label_ids=ids[known])
    return Listing(
        file=str(path),
        references=[f"{stem_of(path)}/{row}" for row in range(1, len(rows) + 1)],
        place=reader.place,
        labels=sets_of(cells, space, reader, unlisted=options.unlisted),
        faulty=frozenset(reader.faulty),
        has_pictures=False,
    )


def _ids_of(entry: object, row: int, reader: Reader) -> list[int]:
    if not isinstance(entry, list):
        reader.fault(row, "json-shape", "an entry is no list of numbers; write [] for a sample without labels")
        return []
    ids: list[int] = []
    for number in entry:
        if isinstance(number, int) and not isinstance(number, bool) and 0 <= number < 1 << 31:
            ids.append(number)
        else:
            reader.fault(row, "label-type", "a label is no whole number from 0; mend it", repr(number)[:40])
    return ids


def _space_of(path: Path, num_labels: int, options: SourceOptions, findings: FindingLog) -> LabelSpace | None:
    file = find_names(path.parent, options)
    if file is None:
        return numbered_space(num_labels, f"{path}: the greatest number", findings)
    names = read_numbered_names(file, findings)
    return None if names is None else LabelSpace(names=names)
