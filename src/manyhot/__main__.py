"""The command's way in: `manyhot`, or `python -m manyhot` where no script is on the path."""

import os
import sys

EXIT_UNREAD = 1
"""Whoever reads the output left before its end."""

EXIT_INTERRUPTED = 130
"""What shells say of a program that Ctrl-C has ended; 1 would be a finding of `check`."""


def run() -> int:
    """Run the command and return its exit code: `manyhot.cli.main.main`.

    Ctrl-C ends in one line, also while the command is still being loaded. A training stops with a checkpoint first. A reader
    of the output that leaves ends it without a word.
    """
    try:
        return _run_to_an_end()
    except BrokenPipeError:
        # The reader (head, less) left. Python would complain once more when it closes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_UNREAD


def _run_to_an_end() -> int:
    try:
        from manyhot.cli.main import main

        return main()
    except KeyboardInterrupt:
        sys.stdout.flush()
        print("manyhot: error: stopped before it was done", file=sys.stderr)
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(run())
