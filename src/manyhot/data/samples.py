"""Pictures by number, decoded and transformed: what worker processes do. Labels never travel to them."""

import os
import signal
import threading
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torch.utils.data.dataloader import _BaseDataLoaderIter  # pyright: ignore[reportPrivateUsage] (an annotation)

from manyhot.data.augmentation import ImageTransform
from manyhot.data.decoding import BYTES_NAME, decode_image
from manyhot.data.order import sample_generator
from manyhot.errors import ImageError, UsageError
from manyhot.sources.picture_store import PictureStore


@dataclass(frozen=True, kw_only=True, eq=False)
class Request:
    """Which pictures make a batch, and the epoch that their augmentation belongs to."""

    epoch: int
    rows: Int64[np.ndarray, " n"]


@dataclass(frozen=True, kw_only=True, eq=False)
class LoadedImages:
    """The pictures of a request that could be read, in its order, and why the others could not.

    Args:
        images: Pictures; without height and width when none could be read.
        rows: The row of each picture.
        failures: Row and reason of each picture that could not be read; the reason does not name the file.
    """

    images: UInt8[Tensor, "n 3 h w"]
    rows: Int64[np.ndarray, " n"]
    failures: tuple[tuple[int, str], ...]

    def pin_memory(self) -> "LoadedImages":
        """Return the same pictures in pinned memory."""
        return replace(self, images=self.images.pin_memory())


class ImageSamples(Dataset[LoadedImages]):
    """Pictures by number, decoded and transformed, a batch at a time.

    Args:
        pictures: The picture of each row.
        transform: Makes all pictures the same size.
        seed: With epoch and row it decides every random number that the transform draws.
    """

    def __init__(self, pictures: PictureStore, transform: ImageTransform, *, seed: int) -> None:
        self._pictures = pictures
        self._transform = transform
        self._seed = seed

    def __getitem__(self, index: Request) -> LoadedImages:
        """Return the pictures of a request.

        Raises:
            UsageError: If the transform gives pictures of several sizes.
        """
        images: list[UInt8[np.ndarray, "height width 3"]] = []
        rows: list[int] = []
        failures: list[tuple[int, str]] = []
        for row in index.rows.tolist():
            try:
                image = decode_image(self._pictures.read(row))
            except ImageError as error:
                failures.append((row, str(error).removeprefix(f"{BYTES_NAME}: ")))
                continue
            generator = sample_generator(seed=self._seed, epoch=index.epoch, row=row)
            images.append(self._transform(image, generator))
            rows.append(row)
        return LoadedImages(images=_stack(images), rows=np.array(rows, dtype=np.int64), failures=tuple(failures))


def _stack(images: list[UInt8[np.ndarray, "height width 3"]]) -> UInt8[Tensor, "n 3 h w"]:
    shapes = {image.shape for image in images} or {(0, 0, 3)}
    if len(shapes) > 1:
        raise UsageError(f"the transform gave pictures of shapes {sorted(shapes)}; it must make all the same size")
    height, width, _ = shapes.pop()
    batch = np.empty((len(images), 3, height, width), dtype=np.uint8)
    for place, image in zip(batch, images, strict=True):
        place[...] = image.transpose(2, 0, 1)
    return torch.from_numpy(batch)


def load_in_order(samples: ImageSamples, requests: Iterable[Request], *, num_workers: int) -> DataLoader[LoadedImages]:
    """Return a loader that answers the requests in their order, in worker processes or (with 0) in this one.

    The requests are iterated anew each time that the loader is; workers stay alive in between.

    Raises:
        UsageError: If the number of workers is negative.
    """
    if num_workers < 0:
        raise UsageError(f"{num_workers} workers make no sense; 0 decodes in this process")
    return _QuietLoader(
        samples,
        batch_size=None,
        sampler=requests,
        num_workers=num_workers,
        worker_init_fn=_start_worker,
        persistent_workers=num_workers > 0,
        pin_memory=torch.cuda.is_available(),
        # Its own: torch draws a number for each epoch, and the main generator must not move with the loading.
        generator=torch.Generator(),
    )


class _QuietLoader(DataLoader[LoadedImages]):
    """torch's loader without its remarks at each start."""

    def check_worker_number_rationality(self) -> None:
        """Say nothing: more workers than cores is for the user to decide."""

    def __iter__(self) -> _BaseDataLoaderIter:
        """Start workers without Python's remark on forks: they use no lock that another thread may hold."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*fork", category=DeprecationWarning)
            return super().__iter__()


def _start_worker(worker: int) -> None:
    del worker
    # The processes are the parallelism. Threads of a pool that the parent had would be missing here, too.
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    # Ctrl-C and a scheduler's stop reach all processes; the main one answers, and still needs its workers to do so.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_obey_parent, args=(os.getppid(),), daemon=True).start()


def _obey_parent(parent: int) -> None:
    """End this process as soon as the parent, and nobody else, asks it to terminate."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)
