"""What a run says while it works: one plain line each on stderr, so that stdout holds the result alone."""

import logging
import os
from typing import TextIO


class _Lines(logging.StreamHandler[TextIO]):
    """Writes messages as they are to what stderr is now."""


def is_told_here() -> bool:
    """Whether this process tells what happens: of several that torchrun or SLURM started, the first.

    >>> is_told_here()
    True
    """
    return os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0")) == "0"


def show_log() -> None:
    """Show what manyhot does and why, from `info` up; calling it again changes nothing but where stderr is.

    Of several processes the first alone speaks.
    """
    logger = logging.getLogger("manyhot")
    for handler in [one for one in logger.handlers if isinstance(one, _Lines)]:
        logger.removeHandler(handler)
    logger.addHandler(_Lines())
    logger.propagate = False
    logger.setLevel(logging.INFO if is_told_here() else logging.ERROR)
