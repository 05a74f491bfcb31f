"""The command's way in: `manyhot`, or `python -m manyhot` where no script is on the path."""

import sys

EXIT_INTERRUPTED = 130
"""What shells say of a program that Ctrl-C has ended; 1 would be a finding of `check`."""


def run() -> int:
    """Run the command and return its exit code: `manyhot.cli.main.main`.

    Ctrl-C ends in one line, also while the command is still being loaded. A training stops with a checkpoint first.
    """
    try:
        from manyhot.cli.main import main

        return main()
    except KeyboardInterrupt:
        sys.stdout.flush()
        print("manyhot: error: stopped before it was done", file=sys.stderr)
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(run())
