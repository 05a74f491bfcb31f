"""What ends a training early: a loss that is no number, and signals."""

import logging
import signal
import threading
import time
from collections.abc import Mapping
from types import FrameType

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from manyhot.errors import TrainingError
from manyhot.training.launched import launched_processes

log = logging.getLogger("manyhot")

SIGNALS = (signal.SIGINT, signal.SIGTERM)
GPU_CHECK_INTERVAL = 50
PASSED_ON_S = 5.0
ADVICE = "try a lower --lr, --training.precision fp32, or `manyhot check` for pictures that cannot be right"


class FiniteLoss(Callback):
    """Stops a training whose loss is no longer finite, and names the step.

    The step is remembered on the device; a GPU is asked every 50 steps only, since asking makes the CPU wait for it.

    Raises:
        TrainingError: Naming the first such step.
    """

    def __init__(self) -> None:
        self._first_bad: Tensor | None = None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        """Look at the loss of a step."""
        del batch
        loss = loss_of(outputs)
        if self._first_bad is None:
            self._first_bad = torch.full((), -1, dtype=torch.int64, device=loss.device)
        is_first = ~torch.isfinite(loss) & (self._first_bad < 0)
        self._first_bad = torch.where(is_first, trainer.global_step, self._first_bad)
        if loss.device.type == "cpu" or batch_idx % GPU_CHECK_INTERVAL == 0:
            self._raise_if_bad(trainer, pl_module)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look back before validation."""
        self._raise_if_bad(trainer, pl_module)

    def _raise_if_bad(self, trainer: Trainer, pl_module: LightningModule) -> None:
        del pl_module
        if self._first_bad is None or int(self._first_bad) < 0:
            return
        raise TrainingError(
            f"step {int(self._first_bad):,} (epoch {trainer.current_epoch + 1}): the loss is not a finite number; {ADVICE}"
        )


def loss_of(outputs: object) -> Tensor:
    """Return the loss of a step from what Lightning hands to callbacks."""
    loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
    assert isinstance(loss, Tensor), type(loss)
    return loss.detach()


class StopSignals(Callback):
    """Takes SIGINT (Ctrl-C) and SIGTERM as a wish to stop after the current step; a second one stops at once.

    A launcher such as torchrun passes on the signal that a terminal or a scheduler has sent to all: where there is one, what
    comes within seconds of the first is the same wish.

    Only the wish is kept here; the checkpoints' callback fulfils it. In threads other than the main one, where Python
    allows no handlers, signals stay as they are.
    """

    def __init__(self) -> None:
        self.requested: str | None = None
        self._requested_s = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen. Lightning's own handlers, set just before, are put aside: they would end the process with code 0.

        Lightning puts all handlers back when the training ends.
        """
        del trainer, pl_module
        self.requested = None
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                signal.signal(number, self._notice)

    def _notice(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self.requested is not None:
            if launched_processes() is not None and time.monotonic() - self._requested_s < PASSED_ON_S:
                return
            raise KeyboardInterrupt
        self.requested, self._requested_s = signal.Signals(number).name, time.monotonic()
        log.warning("%s: stopping after this step, with a checkpoint; once more stops at once", self.requested)
