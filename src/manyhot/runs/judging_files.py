"""Figures of any model, from a file of its scores and one of the truth: samples and labels are matched by name."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64

from manyhot.errors import LabelError, ScoreError, SourceError, UsageError, did_you_mean
from manyhot.labels import LabelCounts, LabelSets, LabelSpace, count_cells, with_parents
from manyhot.labels.aligning import align_sets
from manyhot.labels.npy import NPY_FAULTS
from manyhot.metrics.scores import Kind
from manyhot.runs.judging import Judgeable
from manyhot.runs.judging_mapped import Links, map_by_links
from manyhot.runs.score_files import ScoreFile, read_score_file
from manyhot.runs.truth_files import TruthFile, read_truth_file
from manyhot.sources import SourceOptions

log = logging.getLogger("manyhot")


@dataclass(frozen=True, kw_only=True)
class Files:
    """Which files hold what.

    Args:
        scores: The scores: `read_score_file`.
        truth: The labels of the same samples: `read_truth_file`.
        train_truth: The labels of the training samples, for the prevalence baseline, head, mid and tail; None where
            they are not at hand.
        thresholds: A number for all labels, or a file: `.npy`, or `.json` of numbers by label. None for no decision.
        links: Of the scores' labels with those of the truth, where the truth has coarser ones.
    """

    scores: Path
    truth: Path
    train_truth: Path | None = None
    thresholds: str | None = None
    links: Links | None = None


def judge_files(
    files: Files, *, kind: Kind, options: SourceOptions | None = None, split: str | None = None
) -> Judgeable:
    """Return what files hold, matched: `.evaluate()` gives the figures.

    Samples are matched by their references where both files name them, else by order; labels likewise. A label of the
    scores that the truth lacks is unknown there. What is matched by order, or left out, is logged.

    Args:
        files: Which files hold what.
        kind: What the scores are; never guessed. With links they must be logits.
        options: How to read the truth, where it is a source.
        split: Judge the samples of this split of the truth alone.

    Raises:
        SourceError: If a file cannot be read.
        ScoreError: If samples or labels cannot be matched: each that the truth judges must have scores.
        UsageError: If there are links and the scores are no logits.
    """
    options = options or SourceOptions()
    scores = read_score_file(files.scores, kind=kind, reference_column=options.reference_column)
    truth = read_truth_file(files.truth, options, split=split)
    if files.links is not None:
        scores, truth, kind = _map_scores(files.links, scores, truth, kind)
    score_rows, truth_rows = _match_samples(scores, truth)
    space = _space_of(scores, truth)
    labels = _match_labels(scores, truth, space).take(truth_rows)
    every = len(score_rows) == len(scores.values)
    references = truth.references or scores.references
    return Judgeable(
        scores=scores.values if every else scores.values[score_rows],
        truth=labels,
        kind=kind,
        split=split or "all",
        sample_ids=None if references is None else [references[row] for row in truth_rows.tolist()],
        thresholds=None if files.thresholds is None else read_thresholds(files.thresholds, space),
        train_counts=None if files.train_truth is None else _train_counts(files.train_truth, options, scores, space),
    )


def _map_scores(links: Links, scores: ScoreFile, truth: TruthFile, kind: Kind) -> tuple[ScoreFile, TruthFile, Kind]:
    """Return the scores as those of the truth's labels, and the truth without labels that nothing is linked with."""
    if kind != "logits":
        raise UsageError("scores are mapped as logits (--kind logits); write logits, or map probabilities yourself")
    fine = LabelSpace(names=scores.names or tuple(map(str, range(scores.values.shape[1]))))
    mapping = links.read(truth.labels.space, fine)
    mapped = map_by_links(links, scores.values, truth.labels, mapping)
    named = replace(scores, values=mapped.scores, names=mapping.coarse.names)
    return named, replace(truth, labels=mapped.truth), mapped.kind


