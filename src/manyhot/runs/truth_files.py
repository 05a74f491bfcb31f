"""The labels that scores are judged against, from a file: any source, or a plain matrix of 1, 0 and unknown."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Shaped

from manyhot.errors import LabelError, SourceError
from manyhot.labels import Csr, LabelSets, LabelSource, LabelSpace
from manyhot.labels.csr import narrow_ids, offsets_of
from manyhot.runs.number_tables import TABLES, read_number_table
from manyhot.runs.score_files import check_file, map_matrix
from manyhot.sources import FindingLog, SourceOptions, open_source
from manyhot.sources.cells import read_cells
from manyhot.sources.formats import find_format
from manyhot.sources.listing import Reader
from manyhot.sources.tables import LABEL_COLUMNS

BLOCK_CELLS = 1 << 22


@dataclass(frozen=True, kw_only=True, eq=False)
class TruthFile:
    """What a file of labels holds.

    Args:
        path: The file or folder.
        labels: The labels of each row.
        has_names: Whether it names the labels; otherwise they are numbered.
        references: The sample of each row; None where the file does not say.
    """

    path: Path
    labels: LabelSets
    has_names: bool
    references: tuple[str, ...] | None = None


def read_truth_file(path: Path, options: SourceOptions, *, split: str | None = None) -> TruthFile:
    """Return the labels of a file or folder: any source that manyhot reads, pictures or not, or a plain matrix.

    A plain matrix is a `.npy` file, a Parquet file with one column of lists of numbers, or a table of numbers without
    a column that names the samples: 1 is positive, 0 negative, −1, NaN and nothing are unknown.

    Args:
        path: The file or folder.
        options: How to read a source.
        split: Take the samples of this split alone.

    Raises:
        SourceError: If it cannot be read, holds other values, or has no such split.
    """
    found = _read_plain(path, options)
    if found is None:
        return _read_source(path, options, split)
    if split is not None:
        raise SourceError(f"{path}: is a plain matrix and knows no split; take out --split {split}")
    return found


def _read_source(path: Path, options: SourceOptions, split: str | None) -> TruthFile:
    manifest = open_source(path, replace(options, pictures=False, uncertain=options.uncertain or "unknown"))
    if split is not None:
        names = manifest.splits()
        rows = np.array([row for row, name in enumerate(names) if name == split], dtype=np.int64)
        if not len(rows):
            raise SourceError(f"{path}: no sample is of the split {split!r}; take out --split to judge all of them")
        manifest = manifest.take(rows)
    return TruthFile(path=path, labels=manifest.labels, has_names=True, references=tuple(manifest.references()))


def _read_plain(path: Path, options: SourceOptions) -> TruthFile | None:
    """Return the labels of a plain matrix; None where the path is something else."""
    suffix = path.suffix.lower()
    if suffix == ".npy":
        check_file(path)
        return TruthFile(path=path, labels=sets_of_matrix(map_matrix(path), path), has_names=False)
    found = find_format(path, options.format, FindingLog())
    if suffix not in TABLES or not path.is_file() or found is None or found.name != "table":
        return None
    table = read_number_table(path, reference_column=options.reference_column)
    lists = table.list_columns
    if len(lists) == 1 and lists == table.columns:
        names = table.names_of_lists(lists[0])
        labels = sets_of_matrix(table.matrix_of_lists(lists[0]), path, names)
        return TruthFile(path=path, labels=labels, has_names=names is not None, references=table.references())
    if table.reference is not None or any(name.casefold() in LABEL_COLUMNS for name in table.table.column_names):
        return None
    findings = FindingLog()
    reader = Reader(str(path), findings, lambda row: f"row {row + 1}")
    uncertain = options.uncertain or "unknown"
    labels = read_cells(table.columns, table.column, table.num_rows, reader, uncertain=uncertain)
    if findings.has_errors or labels is None:
        raise SourceError("; and ".join(one.line for one in findings.findings() if one.severity == "error"))
    return TruthFile(path=path, labels=labels, has_names=True)


def sets_of_matrix(matrix: Shaped[np.ndarray, "n l"], path: Path, names: tuple[str, ...] | None = None) -> LabelSets:
    """Return label sets from a matrix that may not fit into memory, in two passes over blocks of its rows.

    Raises:
        SourceError: If a value is none of 1, 0, −1 and NaN.
    """
    num_samples, num_labels = matrix.shape
    try:
        space = LabelSpace(names=tuple(str(label) for label in range(num_labels)) if names is None else names)
    except LabelError as error:
        raise SourceError(f"{path}: {error}") from None
    positives = negatives = 0
    for rows, block in _blocks(matrix):
        positive, negative = block == 1, block == 0
        strange = ~(positive | negative | (block == -1) | (block != block))  # noqa: PLR0124 - NaN differs from itself
        if strange.any():
            row, label = np.argwhere(strange)[0]
            raise SourceError(
                f"{path}: the cell of row {rows.start + row}, column {label} is {block[row, label]}; "
                "write 1 (positive), 0 (negative), and -1 or NaN (unknown)"
            )
        positives += int(positive.sum())
        negatives += int(negative.sum())
    unknown = num_samples * num_labels - positives - negatives
    unlisted_is_negative = negatives >= unknown
    exceptions = _listed(matrix, lambda block: ~((block == 0) | (block == 1)) if unlisted_is_negative else block == 0)
    return LabelSets(
        space=space,
        positives=_listed(matrix, lambda block: block == 1),
        exceptions=exceptions if exceptions.size else None,
        sources=(LabelSource(unlisted="negative" if unlisted_is_negative else "unknown"),),
    )


def _blocks(matrix: Shaped[np.ndarray, "n l"]) -> Iterator[tuple[slice, Shaped[np.ndarray, "k l"]]]:
    step = max(1, BLOCK_CELLS // max(1, matrix.shape[1]))
    for start in range(0, len(matrix), step):
        rows = slice(start, min(start + step, len(matrix)))
        yield rows, matrix[rows]


def _listed(
    matrix: Shaped[np.ndarray, "n l"], is_listed: Callable[[Shaped[np.ndarray, "k l"]], Bool[np.ndarray, "k l"]]
) -> Csr:
    lengths, ids = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    for _, block in _blocks(matrix):
        listed = is_listed(block)
        lengths.append(np.count_nonzero(listed, axis=1))
        ids.append(narrow_ids(np.nonzero(listed)[1]))
    return Csr(offsets_of(np.concatenate(lengths)), narrow_ids(np.concatenate(ids)))
