"""Evaluate: the figures of a run on its own test split, or of a run or bundle on other data."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Float, Int64

from manyhot.bundle import Bundle
from manyhot.errors import ImageError, LabelError, RunError, SourceError, UsageError
from manyhot.labels.aligning import align_sets
from manyhot.metrics import Bootstrap, Evaluation
from manyhot.metrics.protocols import ProtocolName
from manyhot.runs import loaders
from manyhot.runs.data_sets import DataSet, joined, open_data_sets
from manyhot.runs.deciding import cross_decide
from manyhot.runs.judging import Judgeable
from manyhot.runs.judging_mapped import Links, map_by_links
from manyhot.runs.options import source_options
from manyhot.runs.run import Run
from manyhot.runs.scoring import score
from manyhot.runs.splits import SPLITS, SavedSplits, changed_pictures, describe_changed, load_splits
from manyhot.sources import Manifest, SourceOptions, open_source
from manyhot.sources.picture_store import PictureStore

log = logging.getLogger("manyhot")

BATCH_SIZE = 64


@dataclass(frozen=True, kw_only=True, eq=False)
class Material:
    """What to evaluate on: some rows of a manifest, their split's name, and whether that split is the run's own."""

    manifest: Manifest
    rows: Int64[np.ndarray, " k"]
    split: str
    is_own: bool = False

    @property
    def was_decided_on(self) -> bool:
        """Whether the run's decision was fitted on these samples."""
        return self.is_own and self.split == "val"

    def references(self) -> list[str]:
        """Return what the samples are called, in order."""
        references = self.manifest.references()
        return [references[row] for row in self.rows.tolist()]


def evaluate_run(
    run: Run,
    data: Path | None = None,
    *,
    split: str = "test",
    options: SourceOptions | None = None,
    allow_training_samples: bool = False,
    links: Links | None = None,
    min_positives: int = 1,
    protocol: ProtocolName = "manyhot",
    intervals: Bootstrap | None = None,
) -> Evaluation:
    """Return the figures of a run's model on its own split, or on other data: see `score_run`.

    Args:
        run: A run or a bundle.
        data: As of `score_run`.
        split: As of `score_run`.
        options: As of `score_run`.
        allow_training_samples: As of `score_run`.
        links: As of `score_run`.
        min_positives: Macro figures are given as well over labels with at least so many positives.
        protocol: Whose conventions to follow.
        intervals: How the ends of each figure's interval are found; without it there are none.
    """
    judgeable = score_run(
        run, data, split=split, options=options, allow_training_samples=allow_training_samples, links=links
    )
    return judgeable.evaluate(protocol=protocol, min_positives=min_positives, intervals=intervals)


def score_run(
    run: Run,
    data: Path | None = None,
    *,
    split: str = "test",
    options: SourceOptions | None = None,
    allow_training_samples: bool = False,
    links: Links | None = None,
) -> Judgeable:
    """Return a run's model's scores and decisions beside the truth: `.evaluate()` gives the figures.

    On the run's own data, or on one of several, the saved split is used. On other data, the rows of their split of that name, or all rows
    where the data bring no splits; a label of the model that the data do not know is unknown there, never negative.

    Args:
        run: A run or a bundle.
        data: Data to evaluate on; the run's own, if not given.
        split: Which split.
        options: How to read `data`; as the run read its own, if not given.
        allow_training_samples: Evaluate samples that the model was trained on, instead of refusing them.
        links: Of the model's labels with those of `data`, where the data have coarser ones; the run's decision, which is
            of its own labels, is then left out.

    Raises:
        RunError: If the run's own data or their pictures have changed, or samples were trained on and that was not
            asked for.
        SourceError: If the data hold labels that the model does not know, or the links labels that neither knows.
        UsageError: If there is no such split, or links come without data.
    """
    if split not in SPLITS:
        raise UsageError(f"split is {split!r}; it must be one of {', '.join(SPLITS)}")
    if links is not None and data is None:
        raise UsageError(f"{links.path}: links the labels of other data; name them: manyhot evaluate {run.folder} DATA")
    bundle = run.bundle
    material = _material(run, data, split, options, is_linked=links is not None)
    _refuse_training_samples(run, material, allowed=allow_training_samples)
    if links is not None:
        return _judge_linked(bundle, material, links)
    try:
        truth = align_sets(material.manifest.labels.take(material.rows), bundle.space)
    except LabelError as error:
        raise SourceError(f"the data do not fit the model's labels: {error}") from None
    logits = _score(bundle, material)
    held_out = cross_decide(run.recipe.decision, logits, truth) if material.was_decided_on else None
    return Judgeable(
        scores=logits,
        truth=truth,
        kind="logits",
        split=material.split,
        sample_ids=material.references(),
        probs=bundle.decision.probs(logits) if held_out is None else held_out.probs,
        preds=bundle.decision.preds(logits) if held_out is None else held_out.preds,
        thresholds=bundle.decision.thresholds,
        train_counts=bundle.train_counts,
        reasons=dict(zip(bundle.space.names, bundle.decision.reasons, strict=True)),
        notes=bundle.decision.notes,
    )


