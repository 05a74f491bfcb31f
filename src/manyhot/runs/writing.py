"""Predictions as files: CSV, JSON lines or Parquet, written batch by batch and whole or not at all."""

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Bool, Float

from manyhot.errors import RunError, UsageError
from manyhot.files import write_atomically
from manyhot.labels import LabelSpace

FORMATS = (".csv", ".jsonl", ".parquet")
DELIMITERS = ("|", ";", ",", "\t", " ")


@dataclass(frozen=True, kw_only=True, eq=False)
class PredictedRows:
    """Predictions of some images: a probability and a decision for each label.

    Args:
        references: The images.
        probs: Calibrated probabilities.
        preds: Decisions.
        logits: Written to Parquet alone, so that another decision can be made of them; None where nobody asks for them.
    """

    references: Sequence[str]
    probs: Float[np.ndarray, "n l"]
    preds: Bool[np.ndarray, "n l"]
    logits: Float[np.ndarray, "n l"] | None = None

    def label_names(self, space: LabelSpace) -> Iterator[list[str]]:
        """Yield the names of the labels predicted for each image."""
        for row in self.preds:
            yield [space.names[index] for index in np.flatnonzero(row)]


def check_format(path: Path) -> None:
    """Check that predictions can be written to a file of this name.

    Raises:
        UsageError: If the ending is none of .csv, .jsonl and .parquet, or the folder does not exist.
    """
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"{path}: predictions are written as {', '.join(FORMATS)}; choose one of these endings")
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent}: there is no such folder to write {path.name} into")


def write_predictions(
    path: Path, space: LabelSpace, batches: Iterable[PredictedRows], *, with_logits: bool = False
) -> None:
    """Write predictions in the format of the file's ending.

    CSV: `image`, `labels` (names joined by the first of | ; , tab and space that no name contains), then a column
    `prob:NAME` a label. JSON lines: `{"image": …, "labels": […], "probs": {NAME: …}}`. Parquet: `image`, `labels`
    (list of strings), `probs` (list of float32 in the order of the labels, whose names stand in the field's metadata), and,
    if `with_logits`, `logits` (likewise).
    """
    check_format(path)
    match path.suffix.lower():
        case ".csv":
            write_atomically(path, lambda temporary: _write_csv(temporary, space, batches))
        case ".jsonl":
            write_atomically(path, lambda temporary: _write_json_lines(temporary, space, batches))
        case _:
            write_atomically(path, lambda temporary: _write_parquet(temporary, space, batches, with_logits))


def _write_csv(path: Path, space: LabelSpace, batches: Iterable[PredictedRows]) -> None:
    delimiter = delimiter_for(space)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "labels", *(f"prob:{name}" for name in space.names)])
        for batch in batches:
            for reference, names, probs in zip(batch.references, batch.label_names(space), batch.probs, strict=True):
                writer.writerow([reference, delimiter.join(names), *(f"{prob:.6g}" for prob in probs.tolist())])


def delimiter_for(space: LabelSpace) -> str:
    """Return what parts label names in one column: the first usual delimiter that no name contains.

    Raises:
        UsageError: If every delimiter stands in some name.

    >>> delimiter_for(LabelSpace(names=("a|b", "c")))
    ';'
    """
    for delimiter in DELIMITERS:
        if not any(delimiter in name for name in space.names):
            return delimiter
    raise UsageError("every usual delimiter stands in some label's name; write .jsonl or .parquet instead of .csv")


def _write_json_lines(path: Path, space: LabelSpace, batches: Iterable[PredictedRows]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for batch in batches:
            _write_json_rows(file, space, batch)


def _write_json_rows(file: TextIO, space: LabelSpace, batch: PredictedRows) -> None:
    for reference, names, probs in zip(batch.references, batch.label_names(space), batch.probs, strict=True):
        shown = {name: float(f"{prob:.6g}") for name, prob in zip(space.names, probs.tolist(), strict=True)}
        file.write(json.dumps({"image": reference, "labels": names, "probs": shown}, ensure_ascii=False) + "\n")


def _write_parquet(path: Path, space: LabelSpace, batches: Iterable[PredictedRows], with_logits: bool) -> None:
    metadata = {"labels": json.dumps(space.names, ensure_ascii=False)}
    numbers = ("probs", "logits") if with_logits else ("probs",)
    fields = [pa.field(name, pa.list_(pa.float32(), len(space)), metadata=metadata) for name in numbers]
    schema = pa.schema([("image", pa.string()), ("labels", pa.list_(pa.string())), *fields])
    with pq.ParquetWriter(path, schema) as writer:
        for batch in batches:
            matrices = [batch.probs] + ([] if batch.logits is None or not with_logits else [batch.logits])
            flat = [pa.array(np.ascontiguousarray(matrix, dtype=np.float32).ravel()) for matrix in matrices]
            columns = [
                pa.array(list(batch.references), pa.string()),
                pa.array(list(batch.label_names(space)), pa.list_(pa.string())),
                *(pa.FixedSizeListArray.from_arrays(values, len(space)) for values in flat),
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))


def read_logits(path: Path) -> Float[np.ndarray, "n l"]:
    """Return the logits that `write_predictions` wrote beside its predictions, one row an image.

    Raises:
        RunError: If the file is missing or has none.
    """
    try:
        column = pq.read_table(path, columns=["logits"]).column("logits").combine_chunks()
    except FileNotFoundError:
        raise RunError(f"{path}: is missing, and the run's logits stood in it; train the run again") from None
    except (pa.ArrowInvalid, KeyError) as error:
        reason = " ".join(str(error).split())
        raise RunError(f"{path}: holds no logits to decide on ({reason}); train the run again") from None
    return column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), -1)
