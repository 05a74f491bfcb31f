"""Hugging Face data sets: folders of pictures with `metadata` tables; shards with embedded pictures are beside."""

from dataclasses import replace
from pathlib import Path

from manyhot.errors import quote
from manyhot.sources.class_labels import class_names, report_unnamed
from manyhot.sources.coco import split_in
from manyhot.sources.columns import ArrowColumn, Column
from manyhot.sources.finding import FindingLog
from manyhot.sources.hugging_face_shards import has_shards, read_shards
from manyhot.sources.listing import Listing, Reader
from manyhot.sources.naming import DeclaredNames, read_declared_names
from manyhot.sources.options import SourceOptions
from manyhot.sources.strict_json import JsonFaultError, parse_json
from manyhot.sources.table_files import TABLE_FILES
from manyhot.sources.tables import LABEL_COLUMNS, Table, concatenated, read_table
from manyhot.sources.text import read_text

METADATA = tuple(f"metadata{suffix}" for suffix in (".jsonl", ".csv", ".parquet"))
INFO = "dataset_info.json"
FILE_NAME, SPLIT = "file_name", "split"

# Stands for a label that was reported and is left out; None would be a label that is missing.
_FAULTY = object()


def is_hugging_face(path: Path) -> bool:
    """Return whether a path holds a metadata table, in itself or in the folders in it, or shards of a data set."""
    return (path.is_dir() and bool(_tables_in(path))) or has_shards(path)


def _tables_in(folder: Path) -> list[Path]:
    own = [folder / name for name in METADATA if (folder / name).is_file()]
    return own or sorted(file for name in METADATA for file in folder.glob(f"*/{name}"))


def read_hugging_face(path: Path, options: SourceOptions, findings: FindingLog) -> Listing | None:
    """Return the samples of all metadata tables, or else of all shards; None with errors.

    `train/metadata.jsonl` speaks of pictures in `train`, which is then their split. Labels that are numbers take their
    names from the `ClassLabel` that `dataset_info.json` describes.
    """
    files = _tables_in(path) if path.is_dir() else []
    if not files:
        return read_shards(path, options, findings)
    parts: list[Table] = []
    for file in files:
        table = TABLE_FILES[file.suffix](file, findings)
        if table is None:
            return None
        if FILE_NAME not in table.names:
            message = f"{file}: there is no column {quote(FILE_NAME)}; every row names its picture there"
            findings.error("no-reference-column", message)
            return None
        parts.append(_placed(table, file, path))
    table = concatenated(parts, file=str(path))
    if table is None:
        return None
    declared = read_declared_names(path, findings)
    classes = _class_names(path / INFO, findings)
    column = options.label_column or next((name for name in LABEL_COLUMNS if name in table.names), None)
    if column is not None and column in classes:
        names = classes[column]
        declared = declared or DeclaredNames(file=str(path / INFO), keys=tuple((None, name) for name in names))
        table = _named(table, column, names, findings)
    listing = read_table(table, declared, replace(options, reference_column=FILE_NAME), findings)
    return None if listing is None else replace(listing, root=options.images or path)


def _placed(table: Table, file: Path, folder: Path) -> Table:
    """Return the table with names that start from the folder, and the split that its own folder is named for."""
    inner = file.parent.relative_to(folder).as_posix()
    if inner == ".":
        return table
    split, others, own_place = split_in(inner), table.column, table.place

    def column(name: str) -> Column:
        if name == SPLIT and split is not None:
            return list[object]([split]) * table.num_rows
        values = _values(others(name))
        return (
            [f"{inner}/{value}" if isinstance(value, str) else value for value in values]
            if name == FILE_NAME
            else values
        )

    names = list(dict.fromkeys([*table.names, *([] if split is None else [SPLIT])]))

    def place(row: int) -> str:
        return f"{inner}/{file.name}, {own_place(row)}"

    return replace(table, names=names, column=column, place=place)


def _values(column: Column) -> list[object]:
    return column.to_list() if isinstance(column, ArrowColumn) else column


def _named(table: Table, name: str, names: tuple[str, ...], findings: FindingLog) -> Table:
    others = table.column
    faulty: set[int] = set()
    reader = Reader(table.file, findings, table.place, faulty)

    def label_of(value: object, row: int) -> object:
        if not isinstance(value, int) or isinstance(value, bool):
            return value
        if 0 <= value < len(names):
            return names[value]
        report_unnamed(row, value, len(names), reader)
        return _FAULTY

    values: list[object] = []
    found = others(name)
    if isinstance(found, ArrowColumn) and found.is_text:
        return table
    for row, value in enumerate(_values(found)):
        if not isinstance(value, list):
            label = label_of(value, row)
            values.append([] if label is _FAULTY else label)
        else:
            values.append([label for number in value if (label := label_of(number, row)) is not _FAULTY])

    def column(wanted: str) -> Column:
        return values if wanted == name else others(wanted)

    return replace(table, column=column, faulty=table.faulty | faulty)


def _class_names(path: Path, findings: FindingLog) -> dict[str, tuple[str, ...]]:
    """Return the names of each column that is a `ClassLabel`, or a list of them; none where there is no such file."""
    text = read_text(path, findings) if path.is_file() else None
    if text is None:
        return {}
    try:
        value = parse_json(text)
    except JsonFaultError as fault:
        findings.error("json-syntax", f"{path}: {fault}; mend the JSON there")
        return {}
    return class_names(value)
