"""Train: from a recipe to a run folder that evaluates, predicts and repeats itself."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float
from lightning.pytorch import Trainer

from manyhot.bundle import save_bundle
from manyhot.config import DataConfig, Recipe
from manyhot.decisions import Decision, fit_decision
from manyhot.errors import RunError, SourceError, UsageError
from manyhot.files import write_json
from manyhot.labels import LabelSpace
from manyhot.labels.statistics import LabelCounts, count_cells
from manyhot.metrics import Evaluation, evaluate
from manyhot.models.classifier import Classifier
from manyhot.models.spec import ModelSpec
from manyhot.recipes import save_recipe
from manyhot.runs import assembly
from manyhot.runs.card import model_card
from manyhot.runs.facts import describe_labels
from manyhot.runs.options import source_options
from manyhot.runs.reporting import write_report
from manyhot.runs.run import Run
from manyhot.runs.scoring import score
from manyhot.runs.splits import (
    SPLITS,
    Splits,
    changed_pictures,
    decide_splits,
    describe_changed,
    load_splits,
    save_splits,
)
from manyhot.runs.writing import PredictedRows, write_predictions
from manyhot.sources import Manifest, open_source
from manyhot.training.checkpoints import best_checkpoint, last_checkpoint, load_weights
from manyhot.training.datamodule import MultiLabelData
from manyhot.training.module import MultiLabelModule
from manyhot.training.trainer import create_trainer, fit

log = logging.getLogger("manyhot")


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What a training stands on: data, splits, counts, and the resolved recipe."""

    recipe: Recipe
    manifest: Manifest
    splits: Splits
    counts: LabelCounts
    folder: Path


def train(recipe: Recipe | str | Path, out: str | Path | None = None, *, resume: bool = False) -> Run:
    """Return the finished run of a recipe.

    The run folder holds the resolved recipe, the splits, the history, checkpoints, the bundle, predictions on val and
    test, and the figures. `resume` goes on where an interrupted run stopped, with the recipe and the splits that it saved.

    Args:
        recipe: The settings, with `recipe.data.path` set; or the path of the data, for all defaults.
        out: A new or empty folder; `runs/NAME-1` and so on, if not given.
        resume: Go on with the run in `out`.

    Raises:
        ManyhotError: One line on what was wrong with the data, the recipe or the folder.
    """
    if not isinstance(recipe, Recipe):
        recipe = Recipe(data=DataConfig(path=str(recipe)))
    out = None if out is None else Path(out)
    if resume and out is None:
        raise UsageError("--resume needs --out RUN: which run shall go on?")
    if resume and out is not None and Run(out).is_finished:
        log.info("%s is finished; there is nothing to resume", out)
        return Run(out)
    ground = _resumed_ground(Run(out), recipe.data.path) if resume and out is not None else _new_ground(recipe, out)
    spec = assembly.model_spec(ground.recipe, ground.manifest.labels.space)
    fitting = _prepare(ground, spec)
    if not resume:
        # Not before: what can be wrong with encoder, weights or devices must not leave a folder behind.
        _claim_folder(ground)
    fit(fitting.trainer, fitting.module, fitting.data, checkpoint=fitting.checkpoint)
    load_weights(fitting.model, best_checkpoint(ground.folder))
    decision = _decide(ground, fitting.model)
    evaluation = _judge(ground, fitting.model, decision)
    _save(ground, spec, fitting.model, decision, evaluation)
    return Run(ground.folder)


def _new_ground(recipe: Recipe, out: Path | None) -> Ground:
    if recipe.data.path is None:
        raise UsageError("no data given; name a folder or a label file")
    folder = _free_folder(out, Path(recipe.data.path))
    manifest = open_source(Path(recipe.data.path), source_options(recipe.data))
    if not manifest.has_pictures:
        raise SourceError(f"{recipe.data.path}: holds labels without pictures, and training needs pictures")
    splits = decide_splits(manifest, recipe.split, seed=recipe.seed)
    return _ground(assembly.resolve(_absolute_paths(recipe)), manifest, splits, folder)


def _resumed_ground(run: Run, data: str | None) -> Ground:
    recipe = run.recipe
    if data is not None:
        # The data have moved; that they are the same is checked below.
        recipe = _absolute_paths(replace(recipe, data=replace(recipe.data, path=data)))
    manifest = open_source(Path(recipe.data.path or ""), source_options(recipe.data))
    saved = load_splits(run.folder)
    if manifest.fingerprint != saved.splits.fingerprint:
        raise RunError(f"{recipe.data.path}: the data have changed since {run.folder} started; train a new run")
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
    paths = {name: getattr(data, name) for name in ("path", "labels", "images", "names", "hierarchy")}
    resolved = {name: None if value is None else str(Path(value).resolve()) for name, value in paths.items()}
    if pretrained not in ("auto", "none"):
        pretrained = str(Path(pretrained).resolve())
    return replace(recipe, data=replace(data, **resolved), encoder=replace(recipe.encoder, pretrained=pretrained))


