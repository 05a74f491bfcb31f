"""One sample's labels as JSON writes them: a list, a single label, or groups of them."""

import json
from collections.abc import Iterator, Sequence

import numpy as np

from manyhot.errors import quote
from manyhot.sources.listing import Reader
from manyhot.sources.naming import LabelKey, LabelPairs
from manyhot.sources.strict_json import JsonObject


def read_entries(values: Sequence[object], reader: Reader, *, delimiter: str | None = None) -> LabelPairs:
    """Return the labels of each value; what is no label becomes an error of its row.

    A value is `[label, …]`, a single label, or `{group: label or [label, …]}`. With a delimiter, a single text is
    parted at it. Text is kept to the letter; a number, a truth value or null is an error, never a label.
    """
    codes: dict[LabelKey, int] = {}
    flat: list[int] = []
    lengths = np.zeros(len(values), dtype=np.int64)
    first: dict[bool, int] = {}
    plain: dict[object, int] = {}
    for row, value in enumerate(values):
        known = _codes_of_list(value, plain)
        if known is not None:
            flat.extend(known)
            lengths[row] = len(known)
            continue
        keys = list(_keys_of(value, row, reader, delimiter))
        if keys:
            first.setdefault(isinstance(value, JsonObject), row)
        for key in keys:
            flat.append(codes.setdefault(key, len(codes)))
            if key[0] is None:
                plain[key[1]] = codes[key]
        lengths[row] = len(keys)
    if len(first) == 2:
        for row in sorted(first.values()):
            kind = "groups" if isinstance(values[row], JsonObject) else "a list"
            message = "some entries are lists and others name groups; write all of them the same way"
            reader.fault(row, "mixed-entries", message, kind)
    row_ids = np.repeat(np.arange(len(values)), lengths)
    return LabelPairs(num_rows=len(values), row_ids=row_ids, codes=np.array(flat, dtype=np.int64), keys=list(codes))


def _codes_of_list(value: object, plain: dict[object, int]) -> list[int] | None:
    """Return the codes of a list whose labels were all seen before: nearly every row of a large file."""
    if type(value) is not list:
        return None
    try:
        return [plain[name] for name in value]
    except (KeyError, TypeError):
        return None


def _keys_of(value: object, row: int, reader: Reader, delimiter: str | None) -> Iterator[LabelKey]:
    if isinstance(value, JsonObject):
        for group in value.repeated_keys():
            reader.fault(row, "duplicate-key", "a group stands twice in one entry; merge the two", quote(group))
        for group, labels in value:
            yield from ((group, name) for name in _names_of(labels, row, reader, None))
    else:
        yield from ((None, name) for name in _names_of(value, row, reader, delimiter))


def _names_of(value: object, row: int, reader: Reader, delimiter: str | None) -> list[str]:
    if isinstance(value, str):
        if delimiter is None:
            return [value]
        return [part.strip() for part in value.split(delimiter)] if value.strip() else []
    if value is None:
        reader.fault(row, "null-labels", "labels are null; write [] for a sample without labels, or delete the row")
        return []
    if not isinstance(value, list) or isinstance(value, JsonObject):
        reader.fault(row, "label-type", "a label is not text; put it in quotes", _shown(value))
        return []
    names: list[str] = []
    for name in value:
        if isinstance(name, str):
            names.append(name)
        else:
            reader.fault(row, "label-type", "a label is not text; put it in quotes", _shown(name))
    return names


def _shown(value: object) -> str:
    if isinstance(value, JsonObject):
        return "an object"
    if isinstance(value, list):
        return "a list in a list"
    return json.dumps(value)
