"""Scores of any model, from a file: a matrix by memory map, or a table."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Shaped

from manyhot.errors import ScoreError, SourceError, did_you_mean
from manyhot.labels.npy import NPY_FAULTS
from manyhot.metrics.scores import Kind
from manyhot.runs.number_tables import NumberTable, read_number_table

# What `manyhot predict` writes before the name of a label.
PREFIX = "prob:"


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoreFile:
    """What a file of scores holds.

    Args:
        path: The file.
        values: One row a sample and one column a label; of a `.npy` file a view that is read as it is used.
        names: The label of each column; None where the file does not say.
        references: The sample of each row; None where the file does not say.
    """

    path: Path
    values: Float[np.ndarray, "n l"]
    names: tuple[str, ...] | None = None
    references: tuple[str, ...] | None = None


def read_score_file(path: Path, *, kind: Kind | None = None, reference_column: str | None = None) -> ScoreFile:
    """Return the scores of a file.

    `.npy` holds a matrix of floating-point numbers, one row a sample, and is not loaded but mapped. Parquet, CSV and TSV
    hold a column a label (`prob:NAME` is NAME), or Parquet one column of lists of equal length, whose field may name
    the labels as `manyhot predict` does; a column of references joins them with the truth. They are loaded whole.

    Args:
        path: The file.
        kind: Which column of lists to take where there are several: the one called `logits` or `probs`.
        reference_column: The column that names the sample; else the first of the usual names.

    Raises:
        SourceError: If the file cannot be read or is of another kind.
        ScoreError: If what it holds are no scores.
    """
    check_file(path)
    if path.suffix.lower() == ".npy":
        return ScoreFile(path=path, values=_scores_of(map_matrix(path), path))
    return _from_table(read_number_table(path, reference_column=reference_column), kind)


def check_file(path: Path) -> None:
    """Check that a file is there.

    Raises:
        SourceError: If it is not; the message names the nearest file beside it.

    >>> check_file(Path("nowhere.npy"))
    Traceback (most recent call last):
    manyhot.errors.SourceError: nowhere.npy: there is no such file; check the path
    """
    if not path.is_file():
        siblings = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
        raise SourceError(f"{path}: there is no such file; check the path{did_you_mean(path.name, siblings)}")


def map_matrix(path: Path) -> Shaped[np.ndarray, "n l"]:
    """Return the matrix of a `.npy` file as a view that is read as it is used.

    Raises:
        SourceError: If the file is no sound `.npy`, or holds no matrix.
    """
    try:
        mapped: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, *NPY_FAULTS) as error:
        raise SourceError(f"{path}: is no sound .npy file ({str(error).splitlines()[0]}); write it again") from None
    if mapped.ndim != 2:
        raise SourceError(
            f"{path}: holds an array of shape {mapped.shape}; write one row a sample and one column a label"
        )
    # asarray: slices of np.memmap carry its bookkeeping along, which costs more than they do.
    return np.asarray(mapped)


def _from_table(table: NumberTable, kind: Kind | None) -> ScoreFile:
    lists = table.list_columns
    if len(lists) > 1:
        if kind not in lists:
            raise ScoreError(
                f"{table.path}: the columns {', '.join(lists)} all hold lists of numbers; keep the scores alone"
            )
        lists = (kind,)
    if lists:
        names, values = table.names_of_lists(lists[0]), table.matrix_of_lists(lists[0])
        if names is not None and len(names) != values.shape[1]:
            raise ScoreError(f"{table.path}: {len(names):,} labels are named for lists of {values.shape[1]:,} scores")
    else:
        names, values = table.columns, table.matrix_of_columns()
        if all(name.startswith(PREFIX) for name in names):
            names = tuple(name.removeprefix(PREFIX) for name in names)
        # Scores that happen to be whole numbers are read as such from text.
        values = values if values.dtype.kind == "f" or table.path.suffix == ".parquet" else values.astype(np.float64)
    values = _scores_of(values, table.path)
    return ScoreFile(path=table.path, values=values, names=names, references=table.references())


def _scores_of(values: Shaped[np.ndarray, "n l"], path: Path) -> Float[np.ndarray, "n l"]:
    if values.dtype.kind != "f":
        raise ScoreError(
            f"{path}: holds {values.dtype}, not floating-point scores; decisions cannot be ranked: write the scores"
        )
    return values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))
