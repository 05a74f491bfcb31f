"""Compiled loops on several threads: as many as torch has, over parts of the rows."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise

import torch

# Below so many cells a part a thread takes longer to wake up than to work.
MIN_CELLS = 100_000


def over_rows(work: Callable[[slice], None], num_rows: int, num_columns: int) -> None:
    """Call a function of a slice of rows, which lets go of the interpreter's lock, until all rows are done.

    >>> rows = []
    >>> over_rows(rows.append, 3, 5)
    >>> rows
    [slice(0, 3, None)]
    """
    parts = max(min(torch.get_num_threads(), num_rows * num_columns // MIN_CELLS, num_rows), 1)
    bounds = [num_rows * part // parts for part in range(parts + 1)]
    own, *others = (slice(start, stop) for start, stop in pairwise(bounds))
    waiting = [_pool(os.getpid(), torch.get_num_threads()).submit(work, rows) for rows in others]
    work(own)
    for part in waiting:
        part.result()


@cache
def _pool(process: int, num_threads: int) -> ThreadPoolExecutor:
    """Return the threads of a process: those of a parent do not run in its forked child."""
    return ThreadPoolExecutor(num_threads - 1, thread_name_prefix=f"manyhot-{process}")
