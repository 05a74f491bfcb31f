"""A linear head whose labels are shared out over ranks: each keeps its rows of the weight, their gradient and their optimiser state.

Only features and their gradients travel, and the labels' ids: binary cross-entropy has no normaliser over labels, so no
rank needs another's logits. At 3 million labels × 768 a step of 1,024 samples sends some 6 MB where the gradient of the
whole head would be 9 GB.
"""

import torch
from jaxtyping import Float
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.tensor import DTensor, Shard, distribute_tensor

from manyhot.errors import ModelError
from manyhot.models.heads import Head, LinearHead
from manyhot.training.gathering import gather_rows


class ShardedHead(Head):
    """This rank's part of a linear head, as DTensors: what holds the whole may be saved here and loaded by more or fewer ranks.

    Args:
        head: The whole head, the same on every rank; it is not kept.
        mesh: The ranks, in one dimension.

    Attributes:
        labels: Which labels this rank has.
    """

    def __init__(self, head: LinearHead, mesh: DeviceMesh) -> None:
        super().__init__(head.num_labels)
        # None: each rank takes its rows of what it has, and nothing is sent.
        self.weight = nn.Parameter(distribute_tensor(head.weight.detach(), mesh, [Shard(0)], src_data_rank=None))
        self.bias = nn.Parameter(distribute_tensor(head.bias.detach(), mesh, [Shard(0)], src_data_rank=None))
        self.labels = shard_of(head.num_labels, mesh.get_local_rank(), mesh.size())

    def reset_parameters(self) -> None:
        """Refuse: a part of a head is made from a whole one.

        Raises:
            ModelError: Always.
        """
        raise ModelError("a sharded head takes its weights from a whole one; draw those anew")

    def start_at(self, logits: Float[Tensor, " l"]) -> None:
        """Set the biases to logits that training starts from."""
        with torch.no_grad():
            local(self.bias).copy_(logits[self.labels])

    def forward(self, inputs: Float[Tensor, "k d"]) -> Float[Tensor, "k l"]:
        """Return the logits of this rank's samples, of all labels, without a gradient; every rank must call this.

        Each rank is sent `k × l` numbers: for validation, and never in a training step.
        """
        with torch.no_grad():
            everyone, counts = gather_rows(inputs)
            logits = nn.functional.linear(everyone, local(self.weight), local(self.bias))
            ranks = len(counts)
            own = counts[distributed.get_rank()]
            widths = [_length(shard_of(self.num_labels, rank, ranks)) for rank in range(ranks)]
            received = logits.new_empty(own * self.num_labels)
            distributed.all_to_all_single(
                received,
                logits.reshape(-1),
                [own * width for width in widths],
                [count * _length(self.labels) for count in counts],
            )
            parts = received.split([own * width for width in widths])
            return torch.cat([part.view(own, width) for part, width in zip(parts, widths, strict=True)], dim=1)


def shard_head(head: Head, mesh: DeviceMesh) -> ShardedHead:
    """Return this rank's part of a head.

    Raises:
        ModelError: If the head is no linear one: others mix labels before their logits, or have little to share out.
    """
    if not isinstance(head, LinearHead):
        raise ModelError("only a linear head can be shared out over ranks; set head.kind = 'linear'")
    return ShardedHead(head, mesh)


def mesh_of_all(device: torch.device) -> DeviceMesh:
    """Return all ranks in one dimension; every rank must call this."""
    return init_device_mesh(device.type, (distributed.get_world_size(),))


def shard_of(num_labels: int, rank: int, num_ranks: int) -> slice:
    """Return which labels a rank has: as DTensor's `Shard(0)` shares them out, the last ranks may have fewer or none.

    >>> [shard_of(7, rank, 3) for rank in range(3)]
    [slice(0, 3, None), slice(3, 6, None), slice(6, 7, None)]
    """
    size = -(-num_labels // num_ranks)
    return slice(min(rank * size, num_labels), min((rank + 1) * size, num_labels))


def local(parameter: Tensor) -> Tensor:
    """Return this rank's part of a sharded tensor; one that is not is returned as it is.

    >>> local(torch.zeros(2)).shape
    torch.Size([2])
    """
    return parameter.to_local() if isinstance(parameter, DTensor) else parameter


def whole_state(module: nn.Module) -> dict[str, Tensor]:
    """Return a module's weights with sharded ones put together, on every rank; every rank must call this.

    >>> sorted(whole_state(nn.Linear(2, 3)))
    ['bias', 'weight']
    """
    state = module.state_dict()
    return {name: _whole(value) if isinstance(value, DTensor) else value for name, value in state.items()}


def _whole(value: DTensor) -> Tensor:
    if value.dtype != torch.int16:
        return value.full_tensor()
    # gloo does not send whole numbers of 16 bits, which a head in halves has.
    wide = value.to(torch.int32)
    assert isinstance(wide, DTensor)
    return wide.full_tensor().short()


def _length(labels: slice) -> int:
    return labels.stop - labels.start
