"""Threads and processes that load pictures: they end when they should, and when they cannot go on, the picture is named."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from manyhot.data.augmentation import EvaluationTransform
from manyhot.data.buffers import BatchBuffers
from manyhot.data.loading import ImageLoader, WorkerKind
from manyhot.errors import ImageError, ManyhotError, TrainingError
from manyhot.labels import LabelSets
from manyhot.sources.manifest import Manifest

NUM_SAMPLES = 24
BAD = 9
KINDS: list[WorkerKind] = ["threads", "processes"]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Grey pictures, each as bright as its row."""
    root = tmp_path_factory.mktemp("pictures")
    for row in range(NUM_SAMPLES):
        Image.new("RGB", (9, 9), (row, row, row)).save(root / f"{row}.png")
    references = [f"{row}.png" for row in range(NUM_SAMPLES)]
    made = Manifest.from_lists(root, references, LabelSets.from_names([["cat"]] * NUM_SAMPLES))
    # The first picture of a process imports and compiles, which on a busy machine takes longer than the limits below.
    next(iter(loader_of(made, plain, "threads", num_workers=0)))
    return made


def loader_of(manifest: Manifest, transform: object, worker_kind: WorkerKind, **options: object) -> ImageLoader:
    options = {"num_workers": 2, "batch_size": 2, **options}
    return ImageLoader(manifest, range(NUM_SAMPLES), transform, seed=0, worker_kind=worker_kind, **options)


def plain(image: np.ndarray, generator: np.random.Generator | None) -> np.ndarray:
    return image


def loading_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("manyhot-load")]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert not loading_threads()


@pytest.mark.parametrize("worker_kind", KINDS)
def test_a_transform_that_raises_is_an_error_that_names_the_picture(
    manifest: Manifest, worker_kind: WorkerKind
) -> None:
    def fails(image: np.ndarray, generator: np.random.Generator | None) -> np.ndarray:
        return image // 0 if int(image[0, 0, 0]) == BAD and 1 // (BAD - BAD) else image

    with pytest.raises(TrainingError, match=r"9\.png: the transform raised ZeroDivisionError: .*by zero") as caught:
        list(loader_of(manifest, fails, worker_kind))
    assert "\n" not in str(caught.value)
    assert "in fails" in caught.value.__notes__[0]


@pytest.mark.parametrize("error", [SystemExit, MemoryError])
def test_whatever_a_transform_raises_ends_no_thread_in_silence(manifest: Manifest, error: type[BaseException]) -> None:
    def fails(image: np.ndarray, generator: np.random.Generator | None) -> np.ndarray:
        raise error

    with pytest.raises(TrainingError, match=rf"0\.png: the transform raised {error.__name__}"):
        list(loader_of(manifest, fails, "threads"))


def test_no_memory_for_a_batch_is_an_error_at_once(manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(buffers: BatchBuffers, shape: tuple[int, ...]) -> torch.Tensor:
        raise RuntimeError("CUDA error: out of memory\nand advice")

    monkeypatch.setattr(BatchBuffers, "take", fails)
    with pytest.raises(TrainingError, match=r"png: no memory for its batch: CUDA error: out of memory$"):
        list(loader_of(manifest, plain, "threads"))


@pytest.mark.slow
@pytest.mark.parametrize("worker_kind", KINDS)
def test_a_picture_that_hangs_is_given_up_by_name(manifest: Manifest, worker_kind: WorkerKind) -> None:
    is_over = threading.Event()

    def hangs(image: np.ndarray, generator: np.random.Generator | None) -> np.ndarray:
        if int(image[0, 0, 0]) == BAD:
            is_over.wait(60)
        return image

    # Long enough that a busy machine does not hold up another picture as long.
    batches = iter(loader_of(manifest, hangs, worker_kind, timeout_s=5.0))
    with pytest.raises(ImageError, match=r"9\.png.*more than 5 s to load"):
        list(batches)
    is_over.set()
    for thread in loading_threads():
        thread.join()


def test_a_process_that_dies_is_an_error_that_names_its_picture(manifest: Manifest) -> None:
    def dies(image: np.ndarray, generator: np.random.Generator | None) -> np.ndarray:
        if int(image[0, 0, 0]) == BAD:
            os.kill(os.getpid(), signal.SIGKILL)
        return image

    with pytest.raises(TrainingError, match=r"pictures\d+/9\.png: the process that loaded it was killed"):
        list(loader_of(manifest, dies, "processes"))


def test_a_process_that_dies_during_a_step_is_an_error_of_the_next_batch_and_of_nothing_else(
    manifest: Manifest, tmp_path: Path
) -> None:
    begun, died = tmp_path / "begun", tmp_path / "died"

    def dies_once(image: np.ndarray, generator: np.random.Generator | None) -> np.ndarray:
        if int(image[0, 0, 0]) == 3 and not died.exists():
            while not begun.exists():
                time.sleep(0.01)
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return image

    loader = loader_of(manifest, dies_once, "processes")
    batches = iter(loader)
    next(batches)
    # A training step: the process dies meanwhile, and another child of this one ends as well.
    begun.touch()
    while not died.exists():
        time.sleep(0.01)
    subprocess.run([sys.executable, "-c", ""], check=True)
    with pytest.raises(TrainingError, match=r"3\.png: the process that loaded it was killed"):
        next(batches)
    # Nothing of it is left over: new processes load the next epoch.
    assert torch.cat([batch.rows for batch in loader]).tolist() == list(range(NUM_SAMPLES))


def test_batches_of_an_iteration_that_was_given_up_do_not_come_in_the_next(manifest: Manifest) -> None:
    loader = loader_of(manifest, plain, "processes")
    for taken in (0, 1, 3):
        batches = iter(loader)
        for _ in range(taken):
            next(batches)
        del batches
        loader.set_epoch(0)
        found = [(batch.rows.tolist(), batch.images[:, 0, 0, 0].tolist()) for batch in loader]
        assert found == [([row, row + 1], [row, row + 1]) for row in range(0, NUM_SAMPLES, 2)]


def test_processes_load_anew_after_a_fork(manifest: Manifest) -> None:
    loader = loader_of(manifest, plain, "processes")
    next(iter(loader))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*fork", category=DeprecationWarning)
        child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if len(list(loader)) == len(loader) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(list(loader)) == len(loader)


@pytest.mark.parametrize("taken", [0, 1, 5])
def test_threads_end_with_their_iteration(manifest: Manifest, taken: int) -> None:
    batches = iter(loader_of(manifest, plain, "threads"))
    for _ in range(taken):
        next(batches)
    assert len(loading_threads()) == (2 if taken else 0)
    del batches
    assert not loading_threads()


def test_threads_end_on_ctrl_c(manifest: Manifest) -> None:
    def slow(image: np.ndarray, generator: np.random.Generator | None) -> np.ndarray:
        time.sleep(0.05)
        return image

    def press() -> None:
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGINT)

    # A shell lets what it starts in the background ignore the signal, and Python leaves it so.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        threading.Thread(target=press).start()
        with pytest.raises(KeyboardInterrupt):
            list(loader_of(manifest, slow, "threads", batch_size=NUM_SAMPLES, num_workers=1))
    finally:
        signal.signal(signal.SIGINT, before)
    assert not loading_threads()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_in_the_middle_of_an_iteration_hangs_nobody(manifest: Manifest) -> None:
    loader = loader_of(manifest, EvaluationTransform(8), "threads")
    batches = iter(loader)
    next(batches)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            list(batches)
        except ManyhotError as error:
            # The threads stayed behind with the parent; a new iteration has its own.
            code = 0 if "after a fork" in str(error) and len(list(loader)) == len(loader) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(list(batches)) == len(loader) - 1


