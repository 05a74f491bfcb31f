"""Tencent ML-Images: rows of an address and `id:confidence`, and a dictionary of labels with their parents."""

# pyarrow.compute makes its functions when it is imported, where no type checker sees them:
# pyright: reportAttributeAccessIssue=false

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manyhot.errors import quote
from manyhot.labels import LabelSpace
from manyhot.sources.cell_lists import CellList, sets_of
from manyhot.sources.finding import FindingLog
from manyhot.sources.format import suffix_of
from manyhot.sources.id_values import IdValues, parse_id_values
from manyhot.sources.label_names import numbered_space
from manyhot.sources.line_blocks import LineBlock, first_bytes, read_line_blocks
from manyhot.sources.listing import Listing, Reader
from manyhot.sources.options import SourceOptions
from manyhot.sources.tencent_dictionary import parse_dictionary

DICTIONARY = "dictionary_and_semantic_hierarchy.txt"
# An address has a letter or a slash: lines of numbers alone are another format's.
_ROW = re.compile(r"[ \t]*\S*[A-Za-z/]\S*[\t ]+\d+:[\d.eE+-]+([\t ]|$)")
_LIKE_ROW = re.compile(r"[ \t]*\S+(://|\.jpe?g\b|\.png\b)\S*[\t ]+\S*\d\S*")


def is_tencent(path: Path) -> bool:
    """Return whether one of a file's first lines is an address with pairs of a label's number and a confidence.

    Or its first line looks like one that is misspelt: the reader then says what is wrong with it.
    """
    if not path.is_file() or suffix_of(path) not in (".txt", ".tsv", ""):
        return False
    lines = first_bytes(path).decode(errors="replace").splitlines()
    return any(_ROW.match(line) for line in lines) or (bool(lines) and _LIKE_ROW.match(lines[0]) is not None)


def read_tencent(path: Path, options: SourceOptions, findings: FindingLog) -> Listing | None:
    """Return the rows of a file `address id:confidence …`, or None where it holds none.

    Labels take their names and parents from the dictionary beside the file; without it they are called by their
    numbers. A label with a confidence is a positive that keeps it; an unlisted label is negative.
    """
    named = _read_names(path, options, findings)
    if named is None:
        return None
    reader = Reader(str(path), findings, lambda row: f"line {row + 1}")
    references: list[str] = []
    found = [_pairs_of(block, len(references), references, reader) for block in read_line_blocks(path, findings)]
    if not references:
        findings.error("empty-data", f"{path}: the file holds no row; it needs at least one sample")
        return None
    pairs = IdValues(
        np.concatenate([part.row_ids for part in found]),
        np.concatenate([part.ids for part in found]),
        np.concatenate([part.values for part in found]),
        (),
    )
    space = named or _numbered(pairs, path, findings)
    return None if space is None else _listing_of(references, pairs, space, options, reader)


def read_tencent_blocks(path: Path, options: SourceOptions, findings: FindingLog) -> Iterator[Listing]:
    """Yield the rows of such a file some at a time; labels without a dictionary are those up to the greatest so far."""
    space = named = _read_names(path, options, findings)
    first_row = 0
    for block in read_line_blocks(path, findings) if named is not None else ():
        reader = Reader(str(path), findings, partial(_line, first_row))
        references: list[str] = []
        pairs = _pairs_of(block, 0, references, reader)
        if not named and pairs.ids.size and int(pairs.ids.max()) >= len(space or ()):
            space = _numbered(pairs, path, findings)
        if space is None:
            return
        yield _listing_of(references, pairs, space, options, reader)
        first_row += len(references)


def _line(first_row: int, row: int) -> str:
    return f"line {first_row + row + 1}"


def _read_names(path: Path, options: SourceOptions, findings: FindingLog) -> LabelSpace | None:
    """Return the labels of the dictionary, none where there is no dictionary; None with errors."""
    dictionary = options.hierarchy or options.names or path.parent / DICTIONARY
    if dictionary.is_file() or dictionary in (options.hierarchy, options.names):
        found = parse_dictionary(dictionary, findings)
        return None if found is None else found.space
    message = f"{path}: labels are called by their numbers, for there is no {DICTIONARY} beside; give it (names, --data.names FILE)"
    findings.info("unnamed-labels", message)
    return LabelSpace(names=())


def _numbered(pairs: IdValues, path: Path, findings: FindingLog) -> LabelSpace | None:
    return numbered_space(int(pairs.ids.max()) + 1 if pairs.ids.size else 0, f"{path}: the greatest number", findings)


def _listing_of(
    references: list[str], pairs: IdValues, space: LabelSpace, options: SourceOptions, reader: Reader
) -> Listing:
    kept = _in_range(pairs.row_ids, pairs.ids, pairs.values, len(space), reader)
    cells = CellList(
        num_rows=len(references),
        row_ids=pairs.row_ids[kept],
        label_ids=pairs.ids[kept],
        confidence=pairs.values[kept].astype(np.float32),
    )
    return Listing(
        file=reader.file,
        references=references,
        place=reader.place,
        labels=sets_of(cells, space, reader, unlisted=options.unlisted),
        faulty=frozenset(reader.faulty),
        has_pictures=not any("://" in reference for reference in references[:100]),
    )


def _pairs_of(block: LineBlock, first_row: int, references: list[str], reader: Reader) -> IdValues:
    # One kind of blank throughout, so that one split is enough.
    lines = pc.replace_substring(pc.utf8_trim_whitespace(block.lines), "\t", " ")
    parts = pc.split_pattern(lines, " ", max_splits=1)
    sizes = pc.list_value_length(parts).to_numpy()
    flat = parts.flatten()
    starts = np.cumsum(sizes) - sizes
    references.extend(flat.take(pa.array(starts)).to_pylist())
    rests = np.full(len(lines), "", dtype=object)
    rests[sizes == 2] = flat.take(pa.array(starts[sizes == 2] + 1)).to_pylist()
    pairs = parse_id_values(pc.split_pattern(pa.array(rests.tolist(), pa.large_string()), " "))
    for row, token in pairs.faults:
        message = "a token is no 'id:confidence'; mend it, or delete the row"
        reader.fault(first_row + row, "pair-syntax", message, quote(token))
    return IdValues(pairs.row_ids + first_row, pairs.ids, pairs.values, ())


def _in_range(
    rows: np.ndarray[tuple[int], np.dtype[np.int64]],
    ids: np.ndarray[tuple[int], np.dtype[np.int64]],
    values: np.ndarray[tuple[int], np.dtype[np.float32]],
    num_labels: int,
    reader: Reader,
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    known = ids < num_labels
    for position in np.flatnonzero(~known).tolist():
        message = f"a label's number is not below {num_labels:,}, the number of labels; mend it or the dictionary"
        reader.fault(int(rows[position]), "unknown-label", message, str(int(ids[position])))
    sound = (values > 0) & (values <= 1)
    for position in np.flatnonzero(known & ~sound).tolist():
        message = "a confidence is not above 0 and at most 1; mend it, or leave the label out if it is not there"
        reader.fault(int(rows[position]), "confidence", message, f"{ids[position]}:{values[position]:g}")
    return known & sound
