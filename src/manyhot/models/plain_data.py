"""Plain data from JSON, read strictly: each field of its type, none missing, none unknown. Loads without torch."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from manyhot.errors import ModelError, did_you_mean

T = TypeVar("T")


def fields_of(data: object, cls: type, place: str) -> Mapping[str, Any]:
    """Return the data if they hold the fields of a dataclass, all of them and no other.

    Args:
        data: What was read from JSON.
        cls: The dataclass.
        place: Where the data stand, for messages.

    Raises:
        ModelError: Naming the field that is missing or unknown.

    >>> from manyhot.models.head_specs import LowRankHeadSpec
    >>> fields_of({"kind": "low-rank", "rank": 2}, LowRankHeadSpec, "model.head")["rank"]
    2
    """
    if not isinstance(data, Mapping):
        raise ModelError(f"{place} is {data!r}; it must be a table of fields")
    known = tuple(entry.name for entry in fields(cls))
    for name in data:
        if name not in known:
            raise ModelError(
                f"{place} has a field {name!r} that this version does not know{did_you_mean(str(name), known)}"
            )
    for name in known:
        if name not in data:
            raise ModelError(f"{place} lacks the field {name!r}")
    return data


def typed(value: object, kind: type[T], place: str) -> T:
    """Return the value if it is of a type.

    Raises:
        ModelError: Naming the place and the type.

    >>> typed(3, int, "model.num_labels")
    3
    """
    # bool is an int to Python, but not to us.
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ModelError(f"{place} is {value!r}; it must be of type {kind.__name__}")
    return value
