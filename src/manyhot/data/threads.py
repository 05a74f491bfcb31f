"""Batches loaded by threads, which decode straight into the batch's memory.

Reading, decoding and resizing release the interpreter's lock, so threads share the work without copies between processes.
A transform in pure Python holds the lock; for those there are processes.
"""

import atexit
import math
import threading
import time
from collections import deque
from collections.abc import Generator, Iterable
from contextlib import suppress
from operator import itemgetter
from queue import Empty, SimpleQueue

import numpy as np
from jaxtyping import UInt8
from torch import Tensor

from manyhot.data.buffers import BatchBuffers
from manyhot.data.samples import Failure, LoadedImages, Request, SampleReader, without_failed
from manyhot.errors import ImageError, TrainingError, UsageError

BATCHES_AHEAD = 3
"""Batches on their way while one is in use; more where they are so small that threads would wait."""

POLL_S = 0.5
"""How often a wait looks for threads that hang; a picture that is done ends the wait at once."""

CLOSE_S = 2.0
"""How long threads may take to end, together; one that hangs is left behind, and ends with the process."""


class ThreadLoading:
    """Loads batches in the order in which they are asked for, each picture in any of several threads.

    Threads live as long as an iteration does. The memory of a batch is used again once nothing refers to it.

    Args:
        reader: Loads a picture.
        num_threads: Threads that load; 0 loads in the thread that iterates, when it asks.
        timeout_s: How long a single picture may take.

    Raises:
        UsageError: If the number of threads is negative.
    """

    def __init__(self, reader: SampleReader, *, num_threads: int, timeout_s: float) -> None:
        if num_threads < 0:
            raise UsageError(f"{num_threads} workers make no sense; 0 decodes in this process")
        self._reader = reader
        self._num_threads = num_threads
        self._timeout_s = timeout_s
        # Those on their way, the one in use, and the one before it.
        self._buffers = BatchBuffers(max_kept=BATCHES_AHEAD + 3)

    def load(self, requests: Iterable[Request]) -> Generator[LoadedImages]:
        """Yield the batch of each request; requests are read a few batches ahead.

        Raises:
            ImageError: If a picture takes longer than it may, naming it.
        """
        if not self._num_threads:
            yield from self._load_here(requests)
            return
        crew = _Crew(self._reader, num_threads=self._num_threads, timeout_s=self._timeout_s)
        try:
            yield from self._load_with(crew, requests)
        finally:
            # Also when the iteration is given up: by an error, by Ctrl-C, or by whoever iterates.
            crew.close()

    def _load_here(self, requests: Iterable[Request]) -> Generator[LoadedImages]:
        for request in requests:
            job = _Job(request, self._reader, self._buffers)
            for place in range(job.num_places):
                job.load(place)
            yield job.take_result()

    def _load_with(self, crew: "_Crew", requests: Iterable[Request]) -> Generator[LoadedImages]:
        waiting: deque[_Job] = deque()
        for request in requests:
            job = _Job(request, self._reader, self._buffers)
            crew.start(job)
            waiting.append(job)
            # While small batches are on their way, no thread may run out of pictures before the next is asked for.
            num_ahead = sum(job.num_places for job in waiting)
            if len(waiting) > BATCHES_AHEAD and num_ahead - waiting[0].num_places >= 2 * self._num_threads:
                yield crew.wait_for(waiting.popleft())
        while waiting:
            yield crew.wait_for(waiting.popleft())


