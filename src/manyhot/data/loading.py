"""Batches of pictures and labels, in an order that anyone can repeat, resume and share among processes.

Worker processes decode and transform; labels are attached in the main process, so that no worker holds a copy of them.
What a batch holds depends on the seed, the epoch and the position alone: never on the number of workers.
"""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64, Integer, UInt8
from torch import Tensor

from manyhot.data.augmentation import ImageTransform
from manyhot.data.order import Ranks, batch_offsets, epoch_order
from manyhot.data.samples import ImageSamples, LoadedImages, Request, load_in_order
from manyhot.errors import ImageError, TrainingError, UsageError
from manyhot.sources.manifest import Manifest
from manyhot.sources.picture_store import PictureFiles
from manyhot.targets import SparseTargets


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """Pictures, their labels, and the rows of the manifest that they come from.

    Args:
        images: Pictures as they were decoded and resized: the model normalises them on its device.
        targets: Labels of each picture.
        rows: Row of each picture in the manifest; stays on the CPU.

    >>> batch = Batch(
    ...     images=torch.zeros(1, 3, 4, 4, dtype=torch.uint8),
    ...     targets=SparseTargets.from_lists([[0]], num_labels=2),
    ...     rows=torch.tensor([7]),
    ... )
    >>> batch.to("cpu").num_samples
    1
    """

    images: UInt8[Tensor, "n 3 h w"]
    targets: SparseTargets
    rows: Int64[Tensor, " n"]

    @property
    def num_samples(self) -> int:
        """Number of pictures."""
        return self.images.shape[0]

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> "Batch":
        """Return the same batch with pictures and labels on a device."""
        return replace(
            self,
            images=self.images.to(device, non_blocking=non_blocking),
            targets=self.targets.to(device, non_blocking=non_blocking),
        )

    def pin_memory(self) -> "Batch":
        """Return the same batch in pinned memory, for copies that do not wait."""
        return replace(self, images=self.images.pin_memory(), targets=self.targets.pin_memory())


