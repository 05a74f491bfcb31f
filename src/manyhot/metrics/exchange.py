"""How ranks put together what each of them has counted, with the bytes that travel; one process alone exchanges nothing."""

import pickle
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor, distributed

Shared = TypeVar("Shared")


@runtime_checkable
class Exchange(Protocol):
    """What the ranks of an evaluation agree through; every rank makes the same calls in the same order."""

    @property
    def rank(self) -> int:
        """Number of this rank."""
        ...

    @property
    def num_ranks(self) -> int:
        """How many there are."""
        ...

    def gather(self, value: Shared) -> list[Shared]:
        """Return the values of all ranks, in their order."""
        ...

    def sum(self, counts: Int64[np.ndarray, "*shape"]) -> Int64[np.ndarray, "*shape"]:
        """Return the sum of the counts of all ranks; their shapes agree."""
        ...


class Alone:
    """The exchange of one process.

    >>> Alone().gather(3), Alone().sum(np.array([1, 2]))
    ([3], array([1, 2]))
    """

    rank = 0
    num_ranks = 1
    bytes_received = 0

    def gather(self, value: Shared) -> list[Shared]:
        """Return the one value."""
        return [value]

    def sum(self, counts: Int64[np.ndarray, "*shape"]) -> Int64[np.ndarray, "*shape"]:
        """Return the counts as they are."""
        return counts


class Ranks:
    """The exchange of the ranks of torch.distributed, on the CPU or the device that its backend wants.

    Args:
        group: Which ranks; all unless given.

    `bytes_received` counts what this rank has been sent so far: of a gathering what the others hold, of a sum what the
    best algorithm sends each rank, 2·(1 − 1/ranks) of its size.
    """

    def __init__(self, group: distributed.ProcessGroup | None = None) -> None:
        self._group = group
        self.rank = distributed.get_rank(group)
        self.num_ranks = distributed.get_world_size(group)
        self.bytes_received = 0
        backend = str(distributed.get_backend(group))
        self._device = torch.device("cuda", torch.cuda.current_device()) if "nccl" in backend else torch.device("cpu")

    def gather(self, value: Shared) -> list[Shared]:
        """Return the values of all ranks, in their order; values are pickled, and ranks trust each other."""
        own = torch.frombuffer(bytearray(pickle.dumps(value, protocol=5)), dtype=torch.uint8).to(self._device)
        sizes = [torch.zeros(1, dtype=torch.int64, device=self._device) for _ in range(self.num_ranks)]
        distributed.all_gather(sizes, torch.tensor([len(own)], device=self._device), group=self._group)
        found: list[Shared] = []
        for rank, size in enumerate(sizes):
            # One after the other: sizes differ, and gathering at once would pad all of them to the largest.
            sent = own if rank == self.rank else torch.empty(int(size), dtype=torch.uint8, device=self._device)
            distributed.broadcast(sent, group_src=rank, group=self._group)
            self.bytes_received += 0 if rank == self.rank else int(size)
            found.append(value if rank == self.rank else pickle.loads(sent.cpu().numpy().tobytes()))  # noqa: S301 - sent by our own ranks
        return found

    def sum(self, counts: Int64[np.ndarray, "*shape"]) -> Int64[np.ndarray, "*shape"]:
        """Return the sum of the counts, none negative, of all ranks; they travel as 8 or 32 bits where every sum fits."""
        largest = torch.tensor([int(counts.max(initial=0))], device=self._device)
        distributed.all_reduce(largest, group=self._group)
        widths = ((7, torch.int8), (31, torch.int32), (63, torch.int64))
        dtype = next(dtype for bits, dtype in widths if int(largest) < 2**bits)
        total: Tensor = torch.from_numpy(np.ascontiguousarray(counts)).to(self._device, dtype, copy=True)
        distributed.all_reduce(total, group=self._group)
        self.bytes_received += 2 * total.nbytes * (self.num_ranks - 1) // self.num_ranks
        return total.cpu().numpy().astype(np.int64)
