"""What the processes of one training tell each other."""

from typing import Any, TypeVar

import torch

T = TypeVar("T")


def gather_from_all(value: T) -> list[T]:
    """Return the value of each process, in the order of their ranks; every process must call this.

    >>> gather_from_all(3)
    [3]
    """
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return [value]
    # Any: torch fills in the places.
    values: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(values, value)
    return values


def is_first_process() -> bool:
    """Whether this process is the only one, or the one of rank 0."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return True
    return torch.distributed.get_rank() == 0
