"""A column of a table: an Arrow array, or plain values where types may differ from row to row."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import pyarrow as pa


@dataclass(frozen=True, eq=False)
class ArrowColumn:
    """A column of one type.

    >>> column = ArrowColumn(pa.array(["cat|dog", None]))
    >>> column.is_text, column.to_list()
    (True, ['cat|dog', None])
    """

    array: pa.Array

    @property
    def kind(self) -> str:
        """The type, in Arrow's words."""
        return str(self.array.type)

    @property
    def is_text(self) -> bool:
        """Whether it holds text."""
        return _is_text(self.array.type)

    @property
    def is_text_list(self) -> bool:
        """Whether it holds lists of text, or lists that are all empty."""
        kind = self.array.type
        is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
        return is_list and (_is_text(kind.value_type) or pa.types.is_null(kind.value_type))

    def to_list(self) -> list[object]:
        """Return the values as plain objects."""
        return self.array.to_pylist()


Column: TypeAlias = ArrowColumn | list[object]


def arrow_or_list(values: list[object]) -> Column:
    """Return text, and lists of text, as an Arrow column, and values of any other types as they are.

    >>> arrow_or_list(["a", None]).kind, arrow_or_list([["a"], []]).kind, arrow_or_list(["a", 1])
    ('large_string', 'large_list<item: large_string>', ['a', 1])
    """
    kinds = {type(value) for value in values}
    try:
        if kinds <= {str, type(None)} and str in kinds:
            return ArrowColumn(pa.array(values, pa.large_string()))
        if kinds == {list} and _are_lists_of_text(values):
            return ArrowColumn(pa.array(values, pa.large_list(pa.large_string())))
    except UnicodeEncodeError:
        # Half a surrogate pair: whoever reads the column says where.
        pass
    return values


def concat_columns(columns: Sequence[Column]) -> Column:
    """Return the values of several columns, one after the other; as Arrow where all are text, or lists of text.

    >>> concat_columns([ArrowColumn(pa.array(["a"])), [None]]).to_list()
    ['a', None]
    """
    if len(columns) == 1:
        return columns[0]
    typed = [column for column in columns if isinstance(column, ArrowColumn)]
    others = [column for column in columns if not isinstance(column, ArrowColumn)]
    if not others and len({column.array.type for column in typed}) == 1:
        return ArrowColumn(pa.concat_arrays([column.array for column in typed]))
    for kind, fits in (
        (pa.large_string(), [column.is_text for column in typed]),
        (pa.large_list(pa.large_string()), [column.is_text_list for column in typed]),
    ):
        if typed and all(fits) and not any(value is not None for values in others for value in values):
            return ArrowColumn(pa.concat_arrays([_as_kind(column, kind) for column in columns]))
    return [value for column in columns for value in (column.to_list() if isinstance(column, ArrowColumn) else column)]


def _as_kind(column: Column, kind: pa.DataType) -> pa.Array:  # pyright: ignore[reportUnknownParameterType] - pyarrow has no types
    return column.array.cast(kind) if isinstance(column, ArrowColumn) else pa.nulls(len(column), kind)


def _are_lists_of_text(values: list[object]) -> bool:
    return all(type(member) is str for value in values if isinstance(value, list) for member in value)


def _is_text(kind: pa.DataType) -> bool:  # pyright: ignore[reportUnknownParameterType] - pyarrow has no types
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
