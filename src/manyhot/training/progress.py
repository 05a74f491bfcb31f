"""How far a training is: one bar for all of it on a terminal, one line an epoch elsewhere."""

import logging
import math
import shutil
import sys
import time
from typing import NoReturn, TypeAlias

from lightning.pytorch import Callback, LightningModule, Trainer
from tqdm import tqdm

from manyhot.training.guards import loss_of
from manyhot.training.history import EpochRecord, History

log = logging.getLogger("manyhot")

REFRESH_S = 0.5
WAITING_SHARE = 0.2
"""From here on the log says how to wait less."""
# What matters most comes first: 80 columns hold it all.
BAR = "{desc} {percentage:3.0f}% |{bar}| {remaining} left{postfix}"

# Of nothing: it is moved by hand, and iterates over no one's items.
Bar: TypeAlias = "tqdm[NoReturn]"


class Progress(Callback):
    """Shows epoch, loss, validation figure, rate and time left; the line an epoch goes to the log `manyhot`.

    Args:
        history: Where the records of the epochs are.
    """

    def __init__(self, history: History) -> None:
        self._history = history
        self._bar: Bar | None = None
        self._start_s = 0.0
        self._start_batches = 0
        self._shown_s = 0.0
        self._has_advised = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the bar, where there is a terminal."""
        del pl_module
        self._start_s = time.monotonic()
        self._start_batches = _batches_done(trainer)
        if trainer.is_global_zero and sys.stderr.isatty():
            terminal = shutil.get_terminal_size()
            # smoothing=0: training and validation batches differ in pace, their mean over the run does not.
            self._bar = tqdm(
                total=_batches_in_all(trainer),
                initial=self._start_batches,
                bar_format=BAR,
                smoothing=0,
                # Not tqdm's own: it shows nothing on a terminal that does not know its size.
                ncols=terminal.columns,
                nrows=terminal.lines,
            )

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        """Move the bar."""
        del pl_module, batch, batch_idx
        if self._bar is None:
            return
        self._bar.update()
        if time.monotonic() - self._shown_s >= REFRESH_S:
            self._describe(trainer, self._bar, float(loss_of(outputs)), self._history.images_per_s)

    def on_validation_batch_end(  # noqa: PLR0917 - the signature is Lightning's
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Move the bar."""
        del trainer, pl_module, outputs, batch, batch_idx, dataloader_idx
        if self._bar is not None:
            self._bar.update()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show an epoch's figures."""
        del pl_module
        if not trainer.is_global_zero:
            return
        record = self._history.records[-1]
        if self._bar is not None:
            self._describe(trainer, self._bar, record.train_loss, record.images_per_s)
            self._advise(record)
            return
        done = (trainer.current_epoch + 1) * _batches_an_epoch(trainer)
        pace_s = (time.monotonic() - self._start_s) / max(1, done - self._start_batches)
        left_s = pace_s * max(0, _batches_in_all(trainer) - done)
        log.info("%s", epoch_line(record, num_epochs=_num_epochs(trainer), left_s=left_s))
        self._advise(record)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Close the bar."""
        del trainer, pl_module
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Close the bar."""
        del trainer, pl_module, exception
        self._close()

    def _advise(self, record: EpochRecord) -> None:
        # Of the first epoch, whose start takes what others do not, nothing is concluded.
        if self._has_advised or record.epoch < 2 or record.waiting_share < WAITING_SHARE:
            return
        self._has_advised = True
        log.info(
            "training waits for pictures %.0f %% of its time: more --training.workers if there are cores left, smaller "
            "files (manyhot pack), or --loading.cache memory",
            100 * record.waiting_share,
        )

    def _describe(self, trainer: Trainer, bar: "Bar", loss: float, images_per_s: float) -> None:
        self._shown_s = time.monotonic()
        epoch = min(trainer.current_epoch + 1, _num_epochs(trainer))
        bar.set_description_str(f"epoch {epoch}/{_num_epochs(trainer)}", refresh=False)
        validated = [f"val map_macro {_figure(record, digits=3)}" for record in self._history.records[-1:]]
        bar.set_postfix_str(", ".join([f"{images_per_s:,.0f} images/s", f"loss {loss:.3f}", *validated]))

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def epoch_line(record: EpochRecord, *, num_epochs: int, left_s: float) -> str:
    """Return one line on an epoch.

    >>> record = EpochRecord(epoch=3, step=300, train_loss=0.12345, val_map_macro=0.87, lr=1e-3, images_per_s=1234.5,
    ...     waiting_share=0.081, seconds=60.0)
    >>> epoch_line(record, num_epochs=20, left_s=340.0)
    'epoch 3/20: train loss 0.1235, val map_macro 0.8700, 1,234 images/s (8 % waiting for them), 6 min left'
    """
    left = f"{duration(left_s)} left" if record.epoch < num_epochs else "done"
    return (
        f"epoch {record.epoch}/{num_epochs}: train loss {record.train_loss:.4f}, val map_macro {_figure(record)}, "
        f"{record.images_per_s:,.0f} images/s ({100 * record.waiting_share:.0f} % waiting for them), {left}"
    )


def duration(seconds: float) -> str:
    """Return a time as people say it.

    >>> duration(8.2), duration(61), duration(340), duration(7_500)
    ('9 s', '61 s', '6 min', '2 h 5 min')
    """
    if seconds < 90:
        return f"{math.ceil(seconds)} s"
    minutes = math.ceil(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _figure(record: EpochRecord, *, digits: int = 4) -> str:
    return "undefined" if math.isnan(record.val_map_macro) else f"{record.val_map_macro:.{digits}f}"


def _num_epochs(trainer: Trainer) -> int:
    return trainer.max_epochs or 1


def _batches_an_epoch(trainer: Trainer) -> int:
    return int(trainer.num_training_batches) + int(sum(trainer.num_val_batches))


def _batches_in_all(trainer: Trainer) -> int:
    return _num_epochs(trainer) * _batches_an_epoch(trainer)


def _batches_done(trainer: Trainer) -> int:
    in_epoch = trainer.global_step - trainer.current_epoch * int(trainer.num_training_batches)
    return trainer.current_epoch * _batches_an_epoch(trainer) + max(0, in_epoch)
