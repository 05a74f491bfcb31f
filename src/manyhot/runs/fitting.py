"""Train: from a recipe to a run folder that evaluates, predicts and repeats itself."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from lightning.pytorch import Trainer

from manyhot.config import DataConfig, Recipe
from manyhot.data.quarantine import Quarantine
from manyhot.errors import UsageError
from manyhot.losses import Loss, starting_logits
from manyhot.models.classifier import Classifier
from manyhot.models.spec import ModelSpec
from manyhot.recipes import save_recipe
from manyhot.runs import assembly, loaders, networks
from manyhot.runs.finishing import finish
from manyhot.runs.ground import Ground, new_ground, resumed_ground
from manyhot.runs.launching import launch_training
from manyhot.runs.left_out import record_left_out
from manyhot.runs.loss_assembly import head_loss_obstacle, make_head_loss, make_loss
from manyhot.runs.run import Run
from manyhot.runs.scoring import best_device, score
from manyhot.runs.splits import save_splits
from manyhot.training.checkpoints import best_checkpoint, last_checkpoint, load_weights
from manyhot.training.datamodule import MultiLabelData
from manyhot.training.distributed import by_first_process
from manyhot.training.head_loss import FeatureLoss
from manyhot.training.launched import launched_processes
from manyhot.training.module import MultiLabelModule
from manyhot.training.processes import joined_processes
from manyhot.training.sharded_head import mesh_of_all, shard_head
from manyhot.training.trainer import create_trainer, fit

log = logging.getLogger("manyhot")


def train(
    recipe: Recipe | str | Path | Sequence[str | Path], out: str | Path | None = None, *, resume: bool = False
) -> Run:
    """Return the finished run of a recipe.

    The run folder holds the resolved recipe, the splits, the history, checkpoints, the bundle, predictions on val and
    test, and the figures. `resume` goes on where an interrupted run stopped, with the recipe and the splits that it saved.

    With `training.devices` above 1 as many processes train together on this machine. Under torchrun or SLURM every process
    calls this, and all see the same folder: the first writes it.

    Args:
        recipe: The settings, with `recipe.data.path` set; or the path of the data, or several, for all defaults.
        out: A new or empty folder; `runs/NAME-1` and so on, if not given.
        resume: Go on with the run in `out`.

    Raises:
        ManyhotError: One line on what was wrong with the data, the recipe or the folder.
    """
    if not isinstance(recipe, Recipe):
        path = str(recipe) if isinstance(recipe, str | Path) else tuple(map(str, recipe))
        recipe = Recipe(data=DataConfig(path=path))
    out = None if out is None else Path(out)
    if resume and out is None:
        raise UsageError("--resume needs --out RUN: which run shall go on?")
    if resume and out is not None and Run(out).is_finished:
        log.info("%s is finished; there is nothing to resume", out)
        return Run(out)
    settings = Run(out).recipe if resume and out is not None else recipe
    devices, is_sharded = settings.training.devices or 1, settings.distributed.head == "sharded"
    if devices > 1 and launched_processes() is None:
        return launch_training(recipe, out, devices=devices, resume=resume)
    with joined_processes(alone=is_sharded):
        return _train(recipe, out, resume=resume)


def _train(recipe: Recipe, out: Path | None, *, resume: bool) -> Run:
    ground = resumed_ground(Run(out), recipe.data.path) if resume and out is not None else new_ground(recipe, out)
    spec = networks.model_spec(ground.recipe, ground.manifest.labels.take(ground.splits.rows("train")))
    fitting = _prepare(ground, spec)
    if not resume:
        # Not before: what can be wrong with encoder, weights or devices must not leave a folder behind.
        by_first_process(lambda: _claim_folder(ground))
    fit(fitting.trainer, fitting.module, fitting.data, checkpoint=fitting.checkpoint)
    record_left_out(fitting.quarantine, ground.folder)
    # A sharded head has served; what the run keeps is whole.
    model = networks.make_model(ground.recipe, spec) if _is_sharded(ground.recipe) else fitting.model
    load_weights(model, best_checkpoint(ground.folder))
    logits = {split: _logits(ground, model, split) for split in ("val", "test")}
    by_first_process(lambda: _finish(ground, spec, model, logits))
    return Run(ground.folder)


def _finish(ground: Ground, spec: ModelSpec, model: Classifier, logits: dict[str, Float[np.ndarray, "n l"]]) -> None:
    # Nothing is returned: it would travel to the other processes.
    finish(ground, spec, model, logits)


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
    quarantine: Quarantine


def _prepare(ground: Ground, spec: ModelSpec) -> Fitting:
    recipe, manifest, splits = ground.recipe, ground.manifest, ground.splits
    rows = splits.rows("train")
    checkpoint = last_checkpoint(ground.folder)
    model = networks.make_model(recipe, spec)
    for line in networks.describe_model(model, manifest.labels.space.names):
        log.info("%s", line)
    loss = make_loss(recipe.loss, manifest.labels.take(rows), ground.counts)
    if checkpoint is None:
        networks.start_model(model, recipe, starting_logits(loss, ground.counts, num_samples=len(rows)).float())
    quarantine = loaders.make_quarantine(recipe.loading, num_samples=len(rows))
    train_loader = loaders.training_loader(recipe, manifest, rows, quarantine, folder=ground.folder)
    if _is_sharded(recipe):
        model.head = shard_head(model.head, mesh_of_all(best_device()))
    module = MultiLabelModule(
        model,
        _loss_in_training(ground, loss),
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
        sharded_head=_is_sharded(recipe),
    )
    data = MultiLabelData(train_loader, _evaluation_loader(ground, "val"))
    return Fitting(model=model, module=module, data=data, trainer=trainer, checkpoint=checkpoint, quarantine=quarantine)


def _loss_in_training(ground: Ground, loss: Loss) -> Loss | FeatureLoss:
    recipe, labels = ground.recipe, ground.manifest.labels
    if not networks.trains_in_chunks(recipe, labels.num_labels, head_loss_obstacle(recipe.loss)):
        return loss
    return make_head_loss(recipe.loss, labels, ground.counts)


def _is_sharded(recipe: Recipe) -> bool:
    return recipe.distributed.head == "sharded"


def _evaluation_loader(ground: Ground, split: str) -> loaders.ImageLoader:
    return loaders.evaluation_loader(
        ground.manifest,
        ground.splits.rows(split),
        image_size=ground.recipe.images.size,
        batch_size=ground.recipe.training.batch_size,
        workers=ground.recipe.training.workers or 0,
    )


def _logits(ground: Ground, model: Classifier, split: str) -> Float[np.ndarray, "n l"]:
    return score(model, _evaluation_loader(ground, split), description=f"scoring {split}")
