"""The parts as they are put together in a run: pictures from files, a timm encoder, a stop, and the same end."""

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from lightning.pytorch import Callback
from PIL import Image

from manyhot.data.augmentation import AugmentedTransform, CropTransform, EvaluationTransform, TrainingTransform
from manyhot.data.colour import ColourJitter
from manyhot.data.loading import ImageLoader
from manyhot.data.sampling import Shuffled
from manyhot.errors import StoppedError
from manyhot.labels import LabelSets, LabelSpace
from manyhot.losses import BCEWithLogitsLoss
from manyhot.models.build import build_model
from manyhot.models.classifier import Classifier
from manyhot.models.spec import ModelSpec, Preprocessing
from manyhot.sources import Manifest
from manyhot.training.checkpoints import last_checkpoint
from manyhot.training.datamodule import MultiLabelData
from manyhot.training.module import MultiLabelModule
from manyhot.training.optimisation import OptimisationSettings
from manyhot.training.trainer import create_trainer, fit

NUM_TRAIN, NUM_VAL, SIZE = 11, 5, 16


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Noisy pictures, each red, green, both or neither."""
    root = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(0)
    wanted = generator.random((NUM_TRAIN + NUM_VAL, 2)) < 0.5
    names = [f"{row}.png" for row in range(len(wanted))]
    for name, (red, green) in zip(names, wanted, strict=True):
        picture = generator.integers(0, 120, (20, 24, 3)) + np.array([120 * red, 120 * green, 0])
        Image.fromarray(picture.astype(np.uint8)).save(root / name)
    empty = pa.array([None] * len(names), type=pa.string())
    return Manifest(
        root=root,
        samples=pa.table({"reference": names, "split": empty, "group": empty}),
        labels=LabelSets.from_lists(
            [np.flatnonzero(row).tolist() for row in wanted], LabelSpace(names=("red", "green"))
        ),
        description="pictures",
    )


class Stop(Callback):
    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: object, batch: object, batch_idx: int) -> None:
        if (trainer.current_epoch, batch_idx) == (1, 0):
            os.kill(os.getpid(), signal.SIGTERM)


COLOURS = ColourJitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1)
CROP = TrainingTransform(SIZE)


def train(
    manifest: Manifest,
    folder: Path,
    *,
    stop: bool = False,
    transform: CropTransform = CROP,
    colours: ColourJitter | None = COLOURS,
) -> Classifier:
    folder.mkdir(exist_ok=True)
    torch.manual_seed(0)
    preprocessing = Preprocessing(image_size=SIZE, mean=(0.5,) * 3, std=(0.25,) * 3)
    model = build_model(ModelSpec(encoder="test_resnet", num_labels=2, preprocessing=preprocessing))
    options = {"batch_size": 4, "seed": 3, "num_workers": 0}
    rows, order = np.arange(NUM_TRAIN + NUM_VAL), Shuffled(NUM_TRAIN, seed=3)
    data = MultiLabelData(
        ImageLoader(manifest, rows[:NUM_TRAIN], transform, order=order, colours=colours, **options),
        ImageLoader(manifest, rows[NUM_TRAIN:], EvaluationTransform(SIZE), **options),
    )
    module = MultiLabelModule(
        model,
        BCEWithLogitsLoss(),
        optimisation=OptimisationSettings(lr=1e-3, total_steps=3 * len(data.train_dataloader())),
        validation_truth=manifest.labels,
    )
    trainer = create_trainer(folder=folder, epochs=3, seed=3, callbacks=[Stop()] if stop else [])
    fit(trainer, module, data, checkpoint=last_checkpoint(folder))
    return model


def test_a_stopped_training_on_pictures_ends_as_one_that_was_never_stopped(manifest: Manifest, tmp_path: Path) -> None:
    whole = train(manifest, tmp_path / "whole").state_dict()
    with pytest.raises(StoppedError, match="step 4 "):
        train(manifest, tmp_path / "parts", stop=True)
    parts = train(manifest, tmp_path / "parts").state_dict()
    assert all(torch.equal(value, parts[key]) for key, value in whole.items())


def test_training_is_the_same_whether_colours_change_while_pictures_load_or_in_the_step(
    manifest: Manifest, tmp_path: Path
) -> None:
    while_loading = AugmentedTransform(CROP, (COLOURS,))
    one = train(manifest, tmp_path / "one", transform=while_loading, colours=None).state_dict()
    other = train(manifest, tmp_path / "other").state_dict()
    without = train(manifest, tmp_path / "without", colours=None).state_dict()
    assert all(torch.equal(value, other[key]) for key, value in one.items())
    assert not all(torch.equal(value, without[key]) for key, value in one.items())
