"""What counting a block of columns, and all cells pooled, must give, however keys are counted."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int64

from manyhot.metrics.exchange import Exchange
from manyhot.metrics.positive_keys import Keys


@runtime_checkable
class ColumnSource(Protocol):
    """This rank's cells, label by label."""

    def columns(self, labels: slice) -> Keys:
        """Return the keys of some labels, one row a label; 0 for cells that take no part. The caller owns them."""
        ...

    def first_bits(self) -> Int64[np.ndarray, " f"]:
        """Return how many cells that take part have each value of the first 16 of 32 bits."""
        ...


@runtime_checkable
class ColumnBlock(Protocol):
    """This rank's cells of some labels, ready to be counted."""

    def ranks(self, columns: Int64[np.ndarray, " w"], wanted: Int64[np.ndarray, " w"]) -> Int64[np.ndarray, "2 w"]:
        """Return how many cells of a column are at or above a wanted key, and how many are at it.

        Args:
            columns: The label of each wanted key, counted from the first of the block.
            wanted: Keys up to the highest of all and one more, ascending where those of a column stand side by side.
        """
        ...

    def sums_below(self, columns: Int64[np.ndarray, " w"], wanted: Int64[np.ndarray, " w"]) -> Int64[np.ndarray, " w"]:
        """Return the sum of the probabilities of a column's cells below a wanted key, in units of 2⁻⁴⁰."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class PooledCounts:
    """What all cells of all ranks give, pooled.

    Args:
        at_or_above: Cells at or above each distinct key of all positives.
        tied: Cells at it.
        calibration_error: NaN without cells.
    """

    at_or_above: Int64[np.ndarray, " v"]
    tied: Int64[np.ndarray, " v"]
    calibration_error: float


@runtime_checkable
class Tally(Protocol):
    """What the blocks of all labels add to, for the figures of all cells pooled."""

    def block(self, labels: slice) -> ColumnBlock:
        """Return the cells of some labels; each label is asked for once, and added to the tally."""
        ...

    def pooled(self, exchange: Exchange) -> PooledCounts:
        """Return what the cells of all blocks give, on every rank the same."""
        ...
