"""A column of a table: an Arrow array, or plain values where types may differ from row to row."""

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


def _is_text(kind: pa.DataType) -> bool:  # pyright: ignore[reportUnknownParameterType] - pyarrow has no types
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
