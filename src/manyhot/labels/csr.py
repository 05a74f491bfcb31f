"""Rows of sorted label ids without padding: the compressed sparse row form of every label list."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import index
from pathlib import Path
from typing import SupportsIndex

import numpy as np
from jaxtyping import Bool, Int64, Integer, Shaped

from manyhot.errors import LabelError, StoreError

# Ids are int32 on a device.
MAX_ID = int(np.iinfo(np.int32).max)
# Rows that are read at a time.
BLOCK_ROWS = 1 << 18


@dataclass(frozen=True, eq=False)
class Csr:
    """Rows of label ids: row `i` holds `ids[indptr[i]:indptr[i + 1]]`, sorted and unique.

    >>> rows = Csr.from_lists([[2, 0], [], [1]])
    >>> rows.indptr, rows.ids, rows.num_rows
    (array([0, 2, 2, 3]), array([0, 2, 1], dtype=uint16), 3)
    """

    indptr: Int64[np.ndarray, " offsets"]
    ids: Integer[np.ndarray, " p"]
    unread: Path | None = field(default=None, repr=False)
    """The file that the rows are a memory map of, where nobody has read them yet; None otherwise."""

    @staticmethod
    def empty(num_rows: int) -> "Csr":
        """Return rows without any id."""
        return Csr(np.zeros(num_rows + 1, dtype=np.int64), np.zeros(0, dtype=np.uint16))

    @staticmethod
    def from_lists(rows: Sequence[Sequence[int]]) -> "Csr":
        """Return the rows sorted and without repeated ids.

        Raises:
            LabelError: If an id is negative, too large, or no whole number.

        >>> Csr.from_lists([[3, 1, 3]]).ids
        array([1, 3], dtype=uint16)
        """
        lengths = np.fromiter((len(row) for row in rows), dtype=np.int64, count=len(rows))
        flat = (index(label) for row in rows for label in row)
        try:
            # index(): int64 alone would read 1.5 as 1 and "3" as 3.
            ids = np.fromiter(flat, dtype=np.int64, count=int(lengths.sum()))
        except (TypeError, OverflowError) as error:
            raise LabelError(f"a label id is no whole number ({error}); give ids from 0, or use from_names") from error
        return Csr.from_pairs(np.repeat(np.arange(len(rows)), lengths), ids, len(rows))

    @staticmethod
    def from_pairs(row_ids: Integer[np.ndarray, " p"], ids: Integer[np.ndarray, " p"], num_rows: int) -> "Csr":
        """Return the rows that hold the given (row, id) pairs, in any order, repeated pairs once.

        Raises:
            LabelError: If an id is negative or too large, a row is outside `num_rows`, or the lengths differ.

        >>> Csr.from_pairs(np.array([2, 0, 2]), np.array([5, 1, 5]), num_rows=3).indptr
        array([0, 1, 1, 2])
        """
        if row_ids.shape != ids.shape:
            raise LabelError(f"{row_ids.size:,} rows for {ids.size:,} label ids; give pairs")
        if ids.size and not 0 <= int(row_ids.min()) <= int(row_ids.max()) < num_rows:
            raise LabelError(f"rows run from {int(row_ids.min())} to {int(row_ids.max())}; there are {num_rows:,} rows")
        if ids.size and ids.min() < 0:
            raise LabelError(f"label id {int(ids.min())} is negative; ids count from 0")
        width = int(ids.max()) + 1 if ids.size else 1
        if width > MAX_ID + 1:
            raise LabelError(f"label id {width - 1} is too large; ids go up to {MAX_ID:,}")
        keys = np.sort(row_ids.astype(np.int64) * width + ids.astype(np.int64))
        # Sorted and compared with the neighbour: at ten million pairs np.unique makes this seven times slower.
        keys = keys[np.flatnonzero(np.diff(keys, prepend=-1))]
        counts = np.bincount(keys // width, minlength=num_rows)
        return Csr(offsets_of(counts), narrow_ids(keys % width))

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

    def row(self, row: SupportsIndex) -> Integer[np.ndarray, " k"]:
        """Return the ids of one row, as a view."""
        start = index(row)
        return self.ids[self.indptr[start] : self.indptr[start + 1]]

    def positions(self, rows: Integer[np.ndarray, " k"]) -> Int64[np.ndarray, " q"]:
        """Return where in `ids` the entries of the given rows stand, in the order of the rows.

        Takes time in the rows asked for, not in those that there are.

        >>> Csr.from_lists([[4, 5], [], [6]]).positions(np.array([2, 0]))
        array([2, 0, 1])
        """
        return self._locate(rows)[1]

    def take(self, rows: Integer[np.ndarray, " k"], *, num_labels: int | None = None) -> "Csr":
        """Return the given rows, in the order given; rows may repeat.

        Args:
            rows: Row numbers within range.
            num_labels: Check that the ids taken are below it: those of a memory map were not read in advance.

        Raises:
            LabelError: If the offsets of a row or its ids are damaged.

        >>> Csr.from_lists([[4, 5], [], [6]]).take(np.array([2, 2, 1])).indptr
        array([0, 1, 2, 2])
        """
        offsets, positions = self._locate(rows)
        ids = self.ids[positions]
        if num_labels is not None and ids.size and ids.max() >= num_labels:
            raise LabelError(f"{int(ids.max())} is no label id: the ids are damaged; `manyhot check` names the file")
        return Csr(offsets, ids)

    def _locate(self, rows: Integer[np.ndarray, " k"]) -> tuple[Int64[np.ndarray, " offsets"], Int64[np.ndarray, " q"]]:
        """Return the offsets that the given rows will have on their own, and where their entries stand now."""
        starts, ends = self.indptr[rows], self.indptr[rows + 1]
        lengths = ends - starts
        if starts.size and (lengths.min() < 0 or starts.min() < 0 or ends.max() > len(self.ids)):
            row = int(rows[np.flatnonzero((lengths < 0) | (starts < 0) | (ends > len(self.ids)))[0]])
            raise LabelError(f"the offsets of row {row:,} are damaged; `manyhot check` names the file")
        offsets = offsets_of(lengths)
        positions = np.repeat(starts - offsets[:-1], lengths)
        positions += np.arange(len(positions))
        return offsets, positions

    def slice(self, start: int, stop: int) -> "Csr":
        """Return the rows from `start` up to `stop`, with ids that are a view.

        >>> Csr.from_lists([[4, 5], [], [6]]).slice(1, 3)
        Csr(indptr=array([0, 0, 1]), ids=array([6], dtype=uint16))
        """
        indptr = self.indptr[start : stop + 1]
        return Csr(indptr - indptr[0], self.ids[indptr[0] : indptr[-1]])

    def fill(self, dense: Shaped[np.ndarray, "rows l"], value: bool | float) -> None:
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
        if self.indptr.dtype != np.int64 or self.ids.dtype.kind not in "iu" or self.indptr.ndim + self.ids.ndim != 2:
            raise LabelError(
                f"{what}: row offsets are {self.indptr.dtype} and ids {self.ids.dtype}; expected int64 and integers, flat"
            )
        grows = self.indptr.size > 0 and self.indptr[0] == 0 and bool((self.indptr[1:] >= self.indptr[:-1]).all())
        if not grows or self.size != len(self.ids):
            raise LabelError(f"{what}: row offsets must grow from 0 to the number of ids, {len(self.ids):,}")
        if self.ids.size and not 0 <= int(self.ids.min()) <= int(self.ids.max()) < num_labels:
            bad = int(np.flatnonzero((self.ids < 0) | (self.ids >= num_labels))[0])
            row = int(np.searchsorted(self.indptr, bad, side="right")) - 1
            raise LabelError(
                f"{what}: row {row} has label id {int(self.ids[bad])}, but there are {num_labels:,} labels"
            )
        row = self.unsorted_row()
        if row is not None:
            raise LabelError(f"{what}: the ids of row {row} are not sorted and unique; build them with Csr.from_lists")

    def check_unread(self, num_labels: int) -> None:
        """Check that a loop over all rows stays among the ids and the labels, where nobody has read them yet.

        Reads every id once: 0.1 s for a hundred million that the system has in memory.

        Raises:
            StoreError: Naming the file and the rows in which something is damaged.

        >>> rows = Csr(np.array([0, 1]), np.array([7], dtype=np.uint16), unread=Path("store/ids.npy"))
        >>> rows.check_unread(3)
        Traceback (most recent call last):
        ...
        manyhot.errors.StoreError: store/ids.npy: in rows 0 to 0 a label id is 7, and there are 3 labels; ...
        """
        if self.unread is None:
            return
        for start in range(0, self.num_rows, BLOCK_ROWS):
            indptr = self.indptr[start : start + BLOCK_ROWS + 1]
            where = f"{self.unread}: in rows {start:,} to {start + len(indptr) - 2:,}"
            mend = "the store is damaged: `manyhot check` says which file; write the store again"
            if indptr[0] < 0 or indptr[-1] > len(self.ids) or bool((indptr[1:] < indptr[:-1]).any()):
                raise StoreError(f"{where} the row offsets do not grow from 0 to {len(self.ids):,}; {mend}")
            highest = int(self.ids[indptr[0] : indptr[-1]].max(initial=0))
            if highest >= num_labels > 0:
                raise StoreError(f"{where} a label id is {highest:,}, and there are {num_labels:,} labels; {mend}")

    def unsorted_row(self) -> int | None:
        """Return the first row whose ids are not sorted and unique, or None.

        >>> Csr(np.array([0, 2, 4]), np.array([1, 2, 5, 5])).unsorted_row()
        1
        """
        falling = self.ids[1:] <= self.ids[:-1]
        inner = self.indptr[1:-1]
        falling[inner[(inner > 0) & (inner < len(self.ids))] - 1] = False
        if not falling.any():
            return None
        return int(np.searchsorted(self.indptr, int(np.argmax(falling)), side="right")) - 1


def check_rows(rows: Integer[np.ndarray, " k"] | Sequence[int], num_rows: int) -> Int64[np.ndarray, " k"]:
    """Return row numbers as int64.

    Raises:
        LabelError: If one is out of range, or no whole number, or they are no flat list.

    >>> check_rows([2, 0], num_rows=3)
    array([2, 0])
    """
    rows = np.asarray(rows)
    if rows.ndim != 1:
        raise LabelError(f"rows have shape {rows.shape}; give a flat list of row numbers")
    if rows.size and rows.dtype.kind not in "iu":
        raise LabelError(f"rows are {rows.dtype}, not whole numbers; np.flatnonzero(mask) gives the rows of a mask")
    if rows.size and not 0 <= int(rows.min()) <= int(rows.max()) < num_rows:
        outside = int(rows[(rows < 0) | (rows >= num_rows)][0])
        raise LabelError(f"row {outside} is outside the {num_rows:,} samples; rows count from 0")
    return rows.astype(np.int64, copy=False)


def common_cells(first: Csr, second: Csr, num_labels: int) -> Int64[np.ndarray, " k"]:
    """Return the cells that two lists of sorted rows share, each as row × `num_labels` + label.

    >>> common_cells(Csr.from_lists([[0, 2], [1]]), Csr.from_lists([[2], []]), num_labels=3)
    array([2])
    """
    keys, others = (rows.row_ids() * num_labels + rows.ids for rows in (first, second))
    if not keys.size:
        return keys
    # Keys of sorted rows are sorted: a search is enough, without sorting what may be a hundred million positives.
    return others[keys[np.minimum(np.searchsorted(keys, others), keys.size - 1)] == others]


def offsets_of(lengths: Integer[np.ndarray, " rows"] | Bool[np.ndarray, " rows"]) -> Int64[np.ndarray, " offsets"]:
    """Return the row offsets of rows with the given lengths; a mask stands for rows of one or none.

    >>> offsets_of(np.array([2, 0, 1]))
    array([0, 2, 2, 3])
    """
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def narrow_ids(ids: Integer[np.ndarray, " p"]) -> Integer[np.ndarray, " p"]:
    """Return ids of at most `MAX_ID` as uint16 where they fit, else as uint32.

    >>> narrow_ids(np.array([3, 65_535])).dtype, narrow_ids(np.array([3, 65_536])).dtype
    (dtype('uint16'), dtype('uint32'))
    """
    fits = not ids.size or int(ids.max()) <= np.iinfo(np.uint16).max
    return ids.astype(np.uint16 if fits else np.uint32)