def read_thresholds(text: str, space: LabelSpace) -> Float64[np.ndarray, " l"]:
    """Return the threshold of each label, on probabilities: one number for all, or a file of them.

    A `.npy` file holds one a label in order, infinity for never; a `.json` file an object of them by label, `null` for never.

    Raises:
        UsageError: If it is neither a number nor such a file, a label has no threshold, or one is no probability.

    >>> read_thresholds("0.3", LabelSpace(names=("cat", "dog")))
    array([0.3, 0.3])
    """
    try:
        thresholds = np.full(len(space), float(text))
    except ValueError:
        thresholds = _thresholds_of_file(text, space)
    if thresholds.shape != (len(space),):
        raise UsageError(
            f"--thresholds {text}: holds shape {thresholds.shape}; give one for each of {len(space):,} labels"
        )
    strange = np.flatnonzero(~((thresholds >= 0) & (thresholds <= 1) | (thresholds == np.inf)))
    if len(strange):
        raise UsageError(
            f"--thresholds {text}: {thresholds[strange[0]]:g} for label {space.names[strange[0]]!r} is no probability; "
            "thresholds are on probabilities, also where scores are logits: give numbers between 0 and 1"
        )
    return thresholds


def _thresholds_of_file(text: str, space: LabelSpace) -> Float64[np.ndarray, "..."]:
    path = Path(text)
    if path.suffix not in (".npy", ".json") or not path.is_file():
        raise UsageError(f"--thresholds {text}: is neither a number nor a .npy or .json file that is there")
    try:
        if path.suffix == ".npy":
            return np.asarray(np.load(path, allow_pickle=False), dtype=np.float64)
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, *NPY_FAULTS) as error:
        raise UsageError(f"--thresholds {path}: cannot be read ({str(error).splitlines()[0]})") from None
    if not isinstance(found, Mapping):
        raise UsageError(f'--thresholds {path}: write an object of thresholds by label: {{"cat": 0.3, "dog": null}}')
    missing = [name for name in space.names if name not in found]
    if missing:
        raise UsageError(f"--thresholds {path}: {len(missing):,} labels have none, the first is {missing[0]!r}")
    values = [found[name] for name in space.names]
    strange = [value for value in values if value is not None and type(value) not in (int, float)]
    if strange:
        raise UsageError(f"--thresholds {path}: {strange[0]!r} is no number; null is for labels never predicted")
    return np.array([np.inf if value is None else value for value in values], dtype=np.float64)


def _match_samples(scores: ScoreFile, truth: TruthFile) -> tuple[Int64[np.ndarray, " k"], Int64[np.ndarray, " k"]]:
    """Return which rows of the scores and of the truth are of the same samples, in the order of the scores."""
    num_scored, num_samples = len(scores.values), truth.labels.num_samples
    if scores.references is None or truth.references is None:
        silent = scores.path if scores.references is None else truth.path
        if num_scored != num_samples:
            raise ScoreError(
                f"{scores.path} has {num_scored:,} rows, {truth.path} {num_samples:,} samples, and they can only be "
                f"matched by order, since {silent.name} does not name them; give the same samples"
            )
        log.info("rows are matched with samples by order, since %s does not name them", silent.name)
        return np.arange(num_samples), np.arange(num_samples)
    scored = _rows_by_reference(scores.references, scores.path)
    _rows_by_reference(truth.references, truth.path)
    scored = _without_common_folder(scored, truth.references)
    missing = [reference for reference in truth.references if reference not in scored]
    if missing:
        raise ScoreError(
            f"{len(missing):,} of {num_samples:,} samples have no scores in {scores.path}; the first is {missing[0]!r}"
            f"{did_you_mean(missing[0], list(scored)[:10_000])}; score every sample, or judge one --split"
        )
    if num_scored > num_samples:
        log.info("%s rows of scores are of samples that the truth lacks: left out", f"{num_scored - num_samples:,}")
    rows = np.array([scored[reference] for reference in truth.references], dtype=np.int64)
    order = np.argsort(rows)
    return rows[order], order


