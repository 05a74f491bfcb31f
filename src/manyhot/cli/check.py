"""`manyhot check`: what is wrong or risky in data, or in a run."""

from pathlib import Path
from typing import TYPE_CHECKING

from manyhot.cli.logs import show_log
from manyhot.cli.parsing import Parser, check_writable
from manyhot.cli.settings import read_data_settings, split_overrides
from manyhot.config import DataConfig
from manyhot.errors import UsageError

if TYPE_CHECKING:
    from manyhot.runs.checking import CheckReport


def run(arguments: list[str]) -> int:
    """Check, show the facts and the findings, and return 1 if one of them is an error."""
    rest, overrides = split_overrides(arguments)
    flags = _parser().parse(rest)
    settings = read_data_settings(overrides, command="check")
    if flags.json is not None:
        check_writable("--json", flags.json)
    report = _check(flags.data, flags.run, settings, read_as_told=bool(overrides))

    from manyhot.cli.rendering import render_findings
    from manyhot.files import write_json

    if report.facts is not None:
        print("\n".join([*report.facts.to_lines(), ""]))
    print(render_findings(report.findings))
    if flags.json is not None:
        write_json(flags.json, report.to_dict())
    return 1 if report.has_errors else 0


def _check(data: list[Path], folder: Path | None, settings: DataConfig, *, read_as_told: bool) -> "CheckReport":
    from manyhot.runs.checking import check_data_sets, check_run

    show_log()
    if data and folder is None:
        return check_data_sets(data, settings)
    if folder is None or data:
        raise UsageError("check takes either DATA or --run RUN")
    if read_as_told:
        raise UsageError("--run RUN reads the data as the run did; leave --data.FIELD out")
    return check_run(folder)


def _parser() -> Parser:
    parser = Parser(
        "check",
        "DATA [DATA ...] | --run RUN [--json FILE]",
        "Say what is wrong or risky in data, or in a run; the exit code is 1 if there is an error, 0 if there are risks alone.",
        epilog="Data are read with --data.FIELD VALUE, as in training: --data.separator _. Every picture is opened; "
        "--data.pictures false checks the labels alone. Several DATA are checked each and together, as one training would see "
        "them: pictures that are in two of them, labels that are linked (--data.mapping.NAME FILE).",
    )
    parser.add_argument(
        "data", metavar="DATA", type=Path, nargs="*", help="a folder of pictures, a label file or a label store"
    )
    parser.add_argument(
        "--run",
        metavar="RUN",
        type=Path,
        help="check a run: its bundle, whether its data changed, and how its training went",
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write facts and findings to a file")
    return parser
