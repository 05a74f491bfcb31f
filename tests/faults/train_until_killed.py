"""Trains to the end, then again and again until killed at a seeded point, and goes on from there; prints what became of it.

    train_until_killed.py FOLDER NUM_POINTS

One process imports everything and forks one child a training: a kill is real, and costs no second start of torch.
"""

import hashlib
import io
import json
import os
import random
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback
from PIL import Image
from torch import nn

from manyhot.data.augmentation import AugmentedTransform, EvaluationTransform, TrainingTransform
from manyhot.data.colour import ColourJitter
from manyhot.data.erasing import RandomErasing
from manyhot.data.loading import ImageLoader
from manyhot.data.mixing import Mixing
from manyhot.data.mixture import Mixed
from manyhot.data.rand_augment import RandAugment
from manyhot.data.sampling import Order, Repeated
from manyhot.labels import LabelSets
from manyhot.losses import BCEWithLogitsLoss
from manyhot.sources.manifest import Manifest
from manyhot.training.checkpoints import last_checkpoint
from manyhot.training.datamodule import MultiLabelData
from manyhot.training.module import MultiLabelModule
from manyhot.training.optimisation import OptimisationSettings
from manyhot.training.trainer import create_trainer, fit

NUM_TRAIN, NUM_VAL, SIZE, EPOCHS, BATCH = 23, 7, 12, 3, 5
STEPS = EPOCHS * 5
# How often each of these happens in a whole training: a seeded point is one of all.
EVENTS = {
    "batch start": STEPS,
    "batch end": STEPS,
    "picture": EPOCHS * NUM_TRAIN,
    "validation": EPOCHS,
    "half a save": STEPS,
}


class Killer(Callback):
    """Kills the process, as the system would, at one of its events."""

    def __init__(self, event: str, count: int) -> None:
        self._event, self._left, self._lock = event, count, threading.Lock()

    def happens(self, event: str) -> bool:
        """Whether this is the moment."""
        with self._lock:
            self._left -= event == self._event
            return event == self._event and self._left == 0

    def _die_if(self, event: str) -> None:
        if self.happens(event):
            os.kill(os.getpid(), signal.SIGKILL)

    def on_train_batch_start(self, *_: object) -> None:
        self._die_if("batch start")

    def on_train_batch_end(self, *_: object) -> None:
        self._die_if("batch end")

    def on_validation_start(self, *_: object) -> None:
        self._die_if("validation")

    def save(self, checkpoint: object, path: Path) -> None:
        """Write a checkpoint, or half of one."""
        stream = io.BytesIO()
        torch_save(checkpoint, stream)
        content = stream.getvalue()
        if self.happens("half a save"):
            Path(path).write_bytes(content[: len(content) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        Path(path).write_bytes(content)

    def transform(self, image: np.ndarray, generator: np.random.Generator | None) -> np.ndarray:
        """Augment a picture, in a loading thread."""
        self._die_if("picture")
        return AUGMENTED(image, generator)


torch_save = torch.save
CHANGES = (RandAugment(), ColourJitter(brightness=0.4, hue=0.1), RandomErasing(probability=0.3))
AUGMENTED = AugmentedTransform(TrainingTransform(SIZE), CHANGES)
NEVER = Killer("", 0)
ORDERS: dict[str, Order] = {
    "repeated": Repeated(np.linspace(0.5, 1.5, NUM_TRAIN), seed=3),
    # The smaller data set comes twice an epoch and a bit, so that its rounds end in the middle of epochs.
    "mixed": Mixed([np.arange(18), np.arange(18, NUM_TRAIN)], shares=[0.5, 0.5], seed=3),
}


class Network(nn.Module):
    """A network with batch norm and dropout, which remember and draw."""

    def __init__(self) -> None:
        super().__init__()
        layers = (nn.Conv2d(3, 6, 3, stride=2), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Dropout(0.3))
        self.layers = nn.Sequential(*layers, nn.Linear(150, 2))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layers(images.float() / 255)


def manifest_in(folder: Path) -> Manifest:
    """Write the pictures, and return them with their labels."""
    generator = np.random.default_rng(0)
    references = [f"{row}.png" for row in range(NUM_TRAIN + NUM_VAL)]
    for reference in references:
        Image.fromarray(generator.integers(0, 256, (19, 25, 3), dtype=np.uint8)).save(folder / reference)
    labels = [[name for name in ("cat", "dog") if generator.random() < 0.5] for _ in references]
    return Manifest.from_lists(folder, references, LabelSets.from_names([*labels[:-1], ["cat", "dog"]]))


def train(manifest: Manifest, folder: Path, killer: Killer, order: Order, workers: dict[str, Any]) -> None:
    """Train to the end, from where a checkpoint is, and write what the weights are."""
    torch.manual_seed(0)
    torch.save = killer.save
    rows = np.arange(NUM_TRAIN + NUM_VAL)
    options = {"batch_size": BATCH, "seed": 3}
    mixing = Mixing(mixup=0.5, cutmix=1.0)
    data = MultiLabelData(
        ImageLoader(manifest, rows[:NUM_TRAIN], killer.transform, order=order, mixing=mixing, **options, **workers),
        ImageLoader(manifest, rows[NUM_TRAIN:], EvaluationTransform(SIZE), num_workers=0, **options),
    )
    module = MultiLabelModule(
        Network(),
        BCEWithLogitsLoss(),
        optimisation=OptimisationSettings(lr=1e-2, total_steps=STEPS, warmup_steps=3),
        validation_truth=manifest.labels,
    )
    trainer = create_trainer(folder=folder, epochs=EPOCHS, seed=3, callbacks=[killer], checkpoint_interval_s=0.0)
    fit(trainer, module, data, checkpoint=last_checkpoint(folder))
    state = module.model.state_dict()
    digest = hashlib.sha256(b"".join(state[name].numpy().tobytes() for name in sorted(state)))
    (folder / "digest").write_text(digest.hexdigest())


def in_child(manifest: Manifest, folder: Path, killer: Killer, order: Order, workers: dict[str, Any]) -> int:
    """Train in a forked process, and return how it ended: 0, or minus the signal that ended it."""
    child = os.fork()
    if not child:
        code = 1
        try:
            folder.mkdir(exist_ok=True)
            train(manifest, folder, killer, order, workers)
            code = 0
        finally:
            sys.stderr.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main(parent: Path, num_points: int) -> None:
    """Print a line for each point."""
    torch.set_num_threads(1)
    pictures = parent / "pictures"
    pictures.mkdir()
    manifest = manifest_in(pictures)
    two = {"num_workers": 2}
    whole: dict[str, str] = {}
    for name, order in ORDERS.items():
        assert in_child(manifest, parent / name, NEVER, order, two) == 0
        whole[name] = (parent / name / "digest").read_text()
    points = [(event, count) for event, times in EVENTS.items() for count in range(1, times + 1)]
    others = [two, {"num_workers": 0}, {"num_workers": 1}, {"num_workers": 3, "worker_kind": "processes"}]
    for number, (event, count) in enumerate(random.Random(7).sample(points, num_points)):
        folder = parent / f"killed-{number}"
        name = list(ORDERS)[number % len(ORDERS)]
        ended = in_child(manifest, folder, Killer(event, count), ORDERS[name], two)
        workers = others[number // len(ORDERS) % len(others)]
        resumed = in_child(manifest, folder, NEVER, ORDERS[name], workers)
        point = {"event": event, "count": count, "order": name, "ended": ended, "workers": workers}
        is_same = resumed == 0 and (folder / "digest").read_text() == whole[name]
        print(json.dumps(point | {"is_same": is_same}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
