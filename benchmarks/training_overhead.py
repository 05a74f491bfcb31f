"""What `manyhot train` adds to a bare loop over the same loader, and what its cache adds to tensors: a step's time.

    uv run python benchmarks/training_overhead.py --photos FOLDER

All train timm's `resnet18` from the same weights, 64 pictures a step at 128 pixels, with the same loss and optimiser: a bare
loop and manyhot's training over the same loader, and both from memory, the bare loop from a tensor of finished pictures and
manyhot's training from decoded pictures that it crops anew. They take turns within one process, an epoch each, several
times; the first turn, which fills the cache and compiles, is not counted. Seconds are of the clock, and of the CPU: torch
computes in one thread, so that no thread spends time waiting for others.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from lightning.pytorch import Callback
from loading import RESULTS, cpu_model, write_files

from manyhot.data.augmentation import EvaluationTransform, TrainingTransform
from manyhot.data.caching import PictureCache
from manyhot.data.loading import Batch, ImageLoader
from manyhot.data.sampling import Shuffled
from manyhot.labels import LabelSets
from manyhot.losses import BCEWithLogitsLoss
from manyhot.models.build import build_model
from manyhot.models.classifier import Classifier
from manyhot.models.spec import ModelSpec, Preprocessing
from manyhot.sources.manifest import Manifest
from manyhot.training.clipping import clip_gradient_norm
from manyhot.training.datamodule import MultiLabelData
from manyhot.training.module import MultiLabelModule
from manyhot.training.optimisation import OptimisationSettings, make_optimiser
from manyhot.training.trainer import create_trainer, fit

SIZE, BATCH, NUM_LABELS = 128, 64, 20


class Clock(Callback):
    """When the first step ended and when the last did, by the clock and by the CPU's."""

    def __init__(self) -> None:
        self._first = self._last = np.zeros(2)
        self._num_steps = 0

    def on_train_batch_end(self, *_: object) -> None:
        """Note the time."""
        self._last = np.array([time.perf_counter(), time.process_time()])
        self._first = self._first if self._num_steps else self._last
        self._num_steps += 1

    @property
    def step_s(self) -> list[float]:
        """Seconds a step, and seconds of the CPU; without the first, which waits for the first batch."""
        return ((self._last - self._first) / (self._num_steps - 1)).tolist()


class InMemory:
    """Finished pictures and their labels in tensors, shuffled: the least that a loader can do."""

    def __init__(self, loader: ImageLoader) -> None:
        batches = list(loader)
        self._images = torch.cat([batch.images for batch in batches])
        self._batches = batches

    def __iter__(self) -> Iterator[Batch]:
        shuffled = torch.randperm(len(self._images), generator=torch.Generator().manual_seed(0))
        for rows, batch in zip(shuffled.split(BATCH), self._batches, strict=True):
            yield replace(batch, images=self._images[rows])


def manifest_of(folder: Path) -> Manifest:
    """Return the pictures of a folder with labels by chance."""
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.jpg"))
    random = np.random.default_rng(0)
    labels = [[f"label {one}" for one in np.flatnonzero(random.random(NUM_LABELS) < 0.15)] for _ in names]
    return Manifest.from_lists(folder, names, LabelSets.from_names(labels))


def loader_of(manifest: Manifest, cache: PictureCache | None = None) -> ImageLoader:
    """Return manyhot's loader, whose one thread leaves a core to the step."""
    rows = range(manifest.num_samples)
    order = Shuffled(len(rows), seed=0)
    return ImageLoader(
        manifest, rows, TrainingTransform(SIZE), batch_size=BATCH, seed=0, order=order, num_workers=1, cache=cache
    )


def model_of() -> Classifier:
    """Return the model that all train."""
    torch.manual_seed(0)
    preprocessing = Preprocessing(image_size=SIZE, mean=(0.5,) * 3, std=(0.25,) * 3)
    return build_model(ModelSpec(encoder="resnet18", num_labels=NUM_LABELS, preprocessing=preprocessing))


def bare_step_s(loader: Iterable[Batch], settings: OptimisationSettings) -> list[float]:
    """Return what a step of an epoch takes in a loop of ten lines."""
    model, loss, clock = model_of().train(), BCEWithLogitsLoss(), Clock()
    optimiser, schedule = make_optimiser(model, settings)
    for batch in loader:
        optimiser.zero_grad()
        loss(model(batch.images), batch.targets).backward()
        clip_gradient_norm(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        clock.on_train_batch_end()
    return clock.step_s


def manyhot_step_s(loader: ImageLoader, manifest: Manifest, settings: OptimisationSettings, folder: str) -> list[float]:
    """Return the same of manyhot's training."""
    clock, transform = Clock(), EvaluationTransform(SIZE)
    validation = ImageLoader(manifest, range(8), transform, batch_size=8, seed=0, num_workers=0)
    module = MultiLabelModule(model_of(), BCEWithLogitsLoss(), optimisation=settings, validation_truth=manifest.labels)
    with tempfile.TemporaryDirectory(dir=folder) as run:
        trainer = create_trainer(folder=Path(run), epochs=1, callbacks=[clock])
        fit(trainer, module, MultiLabelData(loader, validation), checkpoint=None)
    return clock.step_s


def measure_in_turn(manifest: Manifest, folder: str, runs: int) -> dict[str, list[list[float]]]:
    """Return the seconds a step, by the clock and by the CPU's, of every run of every way."""
    settings = OptimisationSettings(lr=1e-3, total_steps=manifest.num_samples // BATCH)
    in_memory, cache = InMemory(loader_of(manifest)), PictureCache()
    ways: dict[str, Callable[[], list[float]]] = {
        "bare": lambda: bare_step_s(loader_of(manifest), settings),
        "manyhot": lambda: manyhot_step_s(loader_of(manifest), manifest, settings, folder),
        "bare, in memory": lambda: bare_step_s(in_memory, settings),
        "manyhot, cache": lambda: manyhot_step_s(loader_of(manifest, cache), manifest, settings, folder),
    }
    turns = [{name: step_s() for name, step_s in ways.items()} for _ in range(runs + 1)]
    return {name: [turn[name] for turn in turns[1:]] for name in ways}


def main() -> None:
    """Measure in turn, print, and write a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--files", type=int, default=512)
    parser.add_argument("--runs", type=int, default=5)
    flags = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as parent:
        pictures = Path(parent, "files")
        write_files(flags.photos, pictures, flags.files, None)
        times = measure_in_turn(manifest_of(pictures), parent, flags.runs)
    result: dict[str, object] = {"benchmark": "training_overhead", "cpu": cpu_model(), "s_per_step": times}
    for name, steps in times.items():
        print(f"{name}: {1000 * np.median(steps, axis=0)} ms a step of the clock and of the CPU")
    for ours, bare in (("manyhot", "bare"), ("manyhot, cache", "bare, in memory")):
        ratios = np.array(times[ours]) / np.array(times[bare])
        result[f"{ours} / {bare}"] = np.median(ratios, axis=0).tolist()
        print(f"{ours} / {bare}: {np.median(ratios, axis=0)} ({ratios.min(axis=0)} to {ratios.max(axis=0)})")
    with (RESULTS / "training_overhead.jsonl").open("a") as file:
        file.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
