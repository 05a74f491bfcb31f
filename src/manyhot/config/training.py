"""How and how long a run trains. Loads without torch."""

import math
from dataclasses import dataclass
from typing import Literal

from manyhot.config.checks import require, require_between


@dataclass(frozen=True, kw_only=True)
class AdamWConfig:
    """AdamW with a cosine schedule; biases and norms do not decay."""

    kind: Literal["adamw"] = "adamw"
    """Name of the optimiser."""
    lr: float | None = None
    """Peak learning rate; by default 1e-3 for new weights or a frozen encoder, 2e-4 for fine-tuning."""
    weight_decay: float = 0.05
    """Decay of weights, decoupled from the gradient."""
    warmup_epochs: float = 1.0
    """Epochs over which the rate rises from 0 to its peak; at most half of the training is used."""
    gradient_clip: float = 1.0
    """Largest norm of the gradient of one step."""
    ema_decay: float | None = None
    """Average the weights over steps with this decay (0.999, say) and evaluate the average."""

    def __post_init__(self) -> None:
        require(self.lr is None or 0 < self.lr < math.inf, "optimiser.lr", self.lr, "above 0")
        require(self.weight_decay >= 0, "optimiser.weight_decay", self.weight_decay, "0 or more")
        require(self.warmup_epochs >= 0, "optimiser.warmup_epochs", self.warmup_epochs, "0 or more")
        require(self.gradient_clip > 0, "optimiser.gradient_clip", self.gradient_clip, "above 0")
        decay = self.ema_decay
        require(decay is None or 0 < decay < 1, "optimiser.ema_decay", decay, "between 0 and 1")


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How long and on what to train."""

    epochs: int = 20
    """Times that every training sample is seen."""
    batch_size: int = 64
    """Samples a step, over all devices together."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """auto: bf16 autocast where the device has it in hardware, else fp32."""
    devices: int | None = None
    """GPUs that train together, or processes where there is none; by default one."""
    workers: int | None = None
    """Processes that read pictures; by default as many as the machine's cores suggest."""
    patience: int | None = None
    """Stop after this many epochs without a better validation map_macro; by default train to the end."""

    def __post_init__(self) -> None:
        require_between(1, 1_000_000, "training.epochs", self.epochs)
        require_between(1, 1_000_000, "training.batch_size", self.batch_size)
        require_between(1, 1_024, "training.devices", self.devices)
        require_between(0, 1_024, "training.workers", self.workers)
        require_between(1, 1_000_000, "training.patience", self.patience)


@dataclass(frozen=True, kw_only=True)
class DistributedConfig:
    """How several processes share a model."""

    head: Literal["replicated", "sharded"] = "replicated"
    """replicated: each process has the whole head; sharded: each has a part of its labels, for linear heads of many labels."""


OptimiserConfig = AdamWConfig
