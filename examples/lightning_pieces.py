"""Lightning pieces in a trainer of your own: the module steps and logs, the data hand over batches, the rest is yours."""

from pathlib import Path

import numpy as np
import torch
from lightning.pytorch import Trainer

from manyhot.data.augmentation import EvaluationTransform, TrainingTransform
from manyhot.data.loading import ImageLoader
from manyhot.data.sampling import Shuffled
from manyhot.labels import count_cells, log_odds
from manyhot.losses import BCEWithLogitsLoss
from manyhot.models.build import build_model
from manyhot.models.initialisation import initialise_head
from manyhot.models.spec import LinearHeadSpec, ModelSpec, Preprocessing
from manyhot.runs.digits import write_pictures
from manyhot.sources import open_source
from manyhot.training.datamodule import MultiLabelData
from manyhot.training.module import MultiLabelModule
from manyhot.training.optimisation import OptimisationSettings

SIZE, EPOCHS = 32, 2

if __name__ == "__main__":
    torch.manual_seed(0)
    # Stand-in for your own folder: real handwritten digits, composed into pictures, with a labels.csv.
    write_pictures(Path("pictures"), {"train": 320, "val": 80, "test": 80}, seed=0)
    manifest = open_source(Path("pictures"))
    splits = np.array(manifest.splits())
    train_rows, val_rows = np.flatnonzero(splits == "train"), np.flatnonzero(splits == "val")

    train = ImageLoader(
        manifest,
        train_rows,
        TrainingTransform(SIZE, flip=False),
        batch_size=32,
        seed=0,
        order=Shuffled(len(train_rows), seed=0),
        num_workers=0,
    )
    val = ImageLoader(manifest, val_rows, EvaluationTransform(SIZE), batch_size=64, seed=0, num_workers=0)

    model = build_model(
        ModelSpec(
            encoder="test_resnet",
            num_labels=manifest.labels.num_labels,
            head=LinearHeadSpec(),
            preprocessing=Preprocessing(image_size=SIZE, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25)),
        )
    )
    counts = count_cells(manifest.labels.take(train_rows))
    initialise_head(model.head, torch.from_numpy(log_odds(counts)).float())

    module = MultiLabelModule(
        model,
        BCEWithLogitsLoss(),
        optimisation=OptimisationSettings(lr=3e-3, total_steps=EPOCHS * len(train), warmup_steps=5),
        validation_truth=manifest.labels,
    )
    trainer = Trainer(max_epochs=EPOCHS, accelerator="cpu", logger=False, enable_checkpointing=False)
    trainer.fit(module, MultiLabelData(train, val))
    print({name: round(float(value), 3) for name, value in trainer.callback_metrics.items()})
