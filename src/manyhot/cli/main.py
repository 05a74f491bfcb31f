"""The shell of the command: finds the subcommand, loads it alone, and turns errors into one line and an exit code.

A subcommand's module is imported only when it is asked for, and imports torch only when it has something to compute:
`--help` answers at once.
"""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper

from manyhot.cli.logs import is_told_here
from manyhot.errors import ManyhotError, StoppedError, UsageError, did_you_mean

COMMANDS = {
    "demo": "train on handwritten digits that are at hand, to see everything work",
    "check": "say what is wrong or risky in data, or in a run",
    "convert": "write any data into a label store, which opens at once",
    "pack": "write pictures and labels into shards, smaller if asked",
    "train": "train a model on a folder of pictures and their labels",
    "evaluate": "measure a run on its test split or on other data",
    "predict": "predict the labels of pictures",
    "decide": "give a finished run other thresholds, without training",
}
EXIT_DONE = 0
EXIT_FAILED = 1

_USAGE = "usage: manyhot COMMAND ...   (manyhot COMMAND --help shows what a command takes)"
_CODES = "exit codes: 0 done, 1 findings or failure, 2 usage, 3 to resume, 130 Ctrl-C"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; errors are one line on stderr.

    Ctrl-C and a reader of the output that leaves are left to `manyhot.__main__`, which is there before this is.

    With MANYHOT_TRACEBACK=1 in the environment, an error shows where it was raised.

    >>> main(["--version"])
    manyhot ...
    0
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A label or a file name that the terminal cannot show must not end the work.
            stream.reconfigure(errors="backslashreplace")
    # Threads that wait for work sleep instead of spinning: on two cores that other programs use too, training is five
    # to ten times as fast (docs/decisions/0011). Read when torch is loaded, and the user's own choice comes first.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        code = _run(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()
    except BrokenPipeError:
        # The one OSError that is no failure of ours: the reader of the output left.
        raise
    except (ManyhotError, OSError) as error:
        if os.environ.get("MANYHOT_TRACEBACK") == "1":
            raise
        if isinstance(error, StoppedError) and not is_told_here():
            # All processes of a training stop for one reason, which the first tells.
            return error.exit_code
        return _fail(_one_line(error), error.exit_code if isinstance(error, ManyhotError) else EXIT_FAILED)
    return code


def _run(arguments: list[str]) -> int:
    if not arguments:
        raise UsageError(f"a command is missing; one of {', '.join(COMMANDS)}, as in: manyhot demo")
    name, rest = arguments[0], arguments[1:]
    if name in ("-h", "--help", "help"):
        print(_help())
    elif name in ("-V", "--version"):
        # Loading it takes as long as all the rest of the shell.
        from importlib.metadata import version

        print(f"manyhot {version('manyhot')}")
    elif name in COMMANDS:
        try:
            code: int = import_module(f"manyhot.cli.{name}").run(rest)
        except SystemExit as stop:
            # argparse, after it showed the help of a command.
            return stop.code if isinstance(stop.code, int) else EXIT_DONE
        return code
    else:
        kind = "flag" if name.startswith("-") else "command"
        known = ["--help", "--version"] if kind == "flag" else list(COMMANDS)
        raise UsageError(f"{name!r} is no {kind} of manyhot{did_you_mean(name, known)} (there are {', '.join(known)})")
    return EXIT_DONE


def _help() -> str:
    lines = [f"  {name:<10}{purpose}" for name, purpose in COMMANDS.items()]
    first = "new here?  manyhot demo   shows all of it on data that need no download"
    return "\n".join([_USAGE, "", "Multi-label classification for PyTorch, whole.", "", *lines, "", first, _CODES])


def _one_line(error: ManyhotError | OSError) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split())


def _fail(message: str, code: int) -> int:
    print(f"manyhot: error: {message}", file=sys.stderr)
    return code