def _free_folder(out: Path | None, data: Path) -> Path:
    if out is None:
        name = data.resolve().stem or "data"
        return next(path for number in range(1, 1_000_000) if not (path := Path("runs") / f"{name}-{number}").exists())
    if out.exists() and not out.is_dir():
        raise RunError(f"{out}: is a file; choose another --out")
    if out.exists() and any(out.iterdir()):
        raise RunError(f"{out}: is not empty; choose another --out, or --resume to go on with the run in it")
    return out


def _claim_folder(ground: Ground) -> None:
    ground.folder.mkdir(parents=True, exist_ok=True)
    log.info("run folder: %s", ground.folder)
    save_splits(ground.splits, ground.manifest, ground.folder)
    save_recipe(ground.recipe, ground.folder / "recipe.toml")


@dataclass(frozen=True, kw_only=True)
class Fitting:
    """A training that is ready to start, or to go on from its checkpoint."""

    model: Classifier
    module: MultiLabelModule
    data: MultiLabelData
    trainer: Trainer
    checkpoint: Path | None


def _prepare(ground: Ground, spec: ModelSpec) -> Fitting:
    recipe, manifest, splits = ground.recipe, ground.manifest, ground.splits
    space = manifest.labels.space
    checkpoint = last_checkpoint(ground.folder)
    model = assembly.make_model(recipe, spec)
    if checkpoint is None:
        assembly.start_model(model, recipe, ground.counts, space)
    train_loader = assembly.training_loader(recipe, manifest, splits.rows("train"))
    module = MultiLabelModule(
        model,
        assembly.make_loss(recipe.loss, ground.counts, space),
        optimisation=assembly.optimisation_settings(
            recipe.optimiser, steps_per_epoch=len(train_loader), epochs=recipe.training.epochs
        ),
        validation_truth=manifest.labels,
    )
    trainer = create_trainer(
        folder=ground.folder,
        epochs=recipe.training.epochs,
        precision=recipe.training.precision,
        devices=recipe.training.devices or 1,
        gradient_clip=recipe.optimiser.gradient_clip,
        ema_decay=recipe.optimiser.ema_decay,
        patience=recipe.training.patience,
        seed=recipe.seed,
    )
    data = MultiLabelData(train_loader, _evaluation_loader(ground, "val"))
    return Fitting(model=model, module=module, data=data, trainer=trainer, checkpoint=checkpoint)


def _evaluation_loader(ground: Ground, split: str) -> assembly.ImageLoader:
    return assembly.evaluation_loader(
        ground.manifest,
        ground.splits.rows(split),
        image_size=ground.recipe.images.size,
        batch_size=ground.recipe.training.batch_size,
        workers=ground.recipe.training.workers or 0,
    )


def _logits(ground: Ground, model: Classifier, split: str) -> Float[np.ndarray, "n l"]:
    return score(model, _evaluation_loader(ground, split), description=f"scoring {split}")


def _decide(ground: Ground, model: Classifier) -> Decision:
    truth = ground.manifest.labels.take(ground.splits.rows("val"))
    logits = _logits(ground, model, "val")
    config = ground.recipe.decision
    decision = fit_decision(logits, truth, rule=config.rule, beta=config.beta)
    _save_predictions(ground, decision, logits, "val")
    return decision


def _judge(ground: Ground, model: Classifier, decision: Decision) -> Evaluation:
    truth = ground.manifest.labels.take(ground.splits.rows("test"))
    logits = _logits(ground, model, "test")
    _save_predictions(ground, decision, logits, "test")
    return evaluate(
        logits,
        truth,
        kind="logits",
        probs=decision.probs(logits),
        preds=decision.preds(logits),
        thresholds=decision.thresholds,
        train_counts=ground.counts,
        split="test",
    )


def _save_predictions(ground: Ground, decision: Decision, logits: Float[np.ndarray, "n l"], split: str) -> None:
    references = ground.manifest.references()
    rows = PredictedRows(
        references=[references[row] for row in ground.splits.rows(split)],
        probs=decision.probs(logits),
        preds=decision.preds(logits),
    )
    write_predictions(ground.folder / f"predictions-{split}.parquet", ground.manifest.labels.space, [rows])


def _save(ground: Ground, spec: ModelSpec, model: Classifier, decision: Decision, evaluation: Evaluation) -> None:
    space = ground.manifest.labels.space
    save_bundle(
        ground.folder / "bundle",
        model=model.cpu(),
        spec=spec,
        space=space,
        decision=decision,
        evaluation=evaluation.to_dict(),
        card=model_card(ground.recipe, space, evaluation),
        train_counts=ground.counts,
    )
    write_report(ground.folder, evaluation, decision, ground.manifest.labels)
    # Last: its presence says that the run is finished.
    write_json(ground.folder / "metrics.json", evaluation.to_dict())
