"""Batches of pictures and labels, in an order that anyone can repeat, resume and share among processes.

Threads or worker processes decode and transform; labels are attached in the main process, so that no worker holds a copy
of them. What a batch holds depends on the seed, the epoch and the position alone: never on the workers.
"""

import zlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Int64, Integer, UInt8
from torch import Tensor

from manyhot.data.augmentation import ImageTransform
from manyhot.data.caching import PictureCache
from manyhot.data.colour import NUM_DRAWS, ColourJitter
from manyhot.data.colour_batches import ColourChanges
from manyhot.data.mixing import Mixing
from manyhot.data.order import Ranks, batch_key, batch_offsets
from manyhot.data.processes import ProcessLoading
from manyhot.data.quarantine import Quarantine
from manyhot.data.samples import Failure, LoadedImages, Request, SampleReader
from manyhot.data.sampling import InOrder, Order
from manyhot.data.threads import ThreadLoading
from manyhot.errors import ImageError, TrainingError, UsageError
from manyhot.sources.manifest import Manifest
from manyhot.targets import SparseTargets

WorkerKind = Literal["threads", "processes"]

TIMEOUT_S = 300.0
"""How long a picture may take, unless told otherwise."""


@runtime_checkable
class Loading(Protocol):
    """A way to load batches."""

    def load(self, requests: Iterable[Request]) -> Generator[LoadedImages]:
        """Yield the batch of each request, in their order; closing the generator ends the work on those to come."""
        ...


