"""What a run's own files say of the usual mistakes: its history, its logits, its predictions, its loss."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from jaxtyping import Bool, Float

from manyhot.errors import ManyhotError
from manyhot.labels import LabelSets, LabelSpace
from manyhot.labels.statistics import count_cells
from manyhot.losses import Loss, starting_logits
from manyhot.losses.diagnosis import diagnose_history, diagnose_logits
from manyhot.runs.loss_assembly import make_loss
from manyhot.runs.run import Run
from manyhot.runs.splits import Splits
from manyhot.runs.writing import read_logits
from manyhot.sources.finding import Finding
from manyhot.targets import SparseTargets
from manyhot.training.history import FILE_NAME

# Samples that a mean loss is taken over; more do not change its second digit.
ENOUGH_SAMPLES = 2_000


def diagnose_run(run: Run, labels: LabelSets | None, splits: Splits | None) -> list[Finding]:
    """Return the usual mistakes that a run's files show; damaged files are for other checks to name.

    Args:
        run: Finished or not; no bundle.
        labels: Of the data, if they are still those of the training.
        splits: Of the run, if the labels are given.
    """
    train_losses, val_figures = _read_history(run.folder / FILE_NAME)
    prevalence_loss = val_loss = None
    findings: list[Finding] = []
    logits = _logits(run, "val")
    if labels is not None and splits is not None:
        train, val = labels.take(splits.rows("train")), labels.take(splits.rows("val"))
        loss = _loss(run, train)
        if loss is not None:
            prevalence_loss = _prevalence_loss(loss, train)
        if loss is not None and logits is not None and logits.shape == (val.num_samples, val.num_labels):
            val_loss = _mean_loss(loss, logits, val)
        findings += _sharing_labels(run, train)
    findings += diagnose_history(train_losses, val_figures, prevalence_loss=prevalence_loss, val_loss=val_loss)
    for split in ("val", "test"):
        truth = None if labels is None or splits is None else labels.take(splits.rows(split))
        findings += _diagnose_split(run, split, truth)
    return findings


def _diagnose_split(run: Run, split: str, truth: LabelSets | None) -> list[Finding]:
    logits = _logits(run, split)
    if logits is None or (truth is not None and logits.shape != (truth.num_samples, truth.num_labels)):
        return []
    targets = None if truth is None else SparseTargets.from_label_sets(truth)
    preds = None if truth is None else _preds(run, split, truth.space)
    found = diagnose_logits(torch.tensor(logits), targets, preds)
    return [
        Finding(
            name=finding.name, severity=finding.severity, message=f"{split}: {finding.message}", count=finding.count
        )
        for finding in found
    ]


def _read_history(path: Path) -> tuple[list[float], list[float]]:
    """Return loss and validation figure of each epoch; NaN where a cell is empty."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return [_number(row["train_loss"]) for row in rows], [_number(row["val_map_macro"]) for row in rows]
    except (OSError, ValueError, KeyError):
        return [], []


def _number(text: str | None) -> float:
    return float(text) if text else math.nan


def _logits(run: Run, split: str) -> Float[np.ndarray, "n l"] | None:
    try:
        return read_logits(run.folder / f"predictions-{split}.parquet")
    except ManyhotError:
        return None


def _preds(run: Run, split: str, space: LabelSpace) -> Bool[torch.Tensor, "n l"] | None:
    names: Sequence[Sequence[str]] = (
        pq.read_table(run.folder / f"predictions-{split}.parquet", columns=["labels"]).column("labels").to_pylist()
    )
    ids = {name: label for label, name in enumerate(space.names)}
    if not all(name in ids for row in names for name in row):
        return None
    preds = torch.zeros(len(names), len(space), dtype=torch.bool)
    for index, row in enumerate(names):
        preds[index, [ids[name] for name in row]] = True
    return preds


def _loss(run: Run, train: LabelSets) -> Loss | None:
    try:
        return make_loss(run.recipe.loss, train, count_cells(train))
    except ManyhotError:
        return None


def _prevalence_loss(loss: Loss, train: LabelSets) -> float:
    """Return the loss of giving every training sample the logits that its training started from."""
    start = starting_logits(loss, count_cells(train), num_samples=train.num_samples).float()
    some = train.take(_spread(train.num_samples))
    return _mean_loss(loss, start.expand(some.num_samples, -1).numpy(), some)


def _mean_loss(loss: Loss, logits: Float[np.ndarray, "n l"], truth: LabelSets) -> float:
    rows = _spread(len(logits))
    with torch.no_grad():
        value = loss(torch.from_numpy(logits[rows]), SparseTargets.from_label_sets(truth.take(rows)))
    return float(value)


def _spread(num_samples: int) -> np.ndarray:
    """Return the rows of at most so many samples as suffice, spread over all."""
    return np.unique(np.linspace(0, num_samples - 1, min(num_samples, ENOUGH_SAMPLES)).astype(np.int64))


def _sharing_labels(run: Run, train: LabelSets) -> list[Finding]:
    """Return what a softmax makes of samples with several labels or none."""
    kind = run.recipe.loss.kind
    if kind not in ("softmax", "semantic-softmax"):
        return []
    lengths = train.positives.lengths()
    empty, several = int((lengths == 0).sum()), int((lengths > 1).sum())
    if not empty and (not several or kind == "semantic-softmax"):
        return []
    message = (
        f"loss.kind is {kind!r}, under which labels share one probability: {empty:,} of {len(lengths):,} training samples "
        f"have no label and teach nothing, {several:,} have several; use the decision rule top-k, or binary-cross-entropy"
    )
    return [Finding(name="softmax-for-multi-label", severity="warning", message=message)]
