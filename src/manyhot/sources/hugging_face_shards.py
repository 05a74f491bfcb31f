"""Hugging Face data sets in shards: Parquet files, or a folder that `save_to_disk` wrote; pictures are embedded."""

# pyarrow has no types:
# pyright: reportUnknownParameterType=false

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from manyhot.errors import quote
from manyhot.sources.class_labels import is_numbers, name_numbers, occurring_numbers
from manyhot.sources.columns import ArrowColumn, Column
from manyhot.sources.embedded_pictures import EmbeddedPictures
from manyhot.sources.finding import FindingLog
from manyhot.sources.gathering import declared_of
from manyhot.sources.hugging_face_columns import FILE_SPLIT, ROW, ShardColumns, describes_features, find_columns
from manyhot.sources.label_names import find_names, read_numbered_names
from manyhot.sources.listing import Listing, Reader
from manyhot.sources.naming import DeclaredNames, read_declared_names
from manyhot.sources.options import SourceOptions
from manyhot.sources.shard_files import ShardFile, find_shards, looks_saved, parquet_in
from manyhot.sources.shards import ShardFaultError, read_columns, read_picture_paths, read_schema, rows_without_bytes
from manyhot.sources.tables import Table, read_roles

_NUMBERED = re.compile(r".+-\d{5}-of-\d{5}.*\.(parquet|arrow)")


def has_shards(path: Path) -> bool:
    """Return whether a path is a shard of such a data set, a folder of them, or what `save_to_disk` wrote.

    >>> has_shards(Path("nowhere"))
    False
    """
    if path.is_dir():
        return looks_saved(path) or any(map(_is_shard, parquet_in(path)[:1]))
    return path.is_file() and path.suffix.lower() in (".parquet", ".arrow") and _is_shard(path)


def _is_shard(path: Path) -> bool:
    try:
        return describes_features(read_schema(path))
    except ShardFaultError:
        # It is to be named as damaged, not passed over.
        return path.suffix.lower() == ".arrow" or _NUMBERED.fullmatch(path.name) is not None


def read_shards(path: Path, options: SourceOptions, findings: FindingLog) -> Listing | None:
    """Return the samples of all shards, or None with errors.

    A sample whose picture is embedded is called by its shard and row: `data/train-00000-of-00002.parquet/17`. The names
    of the shards, or those under which they were saved, say the splits.
    """
    files = find_shards(path, findings)
    columns = find_columns(files, options, findings) if files else None
    if not files or columns is None:
        return None
    parts = [part for file in files if (part := _read(file.path, columns, findings)) is not None]
    if len(parts) < len(files):
        return None
    rows = _Rows(path, files, pa.concat_tables(parts), [part.num_rows for part in parts], findings)
    references = _references_of(rows, columns, findings)
    names = _names_of(rows, columns, options, findings)
    if references is None or names is None:
        return None
    declared = read_declared_names(rows.root, findings) or names.declared
    table = Table(
        file=str(path),
        names=columns.read,
        num_rows=rows.data.num_rows,
        column=lambda name: _column(name, rows, columns, references.names, names),
        place=rows.place,
    )
    listing = read_roles(table, columns.roles, declared, options, findings)
    if listing is None:
        return None
    faulty = listing.faulty | rows.reader.faulty
    embedded = references.embedded
    return replace(listing, has_pictures=references.are_files or embedded is not None, faulty=faulty, embedded=embedded)


def _read(path: Path, columns: ShardColumns, findings: FindingLog) -> pa.Table | None:
    try:
        schema = read_schema(path)
        other = next((name for name in columns.read if not _is_same(schema, columns.schema, name)), None)
        if other is None:
            return read_columns(path, columns.read).replace_schema_metadata()
    except ShardFaultError as fault:
        findings.error("unreadable-file", f"{path}: {fault}; write it again, or get it again from where it came from")
        return None
    message = f"{path}: a column is not as in the first shard; write all shards alike"
    findings.error("other-columns", message, quote(other))
    return None


def _is_same(schema: pa.Schema, first: pa.Schema, name: str) -> bool:
    return schema.names.count(name) == 1 and schema.field(name).type == first.field(name).type


