"""Parquet tables."""

# pyarrow has no types:
# pyright: reportUnknownParameterType=false

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from manyhot.errors import quote
from manyhot.sources.columns import ArrowColumn
from manyhot.sources.finding import FindingLog
from manyhot.sources.tables import Table

BLOCK_ROWS = 1 << 17


def open_parquet(path: Path, findings: FindingLog) -> Table | None:
    """Return the table of a Parquet file, or None where it is no sound one; rows count from 1 in messages."""
    tables = list(read_parquet(path, findings, num_rows=None))
    return tables[0] if tables and not findings.is_cut_short else None


def read_parquet(path: Path, findings: FindingLog, *, num_rows: int | None = BLOCK_ROWS) -> Iterator[Table]:
    """Yield such a file as tables of some rows each, or as one where no number is given."""
    # Half the cost of `import pyarrow` again: only who reads Parquet pays it.
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            repeated = [name for name, count in Counter(names).items() if count > 1]
            for name in repeated:
                message = f"{path}: two columns have the same name; rename or delete one"
                findings.error("duplicate-column", message, quote(name))
            if repeated:
                return
            start = 1
            for data in [file.read()] if num_rows is None else file.iter_batches(num_rows):
                data.validate(full=True)
                yield _table_of(path, data, start)
                start += data.num_rows
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = str(error).partition("\n")[0]
        findings.error("unreadable-file", f"{path}: no sound Parquet file ({reason}); write it again")


def _table_of(path: Path, data: pa.Table | pa.RecordBatch, start: int) -> Table:
    def column(name: str) -> ArrowColumn:
        found = data.column(name)
        if not isinstance(found, pa.ChunkedArray):
            return ArrowColumn(found)
        return ArrowColumn(pa.concat_arrays(found.chunks) if found.chunks else pa.array([], found.type))

    return Table(
        file=str(path),
        names=data.schema.names,
        num_rows=data.num_rows,
        column=column,
        place=lambda row: f"row {row + start}",
    )
