"""Batches of pictures without labels, for prediction: one that cannot be read stops no other."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from manyhot.data.augmentation import ImageTransform
from manyhot.data.loading import make_loading
from manyhot.data.order import batch_offsets
from manyhot.data.samples import LoadedImages, Request, SampleReader
from manyhot.errors import ImageError
from manyhot.sources.picture_store import PictureStore


@dataclass(frozen=True, kw_only=True, eq=False)
class PictureBatch:
    """Pictures without labels, and those that could not be read.

    Args:
        images: The pictures that could be read; none, without height and width, when there are none.
        rows: Which of the store's pictures each is.
        failures: Which of them could not be read, and why; the reason does not name the picture.
    """

    images: UInt8[Tensor, "n 3 h w"]
    rows: Int64[Tensor, " n"]
    failures: tuple[tuple[int, str], ...]


class PictureLoader:
    """Batches of pictures from anywhere, for prediction; one that cannot be read is reported and stops no other.

    Args:
        pictures: The pictures.
        transform: Makes all pictures the same size.
        batch_size: Pictures in a batch.
        num_workers: Threads that decode; 0 decodes in the one that iterates.

    Raises:
        UsageError: If batch size or number of workers make no sense.

    >>> from pathlib import Path
    >>> from manyhot.data.augmentation import EvaluationTransform
    >>> from manyhot.sources.picture_store import PictureFiles
    >>> absent = PictureFiles.from_paths([Path("absent.jpg")])
    >>> loader = PictureLoader(absent, EvaluationTransform(8), batch_size=2, num_workers=0)
    >>> [batch.failures for batch in loader]
    [((0, 'does not exist'),)]
    """

    def __init__(self, pictures: PictureStore, transform: ImageTransform, *, batch_size: int, num_workers: int) -> None:
        offsets = batch_offsets(len(pictures), batch_size).tolist()
        self._requests = [Request(epoch=0, rows=np.arange(*bounds)) for bounds in pairwise(offsets)]
        self._reader = SampleReader(pictures, transform, seed=0)
        self._loading = make_loading(self._reader, num_workers=num_workers)

    def __len__(self) -> int:
        """Return the number of batches."""
        return len(self._requests)

    def __iter__(self) -> Iterator[PictureBatch]:
        """Yield the batches in the order of the pictures.

        Raises:
            TrainingError: If the transform fails, naming the picture.
        """
        with closing(self._loading.load(self._requests)) as loaded_batches:
            yield from map(self._batch_of, loaded_batches)

    def _batch_of(self, loaded: LoadedImages) -> PictureBatch:
        for failure in loaded.failures:
            if not isinstance(failure.error, ImageError):
                raise failure.named(self._reader.name_of(failure.row))
        failures = tuple((failure.row, str(failure.error)) for failure in loaded.failures)
        return PictureBatch(images=loaded.images, rows=torch.from_numpy(loaded.rows), failures=failures)
