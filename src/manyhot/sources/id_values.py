"""Text of the form `id:value`, parsed without a Python step a token."""

# pyarrow.compute makes its functions when it is imported, where no type checker sees them, and pyarrow has no types:
# pyright: reportAttributeAccessIssue=false, reportUnknownParameterType=false

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float32, Int64

_PAIR = r"^[0-9]{1,18}:[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,3})?$"
_ID = r"^[0-9]{1,18}$"


@dataclass(frozen=True, eq=False)
class IdValues:
    """The pairs of some rows.

    Args:
        row_ids: The row of each pair, counted within the block.
        ids: The id of each pair.
        values: The value of each pair.
        faults: Tokens that are no such pair, each with its row; they are in none of the above.
    """

    row_ids: Int64[np.ndarray, " p"]
    ids: Int64[np.ndarray, " p"]
    values: Float32[np.ndarray, " p"]
    faults: tuple[tuple[int, str], ...]


def parse_id_values(tokens: pa.ListArray) -> IdValues:
    """Return the pairs in rows of tokens `id:value`; empty tokens, as double blanks make them, mean nothing.

    >>> pairs = parse_id_values(pa.array([["3:1", "7:0.5"], [], ["x:1"]]))
    >>> pairs.ids, pairs.values, pairs.faults
    (array([3, 7]), array([1. , 0.5], dtype=float32), ((2, 'x:1'),))
    """
    flat, rows = _flattened(tokens)
    flat, rows, faults = _sound(flat, rows, _PAIR)
    parts = pc.split_pattern(flat, ":").flatten()
    ids = pc.cast(parts.take(pa.array(np.arange(0, len(parts), 2))), pa.int64())
    values = pc.cast(parts.take(pa.array(np.arange(1, len(parts), 2))), pa.float64())
    return IdValues(rows, ids.to_numpy(), _float32(values), faults)


def parse_ids(tokens: pa.ListArray) -> IdValues:
    """Return the ids in rows of tokens that are whole numbers, each with the value 1.

    >>> parse_ids(pa.array([["3", "7"], [""]])).ids
    array([3, 7])
    """
    flat, rows = _flattened(tokens)
    flat, rows, faults = _sound(flat, rows, _ID)
    return IdValues(rows, pc.cast(flat, pa.int64()).to_numpy(), np.ones(len(flat), dtype=np.float32), faults)


def _float32(values: pa.DoubleArray) -> Float32[np.ndarray, " p"]:
    with np.errstate(over="ignore"):
        return values.to_numpy().astype(np.float32)


def _flattened(tokens: pa.ListArray) -> tuple[pa.Array, Int64[np.ndarray, " p"]]:
    lengths = pc.list_value_length(tokens).to_numpy().astype(np.int64)
    flat, rows = tokens.flatten(), np.repeat(np.arange(len(tokens)), lengths)
    filled = pc.not_equal(flat, "")
    if pc.all(filled).as_py() is False:
        flat, rows = flat.filter(filled), rows[filled.to_numpy(zero_copy_only=False)]
    return flat, rows


def _sound(
    flat: pa.Array, rows: Int64[np.ndarray, " p"], pattern: str
) -> tuple[pa.Array, Int64[np.ndarray, " q"], tuple[tuple[int, str], ...]]:
    good = pc.match_substring_regex(flat, pattern).to_numpy(zero_copy_only=False)
    if good.all():
        return flat, rows, ()
    bad = flat.filter(pa.array(~good)).to_pylist()
    return flat.filter(pa.array(good)), rows[good], tuple(zip(rows[~good].tolist(), bad, strict=True))
