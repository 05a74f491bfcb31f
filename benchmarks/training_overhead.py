"""What `manyhot train` adds to a bare loop over the same loader, and what its cache adds to tensors: seconds a step.

    uv run python benchmarks/training_overhead.py --photos FOLDER

All train timm's `resnet18` from the same weights, 64 pictures a step at 128 pixels, with the same loss and optimiser: a bare
loop and manyhot's training over the same loader, and both from memory, the bare loop from a tensor of finished pictures and
manyhot's training from decoded pictures that it crops anew. They take turns within one process, an epoch each, several
times; the first turn, which fills the cache and compiles, is not counted.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator
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
    """When each step ended."""

    def __init__(self) -> None:
        self.marks_s: list[float] = []

    def on_train_batch_end(self, *_: object) -> None:
        """Note the time."""
        self.marks_s.append(time.perf_counter())


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


def bare_epoch_s(loader: Iterable[Batch], settings: OptimisationSettings) -> float:
    """Return the seconds from the end of the first step to that of the last, in a loop of ten lines."""
    model, loss, marks_s = model_of().train(), BCEWithLogitsLoss(), []
    optimiser, schedule = make_optimiser(model, settings)
    for batch in loader:
        optimiser.zero_grad()
        loss(model(batch.images), batch.targets).backward()
        clip_gradient_norm(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        marks_s.append(time.perf_counter())
    return marks_s[-1] - marks_s[0]


def manyhot_epoch_s(loader: ImageLoader, manifest: Manifest, settings: OptimisationSettings, folder: str) -> float:
    """Return the same of manyhot's training."""
    clock, transform = Clock(), EvaluationTransform(SIZE)
    validation = ImageLoader(manifest, range(8), transform, batch_size=8, seed=0, num_workers=0)
    module = MultiLabelModule(model_of(), BCEWithLogitsLoss(), optimisation=settings, validation_truth=manifest.labels)
    with tempfile.TemporaryDirectory(dir=folder) as run:
        trainer = create_trainer(folder=Path(run), epochs=1, callbacks=[clock])
        fit(trainer, module, MultiLabelData(loader, validation), checkpoint=None)
    return clock.marks_s[-1] - clock.marks_s[0]


def measure_in_turn(manifest: Manifest, folder: str, runs: int) -> dict[str, list[float]]:
    """Return the seconds a step of every run of every way."""
    steps = manifest.num_samples // BATCH - 1
    settings = OptimisationSettings(lr=1e-3, total_steps=steps + 1)
    in_memory, cache = InMemory(loader_of(manifest)), PictureCache()
    times: dict[str, list[float]] = {"bare": [], "manyhot": [], "bare, in memory": [], "manyhot, cache": []}
    for run in range(runs + 1):
        seconds = {
            "bare": bare_epoch_s(loader_of(manifest), settings),
            "manyhot": manyhot_epoch_s(loader_of(manifest), manifest, settings, folder),
            "bare, in memory": bare_epoch_s(in_memory, settings),
            "manyhot, cache": manyhot_epoch_s(loader_of(manifest, cache), manifest, settings, folder),
        }
        for name, epoch_s in seconds.items() if run else ():
            times[name].append(epoch_s / steps)
    return times


def main() -> None:
    """Measure in turn, print, and write a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--files", type=int, default=640)
    parser.add_argument("--runs", type=int, default=5)
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as parent:
        pictures = Path(parent, "files")
        write_files(flags.photos, pictures, flags.files, None)
        times = measure_in_turn(manifest_of(pictures), parent, flags.runs)
    result: dict[str, object] = {"benchmark": "training_overhead", "cpu": cpu_model(), "s_per_step": times}
    for name, seconds in times.items():
        print(
            f"{name}: {1000 * statistics.median(seconds):.1f} ms a step ({1000 * min(seconds):.1f} to {1000 * max(seconds):.1f})"
        )
    for ours, bare in (("manyhot", "bare"), ("manyhot, cache", "bare, in memory")):
        ratios = [one / other for one, other in zip(times[ours], times[bare], strict=True)]
        result[f"{ours} / {bare}"] = statistics.median(ratios)
        print(f"{ours} / {bare}: {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})")
    with (RESULTS / "training_overhead.jsonl").open("a") as file:
        file.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
