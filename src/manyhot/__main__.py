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
    of the output that leaves (head, less) ends it without a word, but takes no error's line and exit code away.
    """
    try:
        code = _run_to_an_end()
    except BrokenPipeError:
        code = EXIT_UNREAD
    try:
        # Behind the line of an error, which must come out even if nobody takes what is still to be written.
        sys.stdout.flush()
    except OSError:
        # Told already, or nobody's concern. Python would complain once more when it closes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _run_to_an_end() -> int:
    try:
        from manyhot.cli.main import main

        return main()
    except KeyboardInterrupt:
        print("manyhot: error: stopped before it was done", file=sys.stderr)
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(run())
