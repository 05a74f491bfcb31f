"""Extreme-classification text: a header of sizes, then rows of `label,label feature:value …`, or of `label:1 …`."""

# pyarrow.compute makes its functions when it is imported, where no type checker sees them, and pyarrow has no types:
# pyright: reportAttributeAccessIssue=false, reportUnknownParameterType=false

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manyhot.errors import quote
from manyhot.labels import LabelSpace
from manyhot.sources.cell_lists import CellList, sets_of
from manyhot.sources.features import Features
from manyhot.sources.finding import FindingLog
from manyhot.sources.format import stem_of, suffix_of
from manyhot.sources.id_values import IdValues, parse_id_values, parse_ids
from manyhot.sources.label_names import find_names, numbered_space, read_numbered_names
from manyhot.sources.line_blocks import LineBlock, first_line, read_line_blocks
from manyhot.sources.listing import Listing, Reader
from manyhot.sources.options import SourceOptions

_HEADER = re.compile(r"\s*(\d{1,18})\s+(\d{1,18})(\s+\d{1,18})?\s*")


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What the header says: samples, features (None where the rows hold labels alone) and labels."""

    num_samples: int
    num_features: int | None
    num_labels: int


@dataclass(eq=False)
class _Rows:
    """Pairs collected block by block."""

    num_rows: int = 0
    labels: list[IdValues] = field(default_factory=list[IdValues])
    features: list[IdValues] = field(default_factory=list[IdValues])


def is_extreme(path: Path) -> bool:
    """Return whether a text file's first line is two or three whole numbers."""
    return path.is_file() and suffix_of(path) in (".txt", ".xmc", ".svm", "") and sizes_of(first_line(path)) is not None


def sizes_of(line: str) -> Sizes | None:
    """Return what a header says, or None where the line is none.

    >>> sizes_of("134835 131073")
    Sizes(num_samples=134835, num_features=None, num_labels=131073)
    """
    match = _HEADER.fullmatch(line)
    if match is None:
        return None
    numbers = [int(number) for number in match.groups() if number is not None]
    return Sizes(num_samples=numbers[0], num_features=numbers[1] if len(numbers) == 3 else None, num_labels=numbers[-1])


def read_extreme(path: Path, options: SourceOptions, findings: FindingLog) -> Listing | None:
    """Return the rows of the file, or None where its header is none; nothing of it is ever dense.

    Labels are called by their numbers unless a file names them. A row without labels is a sample without labels. With
    a header of two numbers a row is `label:1 …`; a value below 1 is the confidence of the positive.
    """
    header = _read_header(path, options, findings)
    if header is None:
        return None
    sizes, space = header
    reader = Reader(str(path), findings, partial(_line, 0))
    rows = _Rows()
    for block in _without_header(read_line_blocks(path, findings)):
        _collect(block, rows, sizes, reader)
    _check_length(rows.num_rows, sizes, path, findings)
    if not rows.num_rows:
        if not findings.has_errors:
            findings.error("empty-data", f"{path}: no line follows the header; it needs at least one sample")
        return None
    listing = _listing_of(rows, space, options, reader, first_row=0)
    return replace(listing, features=_features_of(rows, sizes, reader))


def read_extreme_blocks(path: Path, options: SourceOptions, findings: FindingLog) -> Iterator[Listing]:
    """Yield the rows of such a file some at a time, without their features."""
    header = _read_header(path, options, findings)
    if header is None:
        return
    sizes, space = header
    first_row = 0
    for block in _without_header(read_line_blocks(path, findings)):
        rows = _Rows()
        reader = Reader(str(path), findings, partial(_line, first_row))
        _collect(block, rows, sizes, reader)
        yield _listing_of(rows, space, options, reader, first_row=first_row)
        first_row += rows.num_rows
    _check_length(first_row, sizes, path, findings)


def _line(first_row: int, row: int) -> str:
    return f"line {first_row + row + 2}"


def _read_header(path: Path, options: SourceOptions, findings: FindingLog) -> tuple[Sizes, LabelSpace] | None:
    sizes = sizes_of(first_line(path))
    if sizes is None:
        message = f"{path}: line 1: expected 'samples features labels' or 'samples labels'; write the header"
        findings.error("header", message)
        return None
    space = _space_of(path, sizes, options, findings)
    return None if space is None else (sizes, space)


def _check_length(num_rows: int, sizes: Sizes, path: Path, findings: FindingLog) -> None:
    if num_rows != sizes.num_samples and not findings.has_errors:
        message = f"{path}: line 1 says {sizes.num_samples:,} samples, and {num_rows:,} lines follow; mend either"
        findings.error("header", f"{message}, for the file may be cut off")


def _listing_of(rows: _Rows, space: LabelSpace, options: SourceOptions, reader: Reader, *, first_row: int) -> Listing:
    stem = stem_of(Path(reader.file))
    return Listing(
        file=reader.file,
        references=[f"{stem}/{row}" for row in range(first_row + 1, first_row + rows.num_rows + 1)],
        place=reader.place,
        labels=sets_of(_cells_of(rows), space, reader, unlisted=options.unlisted),
        faulty=frozenset(reader.faulty),
        has_pictures=False,
    )


