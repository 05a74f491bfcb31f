"""Ranks of positives where the scores are: in plain torch, so that scores on a GPU need not leave it.

Labels are taken in the order of their positives, so that those of one block have about as many, and each positive is
compared with every cell of its label, both as 16-bit codes that keep the order; positives that share a code with another
cell are compared once more, as they are. Labels with very many are sorted. No matrix of the scores' size is made: a block
holds at most `BLOCK_BYTES`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int16, Int64
from torch import Tensor

from manyhot.errors import ScoreError
from manyhot.labels.csr import narrow_ids
from manyhot.metrics.ranks import PositiveRanks, starts_of, tie_groups
from manyhot.metrics.truth import Truth

# What the second cache of a processor holds; what keeps a GPU busy.
BLOCK_BYTES = {"cpu": 1 << 20, "other": 1 << 28}
BLOCK_ROWS = 64
# So many rows can be counted in 16 bits: a multiple of the above.
MOST_ROWS = 1 << 14
# Columns come by so many: shorter or odd rows are compared at half the speed.
WIDTH = 16
MANY_POSITIVES = 256
# Codes of a label's positives lie between; beyond them are those of cells below and above all positives.
TOP_CODE = 32_000
# With infinite ends, differences of scores would be no numbers.
LARGEST = 1e38


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
    # By value, then by label: counting sorts 16-bit ids, and both together take half the time of `lexsort`.
    order = np.argsort(values)
    values = values[order[np.argsort(narrow_ids(labels[order]), kind="stable")]]
    counts = _count_cells(wide, truth, labels, values)
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


def _count_cells(
    scores: Float[Tensor, "n l"], truth: Truth, labels: Int64[np.ndarray, " p"], values: Float[np.ndarray, " p"]
) -> Int64[np.ndarray, "two p"]:
    """Return how many cells of its label are at or above each positive, and how many above."""
    counts = np.empty((2, len(values)), dtype=np.int64)
    is_many = truth.label_positives[labels] > MANY_POSITIVES
    few, many = np.flatnonzero(~is_many), np.flatnonzero(is_many)
    for block, totals in _count_codes(scores, truth, _blocks(few, labels, values, scores.device, item_bytes=2)):
        counts[:, block.entries] = block.listed(totals)
    # Where a code is that of one cell alone, the cell is the positive, and codes are as good as scores.
    unsure = few[counts[0, few] - counts[1, few] != 1]
    for block in _blocks(unsure, labels, values, scores.device, item_bytes=4):
        counts[:, block.entries] = block.listed(_compare_cells(scores, truth, block))
    for block in _blocks(many, labels, values, scores.device, item_bytes=4):
        cells = _cells(scores, truth, slice(0, truth.num_samples), block.labels)
        counts[:, block.entries] = block.listed(_sort_cells(cells, block.marks))
    return counts


@dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """Some positives of labels with about as many.

    Args:
        labels: Their ids, the first repeated until they are a multiple of `WIDTH`.
        marks: The scores of each label's positives, one label a column; NaN below those with fewer, and where repeated.
        low: The lowest of each column.
        high: The highest of each column.
        entries: Which positives they are.
        places: The row of `marks` that each stands in.
        columns: The column of `marks` that each stands in.
    """

    labels: Int64[Tensor, " k"]
    marks: Float[Tensor, "m k"]
    low: Float[Tensor, " k"]
    high: Float[Tensor, " k"]
    entries: Int64[np.ndarray, " p"]
    places: Int64[np.ndarray, " p"]
    columns: Int64[np.ndarray, " p"]

    def listed(self, totals: Int64[Tensor, "two m k"]) -> Int64[np.ndarray, "two p"]:
        """Return what stands at each positive's place."""
        return totals.cpu().numpy()[:, self.places, self.columns]