@dataclass(eq=False)
class _Rows:
    """The rows of all shards, one after the other."""

    path: Path
    files: Sequence[ShardFile]
    data: pa.Table
    sizes: Sequence[int]
    findings: FindingLog
    starts: list[int] = field(init=False)
    reader: Reader = field(init=False)

    def __post_init__(self) -> None:
        self.root = self.path if self.path.is_dir() else self.path.parent
        self.starts = np.cumsum([0, *self.sizes]).tolist()
        self.names = [file.path.relative_to(self.root).as_posix() for file in self.files]
        self.reader = Reader(str(self.path), self.findings, self.place)

    def place(self, row: int) -> str:
        """Return where a row stands."""
        shard = bisect_right(self.starts, row) - 1
        number = f"row {row - self.starts[shard] + 1}"
        return number if self.path.is_file() else f"{self.names[shard]}, {number}"

    def calls(self) -> list[str]:
        """Return what rows are called by their place."""
        sizes = zip(self.names, self.sizes, strict=True)
        return [f"{name}/{row}" for name, size in sizes for row in range(1, size + 1)]

    def pictures(self, column: str) -> EmbeddedPictures:
        """Return the pictures in a column."""
        return EmbeddedPictures(
            folder=self.root,
            shards=tuple(self.names),
            column=column,
            shard_ids=np.repeat(np.arange(len(self.sizes)), self.sizes),
            rows=np.concatenate([np.arange(size) for size in self.sizes]),
        )

    def array(self, name: str) -> pa.Array:
        """Return a column as one array."""
        return pa.concat_arrays(self.data[name].chunks) if self.data.num_rows else pa.array([], self.data[name].type)


@dataclass(frozen=True, eq=False)
class _References:
    """What each sample is called, None where a column says so, whether that is a picture's file, and embedded pictures."""

    names: list[str] | None
    are_files: bool
    embedded: EmbeddedPictures | None = None


def _references_of(rows: _Rows, columns: ShardColumns, findings: FindingLog) -> _References | None:
    if columns.picture is None:
        is_column = columns.roles.reference != ROW
        return _References(None if is_column else rows.calls(), is_column)
    absent: list[int] = []
    paths: list[str | None] = []
    for file, start in zip(rows.files, rows.starts, strict=False):
        try:
            absent += [start + row for row in rows_without_bytes(file.path, columns.picture)]
            if absent:
                paths += read_picture_paths(file.path, columns.picture)
        except ShardFaultError as fault:
            message = f"{file.path}: {fault}; write it again, or get it again from where it came from"
            findings.error("unreadable-file", message)
            return None
    if absent and len(absent) == len(paths) == rows.data.num_rows and all(paths):
        return _References([str(name) for name in paths], True)
    for row in absent:
        message = "a picture is not embedded, though others are; embed it, or delete the row"
        rows.reader.fault(row, "no-picture", message)
    if any(file.path.suffix.lower() == ".parquet" for file in rows.files):
        message = f"{rows.path}: pictures are embedded in Parquet, which gives no single one: training in random order "
        findings.info("embedded-pictures", f"{message}is slow; write a pack first: manyhot pack DATA --out PACK")
    return _References(rows.calls(), False, rows.pictures(columns.picture))


@dataclass(frozen=True, eq=False)
class _Names:
    """The names of labels that are numbers; none where labels are text."""

    by_number: dict[int, str]
    declared: DeclaredNames | None


def _names_of(rows: _Rows, columns: ShardColumns, options: SourceOptions, findings: FindingLog) -> _Names | None:
    labels = columns.roles.labels
    if labels is None or not is_numbers(columns.schema.field(labels).type):
        return _Names({}, None)
    names, file = columns.names, rows.files[0].path
    if names is None:
        found = find_names(rows.root, options)
        names = None if found is None else read_numbered_names(found, findings)
        if found is not None and names is None:
            return None
        file = found or file
    if names is not None:
        return _Names(dict(enumerate(names)), declared_of(names, file))
    message = f"{rows.path}: labels are called by their numbers, for nothing names them; give a file that names them (names, --data.names FILE)"
    findings.info("unnamed-labels", message)
    numbers = occurring_numbers(rows.array(labels))
    return _Names({number: str(number) for number in numbers}, declared_of([str(number) for number in numbers], file))


def _column(name: str, rows: _Rows, columns: ShardColumns, references: list[str] | None, names: _Names) -> Column:
    if name == FILE_SPLIT:
        return [split for file, size in zip(rows.files, rows.sizes, strict=True) for split in [file.split] * size]
    if references is not None and name == columns.roles.reference:
        return list[object](references)
    array = rows.array(name)
    if name == columns.roles.labels and is_numbers(array.type):
        return ArrowColumn(name_numbers(array, names.by_number, rows.reader))
    return ArrowColumn(array)