def _judge_linked(bundle: Bundle, material: Material, links: Links) -> Judgeable:
    truth = material.manifest.labels.take(material.rows)
    # Read before the pictures are: a mistyped label is told at once.
    mapping = links.read(truth.space, bundle.space)
    mapped = map_by_links(links, _score(bundle, material), truth, mapping)
    return Judgeable(
        scores=mapped.scores,
        truth=mapped.truth,
        kind=mapped.kind,
        split=material.split,
        sample_ids=material.references(),
    )


def _score(bundle: Bundle, material: Material) -> Float[np.ndarray, "n l"]:
    loader = loaders.evaluation_loader(
        material.manifest,
        material.rows,
        image_size=bundle.spec.preprocessing.image_size,
        batch_size=BATCH_SIZE,
        workers=loaders.default_workers(),
    )
    return score(bundle.model, loader, description=f"scoring {material.split}")


def _material(run: Run, data: Path | None, split: str, options: SourceOptions | None, *, is_linked: bool) -> Material:
    if run.is_bundle:
        if data is None:
            raise UsageError(f"{run.folder}: is a bundle without its run; name the data to evaluate it on")
        return _other_data(open_source(data, options or SourceOptions()), split)
    paths = [Path(path) for path in run.recipe.data.paths]
    options = options or source_options(run.recipe.data)
    own = None if data is None else next((path for path in paths if path.resolve() == data.resolve()), None)
    if data is None or (own is not None and len(paths) > 1):
        for path in paths:
            if not path.exists():
                raise RunError(f"{path}: the run's data are gone; name the data: manyhot evaluate {run.folder} DATA")
        data_sets = open_data_sets(paths, options, run.recipe.data.mapping or {})
        return _own_data(run, data_sets, split, only=own, is_linked=is_linked)
    manifest = open_source(data, options)
    saved = load_splits(run.folder)
    if manifest.fingerprint == saved.splits.fingerprint:
        return _saved_rows(manifest, saved, split)
    return _other_data(manifest, split)


def _own_data(run: Run, data_sets: Sequence[DataSet], split: str, *, only: Path | None, is_linked: bool) -> Material:
    """Return the rows of a run's split, of all its data sets or of one."""
    aligned = [one.aligned() for one in data_sets]
    manifest, saved = joined(aligned), load_splits(run.folder)
    if manifest.fingerprint != saved.splits.fingerprint:
        named = ", ".join(str(one.path) for one in data_sets)
        raise RunError(f"{named}: the data have changed since the run; name other data to evaluate on, or train again")
    material = _saved_rows(manifest, saved, split)
    if only is None:
        return material
    place = [one.path for one in data_sets].index(only)
    start = sum(part.num_samples for part in aligned[:place])
    rows = material.rows[(material.rows >= start) & (material.rows < start + aligned[place].num_samples)] - start
    if not len(rows):
        raise UsageError(f"{only}: has no sample in the {split} split of the run; choose another --split")
    # Links are between labels of its own and the model's.
    return replace(material, manifest=data_sets[place].manifest if is_linked else aligned[place], rows=rows)


def _saved_rows(manifest: Manifest, saved: SavedSplits, split: str) -> Material:
    rows = saved.splits.rows(split)
    if changed := changed_pictures(saved, manifest, rows):
        raise RunError(describe_changed(changed))
    if split == "val":
        log.info(
            "val: each sample is decided by a decision that has not seen it (cross-fitted); the checkpoint was chosen on val, "
            "so figures of ranking flatter a little"
        )
    return Material(manifest=manifest, rows=rows, split=split, is_own=True)


def _other_data(manifest: Manifest, split: str) -> Material:
    names = manifest.splits() if manifest.has_splits else []
    if split in names:
        rows = np.array([row for row, name in enumerate(names) if name == split], dtype=np.int64)
        return Material(manifest=manifest, rows=rows, split=split)
    log.info("the data bring no %s split: all %d samples are evaluated", split, manifest.num_samples)
    return Material(manifest=manifest, rows=np.arange(manifest.num_samples), split="all")


def _refuse_training_samples(run: Run, material: Material, *, allowed: bool) -> None:
    if run.is_bundle or allowed:
        return
    if material.is_own:
        # The run's own splits part its samples by name and group; files alike to the byte are for `manyhot check` to find.
        if material.split == "train":
            raise RunError(
                "these samples were trained on, and figures on them flatter; --allow-training-samples shows them"
            )
        return
    found = _trained_on(load_splits(run.folder), material.references(), material.manifest.pictures.take(material.rows))
    if found:
        raise RunError(
            f"{len(found):,} of {len(material.rows):,} samples were trained on, the first is {found[0]!r}; "
            "take them out, or add --allow-training-samples"
        )


def _trained_on(saved: SavedSplits, references: Sequence[str], pictures: PictureStore) -> list[str]:
    """Return the names of training samples: of the same name, size and, where those are still there, content."""
    trained: dict[tuple[str, int], list[Path]] = {}
    for reference, size_bytes in saved.files(saved.splits.rows("train")):
        path = saved.root / reference
        trained.setdefault((path.name, size_bytes), []).append(path)
    names = [PurePosixPath(reference).name for reference in references]
    return [
        name
        for row, name in enumerate(names)
        if any(_is_file(pictures, row, known) for known in trained.get((name, pictures.size_of(row)), ()))
    ]


def _is_file(pictures: PictureStore, row: int, known: Path) -> bool:
    try:
        return known.read_bytes() == pictures.read(row)
    except (OSError, ImageError):
        # The training sample is gone, or no file of its own: name and size are all that can be compared.
        return True
