"""Tables of numbers beside the samples they belong to: one column a label, or one column of lists."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Shaped

from manyhot.errors import ScoreError, SourceError, did_you_mean
from manyhot.sources.columns import ArrowColumn
from manyhot.sources.tables import GROUP_COLUMN, LABEL_COLUMNS, REFERENCE_COLUMNS, SPLIT_COLUMN

TABLES = (".parquet", ".csv", ".tsv")
# Columns of these names are no numbers of a label, whatever they hold.
NOT_NUMBERS = (*LABEL_COLUMNS, SPLIT_COLUMN, GROUP_COLUMN)


@dataclass(frozen=True, kw_only=True, eq=False)
class NumberTable:
    """A table as its file gives it, loaded whole.

    Args:
        path: The file.
        table: What it holds.
        reference: The column that names the sample of each row; None where there is none.
    """

    path: Path
    table: pa.Table
    reference: str | None

    @property
    def num_rows(self) -> int:
        """Number of rows."""
        return self.table.num_rows

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns that may hold numbers: all but the references, labels as text, splits and groups."""
        names: list[str] = self.table.column_names
        return tuple(name for name in names if name != self.reference and name.casefold() not in NOT_NUMBERS)

    @cached_property
    def list_columns(self) -> tuple[str, ...]:
        """The columns that hold lists of numbers."""
        found: list[str] = []
        for name in self.columns:
            kind = self.table.schema.field(name).type
            is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
            if is_list and (pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)):
                found.append(name)
        return tuple(found)

    def references(self) -> tuple[str, ...] | None:
        """Return the sample of each row, or None where the file does not say.

        Raises:
            SourceError: If a row names none.
        """
        if self.reference is None:
            return None
        column = self.table[self.reference]
        if column.null_count:
            raise SourceError(f"{self.path}: {column.null_count:,} rows have no {self.reference!r}; name each sample")
        return tuple(column.cast(pa.string()).to_pylist())

    def column(self, name: str) -> ArrowColumn:
        """Return a column in one piece."""
        chunks = self.table[name].chunks
        return ArrowColumn(pa.concat_arrays(chunks) if chunks else pa.array([], self.table[name].type))

    def matrix_of_lists(self, name: str) -> Shaped[np.ndarray, "n l"]:
        """Return a column of lists of numbers as a matrix.

        Raises:
            ScoreError: If a list is missing, or they differ in length.
        """
        array = self.column(name).array
        if array.null_count:
            raise ScoreError(f"{self.path}: {array.null_count:,} rows of column {name!r} are empty; give each a list")
        if pa.types.is_fixed_size_list(array.type):
            width: int = array.type.list_size
        else:
            lengths = np.unique(np.diff(array.offsets.to_numpy()))
            if len(lengths) != 1:
                raise ScoreError(f"{self.path}: the lists of column {name!r} differ in length; one number a label")
            width = int(lengths[0])
        return array.flatten().to_numpy(zero_copy_only=False).reshape(len(array), width)

    def matrix_of_columns(self) -> Shaped[np.ndarray, "n l"]:
        """Return a column a label as a matrix; nothing becomes NaN.

        Raises:
            ScoreError: If a column is not of numbers, or there is none.
        """
        for name in self.columns:
            kind = self.table[name].type
            if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
                raise ScoreError(f"{self.path}: column {name!r} is of type {kind}, not numbers; take it out")
        if not self.columns:
            raise ScoreError(f"{self.path}: no column holds numbers; give one a label, or one of lists")
        values = [self.column(name).array.to_numpy(zero_copy_only=False) for name in self.columns]
        return np.column_stack(values)

    def names_of_lists(self, name: str) -> tuple[str, ...] | None:
        """Return the labels that the field of a column of lists names, as `manyhot predict` writes them; None without."""
        metadata: dict[bytes, bytes] = self.table.schema.field(name).metadata or {}
        return tuple(json.loads(metadata[b"labels"])) if b"labels" in metadata else None


def read_number_table(path: Path, *, reference_column: str | None = None) -> NumberTable:
    """Return the table of a Parquet, CSV or TSV file; references are text, whatever they look like.

    Args:
        path: The file.
        reference_column: The column that names the sample; else the first of the usual names.

    Raises:
        SourceError: If the file is of another kind, cannot be read, or lacks the column that is asked for.
    """
    import pyarrow.parquet as pq
    from pyarrow import csv as arrow_csv

    suffix = path.suffix.lower()
    if suffix not in TABLES:
        raise SourceError(f"{path}: is none of .npy, {', '.join(TABLES)}; write one of them")
    delimiter = "\t" if suffix == ".tsv" else ","
    try:
        if suffix == ".parquet":
            table = pq.read_table(path)
        else:
            header = _header_of(path, delimiter)
            _check_header(header, path)
            reference = _reference_of(header, reference_column, path)
            texts = {} if reference is None else {reference: pa.string()}
            table = arrow_csv.read_csv(
                path,
                parse_options=arrow_csv.ParseOptions(delimiter=delimiter),
                convert_options=arrow_csv.ConvertOptions(column_types=texts),
            )
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path}: cannot be read ({str(error).splitlines()[0]}); write it again") from None
    names: list[str] = table.column_names
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise SourceError(f"{path}: two columns are called {repeated!r}; rename or delete one")
    return NumberTable(path=path, table=table, reference=_reference_of(names, reference_column, path))


def _reference_of(names: list[str], given: str | None, path: Path) -> str | None:
    if given is not None and given not in names:
        raise SourceError(f"{path}: there is no column {given!r}{did_you_mean(given, names)}; mend reference_column")
    folded = {name.strip().casefold(): name for name in reversed(names)}
    return given or next((folded[name] for name in REFERENCE_COLUMNS if name in folded), None)


def _check_header(header: list[str], path: Path) -> None:
    """Check that the first row of a text file names columns, and that they were parted."""
    if len(header) == 1 and any(other in header[0] for other in ";\t,"):
        parted = "tabs" if path.suffix.lower() == ".tsv" else "commas"
        raise SourceError(f"{path}: the first row is one column, {header[0]!r}; part columns with {parted}")
    # Whole numbers may be names of labels: what writes tables without names numbers the columns.
    if header and all(_is_number(name) for name in header) and not all(name.strip().isdigit() for name in header):
        raise SourceError(
            f"{path}: the first row holds numbers, {header[0]} first, and not names; write the labels there"
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _header_of(path: Path, delimiter: str) -> list[str]:
    import csv

    with path.open(encoding="utf-8-sig", newline="") as file:
        return next(csv.reader(file, delimiter=delimiter), [])