def make_loading(
    reader: SampleReader, *, num_workers: int, worker_kind: WorkerKind = "threads", timeout_s: float = TIMEOUT_S
) -> Loading:
    """Return the way to load that was chosen; without workers everything happens in the thread that iterates.

    Raises:
        UsageError: If the number of workers is negative.
    """
    if worker_kind == "threads" or num_workers == 0:
        return ThreadLoading(reader, num_threads=num_workers, timeout_s=timeout_s)
    return ProcessLoading(reader, num_processes=num_workers, timeout_s=timeout_s)


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """Pictures, their labels, and the rows of the manifest that they come from.

    A batch may be kept: its memory is used for another only once neither it nor any view of its tensors is left.

    Args:
        images: Pictures as they were decoded and resized: the model normalises them on its device.
        targets: Labels of each picture.
        rows: Row of each picture in the manifest; stays on the CPU.
        colours: What is still to be done to the colours: see `finished`.

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
    colours: ColourChanges | None = None

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
            colours=None if self.colours is None else self.colours.to(device, non_blocking=non_blocking),
        )

    def pin_memory(self) -> "Batch":
        """Return the same batch in pinned memory, for copies that do not wait."""
        colours = None if self.colours is None else self.colours.pin_memory()
        return replace(self, images=self.images.pin_memory(), targets=self.targets.pin_memory(), colours=colours)

    def finished(self) -> "Batch":
        """Return the batch with nothing left to do: to be called where it is trained on. This batch stays as it is."""
        if self.colours is None:
            return self
        return replace(self, images=self.colours.change(self.images), colours=None)


class ImageLoader:
    """Batches of some rows of a manifest, epoch after epoch. Each iteration is a whole epoch, and the next a new one.

    Under torch.distributed each rank gets its part of every batch: `batch_size` counts the samples of all ranks, each
    sample comes exactly once an epoch (or as often as the order says), on one rank, and all ranks take the same number
    of steps. `state_dict` is the same on every rank.

    Args:
        manifest: The samples.
        rows: The rows to load, for example those of a split.
        transform: Makes all pictures the same size.
        batch_size: Samples in a batch, over all ranks.
        seed: Decides the augmentation, together with the epoch.
        order: Which of the rows come when, for example `Shuffled(len(rows), seed=seed)`; None takes them as given, and
            then a rank may be left without a sample, as evaluation allows.
        num_workers: Threads or processes that decode; 0 decodes in the thread that iterates. The batches are the same.
        worker_kind: Threads are faster, unless the transform spends its time in Python.
        quarantine: What is done with pictures that cannot be read; without it the first one is an error.
        cache: Where decoded pictures are kept; with threads only, since processes share none.
        mixing: Mixes the pictures of each batch in pairs; under torch.distributed those of a rank, so that what is mixed
            depends on the number of ranks.
        colours: Changes the colours of a whole batch when `Batch.finished` is called, which training does on its device.
            The pictures become what they would be with these changes last in the transform.
        timeout_s: How long a picture may take before it is given up, by name.
        drop_last: Whether to leave out a last batch that is not full.
        ranks: Which part of each batch this process gets; its place in torch's process group unless given.

    Raises:
        UsageError: If batch size, seed or number of workers make no sense, or pictures would be mixed before their colours
            change.
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
        order: Order | None = None,
        num_workers: int,
        worker_kind: WorkerKind = "threads",
        quarantine: Quarantine | None = None,
        cache: PictureCache | None = None,
        mixing: Mixing | None = None,
        colours: ColourJitter | None = None,
        timeout_s: float = TIMEOUT_S,
        drop_last: bool = False,
        ranks: Ranks | None = None,
    ) -> None:
        if not 0 <= seed < 2**64:
            raise UsageError(f"seed {seed} is out of range; give a number from 0 to 2⁶⁴ − 1")
        self._rows = np.ascontiguousarray(rows, dtype=np.int64)
        self._order: Order = InOrder(len(self._rows)) if order is None else order
        if self._order.num_samples != len(self._rows):
            raise UsageError(f"the order is of {self._order.num_samples:,} samples, and there are {len(self._rows):,}")
        # Here, not in the middle of an epoch: a row that is out of range, a batch size that makes no batch.
        manifest.labels.take(self._rows[[self._rows.argmin(), self._rows.argmax()]] if len(self._rows) else [])
        batch_offsets(self._order.epoch_length, batch_size, drop_last=drop_last)
        if cache is not None and num_workers and worker_kind == "processes":
            raise UsageError("worker processes cannot share a cache of pictures; load with threads")
        if mixing is not None and colours is not None:
            raise UsageError("pictures are mixed when their colours have changed; put ColourJitter into the transform")
        self._labels, self._mixing, self._quarantine = manifest.labels, mixing, quarantine
        self._colours = colours
        self._batch_size, self._drop_last = batch_size, drop_last
        self._seed, self._is_training = seed, order is not None
        self._ranks = ranks
        self._epoch, self._position = 0, 0
        # Whether the next iteration starts where the loader stands; else it is a new epoch.
        self._is_placed = True
        num_draws = 0 if colours is None else NUM_DRAWS
        self._reader = SampleReader(manifest.pictures, transform, seed=seed, cache=cache, num_draws=num_draws)
        self._loading = make_loading(
            self._reader, num_workers=num_workers, worker_kind=worker_kind, timeout_s=timeout_s
        )

    @property
    def num_samples(self) -> int:
        """Number of samples of an epoch, over all ranks."""
        return self._order.epoch_length

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
        # Closed here: on an error the traceback would keep it, and with it the workers, for as long as it is kept itself.
        with closing(self._loading.load(self._requests_of(bounds, ranks))) as loaded_batches:
            for (start, stop), loaded in zip(pairwise(bounds), loaded_batches, strict=True):
                # Before the yield: a checkpoint written after this step must not repeat it.
                self._position = stop
                yield self._batch_of(loaded, ranks.share_of(start, stop))

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
        return {
            "seed": self._seed,
            "batch_size": self._batch_size,
            "num_samples": self.num_samples,
            "rows": zlib.crc32(self._rows.data),
            "order": self._order.fingerprint,
        }

    def _current_ranks(self) -> Ranks:
        return Ranks.current() if self._ranks is None else self._ranks

    def _offsets(self, ranks: Ranks) -> Int64[np.ndarray, " offsets"]:
        if self._is_training and 0 < self.num_samples < ranks.world_size:
            raise TrainingError(f"{self.num_samples} samples cannot be shared by {ranks.world_size} processes")
        return batch_offsets(self.num_samples, self._batch_size, world_size=ranks.world_size, drop_last=self._drop_last)

    def _requests_of(self, bounds: list[int], ranks: Ranks) -> Iterator[Request]:
        for start, stop in pairwise(bounds):
            share = ranks.share_of(start, stop)
            # A rank without a sample loads one all the same, so that its empty batch has the right height and width.
            wanted = share if share.start < share.stop else slice(start, start + 1)
            drawn = self._order.draw(self._epoch, wanted.start, wanted.stop)
            yield Request(epoch=self._epoch, rows=self._rows[drawn.indices], repeats=drawn.repeats)

    def _batch_of(self, loaded: LoadedImages, share: slice) -> Batch:
        for failure in loaded.failures:
            self._leave_out(failure)
        size = share.stop - share.start
        rows, images = loaded.rows[:size], loaded.images[:size]
        targets = SparseTargets.from_label_sets(self._labels.take(rows))
        if self._mixing is not None:
            key = batch_key(seed=self._seed, epoch=self._epoch, position=share.start)
            targets = self._mixing.mix(images, targets, key=key)
        colours = None if self._colours is None else ColourChanges.drawn(self._colours, loaded.draws[:size])
        return Batch(images=images, targets=targets, rows=torch.from_numpy(rows), colours=colours)

    def _leave_out(self, failure: Failure) -> None:
        error = failure.named(self._reader.name_of(failure.row))
        if self._quarantine is None or not isinstance(error, ImageError):
            raise error
        self._quarantine.handle(error, failure.row)
