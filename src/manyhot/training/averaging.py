"""An exponential moving average of the weights, which is validated and kept in place of the last step's."""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from manyhot.training.module import model_of


class WeightAverage(Callback):
    """Averages the weights over steps, and puts the average in their place during validation.

    Early in training the average forgets faster, `(1 + step) / (10 + step)`, so that the random start does not linger.
    Batch statistics are averaged as weights are.

    Args:
        decay: Weight of the past at each step, 0.999 for instance: an average over about the last thousand steps.
    """

    def __init__(self, decay: float) -> None:
        self._decay = decay
        self._average: dict[str, Tensor] = {}
        self._is_swapped = False
        self._step = 0

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start from the model's own weights, unless a checkpoint brought an average."""
        del trainer
        own = _tensors(pl_module)
        source = self._average or own
        self._average = {key: source[key].detach().to(own[key].device, copy=True) for key in own}

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        """Take the step's weights in."""
        del outputs, batch, batch_idx
        if trainer.global_step == self._step:
            return  # gradients were accumulated, nothing has changed
        self._step = trainer.global_step
        decay = min(self._decay, (1 + self._step) / (10 + self._step))
        for key, value in _tensors(pl_module).items():
            self._average[key].lerp_(value, 1 - decay)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the average in place."""
        del trainer
        self._swap(pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the step's weights back."""
        del trainer
        self._swap(pl_module)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Put the step's weights back where validation was interrupted."""
        del trainer, exception
        if self._is_swapped:
            self._swap(pl_module)

    def averaged_state(self, pl_module: LightningModule) -> dict[str, Tensor]:
        """Return the model's state with the average in place of the step's weights."""
        assert not self._is_swapped
        return model_of(pl_module).state_dict() | self._average

    def state_dict(self) -> dict[str, Any]:
        """Return the average for the checkpoint."""
        return {"average": self._average, "step": self._step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the average of a checkpoint."""
        self._average, self._step = state_dict["average"], state_dict["step"]

    @torch.no_grad()
    def _swap(self, module: LightningModule) -> None:
        for key, value in _tensors(module).items():
            own = value.clone()
            value.copy_(self._average[key])
            self._average[key].copy_(own)
        self._is_swapped = not self._is_swapped


def _tensors(module: LightningModule) -> dict[str, Tensor]:
    # Counters of batches are integers: they have no average.
    return {key: value for key, value in model_of(module).state_dict().items() if value.is_floating_point()}
