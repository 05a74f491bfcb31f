"""Batches loaded by worker processes, for transforms in pure Python, which threads could run only one at a time.

Everything that a picture becomes is the same as with threads; batches travel through shared memory. Each process has a
pipe of its own: one that dies closes it, which is seen at once, and only by whoever waits for a batch.
"""

import os
import signal
import threading
import time
import warnings
import weakref
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from queue import SimpleQueue

import cv2
import torch
from jaxtyping import Int64
from torch import Tensor, multiprocessing

from manyhot.data.samples import Failure, LoadedImages, Request, SampleReader, without_failed
from manyhot.errors import ImageError, TrainingError, UsageError

IDLE = -1

BATCHES_AHEAD = 2
"""Batches on their way for each process, the one in work included."""

POLL_S = 0.5
"""How often a wait looks for pictures that take too long; a batch that comes ends the wait at once."""

CLOSE_S = 2.0
"""How long processes may take to end, together, before they are killed."""


class ProcessLoading:
    """Loads batches in the order in which they are asked for, each batch in one of several processes.

    The processes live as long as this object does, or until one of them fails; then the next iteration has new ones.

    Args:
        reader: Loads a picture; it is sent to each process.
        num_processes: Processes that load, one at least.
        timeout_s: How long a single picture may take.

    Raises:
        UsageError: If the number of processes is not positive.
    """

    def __init__(self, reader: SampleReader, *, num_processes: int, timeout_s: float) -> None:
        if num_processes < 1:
            raise UsageError(f"{num_processes} workers make no sense; with worker processes give 1 or more")
        self._reader = reader
        self._num_processes = num_processes
        self._timeout_s = timeout_s
        self._crew: _Crew | None = None

    def load(self, requests: Iterable[Request]) -> Generator[LoadedImages]:
        """Yield the batch of each request; requests are read two batches a process ahead.

        Raises:
            ImageError: If a picture takes longer than it may, naming it.
            TrainingError: If a process has died, naming the picture that it was at.
        """
        if self._crew is None or not self._crew.is_usable:
            self._crew = _Crew(self._reader, num_processes=self._num_processes, timeout_s=self._timeout_s)
        crew = self._crew
        waiting: list[int] = []
        try:
            for request in requests:
                waiting.append(crew.start(request))
                if len(waiting) >= BATCHES_AHEAD * self._num_processes:
                    yield crew.wait_for(waiting.pop(0))
            while waiting:
                yield crew.wait_for(waiting.pop(0))
        finally:
            # Whoever gave up the iteration takes no more of these.
            crew.forget(waiting)


@dataclass(kw_only=True, eq=False)
class _Worker:
    """A process, and what the main process knows of it."""

    process: BaseProcess
    connection: Connection
    orders: set[int] = field(default_factory=set[int])


class _Crew:
    """Processes that load batches for the process that made them."""

    def __init__(self, reader: SampleReader, *, num_processes: int, timeout_s: float) -> None:
        self._reader = reader
        self._timeout_s = timeout_s
        self._board = _Board(num_processes)
        self._workers = [_start_worker(number, reader, self._board) for number in range(num_processes)]
        self._num_orders = 0
        self._done: dict[int, LoadedImages] = {}
        self._forgotten: set[int] = set()
        # Also at the end of the program, before multiprocessing waits for its processes without a limit.
        self._end = weakref.finalize(self, _end_workers, self._workers, os.getpid())
        self._owner = os.getpid()

    @property
    def is_usable(self) -> bool:
        """Whether all processes are there, and belong to this one rather than to the one it was forked from."""
        return self._end.alive and self._owner == os.getpid() and all(one.process.is_alive() for one in self._workers)

    def start(self, request: Request) -> int:
        """Hand a batch to the process with the least to do, and return the number to ask for it by.

        Raises:
            TrainingError: If a process has died.
        """
        order, worker = self._num_orders, min(self._workers, key=lambda one: len(one.orders))
        self._num_orders += 1
        worker.orders.add(order)
        try:
            worker.connection.send((order, request))
        except OSError as error:
            self._end()
            raise self._death(worker) from error
        except BaseException:
            # Half of a message may be in the pipe.
            self._end()
            raise
        return order

    def wait_for(self, order: int) -> LoadedImages:
        """Return a batch once it is done; the processes end if it never will be.

        Raises:
            ImageError: If a picture takes longer than it may.
            TrainingError: If a process has died.
        """
        try:
            while order not in self._done:
                # A pipe is ready when a batch has come, and when its process is gone.
                for connection in wait([worker.connection for worker in self._workers], timeout=POLL_S):
                    self._receive(next(worker for worker in self._workers if worker.connection is connection))
                self._check_times()
        except BaseException:
            # Ctrl-C among them: a process that hangs would be waited for.
            self._end()
            raise
        loaded = self._done.pop(order)
        return replace(loaded, images=loaded.images.pin_memory()) if torch.cuda.is_available() else loaded

    def forget(self, orders: list[int]) -> None:
        """Drop batches that nobody will ask for, those that are still to come as well."""
        for order in orders:
            if self._done.pop(order, None) is None:
                self._forgotten.add(order)

    def _receive(self, worker: _Worker) -> None:
        try:
            order, loaded = worker.connection.recv()
        except (EOFError, OSError) as error:
            raise self._death(worker) from error
        worker.orders.discard(order)
        if order in self._forgotten:
            self._forgotten.discard(order)
        else:
            self._done[order] = loaded

    def _death(self, worker: _Worker) -> TrainingError:
        row = self._board.row_of(self._workers.index(worker))
        name = "a picture" if row is None else self._reader.name_of(row)
        return TrainingError(
            f"{name}: the process that loaded it was killed or has crashed; is there enough memory? does "
            "`manyhot check` read it?"
        )

    def _check_times(self) -> None:
        row = self._board.row_begun_before(time.monotonic() - self._timeout_s)
        if row is not None:
            raise ImageError(
                f"{self._reader.name_of(row)}: takes more than {self._timeout_s:g} s to load; does the disk or the "
                "network answer? (timeout_s)"
            )


