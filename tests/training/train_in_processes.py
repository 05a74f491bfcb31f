"""Run by torchrun in the tests: train the tiny model in this process's share, and write what came of it.

Arguments: the run's folder, the batch size of each process, and which process, if any, gets a signal in epoch 2.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import tiny_training as tiny
import torch
from lightning.pytorch import Callback
from torch import nn

from manyhot.errors import StoppedError
from manyhot.training.checkpoints import last_checkpoint
from manyhot.training.datamodule import MultiLabelData
from manyhot.training.trainer import fit


class Signalled(Callback):
    def __init__(self, rank: int) -> None:
        self.rank = rank

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: object, batch: object, batch_idx: int) -> None:
        if (trainer.global_rank, trainer.current_epoch, batch_idx) == (self.rank, 1, 2):
            os.kill(os.getpid(), signal.SIGTERM)


def main(folder: Path, batch_size: int, signalled: int | None) -> int:
    module = tiny.tiny_module()
    torch.manual_seed(0)
    # Without batch norm and dropout, whose results depend on how a batch is shared out.
    module.model = nn.Sequential(nn.Flatten(), nn.Linear(48, 8), nn.ReLU(), nn.Linear(8, tiny.NUM_LABELS))
    data = MultiLabelData(
        tiny.TinyLoader(tiny.train_rows(), shuffle=True, shard=True, batch_size=batch_size),
        tiny.TinyLoader(tiny.val_rows(), shard=True, batch_size=3),
    )
    callbacks = [] if signalled is None else [Signalled(signalled)]
    trainer = tiny.tiny_trainer(folder, callbacks=callbacks, ema_decay=0.9)
    try:
        fit(trainer, module, data, checkpoint=last_checkpoint(folder))
    except StoppedError as error:
        return error.exit_code
    if trainer.is_global_zero:
        torch.save(tiny.weights(module), folder / "weights.pt")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else None))
