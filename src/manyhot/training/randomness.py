"""Random numbers of a training that a stop does not change."""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from manyhot.training.distributed import gather_from_all

EPOCH_STRIDE = 1_000_003
RANK_STRIDE = 7_919


class Randomness(Callback):
    """Seeds torch's generators anew at each epoch's first step, and carries their state over a stop within an epoch.

    What dropout draws is a function of seed, epoch, process and step. The data order has its own generators; whatever
    loaders and validation draw from torch's main one makes no difference, for it is set after they have.

    Args:
        seed: The run's seed.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._restored: list[Tensor] | None = None

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int) -> None:
        """Set the generators before an epoch's first step, and before the first after a stop."""
        del pl_module, batch
        if batch_idx == 0:
            # Modulo: torch takes seeds of 64 bits, and a recipe's seed may use 32 of them.
            seed = self._seed + EPOCH_STRIDE * trainer.current_epoch + RANK_STRIDE * trainer.global_rank
            torch.manual_seed(seed % 2**63)
        elif self._restored is not None:
            _set_generators(self._restored)
        self._restored = None

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Put the generators of all processes into the checkpoint."""
        del trainer, pl_module
        checkpoint["manyhot_generators"] = gather_from_all(_generators())

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Remember this process's generators for the next step."""
        del pl_module
        states: list[list[Tensor]] = checkpoint.get("manyhot_generators", [])
        # Resumed on another number of processes there is nothing to be exact about.
        if len(states) == trainer.world_size:
            self._restored = states[trainer.global_rank]


def _generators() -> list[Tensor]:
    states = [torch.get_rng_state()]
    if torch.cuda.is_available():
        states.append(torch.cuda.get_rng_state())
    return states


def _set_generators(states: list[Tensor]) -> None:
    # Lightning loads checkpoints onto the device; generators' states live on the CPU.
    torch.set_rng_state(states[0].cpu())
    if len(states) > 1 and torch.cuda.is_available():
        torch.cuda.set_rng_state(states[1].cpu())
