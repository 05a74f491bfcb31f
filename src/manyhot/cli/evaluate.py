"""`manyhot evaluate`: the figures of a run, or of any model from files of its scores and the truth."""

import argparse
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from manyhot.cli.logs import show_log
from manyhot.cli.parsing import Parser, check_writable
from manyhot.cli.settings import read_data_settings, split_overrides
from manyhot.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from manyhot.metrics import Evaluation
    from manyhot.runs.judging import Judgeable
    from manyhot.runs.judging_mapped import Links
    from manyhot.sources import SourceOptions

ALL = "all"
# Those of manyhot.metrics.protocols, which loads torch: help and a mistyped name do not wait for it.
PROTOCOLS = ("manyhot", "sklearn", "torchmetrics", "asl", "voc07", "voc10", "coco101", "openimages", "xc")
# Those of manyhot.labels.mapped_scores, for the same reason.
MAPPED_SCORES = ("max", "logsumexp", "noisy-or", "mean-softmax", "restrict")
REPLICATES = 200
OF_FILES = ("truth", "kind", "thresholds", "train_truth")


def run(arguments: list[str]) -> int:
    """Measure a run or a file of scores, show the figures, and return the exit code."""
    rest, overrides = split_overrides(arguments)
    flags = _parser().parse(rest)
    settings = read_data_settings(overrides, command="evaluate")
    _check(flags)

    from manyhot.runs.options import source_options

    options = source_options(settings) if overrides else None
    show_log()
    judgeable = _read_files(flags, options) if flags.scores is not None else _score_run(flags, options)
    evaluations = _evaluate(judgeable, flags)
    # Shown first: scoring took long, and a full disk must not lose it.
    _show(evaluations, judgeable)
    if flags.report is not None:
        from manyhot.runs.reporting import write_judgement

        title = f"{_judged(flags).name}: {judgeable.split}"
        write_judgement(flags.report, judgeable, list(evaluations.values()), title=title)
        print(f"\nreport   {flags.report}")
    if flags.json is not None:
        _write(flags.json, evaluations, protocol=flags.protocol)
    if flags.run is not None:
        print(f"\nnext     manyhot predict {quote(str(flags.run))} PICTURES --out predictions.csv")
    return 0


def _check(flags: argparse.Namespace) -> None:
    """Check what can be checked before torch is loaded: a mistake is told at once."""
    for flag in ("json", "report"):
        if getattr(flags, flag) is not None:
            check_writable(f"--{flag}", getattr(flags, flag))
    if flags.protocol not in (*PROTOCOLS, ALL):
        known = (*PROTOCOLS, ALL)
        near = did_you_mean(flags.protocol, known)
        raise UsageError(f"--protocol {flags.protocol} is not known{near} (there are {', '.join(known)})")
    if flags.intervals is not None and flags.protocol not in (PROTOCOLS[0], ALL):
        raise UsageError(
            f"--intervals are of the protocol {PROTOCOLS[0]} alone, not of {flags.protocol}; leave one out"
        )
    if (flags.mapping is None) != (flags.mapped_score is None):
        raise UsageError(f"--mapping FILE goes with --mapped-score NAME (there are {', '.join(MAPPED_SCORES)})")
    _check_inputs(flags)


def _check_inputs(flags: argparse.Namespace) -> None:
    if flags.scores is None:
        given = [f"--{name.replace('_', '-')}" for name in OF_FILES if getattr(flags, name) is not None]
        if given:
            raise UsageError(f"{given[0]} goes with --scores FILE, which is missing")
        if flags.run is None:
            raise UsageError("evaluate takes RUN, or --scores FILE --truth FILE --kind logits|probs")
        if flags.mapping is not None and flags.data is None:
            raise UsageError("--mapping goes with DATA: those that carry the coarser labels")
        return
    if flags.run is not None:
        raise UsageError(f"evaluate takes either RUN or --scores FILE, not {flags.run} beside it")
    if flags.truth is None:
        raise UsageError("--scores FILE goes with --truth FILE: the labels of the same samples")
    if flags.kind is None:
        raise UsageError("say what the scores are, --kind logits or --kind probs: manyhot does not guess")


def _read_files(flags: argparse.Namespace, options: "SourceOptions | None") -> "Judgeable":
    from manyhot.runs.judging_files import Files, judge_files

    files = Files(
        scores=flags.scores,
        truth=flags.truth,
        train_truth=flags.train_truth,
        thresholds=flags.thresholds,
        links=_links(flags),
    )
    return judge_files(files, kind=flags.kind, options=options, split=flags.split)


