"""Lightning's DistributedDataParallel with a head that is shared out over ranks: its gradient stays on its rank."""

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.strategies import DDPStrategy
from torch import distributed
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from manyhot.training.distributed import by_first_process
from manyhot.training.shard_files import load_shards, new_name, remove_other_shards, save_shards
from manyhot.training.sharded_head import mesh_of_all


class ShardedHeadStrategy(DDPStrategy):
    """DistributedDataParallel for all that is whole; what is a DTensor is left to its rank, in training and in checkpoints.

    A checkpoint's shards are written first and named in its file: whoever is killed leaves the last pair whole.
    """

    def configure_ddp(self) -> None:
        """Wrap the module, without what is sharded; where nothing else learns, as with a frozen encoder, there is nothing to wrap."""
        assert self.model is not None
        learning = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        if all(isinstance(parameter, DTensor) for parameter in learning):
            return
        sharded = [name for name, parameter in self.model.named_parameters() if isinstance(parameter, DTensor)]
        ignore = DistributedDataParallel._set_params_and_buffers_to_ignore_for_model  # noqa: SLF001 - torch has no public name for it # pyright: ignore[reportPrivateUsage]
        ignore(self.model, sharded)
        super().configure_ddp()

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        filepath: str | Path,
        storage_options: Any | None = None,  # noqa: ANN401 - Lightning's signature
    ) -> None:
        """Write the shards, then the file that names them, and delete those that no file names any more."""
        path = Path(filepath)
        # A new name each time: what the last file names stays whole until there is another file.
        folder = path.parent / by_first_process(new_name)
        noted = save_shards(checkpoint, folder)
        super().save_checkpoint(noted, path, storage_options)
        distributed.barrier()
        if self.is_global_zero:
            remove_other_shards(path.parent, folder)

    def load_checkpoint(self, checkpoint_path: str | Path, weights_only: bool | None = None) -> dict[str, Any]:
        """Return a checkpoint with this rank's part of what is sharded."""
        checkpoint = super().load_checkpoint(checkpoint_path, weights_only=weights_only)
        return load_shards(checkpoint, Path(checkpoint_path).parent, mesh_of_all(torch.device(self.root_device.type)))