class _Board:
    """What each process is at, in memory that all of them share."""

    def __init__(self, num_processes: int) -> None:
        # Row, and when it was begun, in nanoseconds of a clock that all processes read.
        self._entries: Int64[Tensor, "k 2"] = torch.full((num_processes, 2), IDLE, dtype=torch.int64).share_memory_()

    def begin(self, worker: int, row: int) -> None:
        """Note down which picture a process begins."""
        self._entries[worker] = torch.tensor([row, time.monotonic_ns()])

    def end(self, worker: int) -> None:
        """Note down that a process has nothing in work."""
        self._entries[worker, 0] = IDLE

    def row_of(self, worker: int) -> int | None:
        """Return the picture that a process has, or had, in work."""
        row = int(self._entries[worker, 0])
        return None if row == IDLE else row

    def row_begun_before(self, time_s: float) -> int | None:
        """Return the picture in work that was begun first, if that was before a time of `time.monotonic`."""
        entries: list[list[int]] = self._entries.tolist()
        start, row = min(((start, row) for row, start in entries if row != IDLE), default=(0, None))
        return row if row is not None and start < time_s * 1e9 else None


def _start_worker(number: int, reader: SampleReader, board: _Board) -> _Worker:
    context = multiprocessing.get_context()
    # One after the other: a forked process holds the ends of those before it open, but never its own or a later one's. So
    # when the main process is gone, the last process reads the end of its pipe, and then each the one before.
    ours, theirs = context.Pipe()
    inherited = ours if context.get_start_method() == "fork" else None
    process = context.Process(target=_work, args=(number, reader, board, theirs, inherited), daemon=True)
    with warnings.catch_warnings():
        # Python's remark on forks: the processes use no lock that another thread may hold.
        warnings.filterwarnings("ignore", message=".*fork", category=DeprecationWarning)
        process.start()
    theirs.close()
    return _Worker(process=process, connection=ours)


def _end_workers(workers: list[_Worker], owner: int) -> None:
    if os.getpid() != owner:
        return
    for worker in workers:
        # Which is how a process learns that it is to end, after its batch.
        worker.connection.close()
    end_s = time.monotonic() + CLOSE_S
    for worker in workers:
        worker.process.join(max(0.0, end_s - time.monotonic()))
    for worker in workers:
        worker.process.kill()
        worker.process.join()


def _work(
    number: int, reader: SampleReader, board: _Board, connection: Connection, inherited: Connection | None
) -> None:
    if inherited is not None:
        inherited.close()
    # The processes are the parallelism. Threads of a pool that the parent had would be missing here, too.
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    _leave_signals_to_parent()
    requests: SimpleQueue[tuple[int, Request] | None] = SimpleQueue()
    # A thread of its own takes requests out of the pipe: one that is full would hold up the main process.
    threading.Thread(target=_receive, args=(connection, requests), daemon=True).start()
    while (item := requests.get()) is not None:
        order, request = item
        try:
            connection.send((order, _load_batch(request, number, reader, board)))
        except (BrokenPipeError, ConnectionResetError):
            return


def _receive(connection: Connection, requests: "SimpleQueue[tuple[int, Request] | None]") -> None:
    try:
        while True:
            requests.put(connection.recv())
    except (EOFError, OSError):
        requests.put(None)


def _load_batch(request: Request, number: int, reader: SampleReader, board: _Board) -> LoadedImages:
    places: Tensor | None = None
    draws = reader.empty_draws(request)
    failures: dict[int, Failure] = {}
    for place, row in enumerate(request.rows.tolist()):
        board.begin(number, row)
        out = None if places is None else places[place].numpy()
        loaded = reader.load(request, place, out, draws=draws[place])
        if isinstance(loaded, Failure):
            failures[place] = loaded
        elif places is None:
            places = torch.empty((len(request.rows), *loaded.shape), dtype=torch.uint8)
            places[place] = torch.from_numpy(loaded)
    board.end(number)
    return without_failed(request, places, draws, failures)


def _leave_signals_to_parent() -> None:
    """Ctrl-C and a scheduler's stop reach all processes; the main one answers, and still needs its workers to do so."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_obey_parent, args=(os.getppid(),), daemon=True).start()


def _obey_parent(parent: int) -> None:
    """End this process as soon as the parent, and nobody else, asks it to terminate."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)
