"""Two processes share a training and come to what one process comes to."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytestmark = [pytest.mark.distributed, pytest.mark.timeout(600)]

SCRIPT = Path(__file__).with_name("train_in_processes.py")


def train(folder: Path, *, processes: int, batch_size: int, signalled: int | None = None) -> int:
    folder.mkdir(exist_ok=True)
    arguments = [str(folder), str(batch_size), *([] if signalled is None else [str(signalled)])]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    finished = subprocess.run(
        [*torchrun, f"--nproc-per-node={processes}", str(SCRIPT), *arguments],
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    if finished.returncode and signalled is None:
        pytest.fail(finished.stderr[-4000:])
    return finished.returncode


def figures(folder: Path) -> list[dict[str, str]]:
    header, *rows = (line.split(",") for line in (folder / "metrics.csv").read_text().splitlines())
    return [dict(zip(header, row, strict=True)) for row in rows]


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("one")
    assert runpy.run_path(str(SCRIPT))["main"](folder, 4, None) == 0
    return folder


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    train(folder, processes=2, batch_size=2)
    return folder


def test_two_processes_end_with_the_figures_and_weights_of_one(one: Path, two: Path) -> None:
    for ours, theirs in zip(figures(one), figures(two), strict=True):
        assert ours["val_map_macro"] == theirs["val_map_macro"]
        assert ours["step"] == theirs["step"]
        # Sums in another order: float32 keeps seven digits.
        assert float(ours["train_loss"]) == pytest.approx(float(theirs["train_loss"]), rel=1e-5)
    ours, theirs = (torch.load(folder / "weights.pt", weights_only=True) for folder in (one, two))
    for key, value in ours.items():
        torch.testing.assert_close(value, theirs[key], rtol=1e-4, atol=1e-5)


def test_a_signal_to_one_process_stops_both_and_the_training_goes_on(tmp_path: Path, two: Path) -> None:
    assert train(tmp_path, processes=2, batch_size=2, signalled=1) != 0
    assert len(figures(tmp_path)) == 2
    train(tmp_path, processes=2, batch_size=2)
    ours, theirs = (torch.load(folder / "weights.pt", weights_only=True) for folder in (tmp_path, two))
    assert all(torch.equal(value, theirs[key]) for key, value in ours.items())
    assert [row["val_map_macro"] for row in figures(tmp_path)] == [row["val_map_macro"] for row in figures(two)]
