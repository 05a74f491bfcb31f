"""Batches loaded by worker processes, for transforms in pure Python, which threads could run only one at a time.

Everything that a picture becomes is the same as with threads; batches travel through shared memory.
"""

import multiprocessing
import os
import signal
import threading
import time
import warnings
from collections.abc import Generator, Iterable, Iterator

import cv2
import torch
from jaxtyping import Int64
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info
from torch.utils.data.dataloader import _BaseDataLoaderIter  # pyright: ignore[reportPrivateUsage] (an annotation)

from manyhot.data.samples import Failure, LoadedImages, Request, SampleReader, without_failed
from manyhot.errors import ImageError, TrainingError, UsageError

IDLE = -1


class ProcessLoading:
    """Loads batches in the order in which they are asked for, each batch in one of several processes.

    The processes live as long as this object does.

    Args:
        reader: Loads a picture; it is sent to each process.
        num_processes: Processes that load, one at least.
        timeout_s: How long a batch may take.

    Raises:
        UsageError: If the number of processes is not positive.
    """

    def __init__(self, reader: SampleReader, *, num_processes: int, timeout_s: float) -> None:
        if num_processes < 1:
            raise UsageError(f"{num_processes} workers make no sense; with worker processes give 1 or more")
        self._reader = reader
        self._timeout_s = timeout_s
        self._board = _Board(num_processes)
        self._requests = _Requests()
        self._loader = _QuietLoader(
            _Batches(reader, self._board),
            batch_size=None,
            sampler=self._requests,
            num_workers=num_processes,
            worker_init_fn=_start_worker,
            persistent_workers=True,
            pin_memory=torch.cuda.is_available(),
            timeout=timeout_s,
            # Its own: torch draws a number for each epoch, and the main generator must not move with the loading.
            generator=torch.Generator(),
        )

    def load(self, requests: Iterable[Request]) -> Generator[LoadedImages]:
        """Yield the batch of each request; requests are read two batches a process ahead.

        Raises:
            ImageError: If a batch takes longer than it may, naming the pictures in work.
            TrainingError: If a process has died, naming the picture that it was at.
        """
        self._requests.pending = requests
        try:
            for images, rows, failures in self._loader:
                # torch makes lists of tuples on the way.
                yield LoadedImages(images=images, rows=rows.numpy(), failures=tuple(failures))
        except RuntimeError as error:
            # torch has no type of its own for either.
            if "DataLoader timed out" in str(error):
                raise ImageError(
                    f"{self._names(self._board.rows())}: take more than {self._timeout_s:g} s to load; "
                    "does the disk or the network answer? (timeout_s)"
                ) from error
            if "DataLoader worker" in str(error):
                rows = self._board.rows_of_the_dead()
                raise TrainingError(
                    f"{self._names(rows)}: the process that loaded it was killed or has crashed; is there "
                    "enough memory? does `manyhot check` read it?"
                ) from error
            raise

    def _names(self, rows: list[int]) -> str:
        return ", ".join(self._reader.name_of(row) for row in rows) or "a picture"


class _Board:
    """What each process is at, in memory that all of them share."""

    def __init__(self, num_processes: int) -> None:
        # Process, row, and when it was begun.
        self._entries: Int64[Tensor, "k 3"] = torch.full((num_processes, 3), IDLE, dtype=torch.int64).share_memory_()

    def begin(self, worker: int, row: int) -> None:
        """Note down which picture a process begins."""
        self._entries[worker] = torch.tensor([os.getpid(), row, time.monotonic_ns()])

    def end(self, worker: int) -> None:
        """Note down that a process has nothing in work."""
        self._entries[worker, 1] = IDLE

    def rows(self) -> list[int]:
        """Return the pictures in work, the one that was begun first in front."""
        entries: list[list[int]] = self._entries.tolist()
        return [row for _, row in sorted((start, row) for _, row, start in entries if row != IDLE)]

    def rows_of_the_dead(self) -> list[int]:
        """Return the pictures that processes which are no longer there had in work."""
        alive = {child.pid for child in multiprocessing.active_children()}
        return [row for process, row, _ in self._entries.tolist() if row != IDLE and process not in alive]


class _Requests:
    """What torch's loader takes for a sampler: whatever is pending when it starts over."""

    def __init__(self) -> None:
        self.pending: Iterable[Request] = ()

    def __iter__(self) -> Iterator[Request]:
        return iter(self.pending)


_Sent = tuple[Tensor, Tensor, tuple[Failure, ...]]


class _Batches(Dataset[_Sent]):
    """Batches by request: what a worker process does."""

    def __init__(self, reader: SampleReader, board: _Board) -> None:
        self._reader = reader
        self._board = board

    def __getitem__(self, index: Request) -> _Sent:
        """Return pictures, rows and failures: plain parts, which torch knows how to pin."""
        worker = get_worker_info()
        assert worker is not None, "only worker processes load batches this way"
        places: Tensor | None = None
        failures: dict[int, Failure] = {}
        for place, row in enumerate(index.rows.tolist()):
            self._board.begin(worker.id, row)
            loaded = self._reader.load(index, place, None if places is None else places[place].numpy())
            if isinstance(loaded, Failure):
                failures[place] = loaded
            elif places is None:
                places = torch.empty((len(index.rows), *loaded.shape), dtype=torch.uint8)
                places[place] = torch.from_numpy(loaded)
        self._board.end(worker.id)
        batch = without_failed(index, places, failures)
        return batch.images, torch.from_numpy(batch.rows), batch.failures


class _QuietLoader(DataLoader[_Sent]):
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
