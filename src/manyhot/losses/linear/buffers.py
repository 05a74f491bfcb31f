"""Kept memory for a head's gradient: fresh pages cost more than what is written into them."""

import torch
from jaxtyping import Float
from torch import Tensor


class GradientBuffer:
    """Memory that a weight's gradient is written into, step after step.

    A gradient that somebody still holds, such as a `weight.grad` that was not set to None, is left alone: the next one then
    gets memory of its own. So accumulating over several batches stays right, and takes a second gradient while it lasts.

    >>> buffer, like = GradientBuffer(), torch.zeros(3, 2)
    >>> place = buffer.take(like).data_ptr()
    >>> place == buffer.take(like).data_ptr()
    True
    >>> held = buffer.take(like)
    >>> held.data_ptr() == buffer.take(like).data_ptr()
    False
    """

    def __init__(self) -> None:
        self._kept: Tensor | None = None

    def take(self, like: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Return memory for a gradient of the given tensor, with whatever was there before."""
        kept = self._kept
        if kept is None or _fits(kept, like) is False or _is_held(kept):
            kept = self._kept = torch.empty_like(like, memory_format=torch.contiguous_format)
        # Another tensor of the same memory: autograd may make it a parameter's gradient without a copy.
        return kept.detach()


def _fits(kept: Tensor, like: Tensor) -> bool:
    return (kept.shape, kept.dtype, kept.device) == (like.shape, like.dtype, like.device)


def _is_held(kept: Tensor) -> bool:
    storage = kept.untyped_storage()
    # The buffer's own tensor and the storage just asked for are two holders. torch has no public name for this count.
    count = torch._C._storage_Use_Count(storage._cdata)  # noqa: SLF001 - see above # pyright: ignore[reportPrivateUsage] - see above
    return count > 2
