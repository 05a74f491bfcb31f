"""Labels of Hugging Face data sets: numbers, and the names that a `ClassLabel` gives them."""

# pyarrow.compute makes its functions when it is imported, where no type checker sees them, and pyarrow has no types:
# pyright: reportAttributeAccessIssue=false, reportUnknownParameterType=false

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int64

from manyhot.sources.listing import Reader
from manyhot.sources.strict_json import JsonObject

WITHHELD = -1


def class_names(info: object) -> dict[str, tuple[str, ...]]:
    """Return the names of each class-label column of a data set's description.

    A column of lists of class labels is one too; descriptions have written those lists in three ways.

    >>> from manyhot.sources.strict_json import parse_json
    >>> class_names(parse_json('{"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}'))
    {'label': ('cat', 'dog')}
    """
    features = member(info, "features")
    found: dict[str, tuple[str, ...]] = {}
    for name, feature in features if isinstance(features, JsonObject) else ():
        inner = feature[0] if isinstance(feature, list) and not isinstance(feature, JsonObject) and feature else feature
        names = member(inner, "names") or member(member(inner, "feature"), "names")
        if isinstance(names, list) and names and all(isinstance(text, str) for text in names):
            found[name] = tuple(text for text in names if isinstance(text, str))
    return found


def member(value: object, key: str) -> object:
    """Return a member of a JSON object, or None where there is none."""
    return dict(value).get(key) if isinstance(value, JsonObject) else None


def is_numbers(kind: pa.DataType) -> bool:
    """Return whether a column holds whole numbers, or lists of them.

    >>> is_numbers(pa.int64()), is_numbers(pa.list_(pa.int8())), is_numbers(pa.list_(pa.string()))
    (True, True, False)
    """
    return pa.types.is_integer(kind.value_type if _is_list(kind) else kind)


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def occurring_numbers(column: pa.Array) -> list[int]:
    """Return the numbers from 0 that a column of numbers, or of lists of them, holds, sorted.

    >>> occurring_numbers(pa.array([[10, 2], [], None, [2, -1]]))
    [2, 10]
    """
    flat = column.flatten() if _is_list(column.type) else column
    return sorted(number for number in pc.unique(flat).to_pylist() if number is not None and number >= 0)


def name_numbers(column: pa.Array, names: dict[int, str], reader: Reader) -> pa.Array:
    """Return a column of lists of names in place of one of numbers, or of lists of numbers.

    A null stays null. A number without a name is an error of its row, and is left out.

    >>> from manyhot.sources.finding import FindingLog
    >>> reader = Reader("a.parquet", FindingLog(), lambda row: f"row {row + 1}")
    >>> name_numbers(pa.array([1, None, 0]), {0: "cat", 1: "dog"}, reader).to_pylist()
    [['dog'], None, ['cat']]
    """
    is_null = column.is_null().to_numpy(zero_copy_only=False)
    if _is_list(column.type):
        flat = column.flatten()
        lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
        row_ids = np.repeat(np.arange(len(column)), lengths)
    else:
        flat, row_ids = column.drop_null(), np.flatnonzero(~is_null)
    numbers = flat.to_pylist()
    texts = [None if number is None else names.get(number) for number in numbers]
    kept = np.array([text is not None or number is None for text, number in zip(texts, numbers, strict=True)], bool)
    for position in np.flatnonzero(~kept).tolist():
        report_unnamed(int(row_ids[position]), numbers[position], len(names), reader)
    values = pa.array([text for text, is_kept in zip(texts, kept.tolist(), strict=True) if is_kept], pa.large_string())
    offsets = _offsets_of(row_ids[kept], len(column))
    return pa.LargeListArray.from_arrays(pa.array(offsets), values, mask=pa.array(is_null) if is_null.any() else None)


def _offsets_of(row_ids: Int64[np.ndarray, " p"], num_rows: int) -> Int64[np.ndarray, " offsets"]:
    return np.concatenate([[0], np.cumsum(np.bincount(row_ids, minlength=num_rows))]).astype(np.int64)


def report_unnamed(row: int, number: int, num_names: int, reader: Reader) -> None:
    """Report a number that stands for no name."""
    if number == WITHHELD:
        message = "a label is -1, which is written where labels are withheld; read the other splits alone"
        reader.fault(row, "withheld-label", message)
    else:
        message = f"a label's number is not from 0 to below {num_names:,}, the number of names; mend it"
        reader.fault(row, "unknown-label", message, str(number))
