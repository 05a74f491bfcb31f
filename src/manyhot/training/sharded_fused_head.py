"""A head that learns by itself, its labels shared out over ranks: loss, update and best labels of each, as of one process."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Shard

from manyhot.errors import UsageError
from manyhot.losses.linear import FusedLinearHead, TopK
from manyhot.targets import SparseTargets
from manyhot.training.gathering import gather_batch, gather_rows, shard_scale, told_by_all
from manyhot.training.sharded_head import shard_of


class ShardedFusedHead(nn.Module):
    """This rank's labels of a `FusedLinearHead`: every rank learns its own from the samples of all, and no gradient of a head travels.

    Every rank must call what is called here. It may stand inside of what DistributedDataParallel wraps. `state_dict` has the names
    of a `FusedLinearHead` and tensors shared out over the ranks: what is saved here may be loaded by more or fewer ranks, and
    what `whole_state` puts together by a `FusedLinearHead`, whose state may be loaded here as well.

    Args:
        part: A fused head of the labels that `shard_of` gives this rank, with what its loss says of these labels.
        num_labels: Labels of all ranks together.
        mesh: The ranks, in one dimension.

    Raises:
        UsageError: If the part is not as wide as this rank's share, or the mesh does not hold all ranks.

    Attributes:
        labels: Which labels this rank has.
    """

    def __init__(self, part: FusedLinearHead, num_labels: int, mesh: DeviceMesh) -> None:
        super().__init__()
        if mesh.ndim != 1 or mesh.size() != distributed.get_world_size():
            raise UsageError("the mesh must hold all ranks in one dimension; see mesh_of_all")
        rank = mesh.get_local_rank()
        self.labels = shard_of(num_labels, rank, mesh.size())
        if part.num_labels != self.labels.stop - self.labels.start:
            raise UsageError(
                f"rank {rank} has labels {self.labels.start:,} to {self.labels.stop:,}, and the head given "
                f"is of {part.num_labels:,}; see shard_of"
            )
        part.weights.first_label = self.labels.start
        # Not a submodule: DistributedDataParallel would write rank 0's buffers over those of all ranks.
        self._kept = (part,)
        self.num_labels = num_labels
        self.mesh = mesh

    @property
    def part(self) -> FusedLinearHead:
        """The head of this rank's labels."""
        return self._kept[0]

    def train(self, mode: bool = True) -> "ShardedFusedHead":
        """Learn, or not, in the forward pass."""
        self.part.train(mode)
        super().train(mode)
        return self

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "ShardedFusedHead":
        self.part._apply(fn, recurse)  # noqa: SLF001 - so torch's own modules reach their children # pyright: ignore[reportPrivateUsage]
        super()._apply(fn, recurse)
        return self

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        for name, value in self.part.state_dict(keep_vars=keep_vars).items():
            destination[prefix + name] = self._shared_out(value)

    def _shared_out(self, value: Tensor) -> Tensor:
        """Return this rank's part of a tensor of all labels; a number of the whole head is each rank's own."""
        if not value.ndim:
            return value
        shape = torch.Size([self.num_labels, *value.shape[1:]])
        stride = torch.empty(shape, device="meta").stride()
        return DTensor.from_local(value, self.mesh, [Shard(0)], run_check=False, shape=shape, stride=stride)

    def _load_from_state_dict(  # noqa: PLR0917 - torch's signature
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],  # noqa: ARG002 - torch's signature
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        given = {name.removeprefix(prefix): value for name, value in state_dict.items() if name.startswith(prefix)}
        # By the number of all labels, which every rank sees alike: none goes on while another gives up.
        others = {len(value) for value in given.values() if value.ndim} - {self.num_labels}
        if others:
            error_msgs.append(f"the saved head has {min(others):,} labels, this one {self.num_labels:,}")
            return
        own = {name: self._own(value) for name, value in given.items()}
        try:
            found = self.part.load_state_dict(own, strict=False)
        except RuntimeError as error:
            error_msgs.append(str(error))
            return
        missing_keys += [prefix + name for name in found.missing_keys]
        unexpected_keys += [prefix + name for name in found.unexpected_keys if strict]

    def _own(self, value: Tensor) -> Tensor:
        """Return the rows of this rank's labels."""
        if isinstance(value, DTensor):
            return value.to_local()
        return value[self.labels] if value.ndim else value

    def forward(self, features: Float[Tensor, "k d"], targets: SparseTargets) -> Float[Tensor, ""]:
        """Return the loss of the batch of all ranks, on each, and learn from it while training.

        Args:
            features: Of this rank's samples.
            targets: Their labels, of all ranks' labels.
        """
        batch = gather_batch(features, targets)
        own = batch.targets.take_labels(self.labels)
        return told_by_all(
            self.part(batch.features, own, scale=shard_scale(self.part.loss.reduction, batch.targets, own))
        )

    @torch.no_grad()
    def top_k(self, features: Float[Tensor, "k d"], k: int) -> TopK:
        """Return the best labels of this rank's samples among the labels of all ranks.

        Each rank sends its k best for every sample: 12 bytes for each, whatever the number of labels.
        """
        k = min(k, self.num_labels)
        everyone, counts = gather_rows(features)
        best = self.part.top_k(everyone, min(k, self.part.num_labels)) if self.part.num_labels else None
        scores = everyone.new_full((len(everyone), k), float("-inf"), dtype=torch.float32)
        label_ids = torch.full((len(everyone), k), self.num_labels, device=everyone.device)
        if best is not None:
            scores[:, : best.scores.shape[1]] = best.scores.float()
            label_ids[:, : best.scores.shape[1]] = best.label_ids + self.labels.start
        rank = self.mesh.get_local_rank()
        own = slice(sum(counts[:rank]), sum(counts[: rank + 1]))
        of_ranks = _of_all(scores)[:, own], _of_all(label_ids)[:, own]
        return _merged(*of_ranks, missing=self.num_labels)


def _of_all(tensor: Tensor) -> Tensor:
    """Return the tensors of all ranks, one behind the other in a new first dimension."""
    everyone = tensor.new_empty(distributed.get_world_size() * tensor.shape[0], *tensor.shape[1:])
    distributed.all_gather_into_tensor(everyone, tensor)
    return everyone.view(distributed.get_world_size(), *tensor.shape)


def _merged(scores: Tensor, label_ids: Tensor, *, missing: int) -> TopK:
    # Rank after rank, best first: among equal scores the lower label stands before the higher, and a stable sort keeps it so.
    flat = scores.permute(1, 0, 2).flatten(1), label_ids.permute(1, 0, 2).flatten(1)
    order = flat[0].sort(dim=1, descending=True, stable=True).indices
    # Places that a rank has no label for stand last, even behind minus infinity.
    last = (flat[1].gather(1, order) == missing).int().argsort(dim=1, stable=True)
    order = order.gather(1, last)[:, : scores.shape[2]]
    return TopK(scores=flat[0].gather(1, order), label_ids=flat[1].gather(1, order))
