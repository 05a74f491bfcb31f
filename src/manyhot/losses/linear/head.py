"""A linear head that learns by itself, chunk by chunk, in its forward pass: its gradient never exists.

A head of a million labels on 512 features is 2 GB in float32. Its gradient would be another 2 GB, Adam's state 4, logits and
targets of 256 samples 1 GB each. Here each chunk of labels has its logits formed, turned into their gradient, given to the
gradient of the features, and used for the update, before the next one is looked at: beside the head there are a few MB.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from manyhot.errors import UsageError
from manyhot.losses.cells import CellLoss
from manyhot.losses.interface import Targets, num_ranks
from manyhot.losses.linear.autograd import check_head, scale_of
from manyhot.losses.linear.chunks import BatchCells
from manyhot.losses.linear.curves import CellRule, curve_of
from manyhot.losses.linear.learning import Learner
from manyhot.losses.linear.options import LinearOptions
from manyhot.losses.linear.products import choose_products, products_dtype
from manyhot.losses.linear.top_k import TopK, stream_top_k
from manyhot.losses.linear.updates import SGD, Update
from manyhot.losses.linear.walk import walk
from manyhot.losses.linear.weights import HeadWeights, WeightFormat, make_weights
from manyhot.targets import as_targets


@dataclass(frozen=True, eq=False)
class Step:
    """What a forward pass of a fused head does.

    Args:
        cells: The targets, in chunks.
        rule: The loss of a cell.
        learns: Whether the head is updated.
        spreads: Whether the gradient of the features is formed.
    """

    cells: BatchCells
    rule: CellRule
    learns: bool
    spreads: bool


class FusedLinearHead(nn.Module):
    """A linear head with its loss and its update: `loss = head(features, targets)` has already taught it.

    While it trains (`head.train()`), the forward pass updates weight and bias at once, by `lr`; `loss.backward()` then only hands
    the gradient of the features to the encoder; where those need none, there is nothing to call it for. So what is done to the
    loss afterwards (a factor, a clipped norm, a scaler) reaches the encoder and not the head, and where the encoder
    accumulates gradients over batches, the head makes a step with each. Where gradients are not recorded, or after `head.eval()`, nothing is learnt.
    Weights are buffers, not parameters: no optimiser moves them, and `state_dict` holds them with all that the update needs.

    Args:
        num_features: Width of the features.
        num_labels: Number of labels.
        loss: The loss of a cell, and its reduction: `BCEWithLogitsLoss`, `FocalLoss` or `AsymmetricLoss`.
        lr: Learning rate; set `head.lr` to change it. A mean over cells is `num_labels` times smaller than one over samples,
            and so are its gradients: take `reduction="sample_mean"`, or rates to match.
        update: How it learns.
        weights: How weights are kept: see `manyhot.losses.linear.weights`.
        bias: Starting value of the biases, such as `starting_logits`; None starts at 0.
        seed: Of noise in formats that are rounded by chance.
        options: How it is computed.

    Raises:
        UsageError: If a setting makes no sense, or is none that a head in chunks has.

    >>> from manyhot.losses import BCEWithLogitsLoss
    >>> head = FusedLinearHead(2, 3, loss=BCEWithLogitsLoss(reduction="sample_mean"), lr=0.1)
    >>> features = torch.ones(1, 2, requires_grad=True)
    >>> losses = [head(features, torch.tensor([[1.0, 0.0, 0.0]])) for _ in range(2)]
    >>> bool(losses[1] < losses[0])
    True
    >>> head.top_k(features, k=1).label_ids
    tensor([[0]])
    """

    weights: HeadWeights
    learner: Learner
    bias: Float32[Tensor, " l"]
    num_steps: Int64[Tensor, ""]

    def __init__(
        self,
        num_features: int,
        num_labels: int,
        *,
        loss: CellLoss,
        lr: float,
        update: Update | None = None,
        weights: WeightFormat = "float32",
        bias: Float[Tensor, " l"] | None = None,
        seed: int = 0,
        options: LinearOptions | None = None,
    ) -> None:
        super().__init__()
        curve_of(loss)
        if not 0 <= lr < math.inf:
            raise UsageError(f"lr is {lr!r}; it must be at least 0 and finite")
        if bias is not None and bias.shape != (num_labels,):
            raise UsageError(f"bias has shape {tuple(bias.shape)} for {num_labels:,} labels; give one number a label")
        self.loss = loss
        self.lr = lr
        self.options = options or LinearOptions()
        self.weights = make_weights(weights, num_labels, num_features, seed=seed)
        self.learner = Learner(update or SGD(), num_labels, num_features)
        self.register_buffer("bias", torch.zeros(num_labels) if bias is None else bias.detach().clone().float())
        self.register_buffer("num_steps", torch.zeros((), dtype=torch.int64))
        self.num_features, self.num_labels = num_features, num_labels

    def forward(
        self, features: Float[Tensor, "n d"], targets: Targets, *, scale: Float[Tensor, ""] | None = None
    ) -> Float[Tensor, ""]:
        """Return the loss of a batch, and learn from it while training.

        Args:
            features: Of each sample.
            targets: Labels of the samples.
            scale: What the sum of losses is multiplied by, in the place of the reduction: where ranks share the labels, they
                know better. They also see to it that each has all samples.

        Raises:
            TargetError: If features, head and targets do not fit together.
            UsageError: If several processes share the batch: each would learn from its own part alone.
        """
        targets, curve = as_targets(targets), curve_of(self.loss)
        whole = self.weights.read(slice(None))
        check_head(curve, features, whole, targets, bias=self.bias, label_weight=self.loss.label_weight)
        learns = self.training and torch.is_grad_enabled()
        if learns and scale is None and num_ranks() > 1:
            raise UsageError(
                "a fused head learns from the samples of its own process; with several, shard it over labels"
            )
        step = Step(
            cells=BatchCells(targets, chunk_size=self.options.chunk_size),
            rule=CellRule(
                curve=curve,
                label_weight=self.loss.label_weight,
                scale=scale_of(targets, self.loss.reduction, torch.float32) if scale is None else scale.float(),
            ),
            learns=learns,
            spreads=features.requires_grad and torch.is_grad_enabled(),
        )
        # Any: torch's signature of apply says nothing of types.
        passed: Any = _FusedStep.apply(features, self, step)
        return passed

    def walk(self, features: Float[Tensor, "n d"], step: Step) -> tuple[Float[Tensor, ""], Float[Tensor, "n d"] | None]:
        """Return the loss and the gradient of the features, if it is to be formed, and learn on the way if so asked."""
        size = step.cells.chunks[0].stop
        dtype = products_dtype(self.weights.read(slice(0, 1)).dtype, features)
        # The choice is between float32 products.
        matmul = self.options.matmul if dtype == torch.float32 else "auto"
        products = choose_products(matmul, features, size, dtype)
        inputs = features.detach().to(dtype)
        spread = torch.zeros(features.shape, dtype=torch.float32, device=features.device) if step.spreads else None
        if step.learns:
            self.num_steps += 1

        def visit(labels: slice, of_logits: Tensor, weight: Tensor) -> None:
            if spread is not None:
                products.spread(spread, of_logits, weight)
            if step.learns:
                self.learner.learn(self.weights, self.bias, labels, of_logits, inputs, lr=self.lr, step=self.num_steps)

        total = walk(
            inputs,
            lambda labels: self.weights.read(labels).to(dtype),
            step.cells,
            step.rule,
            products,
            bias=self.bias,
            visit=visit if step.learns or step.spreads else None,
        )
        return (total * step.rule.scale).float(), spread

    def top_k(self, features: Float[Tensor, "n d"], k: int) -> TopK:
        """Return the best labels of each sample without forming all logits: see `manyhot.losses.linear.top_k`."""
        read = self.weights.exact
        return stream_top_k(features, read, self.num_labels, k, bias=self.bias, options=self.options)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "FusedLinearHead":
        """Move to devices and leave dtypes alone: they are the format, which `half()` or a double-precision trainer would break."""

        def moved(tensor: Tensor) -> Tensor:
            found = fn(tensor)
            return found if found.dtype == tensor.dtype else tensor.to(found.device)

        return super()._apply(moved, recurse)

    def to_linear(self) -> nn.Linear:
        """Return an ordinary layer with a copy of the weights, as float32: 4 bytes a weight more.

        >>> from manyhot.losses import BCEWithLogitsLoss
        >>> FusedLinearHead(2, 3, loss=BCEWithLogitsLoss(), lr=0.1).to_linear()
        Linear(in_features=2, out_features=3, bias=True)
        """
        layer = nn.Linear(self.num_features, self.num_labels, device="meta").to_empty(device=self.bias.device)
        with torch.no_grad():
            layer.weight.copy_(self.weights.exact(slice(None)))
            layer.bias.copy_(self.bias)
        return layer


class _FusedStep(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, head: FusedLinearHead, step: Step) -> Tensor:  # noqa: ANN401 - torch's signature
        with torch.autocast(features.device.type, enabled=False):
            loss, spread = head.walk(features, step)
        ctx.spread = None if spread is None else spread.to(features.dtype)
        return loss

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride] - the decorator above hides the signature
        ctx: Any,  # noqa: ANN401 - torch's signature
        *grad_outputs: Any,  # noqa: ANN401 - torch's signature
    ) -> tuple[Tensor | None, None, None]:
        (received,) = grad_outputs
        return ctx.spread * received.to(ctx.spread.dtype), None, None
