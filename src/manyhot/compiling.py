"""How loops are compiled: by numba, at the first call, with the result kept on disk. Import this from kernels only."""

from collections.abc import Callable
from typing import TypeVar, no_type_check

from numba import njit

Kernel = TypeVar("Kernel", bound=Callable[..., object])


@no_type_check
def compiled(function: Kernel) -> Kernel:
    """Return the function compiled at its first call, from the cache on disk where a folder for it can be written."""
    try:
        return njit(cache=True, nogil=True)(function)
    except RuntimeError:
        # A read-only installation without a home: each process compiles for itself, in a few seconds.
        return njit(nogil=True)(function)
