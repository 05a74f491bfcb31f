"""What the processes of one training tell each other."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import nn

from manyhot.errors import ManyhotError, TrainingError

T = TypeVar("T")


def gather_from_all(value: T) -> list[T]:
    """Return the value of each process, in the order of their ranks; every process must call this.

    >>> gather_from_all(3)
    [3]
    """
    if not _is_shared():
        return [value]
    # Any: torch fills in the places.
    values: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(values, value)
    return values


def is_first_process() -> bool:
    """Whether this process is the only one, or the one of rank 0."""
    return not _is_shared() or torch.distributed.get_rank() == 0


def num_processes() -> int:
    """Return how many processes share the training.

    >>> num_processes()
    1
    """
    return torch.distributed.get_world_size() if _is_shared() else 1


def by_first_process(work: Callable[[], T]) -> T:
    """Return what the first process's work returns, on every process; the others wait. Every process must call this.

    An error of the first process is raised on all of them.

    Raises:
        TrainingError: On the others, if the first process fails with an error of another root than manyhot's.

    >>> by_first_process(lambda: 3)
    3
    """
    if not _is_shared():
        return work()
    told: list[Any] = [None, None]
    if is_first_process():
        try:
            told[0] = work()
        except ManyhotError as error:
            told[1] = error
        except BaseException:
            told[1] = TrainingError("the first process failed; it says why")
            torch.distributed.broadcast_object_list(told)
            raise
    torch.distributed.broadcast_object_list(told)
    if told[1] is not None:
        raise told[1]
    return told[0]


def share_buffers(model: nn.Module) -> None:
    """Give every process the buffers of the first: batch statistics, which each has gathered from its own samples."""
    if _is_shared():
        for buffer in model.buffers():
            torch.distributed.broadcast(buffer, src=0)


def _is_shared() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()
