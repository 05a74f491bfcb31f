"""The Lightning Trainer of a run: made from plain arguments, and run without its chatter."""

import logging
import os
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from manyhot.errors import TrainingError
from manyhot.training.averaging import WeightAverage
from manyhot.training.checkpoints import AtomicCheckpoints, Checkpoints
from manyhot.training.datamodule import MultiLabelData
from manyhot.training.guards import FiniteLoss, StopSignals
from manyhot.training.history import History
from manyhot.training.launched import Processes, launched_processes
from manyhot.training.module import MultiLabelModule
from manyhot.training.progress import Progress
from manyhot.training.randomness import Randomness
from manyhot.training.strategy import ShardedHeadStrategy

# Remarks on Lightning's own options, which our users do not set, and on how it calls torch.
SILENCED_WARNINGS = (
    r"The '\w+' does not have many workers",
    r"The number of training batches \(\d+\) is smaller than the logging interval",
    r"Found \d+ module\(s\) in eval mode at the start of training",
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",
    # The validation figure is the same on every process: it is computed from all samples.
    r"It is recommended to use `self.log\('val_map_macro', ..., sync_dist=True\)`",
)
# What batch norm says of a batch with one value a channel; torch has no type of its own for it.
SINGLE_SAMPLE = "Expected more than 1 value per channel when training"
LOGGER_NAMES = ("lightning.pytorch", "lightning.fabric")
EVENTS = "events"


class Events(TensorBoardLogger):
    """Curves for TensorBoard, and nothing beside them: the recipe already tells the settings."""

    def save(self) -> None:
        """Flush the events; Lightning's own version would write an empty `hparams.yaml` as well."""
        self.experiment.flush()


def create_trainer(
    *,
    folder: Path,
    epochs: int,
    precision: Literal["auto", "bf16", "fp32"] = "auto",
    devices: int = 1,
    gradient_clip: float | None = 1.0,
    ema_decay: float | None = None,
    patience: int | None = None,
    callbacks: Sequence[Callback] = (),
    seed: int = 0,
    checkpoint_interval_s: float = 600.0,
    sharded_head: bool = False,
) -> Trainer:
    """Return a Trainer that writes history, events and checkpoints into a folder; run it with `fit`.

    Trains on GPUs if there are any, else on the CPU. Where torchrun or SLURM started several processes, each takes its
    part, and `devices` is what they started on this machine.

    Args:
        folder: The run's folder, which must exist.
        epochs: Times that every sample is seen.
        precision: `auto` is bf16 autocast on GPUs that have it in hardware, else fp32; on a CPU fp32.
        devices: GPUs to use, or processes on a CPU; Lightning starts what nobody has started.
        gradient_clip: Largest norm of a step's gradient; None does not clip.
        ema_decay: Average the weights with this decay, and validate and keep the average.
        patience: End after so many epochs without a better validation figure.
        callbacks: Your own, run before ours.
        seed: Seed of what dropout and its like draw.
        checkpoint_interval_s: Longest time in seconds between checkpoints within an epoch.
        sharded_head: Whether the model's head is shared out over ranks (`manyhot.training.sharded_head`); there must be
            a process group then, if of one process.

    Raises:
        TrainingError: If there are fewer GPUs or cores than asked for.
    """
    accelerator = "gpu" if torch.cuda.is_available() else "cpu"
    processes = _processes(accelerator, devices)
    history, signals = History(folder), StopSignals()
    average = None if ema_decay is None else WeightAverage(ema_decay)
    with quiet_lightning():
        return Trainer(
            default_root_dir=folder,
            accelerator=accelerator,
            devices=processes.on_machine,
            num_nodes=processes.machines,
            strategy=_strategy(processes, sharded_head=sharded_head),
            precision="bf16-mixed" if _uses_bf16(precision, accelerator) else "32-true",
            max_epochs=epochs,
            gradient_clip_val=gradient_clip,
            logger=Events(folder, name=EVENTS, version="", default_hp_metric=False),
            callbacks=[
                *callbacks,
                signals,
                Randomness(seed),
                # Before the guard that ends the training: the history tells in which epoch it was.
                history,
                FiniteLoss(),
                Progress(history),
                *([] if average is None else [average]),
                Checkpoints(folder, signals, interval_s=checkpoint_interval_s, patience=patience, average=average),
            ],
            plugins=[AtomicCheckpoints()],
            # What follows is ours, or would speak to the user in another voice.
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
        )


def fit(trainer: Trainer, module: MultiLabelModule, data: MultiLabelData, *, checkpoint: Path | None = None) -> None:
    """Train, from the start or from a checkpoint on.

    Args:
        trainer: Made by `create_trainer`.
        module: The model in training; changed in place. Load the best weights afterwards.
        data: The loaders.
        checkpoint: Where to go on; on the same machine the result is the same as without the stop.

    Raises:
        StoppedError: If a signal asked to stop; a checkpoint is written.
        TrainingError: If the loss or the weights are no longer finite, memory runs out, or a batch is of one sample
            and the encoder normalises over the batch.
        RunError: If the checkpoint cannot be read.
    """
    with quiet_lightning(), _torch_errors_explained():
        trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)


@contextmanager
def quiet_lightning() -> Generator[None, None, None]:
    """Keep Lightning's remarks on itself from the user; its errors, and warnings about anything else, stay.

    >>> with quiet_lightning():
    ...     logging.getLogger("lightning.pytorch").getEffectiveLevel() == logging.ERROR
    True
    """
    loggers = [logging.getLogger(name) for name in LOGGER_NAMES]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        for message in SILENCED_WARNINGS:
            warnings.filterwarnings("ignore", message)
        try:
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


@contextmanager
def _torch_errors_explained() -> Generator[None, None, None]:
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise TrainingError(
            "the GPU has too little memory for this training; lower --batch-size or --image-size"
        ) from error
    except ValueError as error:
        if not str(error).startswith(SINGLE_SAMPLE):
            raise
        raise TrainingError(
            "a batch of one sample cannot be normalised; raise --batch-size, or give more samples where train has one"
        ) from error


def _strategy(processes: Processes, *, sharded_head: bool) -> str | ShardedHeadStrategy:
    if sharded_head:
        return ShardedHeadStrategy()
    return "ddp" if processes.count > 1 else "auto"


def check_devices(devices: int, *, accelerator: str) -> None:
    """Check that there are so many GPUs, or where there are none, so many cores: a process each.

    Raises:
        TrainingError: Saying how many there are.

    >>> check_devices(1, accelerator="cpu")
    """
    available = torch.cuda.device_count() if accelerator == "gpu" else os.cpu_count() or 1
    if devices > available:
        kind = "GPUs" if accelerator == "gpu" else "cores and no GPU"
        raise TrainingError(
            f"{devices} devices asked for, but this machine has {available} {kind}; lower --training.devices"
        )


def _processes(accelerator: str, devices: int) -> Processes:
    launched = launched_processes()
    if launched is not None:
        return launched
    check_devices(devices, accelerator=accelerator)
    return Processes(on_machine=devices, machines=1)


def _uses_bf16(precision: Literal["auto", "bf16", "fp32"], accelerator: str) -> bool:
    if precision == "auto":
        return accelerator == "gpu" and torch.cuda.is_bf16_supported(including_emulation=False)
    return precision == "bf16"
