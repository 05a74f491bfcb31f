"""Predict: a bundle and pictures, without the data that the model was trained on."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float
from tqdm import tqdm

from manyhot.data.augmentation import EvaluationTransform
from manyhot.data.path_loading import PictureLoader
from manyhot.errors import UsageError
from manyhot.labels import LabelSpace
from manyhot.runs.loaders import default_workers
from manyhot.runs.scoring import best_device
from manyhot.runs.writing import PredictedRows, check_format, write_predictions
from manyhot.sources import open_pictures

if TYPE_CHECKING:
    from manyhot.runs.run import Run

log = logging.getLogger("manyhot")

BATCH_SIZE = 64


@dataclass(frozen=True, kw_only=True, eq=False)
class Predictions:
    """Predictions of a model for pictures.

    Args:
        references: The pictures that could be read, in the order given.
        space: The labels.
        probs: Calibrated probability of each label.
        preds: Decision on each label.
        failures: Pictures that could not be read, each with the reason.
    """

    references: tuple[str, ...]
    space: LabelSpace
    probs: Float[np.ndarray, "n l"]
    preds: Bool[np.ndarray, "n l"]
    failures: tuple[tuple[str, str], ...]

    def labels(self) -> list[list[str]]:
        """Return the names of the labels predicted for each picture; an empty list where there is none."""
        return [[self.space.names[index] for index in np.flatnonzero(row)] for row in self.preds]


@dataclass(kw_only=True)
class Written:
    """What went into a file of predictions.

    Args:
        num_predicted: Pictures with a prediction.
        failures: Pictures that could not be read, each with the reason.
    """

    num_predicted: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])


def predict(run: "Run", inputs: Sequence[Path]) -> Predictions:
    """Return the predictions for pictures, folders of pictures, tables that name pictures, packs, tars, shards and stores.

    A picture that cannot be read is listed in `failures` and does not stop the others. Holds 5 bytes a cell.

    Raises:
        UsageError: If there is no input, or one does not exist or holds no picture.
    """
    seen = Written()
    batches = list(_predicted(run, inputs, seen))
    width = len(run.bundle.space)
    return Predictions(
        references=tuple(reference for batch in batches for reference in batch.references),
        space=run.bundle.space,
        probs=np.concatenate([np.zeros((0, width), np.float32), *(batch.probs for batch in batches)]),
        preds=np.concatenate([np.zeros((0, width), bool), *(batch.preds for batch in batches)]),
        failures=tuple(seen.failures),
    )


def predict_to_file(run: "Run", inputs: Sequence[Path], out: Path) -> Written:
    """Write predictions to a .csv, .jsonl or .parquet file, batch by batch, and return how many and what failed.

    Raises:
        UsageError: As `predict`, or if the file's ending is another; before any picture is read.
    """
    check_format(out)
    written = Written()
    write_predictions(out, run.bundle.space, _predicted(run, inputs, written))
    return written


def _predicted(run: "Run", inputs: Sequence[Path], seen: Written) -> Iterator[PredictedRows]:
    pictures = open_pictures(inputs)
    if not len(pictures):
        raise UsageError("nothing to predict; name a picture, a folder of pictures, or a table that names pictures")
    bundle, device = run.bundle, best_device()
    model = bundle.model.eval().to(device)
    loader = PictureLoader(
        pictures,
        EvaluationTransform(bundle.spec.preprocessing.image_size),
        batch_size=BATCH_SIZE,
        num_workers=default_workers() if len(pictures) > BATCH_SIZE else 0,
    )
    with tqdm(total=len(pictures), desc="predicting", unit=" images", disable=None) as bar:
        for batch in loader:
            bar.update(len(batch.rows) + len(batch.failures))
            seen.failures += [(pictures.name_of(row), reason) for row, reason in batch.failures]
            if len(batch.rows):
                with torch.inference_mode():
                    logits = model(batch.images.to(device)).float().cpu().numpy()
                seen.num_predicted += len(logits)
                yield PredictedRows(
                    references=[pictures.name_of(row) for row in batch.rows.tolist()],
                    probs=bundle.decision.probs(logits),
                    preds=bundle.decision.preds(logits),
                )
