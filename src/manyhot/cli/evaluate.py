"""`manyhot evaluate`: the figures of a run, on its own test split or on other data."""

from pathlib import Path
from shlex import quote

from manyhot.cli.logs import show_log
from manyhot.cli.parsing import Parser
from manyhot.cli.settings import read_data_settings, split_overrides
from manyhot.errors import UsageError


def run(arguments: list[str]) -> int:
    """Measure a run, show the figures, and return the exit code."""
    rest, overrides = split_overrides(arguments)
    flags = _parser().parse(rest)
    data = read_data_settings(overrides, command="evaluate")
    if flags.json is not None:
        _check_writable(flags.json)

    from manyhot.runs.run import Run

    # Before torch is loaded: a mistyped path is told at once.
    measured = Run(flags.run)

    from manyhot.cli.rendering import render_evaluation
    from manyhot.files import write_json
    from manyhot.runs.evaluating import evaluate_run
    from manyhot.runs.options import source_options

    show_log()
    evaluation = evaluate_run(
        measured,
        flags.data,
        split=flags.split,
        options=source_options(data) if overrides else None,
        allow_training_samples=flags.allow_training_samples,
        min_positives=flags.min_positives,
    )
    # Shown first: scoring took long, and a full disk must not lose it.
    print(render_evaluation(evaluation))
    if flags.json is not None:
        write_json(flags.json, evaluation.to_dict())
    folder = quote(str(flags.run))
    print(f"\nnext     manyhot predict {folder} PICTURES --out predictions.csv")
    return 0


def _check_writable(path: Path) -> None:
    if path.is_dir():
        raise UsageError(f"--json {path}: is a folder; name a file in it")
    if not path.parent.is_dir():
        raise UsageError(f"--json {path}: there is no folder {path.parent}; make it, or name another")


def _parser() -> Parser:
    parser = Parser(
        "evaluate",
        "RUN [DATA] [flags]",
        "Measure a run or a bundle: on its own test split, or on other data.",
        epilog="Other data are read with --data.FIELD VALUE, as in training: --data.delimiter ';'.",
    )
    add = parser.add_argument
    add("run", metavar="RUN", type=Path, help="a run or a bundle")
    add("data", metavar="DATA", type=Path, nargs="?", help="data to measure it on (the run's own)")
    add("--split", metavar="NAME", default="test", help="train, val or test (test)")
    add("--json", metavar="FILE", type=Path, help="write all figures to a file")
    add("--min-positives", metavar="N", type=int, default=1, help="average over labels with at least N positives (1)")
    add("--allow-training-samples", action="store_true", help="measure samples that were trained on, too")
    return parser
