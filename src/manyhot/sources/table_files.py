"""Which files are tables, and how each kind is opened."""

from collections.abc import Callable
from pathlib import Path

from manyhot.sources.delimited import open_delimited
from manyhot.sources.finding import FindingLog
from manyhot.sources.format import suffix_of
from manyhot.sources.json_lines import open_json_lines
from manyhot.sources.listing import Listing
from manyhot.sources.naming import read_declared_names
from manyhot.sources.options import SourceOptions
from manyhot.sources.parquet import open_parquet
from manyhot.sources.tables import Table, read_table

TABLE_FILES: dict[str, Callable[[Path, FindingLog], Table | None]] = {
    ".csv": open_delimited,
    ".tsv": open_delimited,
    ".tab": open_delimited,
    ".parquet": open_parquet,
    ".jsonl": open_json_lines,
    ".ndjson": open_json_lines,
}
"""What opens a table, by the suffix of its file."""


def read_table_file(path: Path, options: SourceOptions, findings: FindingLog) -> Listing | None:
    """Return the samples of a table, or None where it is no sound one; faults go to the findings."""
    table = TABLE_FILES[suffix_of(path)](path, findings)
    return None if table is None else read_table(table, read_declared_names(path.parent, findings), options, findings)