class _Job:
    """A batch on its way: where its pictures go, and how many are still to come."""

    def __init__(self, request: Request, reader: SampleReader, buffers: BatchBuffers) -> None:
        self._request = request
        self._reader = reader
        self._draws = reader.empty_draws(request)
        self._buffers = buffers
        self._lock = threading.Lock()
        self._images: UInt8[Tensor, "n 3 h w"] | None = None
        # The same memory; NumPy makes a view of one picture in a tenth of the time that torch takes.
        self._places: UInt8[np.ndarray, "n 3 h w"] | None = None
        self._failures: dict[int, Failure] = {}
        self._num_taken = 0
        self._num_left = self.num_places = len(request.rows)

    @property
    def is_done(self) -> bool:
        """Whether every picture is there or has failed."""
        return self._num_left == 0

    def take_place(self) -> int | None:
        """Return a place that no thread has taken yet, None when there is none."""
        with self._lock:
            place = self._num_taken
            self._num_taken += 1
        return place if place < self.num_places else None

    def row_at(self, place: int) -> int:
        """Return which picture belongs at a place of the batch."""
        return int(self._request.rows[place])

    def load(self, place: int) -> None:
        """Load one picture into its place."""
        places = self._places
        out = None if places is None else places[place]
        loaded = self._reader.load(self._request, place, out, draws=self._draws[place])
        if out is None and not isinstance(loaded, Failure):
            loaded = self._put(place, loaded)
        with self._lock:
            if isinstance(loaded, Failure):
                self._failures[place] = loaded
            self._num_left -= 1

    def _put(self, place: int, picture: UInt8[np.ndarray, "3 h w"]) -> UInt8[np.ndarray, "3 h w"] | Failure:
        """Put down one of the first pictures, of which the very first tells how large all of them are."""
        try:
            with self._lock:
                if self._places is None:
                    self._images = self._buffers.take((self.num_places, *picture.shape))
                    self._places = self._images.numpy()
                out = self._places[place]
        except RuntimeError as error:
            # Which torch raises where it gets no memory, pinned memory among it.
            reason = str(error).splitlines()[0]
            return Failure(row=self.row_at(place), error=TrainingError(f"no memory for its batch: {reason}"))
        if out.shape != picture.shape:
            found = f"the transform gave planes of {picture.shape} for a place of {out.shape}; all must be the same"
            return Failure(row=self.row_at(place), error=UsageError(found))
        out[...] = picture
        return out

    def take_result(self) -> LoadedImages:
        """Return the batch, once it is done, and let go of its memory."""
        images, self._images, self._places = self._images, None, None
        return without_failed(self._request, images, self._draws, self._failures)


class _Crew:
    """The threads of one iteration."""

    def __init__(self, reader: SampleReader, *, num_threads: int, timeout_s: float) -> None:
        self._reader = reader
        self._timeout_s = timeout_s
        self._is_closing = False
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._progress = threading.Condition()
        # What each thread is at, and since when.
        self._current: list[tuple[int, float] | None] = [None] * num_threads
        # Daemons: a thread that hangs must not keep the process from ending.
        self._threads = [
            threading.Thread(target=self._work, args=(number,), name=f"manyhot-load-{number}", daemon=True)
            for number in range(num_threads)
        ]
        for thread in self._threads:
            thread.start()
        # Daemons that are in the middle of a C++ library while Python is taken down may crash it.
        atexit.register(self.close)

    def start(self, job: _Job) -> None:
        """Hand a batch to the threads: all of them work on it."""
        for _ in self._threads:
            self._jobs.put(job)

    def wait_for(self, job: _Job) -> LoadedImages:
        """Return a batch once it is done.

        Raises:
            ImageError: If a picture takes longer than it may.
            TrainingError: If the threads are gone, as in a forked process.
        """
        # Before the lock: in a forked process, one of the threads that stayed behind may hold it for ever.
        self._check_threads()
        with self._progress:
            while not job.is_done:
                self._progress.wait(POLL_S)
                self._check_threads()
                self._check_times()
        return job.take_result()

    def _check_threads(self) -> None:
        if not all(thread.is_alive() for thread in self._threads):
            raise TrainingError("the threads that load pictures are gone; after a fork, iterate over the loader anew")

    def _check_times(self) -> None:
        in_work = [entry for entry in tuple(self._current) if entry is not None]
        row, start_s = min(in_work, key=itemgetter(1), default=(0, math.inf))
        if time.monotonic() - start_s > self._timeout_s:
            raise ImageError(
                f"{self._reader.name_of(row)}: takes more than {self._timeout_s:g} s to load; does the disk or the "
                f"network answer? (timeout_s)"
            )

    def _work(self, number: int) -> None:
        while (job := self._jobs.get()) is not None:
            while not self._is_closing and (place := job.take_place()) is not None:
                self._current[number] = job.row_at(place), time.monotonic()
                job.load(place)
                self._current[number] = None
            is_done = job.is_done
            # Nothing here may hold on to the memory of a batch that is on its way out.
            del job
            if is_done:
                with self._progress:
                    self._progress.notify_all()

    def close(self) -> None:
        """End the threads: those at work finish their picture first."""
        atexit.unregister(self.close)
        self._is_closing = True
        # A thread that hangs would keep the memory of what it has not come to.
        with suppress(Empty):
            while True:
                self._jobs.get_nowait()
        for _ in self._threads:
            self._jobs.put(None)
        end_s = time.monotonic() + CLOSE_S
        for thread in self._threads:
            # Garbage may be collected, and an iteration thereby ended, in one of the threads themselves.
            if thread is not threading.current_thread():
                thread.join(max(0.0, end_s - time.monotonic()))
