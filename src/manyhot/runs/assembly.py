"""From configuration to objects: the only place where settings choose code."""

import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import assert_never

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from manyhot.config import (
    AdamWConfig,
    BinaryCrossEntropyConfig,
    HeadConfig,
    LinearHeadConfig,
    LossConfig,
    OptimiserConfig,
    Recipe,
)
from manyhot.data.augmentation import EvaluationTransform, TrainingTransform
from manyhot.data.loading import ImageLoader
from manyhot.labels import LabelSpace
from manyhot.labels.statistics import LabelCounts, log_odds
from manyhot.losses import BCEWithLogitsLoss, pos_weight_from_counts
from manyhot.models.build import build_model
from manyhot.models.classifier import Classifier, freeze_encoder
from manyhot.models.encoders import load_encoder_weights, preprocessing_of
from manyhot.models.initialisation import initialise_head
from manyhot.models.spec import HeadSpec, LinearHeadSpec, ModelSpec
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


def model_spec(recipe: Recipe, space: LabelSpace) -> ModelSpec:
    """Return the plain description of the recipe's model."""
    return ModelSpec(
        encoder=recipe.encoder.name,
        num_labels=len(space),
        head=_head_spec(recipe.head),
        preprocessing=preprocessing_of(recipe.encoder.name, image_size=recipe.images.size),
    )


def _head_spec(config: HeadConfig) -> HeadSpec:
    match config:
        case LinearHeadConfig():
            return LinearHeadSpec()
        case _:
            assert_never(config)


def make_model(recipe: Recipe, spec: ModelSpec) -> Classifier:
    """Return the model with random weights by the recipe's seed, and the encoder frozen where the recipe says so."""
    torch.manual_seed(recipe.seed)
    model = build_model(spec)
    if recipe.encoder.freeze:
        freeze_encoder(model)
    return model


def start_model(model: Classifier, recipe: Recipe, counts: LabelCounts, space: LabelSpace) -> None:
    """Give a model the weights that training starts from.

    The encoder's are those that the recipe names; the head's biases are the log-odds of each label's prevalence, shifted
    by the loss's weight of positives, so that the first steps need not learn that most cells are negative.
    """
    choice = recipe.encoder.pretrained
    load_encoder_weights(model.encoder, recipe.encoder.name, choice if choice in ("auto", "none") else Path(choice))
    odds = torch.from_numpy(log_odds(counts)).float()
    initialise_head(model.head, odds, pos_weight=pos_weight(recipe.loss, counts, space))


def make_loss(config: LossConfig, counts: LabelCounts, space: LabelSpace) -> BCEWithLogitsLoss:
    """Return the loss."""
    match config:
        case BinaryCrossEntropyConfig():
            return BCEWithLogitsLoss(pos_weight=pos_weight(config, counts, space))
        case _:
            assert_never(config)


def pos_weight(config: LossConfig, counts: LabelCounts, space: LabelSpace) -> Float[Tensor, " l"] | None:
    """Return the weight of each label's positives, or None where they weigh like negatives.

    Raises:
        LabelError: If the recipe names a label that the data lack.
    """
    choice = config.pos_weight
    if choice == "none":
        return None
    if choice == "counts":
        return pos_weight_from_counts(counts)
    weights = torch.ones(len(space))
    for name, weight in choice.items():
        weights[space.id_of(name)] = weight
    return weights


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
