"""Arrow tables of labelled rows become batches for a store: lists of ids or names, without a Python object a row."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int64, Integer, Shaped

from manyhot.errors import LabelError
from manyhot.labels.csr import Csr
from manyhot.labels.sets import LabelSets
from manyhot.labels.source import LabelSource
from manyhot.labels.space import LabelSpace
from manyhot.labels.storage import SAMPLES_SCHEMA, StoreBatch


def batch_from_arrow(
    table: "pa.Table | pa.RecordBatch",  # pyright: ignore[reportUnknownParameterType] - pyarrow has no types
    space: LabelSpace,
    *,
    source: LabelSource | None = None,
) -> StoreBatch:
    """Return the samples and labels of an Arrow table or record batch.

    Columns: `labels`, and where there are any `exceptions`, are lists of label ids or of names; `confidence` is a list as
    long as that of `labels`; `reference`, `split` and `group` are text. Ids may be unsorted; a repeated one is an error
    beside confidence and counts once without.

    Args:
        table: The rows.
        space: The labels.
        source: Where the rows came from and what their unlisted cells mean.

    Raises:
        LabelError: If a column is of another type, a list is null, or a label is not in the space.

    >>> table = pa.table({"reference": ["a.jpg", "b.jpg"], "labels": [["dog", "cat"], []]})
    >>> batch_from_arrow(table, LabelSpace(names=("cat", "dog"))).labels.to_multi_hot().tolist()
    [[1.0, 1.0], [0.0, 0.0]]
    """
    columns = {name: _combined(table.column(name)) for name in table.schema.names}
    if "labels" not in columns:
        raise LabelError(f"there is no column 'labels' (columns: {', '.join(columns)}); name it so")
    positives = _rows_of(columns["labels"], "labels", space)
    confidence = None
    if "confidence" in columns:
        offsets, values = _lists_of(columns["confidence"], "confidence")
        if not np.array_equal(offsets, positives.indptr):
            raise LabelError("lists of 'confidence' are not as long as those of 'labels'; give one for each label")
        positives, order = _sorted(positives)
        confidence = values.to_numpy(zero_copy_only=False)[order]
    elif positives.unsorted_row() is not None:
        positives = Csr.from_pairs(positives.row_ids(), positives.ids, positives.num_rows)
    exceptions = _rows_of(columns["exceptions"], "exceptions", space) if "exceptions" in columns else None
    if exceptions is not None and exceptions.unsorted_row() is not None:
        exceptions = Csr.from_pairs(exceptions.row_ids(), exceptions.ids, exceptions.num_rows)
    labels = LabelSets(
        space=space,
        positives=positives,
        exceptions=exceptions,
        sources=(source or LabelSource(),),
        confidence=confidence,
    )
    return StoreBatch(labels=labels, samples=_samples_of(columns))


def _combined(column: Any) -> Any:  # noqa: ANN401 - pyarrow has no types
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _samples_of(columns: dict[str, Any]) -> "pa.Table | None":  # pyright: ignore[reportUnknownParameterType] - pyarrow has no types
    if "reference" not in columns:
        return None
    reference = columns["reference"]
    absent = pa.nulls(len(reference), pa.string())
    fields = list(SAMPLES_SCHEMA)[:3]
    return pa.table([columns.get(field.name, absent).cast(pa.string()) for field in fields], schema=pa.schema(fields))


def _lists_of(column: Any, name: str) -> tuple[Int64[np.ndarray, " offsets"], Any]:  # noqa: ANN401 - likewise
    """Return the offsets and the flat values of a column of lists."""
    if not (pa.types.is_list(column.type) or pa.types.is_large_list(column.type)):
        raise LabelError(f"column {name!r} is of type {column.type}; write a list a row")
    if column.null_count:
        row = int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
        raise LabelError(f"column {name!r} is null in row {row:,}; write an empty list for a sample without labels")
    offsets = column.offsets.to_numpy().astype(np.int64)
    values = column.values.slice(int(offsets[0]), int(offsets[-1] - offsets[0])) if len(offsets) else column.values
    if values.null_count:
        raise LabelError(f"a list of column {name!r} holds a null; take it out")
    return offsets - offsets[0], values


def _rows_of(column: Any, name: str, space: LabelSpace) -> Csr:  # noqa: ANN401 - likewise
    offsets, values = _lists_of(column, name)
    kind = values.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        found = pc.call_function("index_in", [values], pc.SetLookupOptions(pa.array(space.names, kind)))
        if found.null_count:
            position = int(np.flatnonzero(found.is_null().to_numpy(zero_copy_only=False))[0])
            _raise_strange(values[position].as_py(), position, offsets, name, space)
        return Csr(offsets, found.to_numpy())
    if not pa.types.is_integer(kind) and not pa.types.is_null(kind):
        raise LabelError(f"lists of column {name!r} hold {kind}; write label ids or names")
    ids = values.to_numpy(zero_copy_only=False) if len(values) else np.zeros(0, dtype=np.uint16)
    return Csr(offsets, ids)


def _raise_strange(
    label: str, position: int, offsets: Int64[np.ndarray, " offsets"], name: str, space: LabelSpace
) -> None:
    row = int(np.searchsorted(offsets, position, side="right")) - 1
    try:
        space.id_of(label)
    except LabelError as error:
        raise LabelError(f"row {row:,} of column {name!r}: {error}") from None


def _sorted(rows: Csr) -> tuple[Csr, Integer[np.ndarray, " p"]]:
    order = np.lexsort((rows.ids, rows.row_ids()))
    ids: Shaped[np.ndarray, " p"] = rows.ids[order]
    return Csr(rows.indptr, ids), order
