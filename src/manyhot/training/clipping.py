"""The norm of a gradient, part of which is sharded over ranks, kept below a limit."""

from collections.abc import Iterable

import torch
from torch import Tensor, distributed
from torch.distributed.tensor import DTensor


def clip_gradient_norm(parameters: Iterable[Tensor], max_norm: float) -> None:
    """Scale gradients so that their norm, of all ranks where they are sharded, is at most `max_norm`.

    What `torch.nn.utils.clip_grad_norm_` does, which takes either DTensors or plain tensors, and not both. Where some are
    DTensors every rank must call this.

    >>> weight = torch.zeros(2, requires_grad=True)
    >>> weight.grad = torch.tensor([3.0, 4.0])
    >>> clip_gradient_norm([weight], 1.0)
    >>> weight.grad
    tensor([0.6000, 0.8000])
    """
    given = [parameter.grad for parameter in parameters if parameter.grad is not None]
    sharded = [gradient.to_local() for gradient in given if isinstance(gradient, DTensor)]
    whole = [gradient for gradient in given if not isinstance(gradient, DTensor)]
    if not given:
        return
    square = torch.nn.utils.get_total_norm(whole).square() if whole else sharded[0].new_zeros(())
    if len(whole) < len(given):
        of_shards = torch.zeros((), device=square.device)
        for gradient in sharded:
            of_shards += torch.linalg.vector_norm(gradient).square()
        distributed.all_reduce(of_shards)
        square = square + of_shards
    # As torch does: no division by 0, and no wait for the device.
    factor = (max_norm / (square.sqrt() + 1e-6)).clamp(max=1.0)
    for gradient in (*whole, *sharded):
        gradient.mul_(factor.to(gradient.device))
