"""The loaders of a training, with a position that survives a stop."""

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

from lightning.pytorch import LightningDataModule

from manyhot.training.module import ImageBatch


@runtime_checkable
class BatchLoader(Protocol):
    """Batches in an order, and how many there are; `manyhot.data.loading.ImageLoader` is one."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[ImageBatch]: ...


@runtime_checkable
class Resumable(Protocol):
    """A loader that can say where it is, and go on from there.

    Its position advances before a batch is yielded, and its epoch rolls when iteration starts anew: then a checkpoint
    that is written after a step holds the position of the next one.
    """

    def state_dict(self) -> dict[str, Any]:
        """Return the position as plain data."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go to a position."""
        ...


class MultiLabelData(LightningDataModule):
    """The training and validation loaders of a run.

    Args:
        train: Training batches.
        val: Validation batches; each sample once over all processes.
    """

    def __init__(self, train: BatchLoader, val: BatchLoader) -> None:
        super().__init__()
        self._train = train
        self._val = val

    def train_dataloader(self) -> BatchLoader:
        """Return the training batches."""
        return self._train

    def val_dataloader(self) -> BatchLoader:
        """Return the validation batches."""
        return self._val

    def state_dict(self) -> dict[str, Any]:
        """Return the position in the training data.

        Lightning keeps a loader's state by itself, but restores it in the middle of an epoch only; at the end of one it
        would start over with the first epoch's order.
        """
        return {"train": self._train.state_dict()} if isinstance(self._train, Resumable) else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go to a position in the training data."""
        if isinstance(self._train, Resumable) and "train" in state_dict:
            self._train.load_state_dict(state_dict["train"])
