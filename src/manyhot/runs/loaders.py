"""From settings to the loaders of a run."""

import os

import numpy as np
import torch
from jaxtyping import Int64

from manyhot.config import Recipe
from manyhot.data.augmentation import EvaluationTransform, TrainingTransform
from manyhot.data.loading import ImageLoader
from manyhot.data.sampling import Shuffled
from manyhot.sources import Manifest

MAX_WORKERS = 16


def default_workers() -> int:
    """Return how many threads that read pictures suit the machine."""
    cores = os.cpu_count() or 1
    # Without a GPU the step itself wants the cores.
    return min(cores, MAX_WORKERS) if torch.cuda.is_available() else max(1, cores // 2)


def training_loader(recipe: Recipe, manifest: Manifest, rows: Int64[np.ndarray, " k"]) -> ImageLoader:
    """Return the loader of augmented, shuffled training batches."""
    images = recipe.images
    return ImageLoader(
        manifest,
        rows,
        TrainingTransform(images.size, min_scale=images.min_scale, flip=images.flip),
        batch_size=recipe.training.batch_size,
        seed=recipe.seed,
        order=Shuffled(len(rows), seed=recipe.seed),
        num_workers=recipe.training.workers or 0,
        worker_kind=recipe.loading.loader,
        timeout_s=recipe.loading.timeout_s,
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
        num_workers=workers,
    )
