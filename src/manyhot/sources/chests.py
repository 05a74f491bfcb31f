"""Tables of chest radiographs: NIH (findings parted by `|`) and CheXpert (1, 0, -1 and blank), grouped by patient."""

# pyarrow.compute makes its functions when it is imported, where no type checker sees them:
# pyright: reportAttributeAccessIssue=false

from dataclasses import replace
from pathlib import Path

import pyarrow.compute as pc

from manyhot.errors import quote
from manyhot.sources.columns import ArrowColumn, Column
from manyhot.sources.delimited import open_delimited
from manyhot.sources.finding import FindingLog
from manyhot.sources.format import suffix_of
from manyhot.sources.line_blocks import first_line
from manyhot.sources.listing import Listing
from manyhot.sources.naming import read_declared_names
from manyhot.sources.options import SourceOptions
from manyhot.sources.tables import Roles, Table, read_roles

NIH_COLUMNS = ("Image Index", "Finding Labels", "Patient ID")
CHEXPERT_COLUMNS = ("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA")
NO_FINDING = "No Finding"
_PATIENT = "(patient)"


def is_nih(path: Path) -> bool:
    """Return whether a CSV file's first line has the columns of the NIH's `Data_Entry_2017`."""
    return _has_columns(path, NIH_COLUMNS)


def is_chexpert(path: Path) -> bool:
    """Return whether a CSV file's first line has the columns of CheXpert."""
    return _has_columns(path, CHEXPERT_COLUMNS[:4])


def _has_columns(path: Path, names: tuple[str, ...]) -> bool:
    return suffix_of(path) == ".csv" and path.is_file() and set(names) <= set(first_line(path).split(","))


def read_nih(path: Path, options: SourceOptions, findings: FindingLog) -> Listing | None:
    """Return the rows of the table: `No Finding` is a sample without labels, and a patient is a group."""
    table = open_delimited(path, findings)
    if table is None:
        return None
    reference, labels, group = NIH_COLUMNS
    texts = table.column(labels)
    if isinstance(texts, ArrowColumn):
        alone = pc.equal(pc.utf8_trim_whitespace(texts.array), NO_FINDING)
        beside = pc.and_(pc.match_substring(texts.array, NO_FINDING), pc.invert(alone))
        for row in pc.indices_nonzero(beside).to_pylist():
            message = f"{path}: {quote(NO_FINDING)} stands beside a finding; delete one of them"
            findings.error("contradiction", message, f"{table.place(row)}: {quote(texts.array[row].as_py())}")
        table = _with_column(table, labels, ArrowColumn(pc.if_else(alone, "", texts.array)))
    roles = Roles(reference=reference, labels=labels, split=None, group=group, cells=())
    return read_roles(table, roles, read_declared_names(path.parent, findings), options, findings)


def read_chexpert(path: Path, options: SourceOptions, findings: FindingLog) -> Listing | None:
    """Return the rows of the table: blank is unknown, and -1 is what the options say; without a word it is an error.

    A picture's path starts below the folder of the table or below the one above; the patient in it is the group.
    """
    table = open_delimited(path, findings)
    if table is None:
        return None
    paths = table.column("Path")
    if isinstance(paths, ArrowColumn):
        patients = pc.extract_regex(paths.array, r"(?:^|/)(?P<patient>patient\d+)/").field("patient")
        table = _with_column(table, _PATIENT, ArrowColumn(pc.if_else(pc.equal(patients, ""), None, patients)))
    listed = tuple(name for name in table.names if name not in (*CHEXPERT_COLUMNS, _PATIENT))
    cells = options.label_columns or listed
    unknown = [name for name in cells if name not in listed]
    if unknown or not cells:
        message = f"{path}: there is no column of labels {quote(unknown[0] if unknown else '')}; mend label_columns"
        findings.error("no-column", message)
        return None
    roles = Roles(reference="Path", labels=None, split=None, group=_PATIENT, cells=cells)
    listing = read_roles(table, roles, None, options, findings)
    return None if listing is None else replace(listing, root=_root_of(path, listing.references[0]))


def _root_of(path: Path, reference: str) -> Path | None:
    roots = (path.parent, path.parent.parent)
    return next((root for root in roots if (root / reference).is_file()), None)


def _with_column(table: Table, name: str, column: ArrowColumn) -> Table:
    others = table.column

    def column_of(wanted: str) -> Column:
        return column if wanted == name else others(wanted)

    names = table.names if name in table.names else [*table.names, name]
    return replace(table, names=names, column=column_of)