def _space_of(path: Path, sizes: Sizes, options: SourceOptions, findings: FindingLog) -> LabelSpace | None:
    file = find_names(path.parent, options)
    if file is None:
        return numbered_space(sizes.num_labels, f"{path}: line 1", findings)
    names = read_numbered_names(file, findings)
    if names is None:
        return None
    if len(names) != sizes.num_labels:
        message = f"{file}: {len(names):,} names for the {sizes.num_labels:,} labels of {path}; give one each"
        findings.error("label-names", message)
        return None
    return LabelSpace(names=names)


def _without_header(blocks: Iterator[LineBlock]) -> Iterator[LineBlock]:
    for block in blocks:
        yield LineBlock(2, block.lines.slice(1)) if block.first_line == 1 else block


def _collect(block: LineBlock, rows: _Rows, sizes: Sizes, reader: Reader) -> None:
    first = rows.num_rows
    rows.num_rows += len(block.lines)
    lines = pc.replace_substring(pc.ascii_rtrim(block.lines, characters=" \t"), "\t", " ")
    if sizes.num_features is None:
        pairs = parse_id_values(pc.split_pattern(lines, " "))
        rows.labels.append(_checked_labels(pairs, first, sizes, reader))
        return
    labels, features = _parted(lines)
    rows.labels.append(_checked_labels(parse_ids(pc.split_pattern(labels, ",")), first, sizes, reader))
    rows.features.append(_checked_features(parse_id_values(pc.split_pattern(features, " ")), first, sizes, reader))


def _parted(lines: pa.LargeStringArray) -> tuple[pa.LargeStringArray, pa.LargeStringArray]:
    """Return what stands before the first blank and after it; features alone are no labels."""
    parts = pc.extract_regex(lines, r"^(?P<labels>[^ :]*)(?P<features>(?s:.*))$")
    labels, features = parts.field("labels"), parts.field("features")
    # A row that starts with a feature right away: the number before the colon is no label.
    starts = pc.starts_with(features, ":")
    if pc.any(starts).as_py():
        labels, features = pc.if_else(starts, "", labels), pc.if_else(starts, lines, features)
    return labels, features


def _checked_labels(pairs: IdValues, first: int, sizes: Sizes, reader: Reader) -> IdValues:
    for row, token in pairs.faults:
        expected = "'id:value'" if sizes.num_features is None else "a label's number"
        reader.fault(first + row, "pair-syntax", f"a token is not {expected}; mend it", quote(token))
    known = pairs.ids < sizes.num_labels
    for position in np.flatnonzero(~known).tolist():
        message = f"a label's number is not below {sizes.num_labels:,}, as line 1 says; labels count from 0"
        reader.fault(first + int(pairs.row_ids[position]), "unknown-label", message, str(int(pairs.ids[position])))
    sound = (pairs.values >= 0) & (pairs.values <= 1)
    for position in np.flatnonzero(known & ~sound).tolist():
        found = f"{pairs.ids[position]}:{pairs.values[position]:g}"
        message = "the value of a label is not between 0 and 1; write 1 for a label that is there"
        reader.fault(first + int(pairs.row_ids[position]), "confidence", message, found)
    # A stored 0 says that the label is not there, as does its absence.
    kept = known & sound & (pairs.values > 0)
    return IdValues(pairs.row_ids[kept] + first, pairs.ids[kept], pairs.values[kept], ())


def _checked_features(pairs: IdValues, first: int, sizes: Sizes, reader: Reader) -> IdValues:
    for row, token in pairs.faults:
        reader.fault(first + row, "pair-syntax", "a token is no 'feature:value'; mend it", quote(token))
    known = pairs.ids < (sizes.num_features or 0)
    for position in np.flatnonzero(~known).tolist():
        message = f"a feature's number is not below {sizes.num_features:,}, as line 1 says; features count from 0"
        reader.fault(first + int(pairs.row_ids[position]), "unknown-feature", message, str(int(pairs.ids[position])))
    sound = np.isfinite(pairs.values)
    for position in np.flatnonzero(known & ~sound).tolist():
        message = "the value of a feature is too large for a 32-bit float; mend it"
        reader.fault(first + int(pairs.row_ids[position]), "feature-value", message, f"feature {pairs.ids[position]}")
    kept = known & sound & (pairs.values != 0)
    return IdValues(pairs.row_ids[kept] + first, pairs.ids[kept], pairs.values[kept], ())


def _cells_of(rows: _Rows) -> CellList:
    return CellList(
        num_rows=rows.num_rows,
        row_ids=np.concatenate([pairs.row_ids for pairs in rows.labels]),
        label_ids=np.concatenate([pairs.ids for pairs in rows.labels]),
        confidence=np.concatenate([pairs.values for pairs in rows.labels]),
    )


def _features_of(rows: _Rows, sizes: Sizes, reader: Reader) -> Features | None:
    if sizes.num_features is None:
        return None
    row_ids = np.concatenate([pairs.row_ids for pairs in rows.features])
    ids = np.concatenate([pairs.ids for pairs in rows.features])
    values = np.concatenate([pairs.values for pairs in rows.features])
    features = Features.from_pairs(row_ids, ids, values, num_rows=rows.num_rows, num_features=sizes.num_features)
    repeated = len(ids) - features.rows.size
    if repeated:
        message = (
            f"{reader.file}: {repeated:,} values of features that stand twice in a row are left out; the last counts"
        )
        reader.findings.warning("repeated-feature", message)
    return features