def _rows_by_reference(references: Sequence[str], path: Path) -> dict[str, int]:
    rows = {reference: row for row, reference in enumerate(references)}
    if len(rows) < len(references):
        row = next(row for row, reference in enumerate(references) if rows[reference] != row)
        raise ScoreError(
            f"{path}: {len(references) - len(rows):,} references stand twice; the first is {references[row]!r}, in "
            f"rows {row + 1:,} and {rows[references[row]] + 1:,}; give each sample one row"
        )
    return rows


def _without_common_folder(scored: dict[str, int], wanted: Sequence[str]) -> dict[str, int]:
    """Return the rows without the folder that all their references start with, where the truth's lack it."""
    known = set(wanted)
    if not scored or any(reference in scored for reference in known):
        return scored
    parts = next(iter(scored)).split("/")
    for depth in range(1, len(parts)):
        folder = "/".join(parts[:depth]) + "/"
        if "/".join(parts[depth:]) in known and all(reference.startswith(folder) for reference in scored):
            log.info("references of the scores are read from %s on, where those of the truth start", folder)
            return {reference.removeprefix(folder): row for reference, row in scored.items()}
    return scored


def _space_of(scores: ScoreFile, truth: TruthFile) -> LabelSpace:
    """Return the labels that the columns of the scores are."""
    num_columns, num_labels = scores.values.shape[1], truth.labels.num_labels
    if scores.names is not None and truth.has_names:
        if scores.names == truth.labels.space.names:
            return truth.labels.space
        try:
            space = LabelSpace(names=scores.names)
        except LabelError as error:
            raise ScoreError(f"{scores.path}: {error}") from None
        return _with_known_parents(space, truth.labels.space)
    if num_columns != num_labels:
        raise ScoreError(
            f"{scores.path} has {num_columns:,} columns, {truth.path} {num_labels:,} labels, and they can only be matched "
            f"by order, since {(scores.path if scores.names is None else truth.path).name} does not name them"
        )
    if scores.names is None and truth.has_names:
        log.info("columns are matched with labels by order, since %s does not name them", scores.path.name)
    return truth.labels.space if scores.names is None else LabelSpace(names=scores.names)


def _with_known_parents(space: LabelSpace, known: LabelSpace) -> LabelSpace:
    """Return the space with those parents of the other that it holds."""
    names = set(space.names)
    parents = {
        child: [known.names[parent] for parent in ids if known.names[parent] in names]
        for child, ids in zip(known.names, known.parents or (), strict=False)
        if child in names
    }
    return with_parents(space, parents) if parents else space


def _match_labels(scores: ScoreFile, truth: TruthFile, space: LabelSpace) -> LabelSets:
    if not (scores.names is not None and truth.has_names):
        return replace(truth.labels, space=space)
    try:
        aligned = align_sets(truth.labels, space)
    except LabelError:
        names, scored = truth.labels.space.names, set(space.names)
        missing = [name for name in names if name not in scored]
        raise ScoreError(
            f"{scores.path} has no scores for {len(missing):,} of the {len(names):,} labels of {truth.path}; the first is "
            f"{missing[0]!r}{did_you_mean(missing[0], space.names)}; add or rename its column"
        ) from None
    unknown = len(set(space.names) - set(truth.labels.space.names))
    if unknown:
        log.info("%s labels of the scores are not in the truth: all their cells are unknown", f"{unknown:,}")
    return aligned


def _train_counts(path: Path, options: SourceOptions, scores: ScoreFile, space: LabelSpace) -> LabelCounts:
    train = read_truth_file(path, options)
    if not train.has_names and train.labels.num_labels != len(space):
        raise SourceError(f"{path}: has {train.labels.num_labels:,} labels; the scores are of {len(space):,}")
    named = replace(scores, names=space.names) if train.has_names else scores
    return count_cells(_match_labels(named, train, space))
