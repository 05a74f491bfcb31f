"""How loops are compiled: by numba, at the first call, with the result kept on disk. Import this from kernels only."""

from collections.abc import Callable
from typing import TypeVar, no_type_check

from numba import njit

Kernel = TypeVar("Kernel", bound=Callable[..., object])


@no_type_check
def compiled(function: Kernel) -> Kernel:
    """Return the function compiled at its first call, from the cache on disk where a folder for it can be written."""
    return _compile(function)


@no_type_check
def compiled_division(function: Kernel) -> Kernel:
    """Return the function compiled as `compiled` does, with division by zero giving an infinity instead of an error.

    Loops that divide can then become vectors; every machine still gives the same digits.
    """
    return _compile(function, error_model="numpy")


@no_type_check
def compiled_arithmetic(function: Kernel) -> Kernel:
    """Return the function compiled as `compiled` does, with arithmetic that the compiler can turn into vectors.

    A product and a sum may become one operation, rounded once, and division by zero gives an infinity instead of an error.
    The last digits then depend on the processor, never on where a number stands in an array.
    """
    return _compile(function, fastmath={"contract"}, error_model="numpy")


@no_type_check
def _compile(function: Kernel, **options: object) -> Kernel:
    try:
        return njit(cache=True, nogil=True, **options)(function)
    except RuntimeError:
        # A read-only installation without a home: each process compiles for itself, in a few seconds.
        return njit(nogil=True, **options)(function)
