"""A training small enough for tests: a network with batch norm and dropout, and a loader that can be resumed."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from manyhot.labels import LabelSets, LabelSpace
from manyhot.losses import BCEWithLogitsLoss
from manyhot.targets import SparseTargets
from manyhot.training.datamodule import MultiLabelData
from manyhot.training.module import MultiLabelModule
from manyhot.training.optimisation import OptimisationSettings
from manyhot.training.trainer import create_trainer

NUM_LABELS = 3
NUM_SAMPLES = 22
NUM_VAL = 7


@dataclass(frozen=True)
class TinyBatch:
    images: Tensor
    targets: SparseTargets
    rows: Tensor

    def to(self, device: torch.device) -> "TinyBatch":
        return TinyBatch(self.images.to(device), self.targets.to(device), self.rows.to(device))


class TinyLoader:
    """Batches of a fixed set of samples; the order is a function of seed and epoch, the position survives a stop."""

    def __init__(self, rows: np.ndarray, *, batch_size: int = 4, shuffle: bool = False, shard: bool = False) -> None:
        self.rows = rows
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.shard = shard
        self.epoch = 0
        self.position = 0
        self.poisoned: tuple[int, int] | None = None
        self.drawn: list[tuple[int, list[int]]] = []

    def _ranks(self) -> tuple[int, int]:
        if self.shard and torch.distributed.is_initialized():
            return torch.distributed.get_rank(), torch.distributed.get_world_size()
        return 0, 1

    def _own_rows(self) -> np.ndarray:
        rank, size = self._ranks()
        rows = np.random.default_rng((5, self.epoch)).permutation(self.rows) if self.shuffle else self.rows
        # Training: as many batches in every process. Validation: each sample once.
        rows = rows[: len(rows) // size * size] if self.shuffle else rows
        return rows[rank::size]

    def __len__(self) -> int:
        return math.ceil(len(self._own_rows()) / self.batch_size)

    def __iter__(self) -> Iterator[TinyBatch]:
        if self.position >= len(self):
            self.epoch, self.position = self.epoch + 1, 0
        torch.rand(1)  # as torch's DataLoader draws its base seed from the main generator
        rows = self._own_rows()
        while self.position < len(self):
            start = self.position * self.batch_size
            self.position += 1
            chosen = rows[start : start + self.batch_size]
            self.drawn.append((self.epoch, chosen.tolist()))
            batch = batch_of(chosen)
            if self.poisoned == (self.epoch, self.position):
                batch.images.fill_(torch.nan)
            yield batch

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.epoch, self.position = state_dict["epoch"], state_dict["position"]


def truth() -> LabelSets:
    """The labels of all samples: label 0 is bright red, label 1 bright green, label 2 is never positive."""
    pictures = all_images()
    positives = [
        [label for label in range(2) if float(pictures[row, label].mean()) > 0.5] for row in range(len(pictures))
    ]
    return LabelSets.from_lists(positives, space=LabelSpace(names=("red", "green", "never")))


def all_images() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    level = torch.rand(NUM_SAMPLES + NUM_VAL, 3, 1, 1, generator=generator)
    return level * 0.8 + 0.2 * torch.rand(NUM_SAMPLES + NUM_VAL, 3, 4, 4, generator=generator)


def batch_of(rows: np.ndarray) -> TinyBatch:
    return TinyBatch(
        all_images()[rows], SparseTargets.from_label_sets(truth().take(rows)), torch.from_numpy(rows.astype(np.int64))
    )


def train_rows() -> np.ndarray:
    return np.arange(NUM_SAMPLES)


def val_rows() -> np.ndarray:
    return np.arange(NUM_SAMPLES, NUM_SAMPLES + NUM_VAL)


def tiny_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Dropout(0.3), nn.Linear(24, NUM_LABELS)
    )


def tiny_module(*, epochs: int = 3, lr: float = 0.01, score: Any = None, steps_per_epoch: int = 6) -> MultiLabelModule:
    return MultiLabelModule(
        tiny_model(),
        BCEWithLogitsLoss(),
        optimisation=OptimisationSettings(lr=lr, total_steps=epochs * steps_per_epoch, warmup_steps=2),
        validation_truth=truth(),
        score=score,
    )


def tiny_data(*, shard: bool = False) -> MultiLabelData:
    return MultiLabelData(
        TinyLoader(train_rows(), shuffle=True, shard=shard), TinyLoader(val_rows(), batch_size=3, shard=shard)
    )


def tiny_trainer(folder: Path, *, epochs: int = 3, **options: Any) -> Any:
    return create_trainer(folder=folder, epochs=epochs, seed=7, **options)


def weights(module: MultiLabelModule) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in module.model.state_dict().items()}
