"""Lists of ids, one a row, as torch holds them: the ids behind one another, and the offset at which each row starts."""

import torch
from jaxtyping import Bool, Int32, Int64
from torch import Tensor


def row_of_each(offsets: Int64[Tensor, " offsets"], size: int) -> Int64[Tensor, " p"]:
    """Return the row of each id; `size` is how many ids there are.

    >>> row_of_each(torch.tensor([0, 2, 2, 3]), 3)
    tensor([0, 0, 2])
    """
    # output_size: without it the repeat would wait for the device to count. Slices: diff() takes three times as long.
    return torch.repeat_interleave(offsets[1:] - offsets[:-1], output_size=size)


def kept_offsets(rows: Int64[Tensor, " k"], kept: Bool[Tensor, " k"], num_rows: int) -> Int64[Tensor, " offsets"]:
    """Return the offsets that remain when some ids are kept, given the row of each.

    >>> kept_offsets(torch.tensor([0, 0, 2]), torch.tensor([True, False, True]), 3)
    tensor([0, 1, 1, 2])
    """
    offsets = torch.zeros(num_rows + 1, dtype=torch.int64, device=rows.device)
    offsets[1:] = torch.bincount(rows[kept], minlength=num_rows).cumsum(0)
    return offsets


def lists_of(mask: Bool[Tensor, "n l"]) -> tuple[Int64[Tensor, " offsets"], Int32[Tensor, " p"]]:
    """Return offsets and ids of the cells that are set.

    >>> lists_of(torch.tensor([[True, False, True], [False, False, False]]))
    (tensor([0, 2, 2]), tensor([0, 2], dtype=torch.int32))
    """
    offsets = torch.zeros(mask.shape[0] + 1, dtype=torch.int64, device=mask.device)
    offsets[1:] = mask.sum(dim=1).cumsum(0)
    return offsets, mask.nonzero()[:, 1].to(torch.int32)
