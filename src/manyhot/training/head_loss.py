"""A linear head and its loss in one, for a training step: from features, without the logits of all labels."""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Float32
from torch import Tensor

from manyhot.errors import ModelError
from manyhot.losses.interface import Reduction
from manyhot.losses.linear import GradientBuffer, LinearOptions
from manyhot.losses.linear.autograd import linear_loss
from manyhot.losses.linear.curves import Binary, Curve
from manyhot.models.heads import Head, LinearHead
from manyhot.targets import SparseTargets
from manyhot.training.gathering import gather_batch, shard_scale, told_by_all
from manyhot.training.sharded_head import ShardedHead, local


@runtime_checkable
class FeatureLoss(Protocol):
    """A loss of features and the head that reads them, in the place of one of logits."""

    def of_features(self, head: Head, features: Float[Tensor, "n d"], targets: SparseTargets) -> Float[Tensor, ""]:
        """Return the loss of a batch."""
        ...


class LinearHeadLoss:
    """The loss of a linear head from features, in chunks of labels: see `manyhot.losses.linear`.

    A head that is shared out over ranks sees the samples of all ranks and this rank's labels. Its value is then that of the
    global batch on every rank; gradients are such that the mean over ranks, which DistributedDataParallel takes, is
    that of the global batch for the encoder, and the head's own are whole.

    Args:
        curve: The loss of a cell.
        label_weight: How much all cells of each label count.
        reduction: What to divide by.
    """

    def __init__(
        self, curve: Curve, *, label_weight: Float32[Tensor, " l"] | None = None, reduction: Reduction = "mean"
    ) -> None:
        self._curve = curve
        self._label_weight = label_weight
        self._reduction: Reduction = reduction
        self._options = LinearOptions(buffer=GradientBuffer())

    def of_features(self, head: Head, features: Float[Tensor, "n d"], targets: SparseTargets) -> Float[Tensor, ""]:
        """Return the loss of a batch.

        Raises:
            ModelError: If the head is not linear.
        """
        if isinstance(head, ShardedHead):
            return self._of_shard(head, features, targets)
        if not isinstance(head, LinearHead):
            raise ModelError("head and loss in one take a linear head; set head.kind = 'linear'")
        return linear_loss(
            _moved(self._curve, features.device),
            features,
            head.weight,
            targets,
            bias=head.bias,
            label_weight=None if self._label_weight is None else self._label_weight.to(features.device),
            reduction=self._reduction,
            options=self._options,
        )

    def _of_shard(self, head: ShardedHead, features: Tensor, targets: SparseTargets) -> Tensor:
        batch = gather_batch(features, targets)
        own = batch.targets.take_labels(head.labels)
        label_weight = None if self._label_weight is None else self._label_weight[head.labels].to(features.device)
        share = linear_loss(
            _of_labels(_moved(self._curve, features.device), head.labels),
            batch.features,
            local(head.weight),
            own,
            bias=local(head.bias),
            label_weight=label_weight,
            scale=shard_scale(self._reduction, batch.targets, own),
            options=self._options,
        )
        return told_by_all(share)


def _of_labels(curve: Curve, labels: slice) -> Curve:
    if isinstance(curve, Binary) and curve.pos_weight is not None:
        return Binary(curve.pos_weight[labels])
    return curve


def _moved(curve: Curve, device: torch.device) -> Curve:
    if isinstance(curve, Binary) and curve.pos_weight is not None:
        return Binary(curve.pos_weight.to(device))
    return curve
