"""The last bits of many blocks of cells, among which the positives of all labels are ranked at once."""

import numpy as np
from jaxtyping import Int64, UInt16

from manyhot.metrics.parted_block import FirstBits, PartedBlock
from manyhot.metrics.unit_terms import NUM_LAST

# So many cells are ranked against at once, two bytes each: a table is read for each value of the first bits.
POOL_CELLS = 1 << 26
POOL_GROUPS = 1 << 10


class MarkPool:
    """Last bits of the cells of some blocks, until they are many enough to rank the positives of all labels among them.

    Args:
        bits: The first bits of the cells.
        marks: Distinct keys of all positives, ascending.
        edges: First bits whose cells are counted by all of their last bits as well.

    `counts` are, for each mark, the cells with its first bits that are at or above it, and those at it; `edge_counts` those
    by last bits.
    """

    def __init__(self, bits: FirstBits, marks: Int64[np.ndarray, " m"], edges: Int64[np.ndarray, " e"]) -> None:
        self.marks = marks
        self.counts = np.zeros((2, len(marks)), dtype=np.int64)
        self.edge_counts = np.zeros((len(edges), NUM_LAST), dtype=np.int64)
        self._offsets = np.searchsorted(marks, np.stack((bits.used, bits.used + 1)) << 16)
        self._edge_of = np.full(len(bits.used), -1, dtype=np.int64)
        owned = np.isin(edges, bits.used)
        self._edge_of[bits.slots[edges[owned]]] = np.flatnonzero(owned)
        self._lasts = np.empty(POOL_CELLS, dtype=np.uint16)
        self._starts: list[Int64[np.ndarray, " starts"]] = []
        self._filled = 0

    def room(self, num_cells: int) -> UInt16[np.ndarray, " c"]:
        """Return room for the last bits of so many cells."""
        if self._filled + num_cells > len(self._lasts) or len(self._starts) >= POOL_GROUPS:
            self.fold()
        if num_cells > len(self._lasts):
            self._lasts = np.empty(num_cells, dtype=np.uint16)
        return self._lasts[self._filled : self._filled + num_cells]

    def add(self, block: PartedBlock) -> None:
        """Take a block whose last bits were written into the room that was asked for."""
        starts = block.group_starts()
        self._starts += [own + self._filled for own in starts]
        self._filled += int(starts[-1][-1])

    def fold(self) -> None:
        """Count the cells, and forget them."""
        from manyhot.metrics.last_kernels import fold_pool

        if self._starts:
            starts = np.stack(self._starts)
            fold_pool(self._lasts, starts, self._offsets, self.marks, self._edge_of, self.counts, self.edge_counts)
        self._starts, self._filled = [], 0