class ImageLoader:
    """Batches of some rows of a manifest, epoch after epoch. Each iteration is a whole epoch, and the next a new one.

    Under torch.distributed each rank gets its part of every batch: `batch_size` counts the samples of all ranks, each
    sample comes exactly once an epoch, on one rank, and all ranks take the same number of steps. `state_dict` is the
    same on every rank.

    Args:
        manifest: The samples.
        rows: The rows to load, for example those of a split.
        transform: Makes all pictures the same size.
        batch_size: Samples in a batch, over all ranks.
        seed: Decides order and augmentation, together with the epoch.
        shuffle: Whether each epoch has an order of its own; else the rows come as given.
        num_workers: Processes that decode; 0 decodes in this one. The batches are the same.
        drop_last: Whether to leave out a last batch that is not full.
        ranks: Which part of each batch this process gets; its place in torch's process group unless given.

    Raises:
        UsageError: If batch size, seed or number of workers make no sense.
        LabelError: If a row is not in the manifest.
    """

    def __init__(
        self,
        manifest: Manifest,
        rows: Integer[np.ndarray, " k"] | Sequence[int],
        transform: ImageTransform,
        *,
        batch_size: int,
        seed: int,
        shuffle: bool,
        num_workers: int,
        drop_last: bool = False,
        ranks: Ranks | None = None,
    ) -> None:
        if not 0 <= seed < 2**64:
            raise UsageError(f"seed {seed} is out of range; give a number from 0 to 2⁶⁴ − 1")
        self._rows = np.asarray(rows, dtype=np.int64)
        # Here, not in the middle of an epoch: a row that is out of range, a batch size that makes no batch.
        manifest.labels.take(self._rows[[self._rows.argmin(), self._rows.argmax()]] if len(self._rows) else [])
        batch_offsets(len(self._rows), batch_size, drop_last=drop_last)
        self._labels = manifest.labels
        self._pictures = manifest.pictures
        self._batch_size, self._drop_last = batch_size, drop_last
        self._seed, self._shuffle = seed, shuffle
        self._ranks = ranks
        self._epoch, self._position = 0, 0
        # Whether the next iteration starts where the loader stands; else it is a new epoch.
        self._is_placed = True
        self._requests = _Requests()
        samples = ImageSamples(self._pictures, transform, seed=seed)
        self._loaded = load_in_order(samples, self._requests, num_workers=num_workers)

    @property
    def num_samples(self) -> int:
        """Number of samples of an epoch, over all ranks."""
        return len(self._rows)

    @property
    def epoch(self) -> int:
        """The epoch that the last batch belongs to, from 0."""
        return self._epoch

    def __len__(self) -> int:
        """Return the number of batches of an epoch: the same on all ranks."""
        return len(self._offsets(self._current_ranks())) - 1

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches of a new epoch, or the rest of the epoch whose state was loaded.

        Raises:
            ImageError: If a picture cannot be read, naming its file.
            TrainingError: If there are more ranks than samples to train on.
        """
        # A generator: nothing moves until a batch is asked for, since Lightning makes iterators that it never uses.
        ranks = self._current_ranks()
        offsets = self._offsets(ranks)
        if self._position >= offsets[-1] or not self._is_placed:
            self._epoch, self._position = self._epoch + 1, 0
        self._is_placed = False
        bounds = [self._position, *offsets[offsets > self._position].tolist()]
        self._requests.pending = self._requests_of(bounds, ranks)
        for (start, stop), loaded in zip(pairwise(bounds), self._loaded, strict=True):
            batch = self._batch_of(loaded, ranks.share_of(start, stop))
            # Before the yield: a checkpoint written after this step must not repeat it.
            self._position = stop
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Return where the loader is: a few numbers, the same on every rank and with any number of workers."""
        return {**self._identity(), "epoch": self._epoch, "position": self._position}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Go to a saved position: the next iteration yields exactly the batches that would have followed.

        Raises:
            TrainingError: If the state is that of other rows, another seed or another batch size.
        """
        for name, value in self._identity().items():
            if state_dict.get(name) != value:
                what = name.replace("_", " ")
                raise TrainingError(
                    f"the saved position is of {what} {state_dict.get(name)}, this loader has {value}; "
                    f"resume with the data and settings that the run began with"
                )
        self._epoch, self._position, self._is_placed = state_dict["epoch"], state_dict["position"], True

    def set_epoch(self, epoch: int) -> None:
        """Go to the start of an epoch: the next iteration yields it whole."""
        self._epoch, self._position, self._is_placed = epoch, 0, True

    def _identity(self) -> dict[str, int]:
        rows = zlib.crc32(self._rows.tobytes())
        return {"seed": self._seed, "batch_size": self._batch_size, "num_samples": self.num_samples, "rows": rows}

    def _current_ranks(self) -> Ranks:
        return Ranks.current() if self._ranks is None else self._ranks

    def _offsets(self, ranks: Ranks) -> Int64[np.ndarray, " offsets"]:
        if self._shuffle and 0 < self.num_samples < ranks.world_size:
            raise TrainingError(f"{self.num_samples} samples cannot be shared by {ranks.world_size} processes")
        return batch_offsets(self.num_samples, self._batch_size, world_size=ranks.world_size, drop_last=self._drop_last)

    def _requests_of(self, bounds: list[int], ranks: Ranks) -> Iterator[Request]:
        rows = self._rows
        if self._shuffle:
            rows = rows[epoch_order(self.num_samples, seed=self._seed, epoch=self._epoch)]
        for start, stop in pairwise(bounds):
            share = ranks.share_of(start, stop)
            # A rank without a sample loads one all the same, so that its empty batch has the right height and width.
            wanted = share if share.start < share.stop else slice(start, start + 1)
            yield Request(epoch=self._epoch, rows=rows[wanted])

    def _batch_of(self, loaded: LoadedImages, share: slice) -> Batch:
        for row, reason in loaded.failures:
            raise ImageError(f"{self._pictures.name_of(row)}: {reason}")
        size = share.stop - share.start
        rows = loaded.rows[:size]
        targets = SparseTargets.from_label_sets(self._labels.take(rows))
        return Batch(images=loaded.images[:size], targets=targets, rows=torch.from_numpy(rows))


class _Requests:
    """What torch's loader takes for a sampler: whatever is pending when it starts over."""

    def __init__(self) -> None:
        self.pending: Iterable[Request] = ()

    def __iter__(self) -> Iterator[Request]:
        return iter(self.pending)


@dataclass(frozen=True, kw_only=True, eq=False)
class PictureBatch:
    """Pictures without labels, and those that could not be read.

    Args:
        images: The pictures that could be read; none, without height and width, when there are none.
        rows: Which of the paths each picture is.
        failures: Which of the paths could not be read, and why; the reason does not name the file.
    """

    images: UInt8[Tensor, "n 3 h w"]
    rows: Int64[Tensor, " n"]
    failures: tuple[tuple[int, str], ...]


class PictureLoader:
    """Batches of pictures from anywhere, for prediction; one that cannot be read is reported and stops no other.

    Args:
        paths: The files.
        transform: Makes all pictures the same size.
        batch_size: Files in a batch.
        num_workers: Processes that decode; 0 decodes in this one.

    Raises:
        UsageError: If batch size or number of workers make no sense.

    >>> from manyhot.data.augmentation import EvaluationTransform
    >>> loader = PictureLoader([Path("absent.jpg")], EvaluationTransform(8), batch_size=2, num_workers=0)
    >>> [batch.failures for batch in loader]
    [((0, 'does not exist'),)]
    """

    def __init__(self, paths: Sequence[Path], transform: ImageTransform, *, batch_size: int, num_workers: int) -> None:
        offsets = batch_offsets(len(paths), batch_size).tolist()
        self._requests = [Request(epoch=0, rows=np.arange(*bounds)) for bounds in pairwise(offsets)]
        samples = ImageSamples(PictureFiles.from_paths(paths), transform, seed=0)
        self._loaded = load_in_order(samples, self._requests, num_workers=num_workers)

    def __len__(self) -> int:
        """Return the number of batches."""
        return len(self._requests)

    def __iter__(self) -> Iterator[PictureBatch]:
        """Yield the batches in the order of the paths."""
        for loaded in self._loaded:
            yield PictureBatch(images=loaded.images, rows=torch.from_numpy(loaded.rows), failures=loaded.failures)