def _score_run(flags: argparse.Namespace, options: "SourceOptions | None") -> "Judgeable":
    from manyhot.runs.run import Run

    # Before torch is loaded: a mistyped path is told at once.
    measured = Run(flags.run)

    from manyhot.runs.evaluating import score_run

    return score_run(
        measured,
        flags.data,
        split=flags.split or "test",
        options=options,
        allow_training_samples=flags.allow_training_samples,
        links=_links(flags),
    )


def _links(flags: argparse.Namespace) -> "Links | None":
    from manyhot.runs.judging_mapped import Links

    return None if flags.mapping is None else Links(path=flags.mapping, how=flags.mapped_score)


def _evaluate(judgeable: "Judgeable", flags: argparse.Namespace) -> "dict[str, Evaluation]":
    from manyhot.metrics import Bootstrap

    names = PROTOCOLS if flags.protocol == ALL else (flags.protocol,)
    intervals = None if flags.intervals is None else Bootstrap(replicates=flags.intervals)
    return {
        name: judgeable.evaluate(protocol=name, min_positives=flags.min_positives, intervals=intervals)
        for name in names
    }


def _judged(flags: argparse.Namespace) -> Path:
    judged: Path = flags.scores if flags.run is None else flags.run
    return judged


def _show(evaluations: "dict[str, Evaluation]", judgeable: "Judgeable") -> None:
    from manyhot.cli.rendering import render_evaluation
    from manyhot.cli.side_by_side import render_side_by_side, render_unknown

    if len(evaluations) == 1:
        for evaluation in evaluations.values():
            print(render_evaluation(evaluation, judgeable.reasons, judgeable.notes))
        return
    print(render_side_by_side(evaluations))
    if judgeable.num_unknown:
        cells = judgeable.truth.num_samples * judgeable.truth.num_labels
        print(render_unknown(judgeable.num_unknown, cells, judgeable.precision_with_unknown_as_negative()))


def _write(path: Path, evaluations: "dict[str, Evaluation]", *, protocol: str) -> None:
    from manyhot.files import write_json
    from manyhot.metrics.figures import SCHEMA

    written = {name: evaluation.to_dict() for name, evaluation in evaluations.items()}
    if protocol == ALL:
        write_json(path, {"schema": SCHEMA, "protocol": ALL, "evaluations": written})
    else:
        write_json(path, written[protocol])


def _replicates(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of replicates; write RUN first, or --intervals 200")
    return int(text)


def _parser() -> Parser:
    parser = Parser(
        "evaluate",
        "RUN [DATA] | --scores FILE --truth FILE --kind KIND",
        "Measure a run or a bundle, on its own test split or on other data; or any model, from its scores.",
        epilog="Data and truth are read with --data.FIELD VALUE, as in training: --data.delimiter ';'.",
    )
    add = parser.add_argument
    add("run", metavar="RUN", type=Path, nargs="?", help="a run or a bundle")
    add("data", metavar="DATA", type=Path, nargs="?", help="data to measure it on (the run's own)")
    add("--split", metavar="NAME", help="train, val or test (test; of --truth, all samples)")
    add("--json", metavar="FILE", type=Path, help="write all figures to a file")
    add("--report", metavar="FILE", type=Path, help="write a page (.html) with all of it")
    add("--protocol", metavar="NAME", default="manyhot", help=f"whose conventions: {', '.join(PROTOCOLS)}; or all")
    add(
        "--intervals",
        metavar="N",
        type=_replicates,
        nargs="?",
        const=REPLICATES,
        help=f"95 %% intervals, from N replicates of the samples ({REPLICATES})",
    )
    add("--min-positives", metavar="N", type=int, default=1, help="average over labels with at least N positives (1)")
    add("--allow-training-samples", action="store_true", help="measure samples that were trained on, too")
    add("--scores", metavar="FILE", type=Path, help="scores of any model: .npy, .parquet, .csv, .tsv")
    add("--truth", metavar="FILE", type=Path, help="their labels: any data, or a matrix of 1, 0 and -1 (unknown)")
    add("--kind", choices=("logits", "probs"), help="what the scores are")
    add(
        "--mapping", metavar="FILE", type=Path, help="the labels of the data, each with those of the model: .json, .csv"
    )
    add("--mapped-score", metavar="NAME", choices=MAPPED_SCORES, help=f"their scores: {', '.join(MAPPED_SCORES)}")
    add("--thresholds", metavar="X", help="the decision: a number, or a .npy or .json file of one a label")
    add("--train-truth", metavar="FILE", type=Path, help="the labels trained on: adds prevalence, head, mid, tail")
    return parser
