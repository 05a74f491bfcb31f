"""From configuration to objects: here, in `networks` and in `loss_assembly`, and nowhere else, settings choose code."""

import logging
import os
from dataclasses import replace
from typing import assert_never

import numpy as np
import torch
from jaxtyping import Int64

from manyhot.config import AdamWConfig, OptimiserConfig, Recipe
from manyhot.data.augmentation import EvaluationTransform, TrainingTransform
from manyhot.data.loading import ImageLoader
from manyhot.sources import Manifest
from manyhot.training.optimisation import OptimisationSettings

log = logging.getLogger("manyhot")

LR_NEW_WEIGHTS = 1e-3
LR_FINE_TUNING = 2e-4
MAX_WORKERS = 16


def resolve(recipe: Recipe) -> Recipe:
    """Return the recipe with everything that it left open chosen, and log each choice with its reason."""
    optimiser, training = recipe.optimiser, recipe.training
    if optimiser.lr is None:
        fine_tuning = recipe.encoder.pretrained != "none" and not recipe.encoder.freeze
        lr, why = (LR_FINE_TUNING, "fine-tuning pretrained weights") if fine_tuning else (LR_NEW_WEIGHTS, "new weights")
        log.info("learning rate %g: %s", lr, why)
        optimiser = replace(optimiser, lr=lr)
    if training.devices is None:
        log.info(
            "device: %s", torch.cuda.get_device_name() if torch.cuda.is_available() else "the CPU, there is no GPU"
        )
        training = replace(training, devices=1)
    if training.workers is None:
        training = replace(training, workers=default_workers())
        log.info("%d reading processes: the machine has %d cores", training.workers, os.cpu_count() or 1)
    return replace(recipe, optimiser=optimiser, training=training)


def default_workers() -> int:
    """Return how many reading processes suit the machine."""
    cores = os.cpu_count() or 1
    # Without a GPU the step itself wants the cores.
    return min(cores, MAX_WORKERS) if torch.cuda.is_available() else max(1, cores // 2)


def optimisation_settings(config: OptimiserConfig, *, steps_per_epoch: int, epochs: int) -> OptimisationSettings:
    """Return the optimiser's settings with its schedule counted in steps."""
    match config:
        case AdamWConfig():
            assert config.lr is not None, "resolve() comes first"
            total = steps_per_epoch * epochs
            return OptimisationSettings(
                lr=config.lr,
                weight_decay=config.weight_decay,
                total_steps=total,
                warmup_steps=min(round(config.warmup_epochs * steps_per_epoch), total // 2),
            )
        case _:
            assert_never(config)


def training_loader(recipe: Recipe, manifest: Manifest, rows: Int64[np.ndarray, " k"]) -> ImageLoader:
    """Return the loader of augmented, shuffled training batches."""
    images = recipe.images
    return ImageLoader(
        manifest,
        rows,
        TrainingTransform(images.size, min_scale=images.min_scale, flip=images.flip),
        batch_size=recipe.training.batch_size,
        seed=recipe.seed,
        shuffle=True,
        num_workers=recipe.training.workers or 0,
    )


def evaluation_loader(
    manifest: Manifest, rows: Int64[np.ndarray, " k"], *, image_size: int, batch_size: int, workers: int
) -> ImageLoader:
    """Return the loader of plain batches in the data's order."""
    return ImageLoader(
        manifest,
        rows,
        EvaluationTransform(image_size),
        batch_size=batch_size,
        seed=0,
        shuffle=False,
        num_workers=workers,
    )
