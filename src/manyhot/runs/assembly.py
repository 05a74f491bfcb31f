"""From configuration to objects: here, in `networks`, `loaders` and `loss_assembly`, and nowhere else, settings choose code."""

import logging
import os
from dataclasses import replace
from typing import assert_never

import torch

from manyhot.config import AdamWConfig, OptimiserConfig, Recipe
from manyhot.runs.loaders import default_workers
from manyhot.training.launched import processes_here
from manyhot.training.optimisation import OptimisationSettings

log = logging.getLogger("manyhot")

LR_NEW_WEIGHTS = 1e-3
LR_FINE_TUNING = 2e-4

_ONE_WORKER = {"threads": "thread", "processes": "process"}


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
        training = replace(training, workers=default_workers(processes_here()))
        shared = "" if processes_here() == 1 else f" for {processes_here()} processes"
        kind = recipe.loading.loader if training.workers != 1 else _ONE_WORKER[recipe.loading.loader]
        log.info("%d reading %s: the machine has %d cores%s", training.workers, kind, os.cpu_count() or 1, shared)
    return replace(recipe, optimiser=optimiser, training=training)


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
