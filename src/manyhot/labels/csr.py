"""Rows of sorted label ids without padding: the compressed sparse row form of every label list."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64, Integer, Shaped

from manyhot.errors import LabelError


@dataclass(frozen=True, eq=False)
class Csr:
    """Rows of label ids: row `i` holds `ids[indptr[i]:indptr[i + 1]]`, sorted and unique.

    >>> rows = Csr.from_lists([[2, 0], [], [1]])
    >>> rows.indptr, rows.ids, rows.num_rows
    (array([0, 2, 2, 3]), array([0, 2, 1], dtype=uint16), 3)
    """

    indptr: Int64[np.ndarray, " offsets"]
    ids: Integer[np.ndarray, " p"]

    @staticmethod
    def empty(num_rows: int) -> "Csr":
        """Return rows without any id."""
        return Csr(np.zeros(num_rows + 1, dtype=np.int64), np.zeros(0, dtype=np.uint16))

    @staticmethod
    def from_lists(rows: Sequence[Sequence[int]]) -> "Csr":
        """Return the rows sorted and without repeated ids.

        Raises:
            LabelError: If an id is negative.
        """
        lengths = np.fromiter((len(row) for row in rows), dtype=np.int64, count=len(rows))
        flat = np.fromiter((label for row in rows for label in row), dtype=np.int64, count=int(lengths.sum()))
        return Csr.from_pairs(np.repeat(np.arange(len(rows)), lengths), flat, len(rows))

    @staticmethod
    def from_pairs(row_ids: Integer[np.ndarray, " p"], ids: Integer[np.ndarray, " p"], num_rows: int) -> "Csr":
        """Return the rows that hold the given (row, id) pairs, in any order, repeated pairs once.

        Raises:
            LabelError: If an id is negative.
        """
        if ids.size and ids.min() < 0:
            raise LabelError(f"label id {int(ids.min())} is negative; ids count from 0")
        width = int(ids.max()) + 1 if ids.size else 1
        keys = np.unique(row_ids.astype(np.int64) * width + ids.astype(np.int64))
        counts = np.bincount(keys // width, minlength=num_rows)
        return Csr(np.concatenate(([0], np.cumsum(counts))).astype(np.int64), narrow_ids(keys % width))

    @property
    def num_rows(self) -> int:
        """Number of rows."""
        return len(self.indptr) - 1

    @property
    def size(self) -> int:
        """Number of ids in all rows together."""
        return int(self.indptr[-1])

    def lengths(self) -> Int64[np.ndarray, " rows"]:
        """Return the number of ids in each row."""
        return np.diff(self.indptr)

    def row_ids(self) -> Int64[np.ndarray, " p"]:
        """Return the row of each id."""
        return np.repeat(np.arange(self.num_rows), self.lengths())

    def row(self, index: int) -> Integer[np.ndarray, " k"]:
        """Return the ids of one row, as a view."""
        return self.ids[self.indptr[index] : self.indptr[index + 1]]

    def positions(self, rows: Integer[np.ndarray, " k"]) -> Int64[np.ndarray, " p"]:
        """Return where in `ids` the entries of the given rows stand, in the order of the rows."""
        starts, lengths = self.indptr[rows], self.lengths()[rows]
        offsets = np.repeat(np.cumsum(lengths) - lengths, lengths)
        return np.arange(int(lengths.sum())) - offsets + np.repeat(starts, lengths)

    def take(self, rows: Integer[np.ndarray, " k"]) -> "Csr":
        """Return the given rows, in the order given; rows may repeat."""
        lengths = self.indptr[rows + 1] - self.indptr[rows]
        indptr = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
        return Csr(indptr, self.ids[self.positions(rows)])

    def fill(self, dense: Shaped[np.ndarray, "rows l"], value: float) -> None:
        """Write `value` into the (row, id) cells of a matrix, in place."""
        dense[self.row_ids(), self.ids] = value

    def contains(self, num_labels: int) -> Bool[np.ndarray, "rows l"]:
        """Return a dense matrix that is True where a row holds an id (one byte a cell)."""
        dense = np.zeros((self.num_rows, num_labels), dtype=bool)
        self.fill(dense, True)
        return dense

    def check(self, num_labels: int, what: str) -> None:
        """Check that offsets grow and that the ids of each row are in range, sorted and unique.

        Raises:
            LabelError: Naming the first row that is wrong.
        """
        if self.indptr[0] != 0 or self.size != len(self.ids) or (np.diff(self.indptr) < 0).any():
            raise LabelError(f"{what}: row offsets must grow from 0 to the number of ids, {len(self.ids):,}")
        if self.ids.size and not 0 <= int(self.ids.min()) <= int(self.ids.max()) < num_labels:
            bad = int(np.flatnonzero((self.ids < 0) | (self.ids >= num_labels))[0])
            row = int(np.searchsorted(self.indptr, bad, side="right")) - 1
            raise LabelError(
                f"{what}: row {row} has label id {int(self.ids[bad])}, but there are {num_labels:,} labels"
            )
        falling = np.diff(self.ids.astype(np.int64)) <= 0
        inner = self.indptr[1:-1]
        falling[inner[(inner > 0) & (inner < len(self.ids))] - 1] = False
        if falling.any():
            row = int(np.searchsorted(self.indptr, int(np.flatnonzero(falling)[0]), side="right")) - 1
            raise LabelError(f"{what}: the ids of row {row} are not sorted and unique; build them with Csr.from_lists")


def narrow_ids(ids: Integer[np.ndarray, " p"]) -> Integer[np.ndarray, " p"]:
    """Return the ids as uint16 where they fit, else as uint32."""
    fits = not ids.size or int(ids.max()) <= np.iinfo(np.uint16).max
    return ids.astype(np.uint16 if fits else np.uint32)
