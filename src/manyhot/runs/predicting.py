"""Predict: a bundle and pictures, without the data that the model was trained on."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float

from manyhot.errors import UsageError
from manyhot.labels import LabelSpace
from manyhot.runs.writing import PredictedRows, check_format, write_predictions

if TYPE_CHECKING:
    from manyhot.runs.run import Run

log = logging.getLogger("manyhot")

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
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
