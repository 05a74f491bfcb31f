"""Parquet tables."""

from collections import Counter
from pathlib import Path

import pyarrow as pa

from manyhot.sources.columns import ArrowColumn
from manyhot.sources.finding import FindingLog, quote
from manyhot.sources.tables import Table


def open_parquet(path: Path, findings: FindingLog) -> Table | None:
    """Return the table of a Parquet file, or None where it is no sound one; rows count from 1 in messages."""
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
                return None
            data = file.read()
            data.validate(full=True)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = str(error).partition("\n")[0]
        findings.error("unreadable-file", f"{path}: no sound Parquet file ({reason}); write it again")
        return None

    def column(name: str) -> ArrowColumn:
        chunks = data[name].chunks
        return ArrowColumn(pa.concat_arrays(chunks) if chunks else pa.array([], data[name].type))

    return Table(
        file=str(path),
        names=names,
        num_rows=data.num_rows,
        column=column,
        place=lambda row: f"row {row + 1}",
    )
