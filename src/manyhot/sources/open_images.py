"""Open Images: CSV files of image, label and confidence, where 1 and 0 were verified by people and the rest is unknown."""

# pyarrow.compute makes its functions when it is imported, where no type checker sees them, and pyarrow has no types:
# pyright: reportAttributeAccessIssue=false, reportUnknownParameterType=false

import re
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int64, UInt8

from manyhot.errors import quote
from manyhot.sources.cell_lists import NEGATIVE, POSITIVE, CellList, sets_of
from manyhot.sources.finding import FindingLog
from manyhot.sources.format import suffix_of
from manyhot.sources.line_blocks import first_line, report_unreadable
from manyhot.sources.listing import SPLIT_NAMES, Listing, Reader
from manyhot.sources.open_images_labels import read_open_images_space
from manyhot.sources.options import SourceOptions
from manyhot.sources.unpacking import open_binary

COLUMNS = ("ImageID", "LabelName", "Confidence")


def is_open_images_file(path: Path) -> bool:
    """Return whether a CSV file's first line names the columns ImageID, LabelName and Confidence."""
    return suffix_of(path) == ".csv" and path.is_file() and set(COLUMNS) <= set(first_line(path).split(","))


def is_open_images(path: Path) -> bool:
    """Return whether a path is such a file, or a folder that holds one."""
    return is_open_images_file(path) if path.is_file() else bool(_files_in(path))


def _files_in(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if is_open_images_file(file)) if folder.is_dir() else []


def read_open_images(path: Path, options: SourceOptions, findings: FindingLog) -> Listing | None:
    """Return the images of the files, or None where they cannot be read.

    Confidence 1 is a positive and 0 a negative, both verified. Anything between is a machine's guess: the cell stays
    unknown, as does every cell that no row names. Names come from the class descriptions beside the file, parents from
    the hierarchy. Pictures are called by their ids, with any suffix; the beginnings `train-`, `validation-` and `test-`
    of the files' names are splits.
    """
    files = [path] if path.is_file() else _files_in(path)
    rows = _Rows()
    for file in files:
        if not _read_file(file, rows, findings):
            return None
    if not rows.images:
        findings.error("empty-data", f"{path}: the file holds no row; it needs at least one sample")
        return None
    if "" in rows.images or "" in rows.labels:
        return None
    folder = path.parent if path.is_file() else path
    space = read_open_images_space(folder, list(rows.labels), options, findings)
    if space is None:
        return None
    names = list(rows.images)
    reader = Reader(str(path), findings, lambda row: f"image {quote(names[row])}", set(rows.faulty))
    cells = CellList(
        num_rows=len(names),
        row_ids=np.concatenate(rows.row_ids),
        label_ids=space.ids[np.concatenate(rows.codes)],
        states=np.concatenate(rows.states),
    )
    _report_guesses(rows, path, findings)
    split_of = [_split_of(file) for file in files]
    return Listing(
        file=str(path),
        references=names,
        place=reader.place,
        labels=sets_of(cells, space.space, reader, unlisted="unknown"),
        splits=None if None in split_of else [split_of[part] for part in rows.files],
        faulty=frozenset(reader.faulty),
        by_stem=True,
        unlisted_mend="add its labels, or leave it",
    )


def _split_of(file: Path) -> str | None:
    return SPLIT_NAMES.get(re.split(r"[-_.]", file.name)[0].casefold())


@dataclass(eq=False)
class _Rows:
    """Cells collected block by block; images and labels get their numbers in the order of their first row."""

    images: dict[str, int] = field(default_factory=dict[str, int])
    labels: dict[str, int] = field(default_factory=dict[str, int])
    files: list[int] = field(default_factory=list[int])
    row_ids: list[Int64[np.ndarray, " p"]] = field(default_factory=list[Int64[np.ndarray, " p"]])
    codes: list[Int64[np.ndarray, " p"]] = field(default_factory=list[Int64[np.ndarray, " p"]])
    states: list[UInt8[np.ndarray, " p"]] = field(default_factory=list[UInt8[np.ndarray, " p"]])
    faulty: set[int] = field(default_factory=set[int])
    num_files: int = 0
    num_guesses: int = 0


def _read_file(path: Path, rows: _Rows, findings: FindingLog) -> bool:
    """Collect one file in blocks; return whether it could be read."""
    from pyarrow import csv  # costs as much as half of pyarrow: only who reads such a file pays it

    convert = csv.ConvertOptions(
        include_columns=list(COLUMNS), column_types=dict.fromkeys(COLUMNS, pa.string()), strings_can_be_null=False
    )
    line = 2
    try:
        with open_binary(path) as file, csv.open_csv(file, convert_options=convert) as blocks:
            for block in blocks:
                _collect(block, path, line, rows, findings)
                line += block.num_rows
    except (EOFError, zlib.error) as error:
        report_unreadable(path, error, findings)
        return False
    except (pa.ArrowException, OSError, KeyError) as error:
        reason = str(error).partition("\n")[0]
        findings.error("csv-syntax", f"{path}: cannot be read: {reason}; mend the row, or write the file again")
        return False
    rows.num_files += 1
    return True


def _collect(block: pa.RecordBatch, path: Path, line: int, rows: _Rows, findings: FindingLog) -> None:
    images = _numbers_of(block.column(0), rows.images)
    rows.files.extend([rows.num_files] * (len(rows.images) - len(rows.files)))
    labels = _numbers_of(block.column(1), rows.labels)
    confidence = _confidence_of(block.column(2))
    sound = (confidence >= 0) & (confidence <= 1)
    for position in np.flatnonzero(~sound).tolist():
        found = block.column(2)[position].as_py()
        message = f"{path}: a confidence is no number from 0 to 1; mend it, or delete the row"
        findings.error("confidence", message, f"line {line + position}: {quote(found)}")
        rows.faulty.add(int(images[position]))
    for column in range(2):
        for position in pc.indices_nonzero(pc.equal(block.column(column), "")).to_pylist():
            message = f"{path}: a row has no {COLUMNS[column]}; write it, or delete the row"
            findings.error("empty-cell", message, f"line {line + position}")
    verified = (confidence == 0) | (confidence == 1)
    rows.num_guesses += int((sound & ~verified).sum())
    rows.row_ids.append(images[verified])
    rows.codes.append(labels[verified])
    rows.states.append(np.where(confidence[verified] == 1, POSITIVE, NEGATIVE).astype(np.uint8))


def _numbers_of(column: pa.Array, numbers: dict[str, int]) -> Int64[np.ndarray, " rows"]:
    """Return the number of each text, with new numbers for texts that were not seen before."""
    encoded = column.dictionary_encode()
    known = [numbers.setdefault(text, len(numbers)) for text in encoded.dictionary.to_pylist()]
    return np.array(known, dtype=np.int64)[encoded.indices.to_numpy()]


def _confidence_of(column: pa.Array) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the numbers of a column of text, NaN for what is none."""
    encoded = column.dictionary_encode()
    texts: list[str] = encoded.dictionary.to_pylist()
    values = [float(text) if re.fullmatch(r"\d+(\.\d*)?([eE][-+]?\d+)?", text) else np.nan for text in texts]
    return np.array(values, dtype=np.float64)[encoded.indices.to_numpy()]


def _report_guesses(rows: _Rows, path: Path, findings: FindingLog) -> None:
    if rows.num_guesses:
        message = f"{path}: confidences between 0 and 1, which no person verified: {rows.num_guesses:,}; "
        findings.info("unverified", f"{message}their cells are unknown")
