"""What a training keeps: the best weights so far, and all that it takes to go on."""

import logging
import math
import re
import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn

from manyhot.errors import ModelError, RunError, StoppedError, TrainingError
from manyhot.files import TEMPORARY_PREFIX, write_atomically
from manyhot.models.weights import load_without_code
from manyhot.training.averaging import WeightAverage
from manyhot.training.guards import ADVICE, StopSignals
from manyhot.training.module import model_of
from manyhot.training.sharded_head import whole_state

log = logging.getLogger("manyhot")

FOLDER = "checkpoints"
BEST = "best.safetensors"
LAST = "last.ckpt"
AGREEMENT_INTERVAL = 10
# What `temporary_beside` calls the two files above while they are written.
HALF_WRITTEN = re.compile(rf"{re.escape(TEMPORARY_PREFIX)}[0-9a-f]{{16}}\.(safetensors|ckpt)")


def best_checkpoint(folder: Path) -> Path:
    """Return the weights of the epoch with the best validation figure.

    Raises:
        RunError: If no epoch has been finished yet.
    """
    path = folder / FOLDER / BEST
    if not path.is_file():
        raise RunError(f"{path}: missing; no epoch of the training was finished")
    return path


def last_checkpoint(folder: Path) -> Path | None:
    """Return where a training can go on, or None where it has not come to its first checkpoint."""
    path = folder / FOLDER / LAST
    return path if path.is_file() else None


