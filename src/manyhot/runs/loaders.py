"""From settings to the loaders of a run."""

import logging
import os
import shutil
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64

from manyhot.config import LoadingConfig, MixtureConfig, Recipe
from manyhot.data.augmentation import EvaluationTransform, ImageTransform
from manyhot.data.balancing import sampling_repeats
from manyhot.data.caching import SHARE_OF_MEMORY, PictureCache, decoded_bytes
from manyhot.data.disk_room import DiskRoom, reserve_bytes
from manyhot.data.free_memory import available_bytes
from manyhot.data.loading import ImageLoader
from manyhot.data.quarantine import Quarantine
from manyhot.data.sampling import Order, Repeated, Shuffled, Windowed
from manyhot.labels import LabelSets
from manyhot.runs.augmenting import make_augmentation
from manyhot.runs.mixing import log_data_sets, mixed_order
from manyhot.runs.scoring import best_device
from manyhot.sources import Manifest
from manyhot.sources.picture_store import PictureStore
from manyhot.training.launched import processes_here

log = logging.getLogger("manyhot")

MAX_WORKERS = 16


def default_workers(num_processes: int = 1) -> int:
    """Return how many threads that read pictures suit the machine, or its share for each of some processes."""
    cores = max(1, (os.cpu_count() or 1) // num_processes)
    # Without a GPU the step itself wants the cores.
    return min(cores, MAX_WORKERS) if torch.cuda.is_available() else max(1, cores // 2)


def training_loader(
    recipe: Recipe, manifest: Manifest, rows: Int64[np.ndarray, " k"], quarantine: Quarantine, *, folder: Path
) -> ImageLoader:
    """Return the loader of augmented training batches; a cache on disk goes into the folder of the run."""
    augmentation = make_augmentation(recipe.images, recipe.augmentation, best_device())
    return ImageLoader(
        manifest,
        rows,
        augmentation.transform,
        batch_size=recipe.training.batch_size,
        seed=recipe.seed,
        order=training_order(recipe.loading, recipe.mixture, manifest.labels.take(rows), seed=recipe.seed),
        num_workers=recipe.training.workers or 0,
        worker_kind=recipe.loading.loader,
        quarantine=quarantine,
        cache=picture_cache(recipe.loading, manifest.pictures, rows, augmentation.transform, folder=folder),
        mixing=augmentation.mixing,
        colours=augmentation.colours,
        timeout_s=recipe.loading.timeout_s,
    )


def make_quarantine(config: LoadingConfig, *, num_samples: int) -> Quarantine:
    """Return what is done with training pictures that cannot be read."""
    return Quarantine(num_samples, bad_files=config.bad_files, max_share=config.max_skipped_share)


def training_order(config: LoadingConfig, mixture: MixtureConfig, labels: LabelSets, *, seed: int) -> Order:
    """Return which training samples come when, and log it where it is not each of them once."""
    if mixture.is_set:
        return mixed_order(mixture, labels, seed=seed)
    log_data_sets(labels)
    if config.order == "windowed":
        return Windowed(labels.num_samples, seed=seed, block=config.block, window=config.window)
    if config.sampling == "uniform":
        return Shuffled(labels.num_samples, seed=seed)
    repeats = sampling_repeats(
        labels, config.sampling, threshold=config.repeat_threshold, max_repeats=config.max_repeats
    )
    order = Repeated(repeats, seed=seed)
    log.info(
        "sampling %s: epochs of %s samples, of which each comes %.2g to %.2g times; figures on val and test stay unweighted",
        config.sampling,
        f"{order.epoch_length:,}",
        repeats.min(),
        repeats.max(),
    )
    return order


def picture_cache(
    config: LoadingConfig,
    pictures: PictureStore,
    rows: Int64[np.ndarray, " k"],
    transform: ImageTransform,
    *,
    folder: Path,
) -> PictureCache | None:
    """Return where decoded pictures are kept, if they fit or that was asked for, and log why."""
    if config.cache == "off" or config.loader == "processes":
        return None
    needed, sharing = decoded_bytes(pictures, rows, transform), processes_here()
    # Shuffled anew in each epoch, every picture comes to every process sooner or later.
    each = "" if sharing == 1 else f" in each of {sharing} processes"
    sizes = f"decoded they take about {needed / 1e9:.2f} GB{each}"
    if config.cache == "disk":
        return _disk_cache(folder, needed * sharing, sizes)
    available = available_bytes()
    limit = round(SHARE_OF_MEMORY * available / sharing)
    fits = needed <= limit
    free = f"{available / 1e9:.1f} GB of memory are free" if available else "how much memory is free is not known"
    if config.cache == "auto" and not fits:
        log.info("training pictures are decoded anew in every epoch: %s, and %s", sizes, free)
        return None
    log.info("training pictures are decoded once and kept in memory: %s, and %s", sizes, free)
    if not fits:
        log.warning("warning: that is more than a quarter; --loading.cache off if memory runs out")
    # How much it is was judged by some pictures and some crops of them.
    return PictureCache(limit_bytes=limit if config.cache == "auto" else None)


def _disk_cache(folder: Path, needed: int, sizes: str) -> PictureCache:
    # The run folder itself may not be there yet.
    disk = next(parent for parent in (folder.resolve(), *folder.resolve().parents) if parent.is_dir())
    free = shutil.disk_usage(disk).free
    log.info(
        "training pictures are decoded once and kept on the disk of %s until the training ends: %s, and %.1f GB are free",
        folder,
        sizes,
        free / 1e9,
    )
    if needed > free - reserve_bytes(disk):
        log.warning("warning: some of it stays free for the run; what does not fit is decoded anew in every epoch")
    return PictureCache(DiskRoom(folder))


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
