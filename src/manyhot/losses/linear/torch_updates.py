"""Moves of 16-bit weights by torch's own operations, on any device: bit by bit those of the compiled loops in `update_kernels`.

Nothing waits for the device: seed and step stay where they are. Beside the chunk's gradient a move takes two or three numbers of
four bytes a weight of the chunk.
"""

import torch
from jaxtyping import BFloat16, Float, Float32, Int16, Int32, Int64
from torch import Tensor

ROUND_UP = 0x8000
LOW_BITS = 0xFFFF


def join_halves(high: BFloat16[Tensor, "c d"], low: Int16[Tensor, "c d"]) -> Float32[Tensor, "c d"]:
    """Return the float32 numbers that are kept as their nearest bfloat16 and what it lacks.

    >>> join_halves(*split_halves(torch.tensor([[0.1]])))
    tensor([[0.1000]])
    """
    return ((high.view(torch.int16).int() << 16) + low.int()).view(torch.float32)


def split_halves(weights: Float32[Tensor, "c d"]) -> tuple[BFloat16[Tensor, "c d"], Int16[Tensor, "c d"]]:
    """Return the nearest bfloat16 of each number, and what it lacks.

    >>> split_halves(torch.tensor([[1.0]]))
    (tensor([[1.]], dtype=torch.bfloat16), tensor([[0]], dtype=torch.int16))
    """
    bits = weights.contiguous().view(torch.int32)
    upper = (bits + ROUND_UP) >> 16
    return upper.to(torch.int16).view(torch.bfloat16), (bits - (upper << 16)).to(torch.int16)


def descend_split(
    high: BFloat16[Tensor, "c d"],
    low: Int16[Tensor, "c d"],
    gradient: Float[Tensor, "c d"],
    steps: Float32[Tensor, " c"],
) -> None:
    """Take steps · gradient off float32 numbers that are kept in halves.

    >>> high, low = split_halves(torch.tensor([[1.0, 2.0]]))
    >>> descend_split(high, low, torch.ones(1, 2), torch.tensor([0.1]))
    >>> join_halves(high, low)
    tensor([[0.9000, 1.9000]])
    """
    # Not value=-1: with it, GPUs round the product before they take it off.
    moved = join_halves(high, low).addcmul_(gradient.float(), -steps[:, None])
    for half, new in zip((high, low), split_halves(moved), strict=True):
        half.copy_(new)


def descend_rounded(
    weights: BFloat16[Tensor, "c d"],
    gradient: Float[Tensor, "c d"],
    steps: Float32[Tensor, " c"],
    key: Int32[Tensor, ""],
    first_row: int,
) -> None:
    """Take steps · gradient off bfloat16 numbers, rounded up or down by the noise of their row and column.

    >>> weights = torch.ones(1, 4, dtype=torch.bfloat16)
    >>> descend_rounded(weights, torch.ones(1, 4), torch.tensor([0.5]), key_of(torch.tensor(0), torch.tensor(1)), 0)
    >>> weights
    tensor([[0.5000, 0.5000, 0.5000, 0.5000]], dtype=torch.bfloat16)
    """
    # Two roundings, as the compiled loop has them.
    moved = weights.float().sub_(gradient.float() * steps[:, None])
    bits = moved.view(torch.int32).add_(_noise(weights, key, first_row))
    weights.copy_((bits >> 16).to(torch.int16).view(torch.bfloat16))


def key_of(seed: Int64[Tensor, ""], step: Int64[Tensor, ""]) -> Int32[Tensor, ""]:
    """Return the key of a step's noise.

    >>> key_of(torch.tensor(1), torch.tensor(2)).dtype
    torch.int32
    """
    key = _mix(_mix(seed.int()) + (seed >> 32).int())
    return _mix(_mix(key + step.int()) + (step >> 32).int())


def _noise(weights: Tensor, key: Tensor, first_row: int) -> Int32[Tensor, "c d"]:
    """Return 16 bits for each weight: one hash serves a column of the left half and one of the right."""
    num_rows, num_columns = weights.shape
    rows = torch.arange(first_row, first_row + num_rows, dtype=torch.int32, device=weights.device)
    columns = torch.arange((num_columns + 1) // 2, dtype=torch.int32, device=weights.device)
    # Where there is a column more than two halves, it has a hash of its own.
    columns = torch.where(columns < num_columns // 2, columns, num_columns - 1)
    hashes = _mix(_mix(key + _mix(rows))[:, None] + columns)
    left, last = hashes[:, : num_columns // 2], hashes[:, num_columns // 2 :]
    return torch.cat([left & LOW_BITS, (left >> 16) & LOW_BITS, last & LOW_BITS], dim=1)


def _mix(value: Int32[Tensor, "*shape"]) -> Int32[Tensor, "*shape"]:
    """Return what `update_kernels` makes of the same 32 bits, which have a sign here."""
    value = value ^ ((value >> 16) & 0xFFFF)
    value = value * 0x7FEB352D
    value = value ^ ((value >> 15) & 0x1FFFF)
    value = value * (0x846CA68B - (1 << 32))
    return value ^ ((value >> 16) & 0xFFFF)
