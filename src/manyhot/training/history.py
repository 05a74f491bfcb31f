"""The history of a training: one record an epoch, in `metrics.csv` and for TensorBoard."""

import csv
import io
import math
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from manyhot.files import write_text
from manyhot.training.distributed import gather_from_all, is_first_process
from manyhot.training.guards import loss_of
from manyhot.training.module import ImageBatch

FILE_NAME = "metrics.csv"


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """One epoch of training.

    Args:
        epoch: Number of the epoch, from 1.
        step: Steps taken since the start.
        train_loss: Mean loss over the epoch's samples, each in the state of the model when its turn came; NaN in the
            last record of a training that ended because it was not finite.
        val_map_macro: The validation figure; NaN where it is undefined.
        lr: Learning rate of the epoch's last step.
        images_per_s: Training samples a second, over all processes, without validation.
        waiting_share: Share of the training's time that went by between the end of one step and the start of the next:
            waiting for the loader, and for copies to the device that it does not overlap. Of this process.
        seconds: Time since training started, without the time that it stood still.
    """

    epoch: int
    step: int
    train_loss: float
    val_map_macro: float
    lr: float
    images_per_s: float
    waiting_share: float
    seconds: float


class History(Callback):
    """Keeps a record an epoch, writes `metrics.csv` anew after each, and hands the figures to the loggers.

    An undefined figure is an empty cell. The records are part of the checkpoint: after a stop the file goes on where the
    checkpoint was, without repeated rows.

    Args:
        folder: Where to write.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.records: list[EpochRecord] = []
        self._loss_sum: Tensor | None = None
        self._num_samples = 0
        self._train_s = 0.0
        self._waiting_s = 0.0
        self._total_s = 0.0
        self._last_mark_s = 0.0
        self._lr = math.nan
        self._num_processes = 1

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        del pl_module
        self._num_processes = trainer.world_size
        self._last_mark_s = time.monotonic()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int) -> None:
        """Remember the learning rate of the step, and how long it had to wait for its batch."""
        del pl_module, batch, batch_idx
        self._waiting_s += time.monotonic() - self._last_mark_s
        self._lr = float(trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: ImageBatch, batch_idx: int
    ) -> None:
        """Add a step's loss."""
        del trainer, pl_module, batch_idx
        num_samples = batch.rows.shape[0]
        loss = loss_of(outputs).double() * num_samples
        self._loss_sum = loss if self._loss_sum is None else self._loss_sum.to(loss.device) + loss
        self._num_samples += num_samples
        self._train_s += self._lap()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Close the record of an epoch."""
        del pl_module
        self._lap()
        loss_sum, num_samples = self._over_processes()
        metrics = trainer.callback_metrics
        record = EpochRecord(
            epoch=trainer.current_epoch + 1,
            step=trainer.global_step,
            train_loss=loss_sum / max(1, num_samples),
            val_map_macro=float(metrics["val_map_macro"]) if "val_map_macro" in metrics else math.nan,
            lr=self._lr,
            images_per_s=num_samples / max(self._train_s, 1e-9),
            waiting_share=self.waiting_share,
            seconds=self._total_s,
        )
        self.records.append(record)
        self._loss_sum, self._num_samples, self._train_s, self._waiting_s = None, 0, 0.0, 0.0
        if trainer.is_global_zero:
            write_text(self._folder / FILE_NAME, as_csv(self.records))
            for logger in trainer.loggers:
                figures = {
                    "epoch_train_loss": record.train_loss,
                    "lr": record.lr,
                    "images_per_s": record.images_per_s,
                    "waiting_share": record.waiting_share,
                }
                logger.log_metrics(figures, step=record.step)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Write down the epoch in which the loss was no longer finite: it is what the run is asked about afterwards."""
        del pl_module, exception
        if self._loss_sum is None or math.isfinite(float(self._loss_sum)) or not trainer.is_global_zero:
            return
        record = EpochRecord(
            epoch=trainer.current_epoch + 1,
            step=trainer.global_step,
            train_loss=math.nan,
            val_map_macro=math.nan,
            lr=self._lr,
            images_per_s=0.0,
            waiting_share=0.0,
            seconds=self._total_s,
        )
        write_text(self._folder / FILE_NAME, as_csv([*self.records, record]))

    def state_dict(self) -> dict[str, Any]:
        """Return the records, and what the current one has so far over all processes."""
        loss_sum, num_samples = self._over_processes()
        return {
            "records": [asdict(record) for record in self.records],
            "loss_sum": loss_sum,
            "num_samples": num_samples,
            "train_s": self._train_s,
            "waiting_s": self._waiting_s,
            "total_s": self._total_s,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint's records."""
        self.records = [EpochRecord(**record) for record in state_dict["records"]]
        self._train_s, self._total_s = state_dict["train_s"], state_dict["total_s"]
        self._waiting_s = state_dict["waiting_s"]
        # The sums are of all processes: one of them carries them on.
        if is_first_process():
            self._loss_sum = torch.tensor(state_dict["loss_sum"], dtype=torch.float64)
            self._num_samples = state_dict["num_samples"]

    @property
    def images_per_s(self) -> float:
        """Training samples a second in this epoch so far, over all processes as far as this one can tell."""
        return self._num_samples * self._num_processes / max(self._train_s, 1e-9)

    @property
    def waiting_share(self) -> float:
        """Share of this epoch's training time so far in which no step was on its way."""
        return min(1.0, self._waiting_s / max(self._train_s, 1e-9))

    def _lap(self) -> float:
        now_s = time.monotonic()
        lap_s, self._last_mark_s = now_s - self._last_mark_s, now_s
        self._total_s += lap_s
        return lap_s

    def _over_processes(self) -> tuple[float, int]:
        loss_sum = 0.0 if self._loss_sum is None else float(self._loss_sum)
        parts = gather_from_all((loss_sum, self._num_samples))
        return sum(part[0] for part in parts), sum(part[1] for part in parts)


def as_csv(records: list[EpochRecord]) -> str:
    """Return the records as CSV with a header; undefined values are empty.

    >>> print(as_csv([EpochRecord(epoch=1, step=8, train_loss=0.5, val_map_macro=float("nan"), lr=0.001,
    ...     images_per_s=99.96, waiting_share=0.12345, seconds=12.34)]))
    epoch,step,train_loss,val_map_macro,lr,images_per_s,waiting_share,seconds
    1,8,0.5,,0.001,100.0,0.123,12.3
    <BLANKLINE>
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in fields(EpochRecord))
    for record in records:
        values = asdict(record)
        for name, digits in (("images_per_s", 1), ("waiting_share", 3), ("seconds", 1)):
            values[name] = round(values[name], digits)
        writer.writerow("" if value != value else value for value in values.values())  # noqa: PLR0124 - NaN only
    return text.getvalue()
