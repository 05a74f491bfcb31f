"""From lists of (row, label, state) to label sets: what is said twice, and what is said both ways."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8

from manyhot.errors import quote
from manyhot.labels import Csr, LabelSets, LabelSource, LabelSpace, Unlisted
from manyhot.labels.csr import narrow_ids, offsets_of
from manyhot.sources.listing import Reader

NEGATIVE, POSITIVE, UNKNOWN = 0, 1, 2


@dataclass(frozen=True, kw_only=True, eq=False)
class CellList:
    """Cells in any order, each with what a source says of it.

    Args:
        num_rows: Number of rows, with those of which nothing is said.
        row_ids: The row of each cell.
        label_ids: The label of each cell.
        states: `NEGATIVE`, `POSITIVE` or `UNKNOWN` for each cell; None when all are positive.
        confidence: How sure each cell's state is, in (0, 1]; None when all are certain. Kept for positives, to three
            digits.
    """

    num_rows: int
    row_ids: Int64[np.ndarray, " p"]
    label_ids: Int64[np.ndarray, " p"]
    states: UInt8[np.ndarray, " p"] | None = None
    confidence: Float32[np.ndarray, " p"] | None = None


def sets_of(cells: CellList, space: LabelSpace, reader: Reader, *, unlisted: Unlisted) -> LabelSets:
    """Return the label sets of the cells.

    A positive said twice counts once, with the higher confidence and a warning. A cell said to be positive and negative
    is unknown, with a warning. A cell said to be unknown stays unknown unless it is positive or negative elsewhere too.

    >>> from manyhot.sources.finding import FindingLog
    >>> reader = Reader("a.csv", FindingLog(), lambda row: f"line {row + 2}")
    >>> cells = CellList(num_rows=1, row_ids=np.array([0, 0]), label_ids=np.array([0, 0]),
    ...                  states=np.array([POSITIVE, NEGATIVE], np.uint8))
    >>> sets_of(cells, LabelSpace(names=("cat",)), reader, unlisted="negative").known_mask().tolist()
    [[False]]
    """
    keys = cells.row_ids * len(space) + cells.label_ids
    is_positive = None if cells.states is None else cells.states == POSITIVE
    said = keys if is_positive is None else keys[is_positive]
    positive = _keys_of(keys, cells, POSITIVE)
    if len(positive) < len(said):
        _report_repeated(said, space, reader)
    exceptional = np.zeros(0, dtype=np.int64)
    if cells.states is not None:
        negative, unknown = _keys_of(keys, cells, NEGATIVE), _keys_of(keys, cells, UNKNOWN)
        both = negative[_contains(positive, negative)]
        _report_contradictions(both, space, reader)
        unknown = np.concatenate([unknown[~(_contains(positive, unknown) | _contains(negative, unknown))], both])
        positive = positive[~_contains(both, positive)]
        exceptional = negative[~_contains(both, negative)] if unlisted == "unknown" else np.sort(unknown)
    return LabelSets(
        space=space,
        positives=_csr_of(positive, len(space), cells.num_rows),
        exceptions=_csr_of(exceptional, len(space), cells.num_rows) if exceptional.size else None,
        sources=(LabelSource(unlisted=unlisted),),
        confidence=_confidence_of(keys, cells, is_positive, positive),
    )


def _keys_of(keys: Int64[np.ndarray, " p"], cells: CellList, state: int) -> Int64[np.ndarray, " k"]:
    """Return the keys of one state, sorted and unique."""
    found = keys if cells.states is None else keys[cells.states == state]
    if found.size and not bool((found[1:] > found[:-1]).all()):
        found = np.sort(found)
        found = found[np.flatnonzero(np.diff(found, prepend=-1))]
    return found


def _contains(keys: Int64[np.ndarray, " k"], wanted: Int64[np.ndarray, " q"]) -> Bool[np.ndarray, " q"]:
    """Return which of `wanted` stand among the sorted keys."""
    if not keys.size:
        return np.zeros(len(wanted), dtype=bool)
    return keys[np.minimum(np.searchsorted(keys, wanted), keys.size - 1)] == wanted


def _csr_of(keys: Int64[np.ndarray, " k"], num_labels: int, num_rows: int) -> Csr:
    # The keys are sorted and unique: Csr.from_pairs would sort them again.
    rows, ids = np.divmod(keys, max(num_labels, 1))
    return Csr(offsets_of(np.bincount(rows, minlength=num_rows)), narrow_ids(ids))


def _confidence_of(
    keys: Int64[np.ndarray, " p"],
    cells: CellList,
    is_positive: Bool[np.ndarray, " p"] | None,
    positive: Int64[np.ndarray, " k"],
) -> Float32[np.ndarray, " k"] | None:
    if cells.confidence is None:
        return None
    values = cells.confidence
    if is_positive is not None:
        keys, values = keys[is_positive], values[is_positive]
    if not values.size or bool((values == 1).all()):
        return None
    found = np.zeros(len(positive), dtype=np.float32)
    places = np.searchsorted(positive, keys)
    kept = _contains(positive, keys)
    np.maximum.at(found, places[kept], values[kept])
    # As a label store keeps it, so that data and a store of them are the same to the bit; never 0, which is none.
    return np.maximum(found.astype(np.float16), np.finfo(np.float16).smallest_subnormal).astype(np.float32)


def _report_repeated(keys: Int64[np.ndarray, " p"], space: LabelSpace, reader: Reader) -> None:
    keys = np.sort(keys)
    for key in keys[1:][np.diff(keys) == 0].tolist():
        row, label = divmod(key, len(space))
        message = f"{reader.file}: a row lists a label twice; it counts once"
        reader.findings.warning("repeated-label", message, f"{reader.place(row)}: {quote(space.names[label])}")


def _report_contradictions(keys: Int64[np.ndarray, " k"], space: LabelSpace, reader: Reader) -> None:
    for key in keys.tolist():
        row, label = divmod(key, len(space))
        message = f"{reader.file}: a row says of a label that it is there and that it is not; it is taken as unknown"
        reader.findings.warning("contradiction", message, f"{reader.place(row)}: {quote(space.names[label])}")
