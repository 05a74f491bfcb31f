"""What a run says while it works: one plain line each on stderr, so that stdout holds the result alone."""

import logging
from typing import TextIO


class _Lines(logging.StreamHandler[TextIO]):
    """Writes messages as they are to what stderr is now."""


def show_log() -> None:
    """Show what manyhot does and why, from `info` up; calling it again changes nothing but where stderr is."""
    logger = logging.getLogger("manyhot")
    for handler in [one for one in logger.handlers if isinstance(one, _Lines)]:
        logger.removeHandler(handler)
    logger.addHandler(_Lines())
    logger.propagate = False
    logger.setLevel(logging.INFO)