def _blocks(
    entries: Int64[np.ndarray, " e"],
    labels: Int64[np.ndarray, " p"],
    values: Float[np.ndarray, " p"],
    device: torch.device,
    *,
    item_bytes: int,
) -> list[Block]:
    """Return some of the positives by label, labels with most first, in pieces whose comparisons of 64 rows fit into a block."""
    ids, starts, positives = np.unique(labels[entries], return_index=True, return_counts=True)
    order = np.argsort(-positives, kind="stable")
    budget = BLOCK_BYTES.get(device.type, BLOCK_BYTES["other"]) // item_bytes // BLOCK_ROWS
    blocks: list[Block] = []
    start = 0
    while start < len(order):
        own = order[start : start + max(WIDTH, budget // int(positives[order[start]]) // WIDTH * WIDTH)]
        columns = np.repeat(np.arange(len(own)), positives[own])
        places = np.arange(len(columns)) - np.repeat(np.cumsum(positives[own]) - positives[own], positives[own])
        chosen = entries[np.repeat(starts[own], positives[own]) + places]
        marks = np.full((int(positives[own].max()), -(-len(own) // WIDTH) * WIDTH), np.nan, dtype=values.dtype)
        marks[places, columns] = values[chosen]
        padded = np.concatenate((own, np.repeat(own[:1], marks.shape[1] - len(own))))
        ends = entries[starts[padded]], entries[starts[padded] + positives[padded] - 1]
        blocks.append(
            Block(
                labels=torch.from_numpy(ids[padded]).to(device),
                marks=torch.from_numpy(marks).to(device),
                low=torch.from_numpy(values[ends[0]]).to(device),
                high=torch.from_numpy(values[ends[1]]).to(device),
                entries=chosen,
                places=places,
                columns=columns,
            )
        )
        start += len(own)
    return blocks


def _count_codes(
    scores: Float[Tensor, "n l"], truth: Truth, blocks: list[Block]
) -> Iterator[tuple[Block, Int64[Tensor, "two m k"]]]:
    """Yield each block with how many cells of its column have the code of each mark or a higher one, and a higher one."""
    if not blocks:
        return
    low, scale = _code_scale(torch.cat([block.low for block in blocks]), torch.cat([block.high for block in blocks]))
    sizes = [len(block.labels) for block in blocks]
    scales = zip(low.split(sizes), scale.split(sizes), strict=True)
    marks = [_codes(block.marks.nan_to_num(), *ends) for block, ends in zip(blocks, scales, strict=True)]
    totals = [torch.zeros((2, *codes.shape), dtype=torch.int64, device=scores.device) for codes in marks]
    sums = [torch.zeros_like(total, dtype=torch.int16) for total in totals]
    labels = torch.cat([block.labels for block in blocks])
    room = torch.empty(BLOCK_ROWS * max(codes.numel() for codes in marks), dtype=torch.int16, device=scores.device)
    cells = torch.empty((BLOCK_ROWS, len(labels)), dtype=scores.dtype, device=scores.device)
    codes = torch.empty_like(cells, dtype=torch.int16)
    for start in range(0, truth.num_samples, BLOCK_ROWS):
        rows = slice(start, min(start + BLOCK_ROWS, truth.num_samples))
        count = rows.stop - rows.start
        # Into the same memory each time: fresh memory costs more than what is done with it.
        torch.index_select(scores[rows], 1, labels, out=cells[:count])
        codes[:count].copy_(_coded(cells[:count], low, scale))
        _clear_unknown(codes[:count], truth, rows, labels)
        for part, own, partial in zip(codes[:count].split(sizes, dim=1), marks, sums, strict=True):
            reached = room[: count * own.numel()].view(count, *own.shape)
            for kind, compare in zip(partial, (torch.ge, torch.gt), strict=True):
                kind.add_(compare(part[:, None, :], own, out=reached).sum(dim=0, dtype=torch.int16))
        if rows.stop % MOST_ROWS == 0 or rows.stop == truth.num_samples:
            for total, partial in zip(totals, sums, strict=True):
                total.add_(partial)
                partial.zero_()
    yield from zip(blocks, totals, strict=True)


def _code_scale(low: Float[Tensor, " k"], high: Float[Tensor, " k"]) -> tuple[Float[Tensor, " k"], Float[Tensor, " k"]]:
    """Return where codes of each label begin, and how many go to a unit of its scores."""
    low, high = low.clamp(-LARGEST, LARGEST), high.clamp(-LARGEST, LARGEST)
    # Where all positives stand together, other cells get codes of their own all the same.
    least = torch.maximum(low.abs(), high.abs()).div(16).clamp(min=1e-30)
    return low, 2 * TOP_CODE / torch.maximum(high - low, least)


def _coded(cells: Float[Tensor, "b k"], low: Float[Tensor, " k"], scale: Float[Tensor, " k"]) -> Float[Tensor, "b k"]:
    """Turn scores into codes, where they are: each step keeps the order, so equal codes are all that is lost."""
    return cells.sub_(low).mul_(scale).sub_(TOP_CODE).clamp_(-TOP_CODE - 1, TOP_CODE + 1)


def _codes(marks: Float[Tensor, "m k"], low: Float[Tensor, " k"], scale: Float[Tensor, " k"]) -> Int16[Tensor, "m k"]:
    return _coded(marks.clone(), low, scale).to(torch.int16)


def _clear_unknown(codes: Int16[Tensor, "b k"], truth: Truth, rows: slice, labels: Int64[Tensor, " k"]) -> None:
    known = truth.known_rows(rows)
    if known.shape[1]:
        unknown = ~torch.from_numpy(known).to(codes.device).index_select(1, labels)
        codes.masked_fill_(unknown, torch.iinfo(torch.int16).min)


def _compare_cells(scores: Float[Tensor, "n l"], truth: Truth, block: Block) -> Int64[Tensor, "two m k"]:
    """Return how many cells of its column are at or above each mark, and how many above."""
    totals = torch.zeros((2, *block.marks.shape), dtype=torch.int64, device=scores.device)
    # Comparisons as 1.0 and 0.0, which a product with ones sums as fast as they can be read, and exactly.
    reached = torch.empty((BLOCK_ROWS, *block.marks.shape), dtype=scores.dtype, device=scores.device)
    ones = torch.ones(BLOCK_ROWS, dtype=scores.dtype, device=scores.device)
    for start in range(0, truth.num_samples, BLOCK_ROWS):
        rows = slice(start, min(start + BLOCK_ROWS, truth.num_samples))
        cells = _cells(scores, truth, rows, block.labels)[:, None, :]
        count = len(cells)
        for total, compare in zip(totals, (torch.ge, torch.gt), strict=True):
            compare(cells, block.marks, out=reached[:count])
            total.add_((ones[:count] @ reached[:count].flatten(1)).view(total.shape).long())
    return totals


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