class PidTransform:
    """Paints the number of the process that decoded, and how many threads OpenCV and torch may use there."""

    def __call__(self, image: np.ndarray, generator: np.random.Generator | None) -> np.ndarray:
        painted = np.zeros((2, 2, 3), dtype=np.uint8)
        painted[0] = np.array([os.getpid()], dtype="<u4").view(np.uint8).reshape(1, 4)[:, :3]
        painted[1] = cv2.getNumThreads(), torch.get_num_threads(), 0
        return painted


def test_processes_have_one_thread_and_leave_signals_to_the_main_one(manifest: Manifest) -> None:
    loader = loader_of(manifest, PidTransform(), "processes", num_workers=1)
    batches = iter(loader)
    picture = next(batches).images[0].numpy()
    assert picture[:2, 1, 0].tolist() == [1, 1]
    worker = str(int.from_bytes(bytes(picture[:, 0, 0].tolist()), "little"))
    for stop in ("-TERM", "-INT"):
        subprocess.run(["kill", stop, worker], check=True)
    assert len(list(batches)) == len(loader) - 1


SCRIPT = """
import os, signal, sys, threading, time
from pathlib import Path
import numpy as np
from manyhot.data.augmentation import EvaluationTransform
from manyhot.data.loading import make_loading
from manyhot.data.samples import Request, SampleReader
from manyhot.sources.picture_store import PictureFiles

def sleeps(image, generator):
    time.sleep(60)
    return image

transform = sleeps if {hangs} else EvaluationTransform(8)
reader = SampleReader(PictureFiles.from_paths([Path({path!r})] * 40), transform, seed=0)
loading = make_loading(reader, num_workers=2, worker_kind={kind!r}, timeout_s=0.5 if {hangs} else 60)
batches = loading.load([Request(epoch=0, rows=np.arange(2))] * 20)
"""


@pytest.mark.slow
@pytest.mark.parametrize("worker_kind", KINDS)
@pytest.mark.parametrize(
    "ending",
    [
        "",
        "next(batches)",
        "raise SystemExit",
        "os.kill(os.getpid(), signal.SIGTERM)",
        "os.kill(os.getpid(), signal.SIGKILL)",
    ],
)
def test_workers_end_with_the_main_process(manifest: Manifest, ending: str, worker_kind: WorkerKind) -> None:
    setup = SCRIPT.format(hangs=False, path=str(manifest.path_of(0)), kind=worker_kind)
    script = f"{setup}\nprint(len([next(batches) for _ in range(5)]), flush=True)\n{ending}\n"
    # The pipe closes once the last process that holds it is gone: the workers, too.
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60, check=False)
    assert run.stdout == b"5\n"
    assert run.stderr == b""


@pytest.mark.slow
@pytest.mark.parametrize("worker_kind", KINDS)
def test_a_worker_that_hangs_does_not_keep_the_process_from_ending(manifest: Manifest, worker_kind: WorkerKind) -> None:
    script = SCRIPT.format(hangs=True, path=str(manifest.path_of(0)), kind=worker_kind) + "\nnext(batches)\n"
    started = time.monotonic()
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60, check=False)
    assert time.monotonic() - started < 30
    assert run.returncode == 1
    assert re.search(rb"0\.png: takes more than 0\.5 s to load", run.stderr)
