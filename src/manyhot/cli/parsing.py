"""Flags: argparse with our words for what went wrong, and a nearest name for what was mistyped."""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NoReturn

from manyhot.errors import UsageError, did_you_mean


class Parser(argparse.ArgumentParser):
    """A parser whose every complaint is a `UsageError` of one line.

    Names are never abbreviated: `--epoch` is a mistake with a suggestion, so that a new flag breaks no script.
    """

    def __init__(self, command: str, takes: str, purpose: str, *, epilog: str | None = None) -> None:
        super().__init__(
            prog=f"manyhot {command}",
            usage=f"manyhot {command} {takes}",
            description=purpose,
            epilog=epilog,
            allow_abbrev=False,
        )
        self.command = command

    def error(self, message: str) -> NoReturn:
        """Raise what argparse found wrong."""
        raise UsageError(f"{message} (manyhot {self.command} --help shows what it takes)")

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Return the parsed flags.

        Raises:
            UsageError: Naming the first flag or word that makes no sense, and the nearest flag.
        """
        # Unknown flags first: argparse would complain about a missing DATA before it mentions the typing error.
        known = self._option_string_actions
        for name in flag_names(arguments):
            if name not in known:
                near = did_you_mean(name, [flag for flag in known if flag.startswith("--")])
                self.error(f"{name} is no flag of {self.command}{near}")
        parsed, extra = self.parse_known_args(arguments)
        if extra:
            self.error(f"{extra[0]!r} is one argument too many")
        return parsed


def check_writable(flag: str, path: Path) -> None:
    """Check that a file can be written to a path, before long work begins.

    Raises:
        UsageError: If the path is a folder, or lies in none.

    >>> check_writable("--json", Path("nowhere/figures.json"))
    Traceback (most recent call last):
    manyhot.errors.UsageError: --json nowhere/figures.json: there is no folder nowhere; make it, or name another
    """
    if path.is_dir():
        raise UsageError(f"{flag} {path}: is a folder; name a file in it")
    if not path.parent.is_dir():
        raise UsageError(f"{flag} {path}: there is no folder {path.parent}; make it, or name another")


def flag_names(arguments: Iterable[str]) -> list[str]:
    """Return the names of the flags among the arguments, up to a lone `--`.

    >>> flag_names(["data", "--out=x", "--lr", "-1", "--", "--file"])
    ['--out', '--lr']
    """
    names: list[str] = []
    for argument in arguments:
        if argument == "--":
            break
        if argument.startswith("--"):
            names.append(argument.partition("=")[0])
    return names
