"""Ranks of positives where the scores are: in plain torch, so that scores on a GPU need not leave it.

Labels are taken in the order of their positives, so that those of one block have about as many, and each positive is
compared with every cell of its label; labels with very many are sorted. No matrix of the scores' size is made: a block
holds at most `BLOCK_BYTES`.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from manyhot.errors import ScoreError
from manyhot.metrics.ranks import PositiveRanks, starts_of, tie_groups
from manyhot.metrics.truth import Truth

# What the second cache of a processor holds; what keeps a GPU busy.
BLOCK_BYTES = {"cpu": 1 << 20, "other": 1 << 28}
BLOCK_ROWS = 64
# Columns come by so many: shorter or odd rows are compared at half the speed.
WIDTH = 16
MANY_POSITIVES = 256


def rank_on_device(scores: Float[Tensor, "n l"], truth: Truth) -> PositiveRanks:
    """Return the ranks of each label's positives among the label's known cells, computed on the scores' device.

    The same whole numbers as `rank_by_label` on the same scores.

    Raises:
        ScoreError: If the shape is not that of the truth, or a score is NaN.
    """
    _check(scores, truth)
    wide = scores.detach() if scores.dtype == torch.float64 else scores.detach().float()
    offsets = truth.columns.indptr
    labels = np.repeat(np.arange(truth.num_labels), truth.label_positives)
    rows = truth.columns.ids.astype(np.int64, copy=False)
    values = wide[torch.from_numpy(rows).to(wide.device), torch.from_numpy(labels).to(wide.device)].cpu().numpy()
    values = values[np.lexsort((values, labels))]
    counts = np.empty((2, len(values)), dtype=np.int64)
    for block, totals in _count_cells(wide, truth, _blocks(truth, values, wide.device)):
        counts[:, block.entries] = totals.cpu().numpy()[:, block.places, block.columns]
    first, last = tie_groups(values, starts_of(offsets))
    ends = np.repeat(offsets[1:], truth.label_positives)
    return PositiveRanks(
        offsets=offsets,
        known=truth.label_known,
        cells_at_or_above=counts[0],
        cells_above=counts[1],
        positives_at_or_above=ends - first,
        positives_above=ends - last - 1,
        scores=values,
    )


def _check(scores: Float[Tensor, "n l"], truth: Truth) -> None:
    if tuple(scores.shape) != (truth.num_samples, truth.num_labels):
        raise ScoreError(
            f"scores have shape {tuple(scores.shape)}, but the truth describes {truth.num_samples:,} samples × "
            f"{truth.num_labels:,} labels; give one row a sample and one column a label"
        )
    # The smallest is NaN as soon as one is.
    if scores.numel() and bool(torch.isnan(scores.min())):
        row, label = divmod(int(torch.isnan(scores).flatten().to(torch.uint8).argmax()), truth.num_labels)
        raise ScoreError(
            f"scores are NaN; the first is of sample {row}, label {truth.names[label]!r}; NaN cannot be ranked: look for "
            "an overflow in the model or a damaged input"
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """Some labels with about as many positives.

    Args:
        labels: Their ids, the first repeated until they are a multiple of `WIDTH`.
        marks: The scores of each label's positives, one label a column; NaN below those with fewer, and where repeated.
        entries: Which positives they are.
        places: The row of `marks` that each stands in.
        columns: The column of `marks` that each stands in.
    """

    labels: Int64[Tensor, " k"]
    marks: Float[Tensor, "m k"]
    entries: Int64[np.ndarray, " p"]
    places: Int64[np.ndarray, " p"]
    columns: Int64[np.ndarray, " p"]


def _blocks(truth: Truth, values: Float[np.ndarray, " p"], device: torch.device) -> list[Block]:
    """Return all labels with positives, most first, in pieces whose comparisons of 64 rows fit into a block."""
    order = np.argsort(-truth.label_positives, kind="stable")
    order = order[truth.label_positives[order] > 0]
    budget = BLOCK_BYTES.get(device.type, BLOCK_BYTES["other"]) // 4 // BLOCK_ROWS
    blocks: list[Block] = []
    start = 0
    while start < len(order):
        most = int(truth.label_positives[order[start]])
        width = max(WIDTH, budget // most // WIDTH * WIDTH)
        blocks.append(_block(truth, order[start : start + width], values, device))
        start += width
    return blocks


def _block(
    truth: Truth, labels: Int64[np.ndarray, " k"], values: Float[np.ndarray, " p"], device: torch.device
) -> Block:
    positives = truth.label_positives[labels]
    columns = np.repeat(np.arange(len(labels)), positives)
    places = np.arange(len(columns)) - np.repeat(np.cumsum(positives) - positives, positives)
    entries = np.repeat(truth.columns.indptr[labels], positives) + places
    marks = np.full((int(positives.max()), -(-len(labels) // WIDTH) * WIDTH), np.nan, dtype=values.dtype)
    marks[places, columns] = values[entries]
    padded = np.concatenate((labels, np.repeat(labels[:1], marks.shape[1] - len(labels))))
    return Block(
        labels=torch.from_numpy(padded).to(device),
        marks=torch.from_numpy(marks).to(device),
        entries=entries,
        places=places,
        columns=columns,
    )


def _count_cells(
    scores: Float[Tensor, "n l"], truth: Truth, blocks: list[Block]
) -> Iterator[tuple[Block, Int64[Tensor, "two m k"]]]:
    """Yield each block with how many cells of its column are at or above each mark, and how many above."""
    few = [block for block in blocks if len(block.marks) <= MANY_POSITIVES]
    for block in blocks:
        if len(block.marks) > MANY_POSITIVES:
            yield block, _sort_cells(_cells(scores, truth, slice(0, truth.num_samples), block.labels), block.marks)
    if not few:
        return
    totals = [torch.zeros((2, *block.marks.shape), dtype=torch.int64, device=scores.device) for block in few]
    labels = torch.cat([block.labels for block in few])
    # Comparisons as 1.0 and 0.0, which a product with ones sums as fast as they can be read, and exactly.
    room = torch.empty(BLOCK_ROWS * max(block.marks.numel() for block in few), device=scores.device)
    ones = torch.ones(BLOCK_ROWS, device=scores.device)
    for start in range(0, truth.num_samples, BLOCK_ROWS):
        rows = slice(start, min(start + BLOCK_ROWS, truth.num_samples))
        parts = _cells(scores, truth, rows, labels).split([len(block.labels) for block in few], dim=1)
        for block, cells, total in zip(few, parts, totals, strict=True):
            shape = (len(cells), *block.marks.shape)
            reached = room[: math.prod(shape)].view(shape)
            for kind, compare in enumerate((torch.ge, torch.gt)):
                compare(cells[:, None, :], block.marks, out=reached)
                total[kind] += (ones[: len(cells)] @ reached.flatten(1)).view(block.marks.shape).long()
    yield from zip(few, totals, strict=True)


def _cells(
    scores: Float[Tensor, "n l"], truth: Truth, rows: slice, labels: Int64[Tensor, " k"]
) -> Float[Tensor, "b k"]:
    cells = scores[rows].index_select(1, labels)
    known = truth.known_rows(rows)
    if not known.shape[1]:
        return cells
    return cells.masked_fill(~torch.from_numpy(known).to(cells.device).index_select(1, labels), float("nan"))


def _sort_cells(cells: Float[Tensor, "n k"], marks: Float[Tensor, "m k"]) -> Int64[Tensor, "two m k"]:
    """Return the counts of `_count_cells` from sorted columns; NaN comes last in both."""
    ordered = cells.T.contiguous().sort(dim=1).values
    size = (~torch.isnan(ordered)).sum(dim=1, keepdim=True)
    # A search that meets NaN goes astray: infinity stands at the end as well, and what it adds is cut off.
    ordered, wanted = (
        ordered.nan_to_num(nan=float("inf"), posinf=float("inf"), neginf=float("-inf")),
        marks.T.contiguous(),
    )
    below = [torch.searchsorted(ordered, wanted, side=side) for side in ("left", "right")]
    return torch.stack([(size - counts).clamp(min=0).T for counts in below])