def load_weights(model: nn.Module, path: Path) -> None:
    """Load the weights that a training kept into the model that it trained.

    Raises:
        RunError: If the file is damaged, or of another model.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        model.load_state_dict(load_file(path))
    except (SafetensorError, OSError, RuntimeError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise RunError(f"{path}: does not hold this model's weights ({reason}); train again") from error


class AtomicCheckpoints(TorchCheckpointIO):
    """Writes checkpoints that are there whole or not at all, and loads them without running code from them."""

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: str | Path,
        storage_options: Any | None = None,  # noqa: ANN401 - Lightning's signature
    ) -> None:
        """Write beside, flush, rename."""
        del storage_options
        write_atomically(Path(path), lambda temporary: torch.save(checkpoint, temporary))

    def load_checkpoint(
        self,
        path: str | Path,
        map_location: Any | None = None,  # noqa: ANN401 - Lightning's signature
        weights_only: bool | None = None,
    ) -> dict[str, Any]:
        """Load a checkpoint.

        Raises:
            RunError: If the file is damaged.
        """
        del map_location, weights_only
        try:
            # On the CPU: Lightning moves what belongs on a device, and generators' states must stay.
            loaded = load_without_code(Path(path))
        except ModelError as error:
            raise RunError(f"{error}; or train a new run") from error
        if not isinstance(loaded, dict):
            raise RunError(f"{path}: is no checkpoint of a training; train a new run")
        return {str(key): value for key, value in loaded.items()}


class Checkpoints(Callback):
    """Keeps the best and the last state, stops when asked to, and when the figure no longer improves.

    `best.safetensors` holds the weights that gave the best `val_map_macro`, the earliest of equals; where the figure is
    undefined in every epoch, those of the last epoch. `last.ckpt` is written after each epoch, every `interval_s` within
    one, and when a signal asks to stop.

    Args:
        folder: The run's folder.
        signals: Who knows whether to stop.
        interval_s: Longest time in seconds without a checkpoint, validation apart.
        patience: Epochs without a better figure after which training ends; None trains to the end.
        average: The average of the weights, where it is what is validated; its callback must come before this one.
    """

    def __init__(
        self,
        folder: Path,
        signals: StopSignals,
        *,
        interval_s: float = 600.0,
        patience: int | None = None,
        average: WeightAverage | None = None,
    ) -> None:
        self._folder = folder
        self._signals = signals
        self._average = average
        self._interval_s = interval_s
        self._patience = patience
        self._best_value = -math.inf
        self._best_epoch = 0
        self._saved_s = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Clear away what a killed training left half-written, start the clock, and end at once where patience had run out before a stop."""
        del pl_module
        (self._folder / FOLDER).mkdir(parents=True, exist_ok=True)
        if trainer.is_global_zero:
            _remove_half_written(self._folder / FOLDER)
        self._saved_s = time.monotonic()
        self._lose_patience(trainer, epochs_done=trainer.current_epoch)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        """Save within an epoch, where it is time to or where a signal asks to stop.

        Raises:
            StoppedError: After the checkpoint that a signal asked for.
        """
        del outputs, batch
        # After its last step an epoch is ended properly: with validation, and a checkpoint after it.
        if batch_idx + 1 >= trainer.num_training_batches:
            return
        if trainer.world_size > 1 and (batch_idx + 1) % AGREEMENT_INTERVAL:
            return
        is_late = time.monotonic() - self._saved_s >= self._interval_s
        must_stop = _any_process(trainer, self._signals.requested is not None)
        if must_stop or _any_process(trainer, is_late):
            self._save_last(trainer, pl_module)
        if must_stop:
            self._stop(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the weights if they are the best so far."""
        value = float(trainer.callback_metrics["val_map_macro"])
        is_better = value > self._best_value
        is_undefined_so_far = math.isnan(value) and self._best_value == -math.inf
        if is_better:
            self._best_value, self._best_epoch = value, trainer.current_epoch + 1
        if is_better or is_undefined_so_far:
            average = self._average
            state = whole_state(model_of(pl_module)) if average is None else average.averaged_state(pl_module)
            if trainer.is_global_zero:
                _save_weights(state, self._folder / FOLDER / BEST)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save after an epoch.

        Raises:
            StoppedError: If a signal asked to stop; after the last epoch too, since evaluation would follow.
        """
        self._save_last(trainer, pl_module)
        self._lose_patience(trainer, epochs_done=trainer.current_epoch + 1)
        if _any_process(trainer, self._signals.requested is not None):
            self._stop(trainer)

    def state_dict(self) -> dict[str, Any]:
        """Return what was best so far."""
        return {"best_value": self._best_value, "best_epoch": self._best_epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what was best."""
        self._best_value, self._best_epoch = state_dict["best_value"], state_dict["best_epoch"]

    def _lose_patience(self, trainer: Trainer, *, epochs_done: int) -> None:
        if self._patience is None or self._best_epoch == 0 or epochs_done - self._best_epoch < self._patience:
            return
        trainer.should_stop = True
        if trainer.is_global_zero:
            best = f"{self._best_value:.4f} in epoch {self._best_epoch}"
            log.info("training ends after epoch %d: val map_macro was best with %s", epochs_done, best)

    def _save_last(self, trainer: Trainer, pl_module: LightningModule) -> None:
        _check_finite(trainer, model_of(pl_module))
        trainer.save_checkpoint(self._folder / FOLDER / LAST, weights_only=False)
        self._saved_s = time.monotonic()

    def _stop(self, trainer: Trainer) -> None:
        raise StoppedError(
            f"{self._signals.requested or 'a signal'}: stopped after step {trainer.global_step:,} (epoch "
            f"{trainer.current_epoch + 1} of {trainer.max_epochs}), a checkpoint is written; "
            f"go on with: manyhot train --resume --out {shlex.quote(str(self._folder))}"
        )


def _any_process(trainer: Trainer, wish: bool) -> bool:
    return trainer.strategy.reduce_boolean_decision(wish, all=False) if trainer.world_size > 1 else wish


def _check_finite(trainer: Trainer, model: nn.Module) -> None:
    for name, parameter in model.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            raise TrainingError(
                f"step {trainer.global_step:,} (epoch {trainer.current_epoch + 1}): weight {name!r} is no longer finite; "
                f"{ADVICE}"
            )


def _remove_half_written(folder: Path) -> None:
    for path in folder.iterdir():
        if HALF_WRITTEN.fullmatch(path.name) and path.is_file():
            path.unlink(missing_ok=True)


def _save_weights(state: Mapping[str, torch.Tensor], path: Path) -> None:
    from safetensors.torch import save_file

    # clone: safetensors refuses tensors that share memory, as tied weights do.
    weights = {key: value.detach().cpu().contiguous().clone() for key, value in state.items()}
    write_atomically(path, lambda temporary: save_file(weights, temporary))
