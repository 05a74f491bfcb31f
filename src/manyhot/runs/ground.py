"""What a training stands on: its data, their splits and counts, its recipe and its folder."""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from manyhot.config import Recipe
from manyhot.errors import RunError, SourceError, UsageError
from manyhot.labels import LabelSpace
from manyhot.labels.statistics import LabelCounts, count_cells
from manyhot.runs import assembly
from manyhot.runs.data_sets import joined, open_data
from manyhot.runs.deciding import check_decision
from manyhot.runs.facts import describe_labels
from manyhot.runs.joint_splits import decide_joint_splits
from manyhot.runs.run import Run
from manyhot.runs.splits import (
    SPLITS,
    Splits,
    changed_pictures,
    decide_splits,
    describe_changed,
    load_splits,
)
from manyhot.sources import Manifest
from manyhot.training.distributed import by_first_process

log = logging.getLogger("manyhot")


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What a training stands on: data, splits, counts, and the resolved recipe."""

    recipe: Recipe
    manifest: Manifest
    splits: Splits
    counts: LabelCounts
    folder: Path


def new_ground(recipe: Recipe, out: Path | None) -> Ground:
    """Return what a new run stands on; nothing is written yet.

    Raises:
        ManyhotError: One line on what was wrong with the data, the recipe or the folder.
    """
    if not recipe.data.paths:
        raise UsageError("no data given; name a folder or a label file")
    # One process looks: a moment later the folder of a run that starts is no longer empty.
    folder = by_first_process(lambda: free_folder(out, recipe.data.paths))
    data_sets = open_data(recipe.data)
    for one in data_sets:
        if not one.manifest.has_pictures:
            raise SourceError(f"{one.path}: {_missing_pictures(recipe)}")
    if len(data_sets) > 1:
        for line in (line for one in data_sets for line in one.to_lines()):
            log.info("%s", line)
    parts = {one.name: one.aligned() for one in data_sets}
    manifest = joined(list(parts.values()))
    if len(parts) == 1:
        splits = decide_splits(manifest, recipe.split, seed=recipe.seed)
    else:
        splits = decide_joint_splits(parts, manifest, recipe.split, seed=recipe.seed)
    return _ground(assembly.resolve(_absolute_paths(recipe)), manifest, splits, folder)


def _missing_pictures(recipe: Recipe) -> str:
    if not recipe.data.pictures:
        return "training needs pictures; leave data.pictures = false out"
    return (
        "its samples name no pictures, and training needs some: rows and addresses have none, and those in a compressed "
        "tar are not opened; write the pictures into a folder and list them by file name"
    )


def resumed_ground(run: Run, data: str | tuple[str, ...] | None = None) -> Ground:
    """Return what a run stood on when it started.

    Args:
        run: With its splits and its recipe.
        data: Where the data are now; where they were, if not given.

    Raises:
        RunError: If the data or their pictures have changed since.
    """
    recipe = run.recipe
    if data is not None:
        # The data have moved; that they are the same is checked below.
        recipe = _absolute_paths(replace(recipe, data=replace(recipe.data, path=data)))
    manifest = joined([one.aligned() for one in open_data(recipe.data)])
    saved = load_splits(run.folder)
    if manifest.fingerprint != saved.splits.fingerprint:
        raise RunError(
            f"{', '.join(recipe.data.paths)}: the data have changed since {run.folder} started; train a new run"
        )
    changed = changed_pictures(saved, manifest, np.arange(manifest.num_samples))
    if changed:
        raise RunError(describe_changed(changed))
    return _ground(recipe, manifest, saved.splits, run.folder)


def _ground(recipe: Recipe, manifest: Manifest, splits: Splits, folder: Path) -> Ground:
    sizes = ", ".join(f"{split} {len(splits.rows(split)):,}" for split in SPLITS)
    for line in describe_labels(manifest.labels).to_lines():
        log.info("%s", line)
    log.info("splits: %s (%s)", sizes, splits.origin)
    counts = count_cells(manifest.labels.take(splits.rows("train")))
    _check_counts(counts, manifest.labels.space)
    check_decision(recipe.decision, manifest.labels.space)
    return Ground(recipe=recipe, manifest=manifest, splits=splits, counts=counts, folder=folder)


def _check_counts(counts: LabelCounts, space: LabelSpace) -> None:
    if not counts.negatives.any():
        raise SourceError(
            "no label has a known negative among the training samples, so there is nothing to tell apart; "
            "add verified negatives, or read unlisted labels as negative"
        )
    constant = [space.names[label] for label in np.flatnonzero((counts.negatives == 0) & (counts.positives > 0))]
    if constant:
        log.warning(
            "warning: %d labels are positive in every training sample where they are known, so nothing can be learnt of "
            "them; the first is %r",
            len(constant),
            constant[0],
        )


def _absolute_paths(recipe: Recipe) -> Recipe:
    data, pretrained = recipe.data, recipe.encoder.pretrained
    files = {name: getattr(data, name) for name in ("labels", "images", "names", "hierarchy")}
    resolved = {name: None if value is None else _absolute(value) for name, value in files.items()}
    path = tuple(map(_absolute, data.path)) if isinstance(data.path, tuple) else data.path and _absolute(data.path)
    mapping = data.mapping and {name: _absolute(file) for name, file in data.mapping.items()}
    if pretrained not in ("auto", "none"):
        pretrained = _absolute(pretrained)
    return replace(
        recipe,
        data=replace(data, path=path, mapping=mapping, **resolved),
        encoder=replace(recipe.encoder, pretrained=pretrained),
    )


def _absolute(path: str) -> str:
    # Links of the file system stay: data sets are called by the names that were given.
    return os.path.abspath(path)  # noqa: PTH100 - Path.resolve follows links, Path.absolute keeps ".."


def free_folder(out: Path | None, data: Sequence[str]) -> Path:
    """Return where a new run is to stand: `out`, which must be absent or empty, or the next of `runs/NAME-1` and so on.

    Several data make a name of all of theirs: `runs/photos+drawings-1`.

    Raises:
        RunError: If `out` holds anything, or is a file.

    >>> free_folder(Path("absent"), ["photos"])
    PosixPath('absent')
    """
    if out is None:
        name = "+".join(dict.fromkeys(Path(path).resolve().stem or "data" for path in data))
        return next(path for number in range(1, 1_000_000) if not (path := Path("runs") / f"{name}-{number}").exists())
    if out.exists() and not out.is_dir():
        raise RunError(f"{out}: is a file; choose another --out")
    if out.exists() and any(out.iterdir()):
        raise RunError(f"{out}: is not empty; choose another --out, or --resume to go on with the run in it")
    return out
