"""`manyhot decide`: another decision for a finished run, without training it again."""

from pathlib import Path

from manyhot.cli.parsing import Parser
from manyhot.cli.settings import read_decision_settings, split_overrides


def run(arguments: list[str]) -> int:
    """Fit the decision, write it into the run, show the figures, and return the exit code."""
    rest, overrides = split_overrides(arguments)
    flags = _parser().parse(rest)
    config = read_decision_settings(overrides)

    from manyhot.runs.run import Run

    # Before torch is loaded: a mistyped path is told at once.
    decided = Run(flags.run)

    from manyhot.cli.logs import show_log
    from manyhot.cli.rendering import render_run
    from manyhot.runs.redeciding import decide_again

    show_log()
    print(render_run(decide_again(decided, config)))
    return 0


def _parser() -> Parser:
    parser = Parser(
        "decide",
        "RUN [--decision.FIELD VALUE ...]",
        "Give a finished run another decision: thresholds, calibration, constraints. Nothing is trained.",
        epilog=(
            "As in training: --decision.rule recall-at-least --decision.recall 0.9. What is not given is as by default.\n"
            "The bundle, the figures and the report of the run are written anew; docs/deciding.md has the rules."
        ),
    )
    parser.add_argument("run", metavar="RUN", type=Path, help="a finished run")
    return parser
