"""What every test shares: few threads, no network, a known temporary home, and the real data where they are."""

import os

# Before the first import of torch, numba or OpenCV: two cores are shared by the whole run.
os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("NUMBA_NUM_THREADS", "2")
# A test that reaches for the network must fail here as it would fail offline.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real data that stand beside the checkout; the test is skipped where they are absent."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real data are not at ../shared/data beside the checkout")
    return folder


@pytest.fixture
def without_shape_checks(request: pytest.FixtureRequest) -> None:
    """Skip the test where every signature is checked: it compiles, or hands over wrong shapes on purpose."""
    if request.config.getoption("--jaxtyping-packages"):
        pytest.skip("runs in the job without shape checks")


@pytest.fixture(autouse=True)
def quiet_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every test the same terminal: 100 columns, no colours."""
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")


@pytest.fixture(autouse=True)
def unchanged_torch_threads() -> Iterator[None]:
    """Put torch's number of threads back where a test that loaded torch changed it."""
    torch = sys.modules.get("torch")
    before = None if torch is None else torch.get_num_threads()
    yield
    if torch is not None and before is not None and torch.get_num_threads() != before:
        torch.set_num_threads(before)


@pytest.fixture
def run_triton(tmp_path: Path) -> Callable[..., str]:
    """Run Python in a process of its own that sees no GPU, with Triton's interpreter or its compiler; return what it prints."""

    def run(*arguments: str, is_interpreted: bool) -> str:
        settings = {"TRITON_INTERPRET": str(int(is_interpreted)), "TRITON_CACHE_DIR": str(tmp_path)}
        finished = subprocess.run(
            [sys.executable, *arguments],
            env=os.environ | settings | {"CUDA_VISIBLE_DEVICES": ""},
            capture_output=True,
            text=True,
            check=False,
            timeout=280,
        )
        assert finished.returncode == 0, finished.stderr[-3000:]
        return finished.stdout

    return run


class FakeGpus:
    """GPUs that are not there, and a kernel for them that does nothing.

    `launches` says which GPU was the current one whenever the kernel was started; None is the first.
    """

    def __init__(self) -> None:
        self.launches: list[Any] = []
        self._current: Any = None

    def __getitem__(self, grid: object) -> Callable[..., None]:
        return lambda *tensors, **options: self.launches.append(self._current)

    @contextmanager
    def device_of(self, tensor: Any) -> Iterator[None]:
        """Stand for `torch.cuda.device_of`."""
        before, self._current = self._current, tensor.device
        try:
            yield
        finally:
            self._current = before


@pytest.fixture
def fake_gpus(monkeypatch: pytest.MonkeyPatch) -> FakeGpus:
    """GPUs that are not there and run Triton, also on systems for which torch brings none."""
    gpus = FakeGpus()
    monkeypatch.setattr("torch.cuda.device_of", gpus.device_of)
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr("manyhot.gpus.find_spec", lambda name: name)
    return gpus
