"""Memory for batches that is used again, and only once nobody can see it any more."""

import weakref
from contextlib import suppress

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor


class BatchBuffers:
    """Lends memory for batches of pictures, and takes it back when the last tensor, array or view of it is gone.

    A batch stays as it is for as long as anything refers to it: to keep one is safe, and costs its memory. Who keeps
    many gets new memory for each. Fresh memory would cost a page fault every 4 kB, some 4 % of what decoding takes.

    Where there is a GPU, the memory is pinned, and lent by torch's own allocator, which also waits for copies to the GPU
    that still read it.

    Args:
        max_kept: How many returned buffers wait for their next use; more are given back to the system.

    >>> buffers = BatchBuffers(max_kept=2)
    >>> first = buffers.take((4, 3, 8, 8))
    >>> place = first.data_ptr()
    >>> row = first[1]
    >>> del first
    >>> second = buffers.take((4, 3, 8, 8))  # `row` still sees the first
    >>> second.data_ptr() == place
    False
    >>> del row
    >>> buffers.take((2, 3, 8, 8)).data_ptr() == place
    True
    """

    def __init__(self, *, max_kept: int) -> None:
        self._max_kept = max_kept
        self._free: list[UInt8[np.ndarray, " bytes"]] = []
        self._largest = 0
        self._is_pinned = torch.cuda.is_available()

    def take(self, shape: tuple[int, int, int, int]) -> UInt8[Tensor, "n 3 h w"]:
        """Return memory for a batch; what it holds is left over from another."""
        if self._is_pinned:
            return torch.empty(shape, dtype=torch.uint8, pin_memory=True)
        size = int(np.prod(shape))
        # Of one size, the largest so far: then a small last batch leaves nothing that is too small for others.
        self._largest = max(self._largest, size)
        memory = self._kept(size)
        lease = memory[:size]
        # The tensor holds the lease, and so does whatever shares the tensor's memory.
        weakref.finalize(lease, self._give_back, memory).atexit = False
        return torch.from_numpy(lease).view(shape)

    def _kept(self, size: int) -> UInt8[np.ndarray, " bytes"]:
        # No lock: a lease may end in any thread, and in the middle of any line; pop and append are one step each.
        with suppress(IndexError):
            while True:
                memory = self._free.pop()
                if len(memory) >= size:
                    return memory
        return np.empty(self._largest, dtype=np.uint8)

    def _give_back(self, memory: UInt8[np.ndarray, " bytes"]) -> None:
        if len(self._free) < self._max_kept:
            self._free.append(memory)
