"""How long work over labels tells how far it is."""

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Is told how much is done and how much there is to do."""

Advance = Callable[[int], object]
"""Is told how much was done since the last call."""


def ignore_progress(done: int, total: int) -> None:
    """Do nothing: nobody wants to know.

    >>> ignore_progress(1, 2)
    """
    del done, total
