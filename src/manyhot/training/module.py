"""What Lightning runs: a step of training, a step of validation, and what they log. Nothing else."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int64
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.optim import Optimizer

from manyhot.errors import TrainingError
from manyhot.labels import LabelSets
from manyhot.losses import EpochAware, Loss
from manyhot.losses.diagnosis import final_activation
from manyhot.models.classifier import Classifier
from manyhot.targets import SparseTargets
from manyhot.training.clipping import clip_gradient_norm
from manyhot.training.distributed import gather_from_all, share_buffers
from manyhot.training.head_loss import FeatureLoss
from manyhot.training.optimisation import OptimisationSettings, make_optimiser

Score = Callable[[Float[np.ndarray, "n l"], LabelSets], float | None]
"""Logits and the labels of the same samples to one figure, better when higher; None or NaN where it is undefined."""


@runtime_checkable
class ImageBatch(Protocol):
    """What a step needs of a batch; `manyhot.data.loading.Batch` is one."""

    @property
    def images(self) -> Tensor:
        """Pictures `(n, 3, h, w)`."""
        ...

    @property
    def targets(self) -> SparseTargets:
        """Their labels."""
        ...

    @property
    def rows(self) -> Tensor:
        """Their rows in the data, int64 `(n,)`."""
        ...


@runtime_checkable
class UnfinishedBatch(ImageBatch, Protocol):
    """A batch of which something is left to do on the device that it is trained on."""

    def finished(self) -> ImageBatch:
        """Return the batch with nothing left to do."""
        ...


class MultiLabelModule(LightningModule):
    """A model in training: steps, and the figures `train_loss` and `val_map_macro`.

    The validation figure is computed once an epoch over the whole split, never as a mean over batches, and counts each
    sample once however many processes share the work.

    Args:
        model: Pictures to logits.
        loss: Logits and targets to a scalar; or a loss of features, for a `Classifier` whose head it then takes over.
        optimisation: How the weights are updated.
        validation_truth: The labels of all samples that batches may name by row.
        score: The validation figure; `manyhot.metrics.mean_average_precision` unless given.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss | FeatureLoss,
        *,
        optimisation: OptimisationSettings,
        validation_truth: LabelSets,
        score: Score | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.loss = loss
        self.optimisation = optimisation
        self._truth = validation_truth
        self._score = map_macro if score is None else score
        self._collected: list[tuple[np.ndarray, np.ndarray]] = []
        self._has_looked = False

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return the optimiser, and the schedule that advances with each step."""
        optimiser, schedule = make_optimiser(self.model, self.optimisation)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_fit_start(self) -> None:
        """Put the model into training mode, whatever was done with it before; a frozen encoder stays as it is."""
        self.model.train()

    def on_train_start(self) -> None:
        """Tell the loss the epoch: a training that goes on within one does not start it again."""
        self._tell_epoch()

    def on_train_epoch_start(self) -> None:
        """Tell the loss the epoch."""
        self._tell_epoch()

    def _tell_epoch(self) -> None:
        if isinstance(self.loss, EpochAware):
            self.loss.start_epoch(self.current_epoch)

    def training_step(self, batch: ImageBatch, batch_idx: int) -> Float[Tensor, ""]:
        """Return the loss of a batch, which is finished here, on its device, if that is left to do.

        Raises:
            TrainingError: In the first step, if the model ends in a sigmoid or its like: losses take logits.
        """
        del batch_idx
        loss = self._loss_of(batch.finished() if isinstance(batch, UnfinishedBatch) else batch)
        self.log("train_loss", loss, batch_size=batch.rows.shape[0])
        return loss

    def _loss_of(self, batch: ImageBatch) -> Float[Tensor, ""]:
        if isinstance(self.loss, FeatureLoss):
            assert isinstance(self.model, Classifier), type(self.model)
            return self.loss.of_features(self.model.head, self.model.features(batch.images), batch.targets)
        logits = self.model(batch.images)
        self._look_once(logits)
        return self.loss(logits, batch.targets)

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Keep the gradient's norm below the trainer's limit, also where a part of it is sharded."""
        del gradient_clip_algorithm
        if gradient_clip_val is not None:
            clip_gradient_norm((one for group in optimizer.param_groups for one in group["params"]), gradient_clip_val)

    def _look_once(self, logits: Float[Tensor, "n l"]) -> None:
        if self._has_looked:
            return
        self._has_looked = True
        found = final_activation(logits)
        if found is not None:
            raise TrainingError(
                f"the model ends in {found}, and the loss takes logits (it has its own); take {found} out of the model"
            )

    def on_validation_epoch_start(self) -> None:
        """Forget what an interrupted validation had collected; validate the model that is kept, on every process."""
        self._collected.clear()
        share_buffers(self.model)

    def validation_step(self, batch: ImageBatch, batch_idx: int) -> None:
        """Keep the logits of a batch, in main memory."""
        del batch_idx
        logits = self.model(batch.images).float()
        self._collected.append((batch.rows.cpu().numpy(), logits.cpu().numpy()))

    def on_validation_epoch_end(self) -> None:
        """Log `val_map_macro` over all samples of all processes.

        Raises:
            TrainingError: If a logit is not finite: the weights are lost.
        """
        rows, logits = gather_samples(self._collected, num_labels=self._truth.num_labels)
        self._collected.clear()
        if not np.isfinite(logits).all():
            raise TrainingError(
                f"step {self.global_step:,} (epoch {self.current_epoch + 1}): the model's logits are no longer finite; "
                "try a lower --lr"
            )
        value = self._score(logits, self._truth.take(rows))
        self.log("val_map_macro", float("nan") if value is None else value)


def model_of(module: LightningModule) -> nn.Module:
    """Return the model that a module trains; callbacks are handed the module as Lightning's own type."""
    assert isinstance(module, MultiLabelModule), type(module)
    return module.model


def map_macro(logits: Float[np.ndarray, "n l"], truth: LabelSets) -> float | None:
    """Return `map_macro` as FIGURES defines it; None where no label has a positive."""
    from manyhot.metrics import mean_average_precision

    return mean_average_precision(logits, truth).value


def gather_samples(
    collected: list[tuple[np.ndarray, np.ndarray]], *, num_labels: int
) -> tuple[Int64[np.ndarray, " n"], Float[np.ndarray, "n l"]]:
    """Return rows and logits of all processes, sorted by row, each row once.

    Holds the whole split's logits in every process: 4 bytes a cell.
    """
    rows = np.concatenate([np.zeros(0, dtype=np.int64), *(rows for rows, _ in collected)])
    logits = np.concatenate([np.zeros((0, num_labels), dtype=np.float32), *(logits for _, logits in collected)])
    parts = gather_from_all((rows, logits))
    rows, logits = np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
    # A sampler that pads the last batch names a row twice; it counts once.
    unique_rows, first = np.unique(rows, return_index=True)
    return unique_rows, logits[first]
