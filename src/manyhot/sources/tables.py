"""Tables of samples, whatever file they come from: which column is what, and the labels in three spellings.

A column of labels (lists, or text parted by a delimiter), or else one column a label with 1, 0 or nothing. In the
latter, nothing means unknown: whoever wrote zeros elsewhere would have written one there. In a column of labels an
empty text or list means a sample without labels.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from manyhot.errors import did_you_mean, quote
from manyhot.labels import LabelSets
from manyhot.sources.cells import read_cells
from manyhot.sources.columns import ArrowColumn, Column, concat_columns
from manyhot.sources.entries import read_entries
from manyhot.sources.finding import FindingLog
from manyhot.sources.listing import Listing, Places, Reader, read_splits
from manyhot.sources.lists import DEFAULT_DELIMITER, read_list_column, read_text_column
from manyhot.sources.naming import DeclaredNames, LabelPairs, assemble_labels
from manyhot.sources.options import SourceOptions
from manyhot.sources.text import is_unicode

REFERENCE_COLUMNS = (
    "reference", "file", "filename", "file_name", "path", "filepath", "file_path", "image", "image_path", "image_name",
    "name", "picture", "photo",
)  # fmt: skip
LABEL_COLUMNS = ("labels", "label")
SPLIT_COLUMN, GROUP_COLUMN = "split", "group"


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """A table as its file gives it.

    Args:
        file: The file, as messages name it.
        names: The columns, in order, without repetition.
        num_rows: Number of rows.
        column: Gives a column by its name.
        place: Where a row stands in the file.
        faulty: Rows that were found wrong while they were read.
        is_json: Whether its values are JSON's: a text is then a label, or several, but never itself a JSON list.
    """

    file: str
    names: Sequence[str]
    num_rows: int
    column: Callable[[str], Column]
    place: Places
    faulty: frozenset[int] = frozenset()
    is_json: bool = False


def concatenated(tables: Sequence[Table], *, file: str | None = None) -> Table | None:
    """Return the rows of several tables, one after the other, or None without a table.

    A column that a table lacks is null there.

    Args:
        tables: The tables: parts of one file, or of several.
        file: What messages call all of them; as the first, if not given.
    """
    if len(tables) < 2:
        return tables[0] if tables else None
    starts = list(accumulate((table.num_rows for table in tables), initial=0))

    # Not the lists of names: there may be 100,000 of them.
    named = [(table, frozenset(table.names)) for table in tables]

    def column(name: str) -> Column:
        absent: list[object] = [None]
        parts = [t.column(name) if name in known else absent * t.num_rows for t, known in named]
        return concat_columns(parts)

    def place(row: int) -> str:
        number = bisect_right(starts, row) - 1
        return tables[number].place(row - starts[number])

    return Table(
        file=file or tables[0].file,
        names=list(dict.fromkeys(name for table in tables for name in table.names)),
        num_rows=starts[-1],
        column=column,
        place=place,
        faulty=frozenset(start + row for start, table in zip(starts, tables, strict=False) for row in table.faulty),
        is_json=tables[0].is_json,
    )


@dataclass(frozen=True, kw_only=True)
class Roles:
    """Which column is what. Without a column of labels, `cells` names the columns that are labels themselves."""

    reference: str
    labels: str | None
    split: str | None
    group: str | None
    cells: tuple[str, ...]


def read_table(
    table: Table, declared: DeclaredNames | None, options: SourceOptions, findings: FindingLog
) -> Listing | None:
    """Return the samples of a table, or None where its columns do not say what they are; faults go to the findings."""
    roles = find_roles(table.file, table.names, options, findings)
    return None if roles is None else read_roles(table, roles, declared, options, findings)


def read_roles(
    table: Table, roles: Roles, declared: DeclaredNames | None, options: SourceOptions, findings: FindingLog
) -> Listing | None:
    """Return the samples of a table whose columns are known, or None where a column is not what it should be."""
    if not table.num_rows:
        findings.error("empty-data", f"{table.file}: the table has no rows; it needs at least one sample")
        return None
    reader = Reader(table.file, findings, table.place, set(table.faulty))
    references = texts_of(table, roles.reference, reader)
    labels = _labels_of(table, roles, declared, options, reader)
    if references is None or labels is None:
        return None
    splits = None if roles.split is None else texts_of(table, roles.split, reader)
    groups = None if roles.group is None else texts_of(table, roles.group, reader)
    return Listing(
        file=table.file,
        references=[reference or "" for reference in references],
        place=table.place,
        labels=labels,
        splits=None if splits is None else read_splits(splits, reader),
        groups=None if groups is None else [group or None for group in groups],
        faulty=frozenset(reader.faulty),
    )


def find_roles(file: str, names: Sequence[str], options: SourceOptions, findings: FindingLog) -> Roles | None:
    """Return which column is what, or None with an error in the findings.

    Names are compared without regard to case. Where several columns could name the picture, the first of
    `REFERENCE_COLUMNS` does.
    """
    columns = _by_folded_name(names)
    if not _has_column(file, names, "label_column", options.label_column, findings):
        return None
    reference = find_reference_column(file, names, options.reference_column, findings)
    if reference is None:
        return None
    labels = options.label_column or _first(columns, LABEL_COLUMNS)
    split, group = columns.get(SPLIT_COLUMN), columns.get(GROUP_COLUMN)
    cells = options.label_columns
    for name in cells or ():
        if not _has_column(file, names, "label_columns", name, findings):
            return None
    others = cells or tuple(name for name in names if name not in (reference, labels, split, group))
    labels = None if cells else labels
    if labels is None and not others:
        findings.error(
            "no-label-column",
            f"{file}: no column holds labels ({_listed(names)}); call one 'labels', say which (label_column, "
            "--data.label_column NAME), or add a 0/1 column a label",
        )
        return None
    unused = others if labels is not None else ()
    if cells:
        unused = tuple(name for name in names if name not in (reference, split, group, *cells))
    for name in unused:
        findings.info(
            "ignored-column",
            f"{file}: a column is not used, since {quote(labels or 'label_columns')} holds labels",
            quote(name),
        )
    return Roles(reference=reference, labels=labels, split=split, group=group, cells=others if labels is None else ())


def find_reference_column(file: str, names: Sequence[str], given: str | None, findings: FindingLog) -> str | None:
    """Return the column that names the picture, or None with an error in the findings."""
    if not _has_column(file, names, "reference_column", given, findings):
        return None
    reference = given or _first(_by_folded_name(names), REFERENCE_COLUMNS)
    if reference is None:
        findings.error(
            "no-reference-column",
            f"{file}: no column of the first line names the picture ({_listed(names)}); call one 'file', or say which "
            f"(reference_column, --data.reference_column NAME){_separator_hint(names)}",
        )
    return reference


def _has_column(file: str, names: Sequence[str], option: str, given: str | None, findings: FindingLog) -> bool:
    if given is None or given in names:
        return True
    nearest = did_you_mean(given, names)
    findings.error(
        "no-column",
        f"{file}: there is no column {quote(given)} ({_listed(names)}); mend {option} (--data.{option}){nearest}",
    )
    return False


def _by_folded_name(names: Sequence[str]) -> dict[str, str]:
    return {name.strip().casefold(): name for name in reversed(names)}


def _first(columns: dict[str, str], candidates: Sequence[str]) -> str | None:
    return next((columns[name] for name in candidates if name in columns), None)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(quote(name) for name in names[:6])
    return f"columns: {shown}{', …' if len(names) > 6 else ''}"


def _separator_hint(names: Sequence[str]) -> str:
    if len(names) == 1:
        for character, word in ((";", "semicolons"), ("\t", "tabs"), (",", "commas")):
            if character in names[0]:
                return f"; it seems parted by {word}: save it with commas as .csv or with tabs as .tsv"
    return ""


def texts_of(table: Table, name: str, reader: Reader) -> list[str | None] | None:
    """Return a column of text, or None with an error in the findings where the column as a whole is of another type."""
    column = table.column(name)
    if isinstance(column, ArrowColumn):
        if not column.is_text:
            message = f"{table.file}: column {quote(name)} is of type {column.kind}, not text; write it as text"
            reader.findings.error("column-type", message)
            return None
        return [value if isinstance(value, str) else None for value in column.to_list()]
    texts: list[str | None] = []
    for row, value in enumerate(column):
        text = value if isinstance(value, str) else None
        if text is None and value is not None:
            reader.fault(row, "column-type", f"{quote(name)} is not text; put it in quotes", repr(value))
        if text is not None and not is_unicode(text):
            reader.fault(row, "encoding", f"{quote(name)} holds half a surrogate pair; mend the text", quote(text))
            text = None
        texts.append(text)
    return texts


def _labels_of(
    table: Table, roles: Roles, declared: DeclaredNames | None, options: SourceOptions, reader: Reader
) -> LabelSets | None:
    if roles.labels is None:
        return read_cells(roles.cells, table.column, table.num_rows, reader, uncertain=options.uncertain)
    pairs = _pairs_of(table, roles.labels, options.delimiter, reader)
    return None if pairs is None else assemble_labels(pairs, declared, reader, unlisted=options.unlisted)


def _pairs_of(table: Table, name: str, delimiter: str | None, reader: Reader) -> LabelPairs | None:
    column = table.column(name)
    if not isinstance(column, ArrowColumn):
        return read_entries(column, reader, delimiter=delimiter or DEFAULT_DELIMITER)
    if column.is_text and table.is_json:
        return read_entries(column.to_list(), reader, delimiter=delimiter or DEFAULT_DELIMITER)
    if column.is_text:
        return read_text_column(column, name, delimiter, reader)
    if column.is_text_list:
        return read_list_column(column, reader)
    message = f"{table.file}: column {quote(name)} is of type {column.kind}; write labels as text or lists of text"
    reader.findings.error("column-type", message)
    return None
