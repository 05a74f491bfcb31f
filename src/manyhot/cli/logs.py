"""What a run says while it works: one plain line each on stderr, so that stdout holds the result alone."""

import logging


def show_log() -> None:
    """Show what manyhot does and why, from `info` up; calling it again changes nothing."""
    logger = logging.getLogger("manyhot")
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(message)s"))
        logger.addHandler(handler)
        logger.propagate = False
    logger.setLevel(logging.INFO)
