"""Several processes of one training on this machine: the same command again, once a device, by torch's own launcher."""

import logging
import os
import secrets
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, Std
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from manyhot.config import Recipe
from manyhot.errors import StoppedError, TrainingError
from manyhot.recipes import save_recipe
from manyhot.runs.ground import free_folder
from manyhot.runs.run import Run
from manyhot.training.trainer import check_devices

log = logging.getLogger("manyhot")

THREADS = "OMP_NUM_THREADS"
# A step and its checkpoint may take a while; the launcher would kill the processes after 30 s.
PATIENCE = "TORCH_ELASTIC_SHUTDOWN_TIMEOUT"
# What the launcher says of a failed process, over thirty lines; the process has said what was wrong.
LAUNCHER_LOGGERS = ("torch.distributed.elastic", "torch.distributed.launcher")


def launch_training(recipe: Recipe, out: Path | None, *, devices: int, resume: bool) -> Run:
    """Return the run that several processes on this machine trained, one for each device.

    Each runs `manyhot train`, with the cores shared among them.

    Args:
        recipe: The settings; those that a run saved where it goes on.
        out: The run's folder; the next free one of `runs/` if not given.
        devices: GPUs, or processes on a CPU.
        resume: Go on with the run in `out`.

    Raises:
        StoppedError: If a signal stopped the processes, after a checkpoint.
        TrainingError: If there are fewer devices, or a process failed: it has said why.
        RunError: If the folder is not free.
    """
    check_devices(devices, accelerator="gpu" if torch.cuda.is_available() else "cpu")
    folder = out if resume and out is not None else free_folder(out, recipe.data.paths)
    log.info("%d processes train together, one for each device", devices)
    with TemporaryDirectory(prefix="manyhot-") as scratch, _environment(_settings(devices)), _quiet_launcher():
        settings = Path(scratch) / "recipe.toml"
        save_recipe(recipe, settings)
        arguments = ["--resume"] if resume else ["--recipe", str(settings)]
        if resume:
            arguments += recipe.data.paths
        _launch(devices, Path(scratch), [sys.executable, "-m", "manyhot", "train", *arguments, "--out", str(folder)])
    return Run(folder)


def _launch(devices: int, scratch: Path, command: list[str]) -> None:
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=devices,
        run_id=secrets.token_hex(8),
        rdzv_backend="c10d",
        # A free port, and of this machine only.
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,
        # The figures are printed by the one that waits here.
        logs_specs=DefaultLogsSpecs(log_dir=str(scratch), redirects=Std.OUT),
    )
    try:
        elastic_launch(config, command[0])(*command[1:])
    except SignalException as stop:
        raise StoppedError(f"{stop.sigval.name}: the processes have stopped; the first says how to go on") from stop
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode == StoppedError.exit_code:
            raise StoppedError("the processes have stopped; the first says how to go on") from error
        raise TrainingError(
            f"process {rank} ended with code {failure.exitcode}; what was wrong stands above"
        ) from error


def _settings(devices: int) -> dict[str, str]:
    """Return the environment's settings for the processes, as far as the user has not set them."""
    settings = {THREADS: str(max(1, (os.cpu_count() or 1) // devices)), PATIENCE: "300"}
    return {name: value for name, value in settings.items() if name not in os.environ}


@contextmanager
def _environment(settings: Mapping[str, str]) -> Generator[None, None, None]:
    os.environ.update(settings)
    try:
        yield
    finally:
        for name in settings:
            del os.environ[name]


@contextmanager
def _quiet_launcher() -> Generator[None, None, None]:
    # Each of its modules has a logger with a level of its own.
    loggers = [logging.getLogger(name) for name in logging.root.manager.loggerDict if name.startswith(LAUNCHER_LOGGERS)]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
