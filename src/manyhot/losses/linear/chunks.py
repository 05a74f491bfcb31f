"""Label chunks: how a head of many labels is walked over, and which listed cells belong to each part of the walk.

Positives and exceptions are sorted by label once a batch. A chunk then owns a slice of each, and nothing looks at all of
them again. What a chunk needs beside its logits is of its own size: `n × c` bytes where cells are unknown, else nothing.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from manyhot.errors import UsageError
from manyhot.targets import SparseTargets

CHUNK_SIZE = 1_024
"""Labels a chunk at most: its logits stay in the cache of a core, and its products are still large ones."""
GPU_CHUNK_SIZE = 8_192
"""The same on a GPU, where every chunk costs a few launches."""
# Cuts fall on multiples of it: whole cache lines, and whole vectors of the narrowest weights.
GRAIN = 64


@dataclass(frozen=True, kw_only=True, eq=False)
class ChunkCells:
    """The cells of a chunk of labels that are not plain negatives.

    Args:
        labels: Which labels the chunk holds.
        rows: Row of each positive.
        columns: Its label, counted from the first of the chunk.
        values: Confidence of each positive; None when all are certain.
        unknown: Which cells are unknown; None when none is. What it says of positives is not looked at.
    """

    labels: slice
    rows: Int64[Tensor, " p"]
    columns: Int64[Tensor, " p"]
    values: Float[Tensor, " p"] | None = None
    unknown: Bool[Tensor, "n c"] | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Listed:
    """Listed cells, positives or exceptions, in the order of their labels.

    Args:
        rows: Row of each.
        labels: Label of each, never falling.
        order: Place of each in the list it comes from; None where that one was kept.
        bounds: Chunk `i` owns those from `bounds[i]` to `bounds[i + 1]`.
    """

    rows: Int64[Tensor, " k"]
    labels: Int64[Tensor, " k"]
    order: Int64[Tensor, " k"] | None
    bounds: list[int]

    def of_chunk(self, index: int) -> slice:
        """Return the slice that a chunk owns."""
        return slice(self.bounds[index], self.bounds[index + 1])


class BatchCells:
    """A batch's targets, cut into chunks of labels.

    Args:
        targets: Of the batch.
        chunk_size: Labels a chunk at most; None leaves it to manyhot.

    >>> cells = BatchCells(SparseTargets.from_lists([[0, 5], [4]], num_labels=6), chunk_size=4)
    >>> [chunk for chunk in cells.chunks]
    [slice(0, 4, None), slice(4, 6, None)]
    >>> cells.of_chunk(1).rows, cells.of_chunk(1).columns
    (tensor([1, 0]), tensor([0, 1]))
    """

    def __init__(self, targets: SparseTargets, *, chunk_size: int | None = None) -> None:
        if chunk_size is None and targets.device.type != "cpu":
            chunk_size = GPU_CHUNK_SIZE
        self.targets = targets
        self.chunks = cut_labels(targets.num_labels, chunk_size)

    @cached_property
    def _positives(self) -> "Listed":
        return _sort_by_label(self.targets.row_ids(), self.targets.label_ids.long(), self.chunks)

    @cached_property
    def _values(self) -> Float[Tensor, " p"] | None:
        values, order = self.targets.values, self._positives.order
        return values if values is None or order is None else values[order]

    @cached_property
    def _exceptions(self) -> "Listed | None":
        targets = self.targets
        if targets.exception_ids is None or targets.exception_offsets is None:
            return None
        counts = targets.exception_offsets[1:] - targets.exception_offsets[:-1]
        rows = torch.repeat_interleave(counts, output_size=targets.exception_ids.shape[0])
        return _sort_by_label(rows, targets.exception_ids.long(), self.chunks)

    def of_chunk(self, index: int) -> ChunkCells:
        """Return the cells of a chunk."""
        labels, own = self.chunks[index], self._positives.of_chunk(index)
        return ChunkCells(
            labels=labels,
            rows=self._positives.rows[own],
            columns=self._positives.labels[own] - labels.start,
            values=None if self._values is None else self._values[own],
            unknown=self.unknown(index),
        )

    def unknown(self, index: int) -> Bool[Tensor, "n c"] | None:
        """Return which cells of a chunk are unknown, positives apart; None where none is."""
        targets, labels = self.targets, self.chunks[index]
        if targets.is_complete:
            return None
        if targets.unlisted_known is None:
            unknown = torch.zeros(
                targets.num_samples, labels.stop - labels.start, dtype=torch.bool, device=targets.device
            )
        elif targets.source_ids is None:
            unknown = (~targets.unlisted_known[:1, labels]).expand(targets.num_samples, -1).clone()
        else:
            unknown = ~targets.unlisted_known[:, labels][targets.source_ids]
        if self._exceptions is not None and targets.exception_known is not None:
            own = self._exceptions.of_chunk(index)
            rows = self._exceptions.rows[own]
            sources = torch.zeros_like(rows) if targets.source_ids is None else targets.source_ids[rows]
            unknown[rows, self._exceptions.labels[own] - labels.start] = ~targets.exception_known[sources]
        return unknown


def cut_labels(num_labels: int, chunk_size: int | None = None) -> list[slice]:
    """Return chunks of labels of nearly equal size: one, without a loop, where there is little to gain by more.

    Raises:
        UsageError: If the size is not positive.

    >>> cut_labels(1_000), [chunk.stop for chunk in cut_labels(11_000)]
    ([slice(0, 1000, None)], [1024, 2048, 3072, 4096, 5120, 6144, 7168, 8192, 9216, 10240, 11000])
    """
    if chunk_size is not None and chunk_size < 1:
        raise UsageError(f"chunk_size is {chunk_size}; a number of labels from 1 is expected")
    size = chunk_size or CHUNK_SIZE
    parts = max(-(-num_labels // size), 1)
    if chunk_size is None and parts > 1:
        size = -(-num_labels // (parts * GRAIN)) * GRAIN
    return [slice(start, min(start + size, num_labels)) for start in range(0, max(num_labels, 1), size)]


def _sort_by_label(rows: Int64[Tensor, " k"], labels: Int64[Tensor, " k"], chunks: list[slice]) -> Listed:
    if len(chunks) == 1:
        return Listed(rows=rows, labels=labels, order=None, bounds=[0, len(labels)])
    # Stable: rows stay in order within a label, and with them the order of sums.
    labels, order = labels.sort(stable=True)
    stops = torch.tensor([chunk.stop for chunk in chunks], device=labels.device)
    # One read of a few numbers a batch; from a GPU it waits for the sort.
    bounds = torch.searchsorted(labels, stops).tolist()
    return Listed(rows=rows[order], labels=labels, order=order, bounds=[0, *bounds])
