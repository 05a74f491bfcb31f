"""Tables with a column of labels, read as listings of some rows each, so that memory stays flat."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from manyhot.sources.columns import ArrowColumn
from manyhot.sources.delimited import read_delimited
from manyhot.sources.finding import FindingLog
from manyhot.sources.format import NeedsWholeError, suffix_of
from manyhot.sources.json_lines import read_json_lines
from manyhot.sources.listing import Listing, Reader
from manyhot.sources.lists import DEFAULT_DELIMITER, Delimiters, are_json_lists, filled_texts
from manyhot.sources.naming import read_declared_names
from manyhot.sources.options import SourceOptions
from manyhot.sources.parquet import read_parquet
from manyhot.sources.tables import Roles, Table, find_roles, read_roles

TABLE_BLOCKS: dict[str, Callable[[Path, FindingLog], Iterator[Table]]] = {
    ".csv": read_delimited,
    ".tsv": read_delimited,
    ".tab": read_delimited,
    ".parquet": read_parquet,
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
}
"""What reads a table block by block, by the suffix of its file."""


def read_table_blocks(path: Path, options: SourceOptions, findings: FindingLog) -> Iterator[Listing]:
    """Yield the samples of a table some rows at a time; together they are what a reading of the whole gives.

    Raises:
        NeedsWholeError: Where a column is a label, or what a row means depends on rows that were not read yet.
    """
    declared = read_declared_names(path.parent, findings)
    roles: Roles | None = None
    names: list[str] = []
    delimiters = Delimiters()
    has_splits: bool | None = None
    for table in TABLE_BLOCKS[suffix_of(path)](path, findings):
        if roles is None or table.names != names:
            found = find_roles(table.file, table.names, options, findings if roles is None else FindingLog())
            if found is None and roles is None:
                return
            if (
                found is None
                or found.labels is None
                or roles not in (None, found)
                or table.names[: len(names)] != names
            ):
                raise NeedsWholeError
            roles, names = found, list(table.names)
        if not table.num_rows:
            continue
        listing = read_roles(table, roles, declared, _with_delimiter(table, roles, options, delimiters), findings)
        if listing is None:
            return
        has_splits = listing.splits is not None if has_splits is None else has_splits
        if has_splits != (listing.splits is not None) or listing.labels.space.groups is not None:
            raise NeedsWholeError
        yield listing
    if roles is not None and roles.labels is not None:
        delimiters.check(roles.labels, Reader(str(path), findings, str))


def _with_delimiter(table: Table, roles: Roles, options: SourceOptions, delimiters: Delimiters) -> SourceOptions:
    """Return options that say what parts labels of text: a block alone cannot tell."""
    column = table.column(roles.labels or "")
    if table.is_json or options.delimiter is not None or not isinstance(column, ArrowColumn) or not column.is_text:
        return options
    filled = filled_texts(column)
    if not delimiters.counts.total() and are_json_lists(filled):
        raise NeedsWholeError
    delimiters.add(filled)
    return replace(options, delimiter=DEFAULT_DELIMITER)
