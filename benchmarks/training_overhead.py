"""What `manyhot train` adds to a bare loop over the same loader: seconds a step of the same model and batch.

    uv run python benchmarks/training_overhead.py --photos FOLDER

Both train timm's `resnet18` from the same weights, 64 pictures a step at 128 pixels; the loader, the loss and the optimiser are
the same. They take turns within one process, an epoch each, five times; the first epoch of each is not counted.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from lightning.pytorch import Callback
from loading import RESULTS, cpu_model, write_files

from manyhot.data.augmentation import EvaluationTransform, TrainingTransform
from manyhot.data.loading import ImageLoader
from manyhot.data.sampling import Shuffled
from manyhot.labels import LabelSets
from manyhot.losses import BCEWithLogitsLoss
from manyhot.models.build import build_model
from manyhot.models.classifier import Classifier
from manyhot.models.spec import ModelSpec, Preprocessing
from manyhot.sources.manifest import Manifest
from manyhot.training.datamodule import MultiLabelData
from manyhot.training.module import MultiLabelModule
from manyhot.training.optimisation import OptimisationSettings, make_optimiser
from manyhot.training.trainer import create_trainer, fit

SIZE, BATCH, NUM_LABELS, RUNS = 128, 64, 20, 5


class Clock(Callback):
    """The times of an epoch's first batch and of its last."""

    def __init__(self) -> None:
        self.marks_s: list[float] = []

    def on_train_batch_end(self, *_: object) -> None:
        self.marks_s.append(time.perf_counter())


def loader_of(manifest: Manifest) -> ImageLoader:
    """Return the loader that both use."""
    rows = range(manifest.num_samples)
    order = Shuffled(len(rows), seed=0)
    return ImageLoader(manifest, rows, TrainingTransform(SIZE), batch_size=BATCH, seed=0, order=order, num_workers=1)


def model_of() -> Classifier:
    """Return the model that both train."""
    torch.manual_seed(0)
    preprocessing = Preprocessing(image_size=SIZE, mean=(0.5,) * 3, std=(0.25,) * 3)
    return build_model(ModelSpec(encoder="resnet18", num_labels=NUM_LABELS, preprocessing=preprocessing))


def bare_epoch_s(manifest: Manifest, settings: OptimisationSettings) -> float:
    """Return the seconds from the end of the first step to that of the last, in a loop of ten lines."""
    model, loss, marks_s = model_of().train(), BCEWithLogitsLoss(), []
    optimiser, schedule = make_optimiser(model, settings)
    for batch in loader_of(manifest):
        optimiser.zero_grad()
        loss(model(batch.images), batch.targets).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        marks_s.append(time.perf_counter())
    return marks_s[-1] - marks_s[0]


def manyhot_epoch_s(manifest: Manifest, settings: OptimisationSettings, folder: Path) -> float:
    """Return the same of manyhot's training."""
    clock, validation = Clock(), ImageLoader(
        manifest, range(8), EvaluationTransform(SIZE), batch_size=8, seed=0, num_workers=0
    )  # fmt: skip
    module = MultiLabelModule(model_of(), BCEWithLogitsLoss(), optimisation=settings, validation_truth=manifest.labels)
    trainer = create_trainer(folder=folder, epochs=1, callbacks=[clock])
    fit(trainer, module, MultiLabelData(loader_of(manifest), validation), checkpoint=None)
    return clock.marks_s[-1] - clock.marks_s[0]


def main() -> None:
    """Measure in turn, print, and write a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--files", type=int, default=960)
    flags = parser.parse_args()
    steps = flags.files // BATCH - 1
    times: dict[str, list[float]] = {"bare": [], "manyhot": []}
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent, "files")
        write_files(flags.photos, folder, flags.files, None)
        names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.jpg"))
        random = np.random.default_rng(0)
        labels = [[f"label {one}" for one in np.flatnonzero(random.random(NUM_LABELS) < 0.15)] for _ in names]
        manifest = Manifest.from_lists(folder, names, LabelSets.from_names(labels))
        settings = OptimisationSettings(lr=1e-3, total_steps=steps + 1)
        for run in range(RUNS + 1):
            bare_s = bare_epoch_s(manifest, settings)
            ours_s = manyhot_epoch_s(manifest, settings, Path(tempfile.mkdtemp(dir=parent)))
            if run:
                times["bare"].append(bare_s / steps)
                times["manyhot"].append(ours_s / steps)
    ratios = [ours / bare for ours, bare in zip(times["manyhot"], times["bare"], strict=True)]
    result = {
        "benchmark": "training_overhead",
        "cpu": cpu_model(),
        "s_per_step": times,
        "ratio": statistics.median(ratios),
    }
    print(json.dumps(result))
    with (RESULTS / "training_overhead.jsonl").open("a") as file:
        file.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
