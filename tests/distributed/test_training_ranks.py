"""Several processes train one model together, and what they leave is what one process would judge it to be."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from manyhot.metrics import mean_average_precision
from manyhot.runs.evaluating import evaluate_run
from manyhot.runs.run import Run

pytestmark = [pytest.mark.distributed, pytest.mark.timeout(600)]

TINY = ["--encoder", "test_resnet", "--pretrained", "none", "--image-size", "32", "--batch-size", "8"]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def write_data(folder: Path, num_samples: int) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(0)
    lines = ["file,labels"]
    for row in range(num_samples):
        names = [name for name, base in (("red", 2), ("blue", 3)) if row % base == 0]
        pixels = rng.integers(0, 60, (16, 16, 3), dtype=np.uint8)
        pixels[..., 0] += 120 * ("red" in names)
        pixels[..., 2] += 120 * ("blue" in names)
        Image.fromarray(pixels).save(folder / f"{row}.png")
        lines.append(f"{row}.png,{'|'.join(names)}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder


def command(*arguments: str, launcher: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *launcher, "-m", "manyhot", "train", *arguments],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # 59 samples: no batch of any split is even.
    return write_data(tmp_path_factory.mktemp("ranks") / "data", 59)


@pytest.fixture(scope="module")
def launched(data: Path) -> tuple[Run, subprocess.CompletedProcess[str]]:
    folder = data.parent / "launched"
    finished = command(str(data), "--out", str(folder), "--devices", "2", "--epochs", "2", *TINY)
    assert finished.returncode == 0, finished.stderr
    return Run(folder), finished


def logits_of(run: Run, split: str) -> np.ndarray:
    table = pq.read_table(run.folder / f"predictions-{split}.parquet")
    return np.array(table["logits"].to_pylist(), dtype=np.float32)


def test_two_processes_judge_their_weights_as_one_process_does(launched: tuple[Run, object]) -> None:
    run, _ = launched
    alone = evaluate_run(run)
    for name, figure in run.evaluation.figures.items():
        value = alone.figures[name].value
        assert (figure.value is None) == (value is None), name
        if figure.value is not None:
            assert figure.value == pytest.approx(value, abs=1e-5), name


def test_the_validation_figure_of_two_processes_is_that_of_the_weights_they_keep(launched: tuple[Run, object]) -> None:
    # Batch statistics are gathered by each process from its own samples: those of the first are kept, and validated.
    run, _ = launched
    truth = run_truth(run, "val")
    rows = (run.folder / "metrics.csv").read_text().splitlines()
    told = [float(row.split(",")[rows[0].split(",").index("val_map_macro")]) for row in rows[1:]]
    assert max(told) == pytest.approx(mean_average_precision(logits_of(run, "val"), truth).value, abs=1e-5)


def run_truth(run: Run, split: str):
    from manyhot.runs.ground import resumed_ground

    ground = resumed_ground(run)
    return ground.manifest.labels.take(ground.splits.rows(split))


def test_several_processes_speak_with_one_voice(launched: tuple[Run, subprocess.CompletedProcess[str]]) -> None:
    _, finished = launched
    assert finished.stderr.count("epoch 1/2") == finished.stderr.count("run folder") == 1
    assert finished.stdout.count("map_macro") == 1
    assert "Warning" not in finished.stderr


def test_several_processes_mix_data_sets_as_one_does(data: Path, tmp_path: Path) -> None:
    other = write_data(tmp_path / "other", 23)
    settings = ("--mixture.weight.data", "1", "--mixture.weight.other", "2", "--epochs", "1")
    told: list[list[str]] = []
    for devices in ("1", "2"):
        finished = command(
            str(data), str(other), "--out", str(tmp_path / devices), "--devices", devices, *settings, *TINY
        )
        assert finished.returncode == 0, finished.stderr
        told.append([line for line in finished.stderr.splitlines() if "of its" in line or "mixture" in line])
    # 41 and 16 training samples, one to two: each line is said once.
    assert told[0] == told[1]
    assert [line.split()[1] for line in told[0][1:]] == ["19", "38"]


@pytest.fixture(scope="module")
def sharded(data: Path) -> Run:
    folder = data.parent / "sharded"
    settings = ("--devices", "2", "--epochs", "2", "--distributed.head", "sharded")
    finished = command(str(data), "--out", str(folder), *settings, *TINY)
    assert finished.returncode == 0, finished.stderr
    return Run(folder)


def test_a_head_shared_out_over_processes_trains_as_a_whole_one_does(
    launched: tuple[Run, object], sharded: Run
) -> None:
    whole, _ = launched
    expected = whole.bundle.model.state_dict()
    for name, value in sharded.bundle.model.state_dict().items():
        # Ten steps of AdamW, which makes steps of equal size of gradients that differ in their last digits.
        torch.testing.assert_close(value, expected[name], rtol=1e-3, atol=1e-4, msg=name)
    shards = [path for path in (sharded.folder / "checkpoints").iterdir() if path.name.startswith("shards-")]
    assert len(shards) == 1


def test_a_head_shared_out_trains_alone_on_a_frozen_encoder(data: Path, tmp_path: Path) -> None:
    settings = ("--encoder.freeze", "true", "--distributed.head", "sharded")
    finished = command(str(data), "--out", str(tmp_path / "run"), "--epochs", "1", *settings, *TINY)
    assert finished.returncode == 0, finished.stderr
    assert Run(tmp_path / "run").is_finished


def test_a_head_saved_by_two_processes_goes_on_with_one(sharded: Run, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(sharded.folder, folder)
    (folder / "metrics.json").unlink()
    recipe = folder / "recipe.toml"
    recipe.write_text(recipe.read_text().replace("epochs = 2", "epochs = 3").replace("devices = 2", "devices = 1"))
    resumed = command("--resume", "--out", str(folder))
    assert resumed.returncode == 0, resumed.stderr
    assert "epoch 3/3" in resumed.stderr
    assert "epoch 2/3" not in resumed.stderr
    assert Run(folder).is_finished


def test_torchrun_trains_in_the_next_free_folder(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=3")
    finished = command(str(data), "--epochs", "1", *TINY, launcher=launcher)
    assert finished.returncode == 0, finished.stderr
    assert Run(tmp_path / "runs" / "data-1").is_finished
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["data-1"]


def test_a_folder_in_use_is_refused_in_one_line(data: Path, launched: tuple[Run, object]) -> None:
    run, _ = launched
    finished = command(str(data), "--out", str(run.folder), "--devices", "2", *TINY)
    assert finished.returncode == 1
    assert finished.stderr.strip().splitlines()[-1].endswith("or --resume to go on with the run in it")


def test_more_processes_than_cores_are_refused(data: Path, tmp_path: Path) -> None:
    finished = command(str(data), "--out", str(tmp_path / "run"), "--devices", "999", *TINY)
    assert finished.returncode == 1
    assert "999 devices asked for" in finished.stderr


def test_stopped_processes_leave_a_checkpoint_from_which_one_process_goes_on(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    running = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "manyhot",
            "train",
            str(data),
            "--out",
            str(folder),
            "--devices",
            "2",
            "--epochs",
            "500",
            *TINY,
        ],
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 200
    while not (folder / "checkpoints" / "last.ckpt").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    running.send_signal(signal.SIGTERM)
    _, errors = running.communicate(timeout=100)
    assert running.returncode == 3, errors
    assert errors.count("go on with: manyhot train --resume") == 1
    recipe = folder / "recipe.toml"
    done = len((folder / "metrics.csv").read_text().splitlines()) - 1
    text = recipe.read_text().replace("epochs = 500", f"epochs = {done + 1}")
    recipe.write_text(text.replace("devices = 2", "devices = 1"))
    resumed = command("--resume", "--out", str(folder))
    assert resumed.returncode == 0, resumed.stderr
    assert Run(folder).is_finished
