"""The demonstration: compose pictures, then train, evaluate and predict on them as on any other data."""

import logging
from dataclasses import dataclass
from pathlib import Path

from manyhot.config import AdamWConfig, DataConfig, EncoderConfig, ImagesConfig, Recipe, TrainingConfig
from manyhot.errors import UsageError
from manyhot.labels import LabelSets
from manyhot.runs.digits import SIZE, write_pictures
from manyhot.runs.predicting import Predictions
from manyhot.runs.run import Run
from manyhot.sources import open_source

log = logging.getLogger("manyhot")

NUM_TRAIN = 10_000
EPOCHS = 5
# Pictures of val and of test for one of train.
HELD_OUT_SHARE = 1 / 8
NUM_SHOWN = 6


@dataclass(frozen=True, kw_only=True)
class Demo:
    """What the demonstration left.

    Args:
        pictures: The folder of the pictures and their labels.
        run: The run that was trained on them.
        predictions: Predictions for a few pictures of the test split.
        truth: The labels of these pictures, by reference.
    """

    pictures: Path
    run: Run
    predictions: Predictions
    truth: dict[str, list[str]]


def demo_recipe(pictures: Path, *, seed: int = 0, epochs: int = EPOCHS) -> Recipe:
    """Return the recipe of the demonstration: a small encoder from random weights, no mirrored digits.

    >>> demo_recipe(Path("pictures")).images.flip
    False
    """
    # First: what is wrong with the number of epochs is said of them, not of the warm-up.
    training = TrainingConfig(epochs=epochs, batch_size=32)
    return Recipe(
        seed=seed,
        data=DataConfig(path=str(pictures)),
        images=ImagesConfig(size=SIZE, min_scale=1.0, flip=False),
        encoder=EncoderConfig(name="test_resnet", pretrained="none"),
        optimiser=AdamWConfig(lr=5e-3, warmup_epochs=min(1.0, epochs / 8)),
        training=training,
    )


def run_demo(out: Path | None = None, *, seed: int = 0, epochs: int = EPOCHS, num_train: int = NUM_TRAIN) -> Demo:
    """Return what a demonstration made in a new folder: `pictures/` and `run/`.

    Args:
        out: A new or empty folder; `runs/demo-1` and so on, if not given.
        seed: Seed of pictures and training.
        epochs: Times that every training picture is seen.
        num_train: Training pictures; val and test have an eighth of it each.

    Raises:
        UsageError: If the folder holds something already, or there are too few pictures or epochs.
    """
    if num_train < 80:
        raise UsageError(f"{num_train} training pictures are too few to learn ten digits from; give at least 80")
    folder = _new_folder(out)
    pictures = folder / "pictures"
    recipe = demo_recipe(pictures, seed=seed, epochs=epochs)
    held_out = round(num_train * HELD_OUT_SHARE)
    sizes = {"train": num_train, "val": held_out, "test": held_out}
    log.info("composing %s pictures of handwritten digits in %s", f"{sum(sizes.values()):,}", pictures)
    write_pictures(pictures, sizes, seed=seed)

    # Here, not above: composing starts at once, and what cannot be composed need not load torch.
    from manyhot.runs.fitting import train
    from manyhot.runs.predicting import predict

    run = train(recipe, folder / "run")
    manifest = open_source(pictures)
    rows = [row for row, split in enumerate(manifest.splits()) if split == "test"][:NUM_SHOWN]
    truth = {str(manifest.path_of(row)): _names(manifest.labels, row) for row in rows}
    return Demo(pictures=pictures, run=run, predictions=predict(run, [Path(path) for path in truth]), truth=truth)


def _names(sets: LabelSets, row: int) -> list[str]:
    return [sets.space.names[label] for label in sets.positives.row(row).tolist()]


def _new_folder(out: Path | None) -> Path:
    if out is None:
        return next(path for number in range(1, 1_000_000) if not (path := Path("runs") / f"demo-{number}").exists())
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out}: is not empty; choose a new folder with --out")
    return out
