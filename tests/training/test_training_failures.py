"""What torch says of a training that cannot go on becomes one line that says what to change."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback
from torch import nn

from manyhot.errors import TrainingError
from manyhot.training.datamodule import MultiLabelData
from manyhot.training.trainer import fit


class Fails(Callback):
    """Raises an error at the first step, as a network would."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: object, batch_idx: int) -> None:
        raise self.error


@pytest.mark.parametrize(
    ("num_train", "batch_size"),
    [
        pytest.param(4, 1, id="batches of one sample"),
        pytest.param(1, 4, id="one sample to train on"),
        pytest.param(5, 2, id="one sample left for the last batch"),
    ],
)
def test_a_batch_of_one_sample_is_named_where_it_cannot_be_normalised(
    tiny: ModuleType, tmp_path: Path, num_train: int, batch_size: int
) -> None:
    module = tiny.tiny_module()
    module.model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(48), nn.Linear(48, tiny.NUM_LABELS))
    data = MultiLabelData(
        tiny.TinyLoader(np.arange(num_train), batch_size=batch_size), tiny.TinyLoader(tiny.val_rows())
    )
    with pytest.raises(TrainingError, match="batch of one sample cannot be normalised; raise --batch-size") as caught:
        fit(tiny.tiny_trainer(tmp_path), module, data)
    assert "\n" not in str(caught.value)


def test_too_little_memory_says_what_to_lower(tiny: ModuleType, tmp_path: Path) -> None:
    trainer = tiny.tiny_trainer(tmp_path, callbacks=[Fails(torch.OutOfMemoryError("CUDA out of memory\nlong"))])
    with pytest.raises(TrainingError, match="lower --batch-size or --image-size") as caught:
        fit(trainer, tiny.tiny_module(), tiny.tiny_data())
    assert "\n" not in str(caught.value)


def test_any_other_error_stays_what_it_is(tiny: ModuleType, tmp_path: Path) -> None:
    trainer = tiny.tiny_trainer(tmp_path, callbacks=[Fails(ValueError("of your own callback"))])
    with pytest.raises(ValueError, match="of your own callback"):
        fit(trainer, tiny.tiny_module(), tiny.tiny_data())


def test_what_a_killed_training_left_half_written_is_cleared_away_and_nothing_else(
    tiny: ModuleType, tmp_path: Path
) -> None:
    checkpoints = tmp_path / "checkpoints"
    checkpoints.mkdir()
    foreign = {
        checkpoints / ".manyhot-mine.ckpt",
        checkpoints / "mine.ckpt",
        tmp_path / ".manyhot-0123456789abcdef.ckpt",
    }
    ours = {checkpoints / f".manyhot-0123456789abcdef.{suffix}" for suffix in ("ckpt", "safetensors")}
    for path in foreign | ours:
        path.write_bytes(b"half")
    fit(tiny.tiny_trainer(tmp_path, epochs=1), tiny.tiny_module(epochs=1), tiny.tiny_data())
    assert all(path.is_file() for path in foreign)
    assert not any(path.exists() for path in ours)
