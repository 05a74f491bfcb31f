"""`manyhot predict`: the labels of pictures."""

import sys
from collections.abc import Sequence
from pathlib import Path

from manyhot.cli.logs import show_log
from manyhot.cli.parsing import Parser

NUM_SHOWN_FAILURES = 20


def run(arguments: list[str]) -> int:
    """Predict, write or show the predictions, and return 1 if a picture could not be read."""
    flags = _parser().parse(arguments)

    from manyhot.runs.run import Run

    # Before torch is loaded: a mistyped path is told at once.
    run = Run(flags.run)

    from manyhot.cli.rendering import render_predictions
    from manyhot.runs.predicting import predict, predict_to_file

    show_log()
    if flags.out is None:
        predictions = predict(run, flags.inputs)
        print(render_predictions(predictions))
        return _report_failures(predictions.failures)
    written = predict_to_file(run, flags.inputs, flags.out)
    print(f"{written.num_predicted:,} predictions written to {flags.out}")
    return _report_failures(written.failures)


def _report_failures(failures: Sequence[tuple[str, str]]) -> int:
    for reference, reason in failures[:NUM_SHOWN_FAILURES]:
        print(f"manyhot: not predicted: {reference}: {reason}", file=sys.stderr)
    if len(failures) > NUM_SHOWN_FAILURES:
        print(f"manyhot: and {len(failures) - NUM_SHOWN_FAILURES:,} more", file=sys.stderr)
    return 1 if failures else 0


def _parser() -> Parser:
    parser = Parser(
        "predict",
        "RUN INPUT... [--out FILE]",
        "Predict the labels of pictures, with a run or a bundle alone.",
        epilog="Pictures that cannot be read are named and do not stop the others; the exit code is then 1.",
    )
    add = parser.add_argument
    add("run", metavar="RUN", type=Path, help="a run or a bundle")
    add(
        "inputs",
        metavar="INPUT",
        type=Path,
        nargs="+",
        help="pictures, folders of pictures, tables that name pictures, packs, tars, stores",
    )
    add("--out", metavar="FILE", type=Path, help="write .csv, .jsonl or .parquet, with every probability")
    return parser
