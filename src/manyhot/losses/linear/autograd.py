"""Head and loss in one, for autograd: gradients are formed in the forward pass, and handed out in the backward pass.

A chunk's logits become their own gradient in place and are used up at once by the products that make the gradients of input
and weight: nothing is computed twice, and nothing is kept for the backward pass but the gradients themselves. Beside the
weight's gradient a step takes a few matrices of `n × chunk` and one of `n × d`; neither logits nor targets are ever `n × l`.

What follows from it, as for torch's `linear_cross_entropy` in chunks: one backward pass a forward pass, no second derivatives.
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from manyhot.errors import TargetError, UsageError
from manyhot.losses.interface import Reduction, Targets, check_numbers, check_reduction, reduce_total
from manyhot.losses.linear.chunks import BatchCells
from manyhot.losses.linear.curves import CellRule, Curve, curves_of
from manyhot.losses.linear.options import LinearOptions
from manyhot.losses.linear.products import Products, choose_products
from manyhot.losses.linear.walk import walk
from manyhot.targets import SparseTargets, as_targets

REDUCTIONS: tuple[Reduction, ...] = ("mean", "sample_mean", "sum")


@dataclass(frozen=True, kw_only=True, eq=False)
class Job:
    """What a forward pass is asked for, beside the tensors that get gradients.

    Args:
        cells: The targets, in chunks.
        rule: The loss of a cell.
        options: How it is computed.
        wanted: Whether gradients of input, weight and bias are formed.
    """

    cells: BatchCells
    rule: CellRule
    options: LinearOptions
    wanted: tuple[bool, bool, bool]


def linear_loss(
    curve: Curve,
    input: Float[Tensor, "n d"],  # noqa: A002 - the name that torch's own functions have
    weight: Float[Tensor, "l d"],
    targets: Targets,
    *,
    bias: Float[Tensor, " l"] | None = None,
    label_weight: Float[Tensor, " l"] | None = None,
    reduction: Reduction = "mean",
    scale: Float[Tensor, ""] | None = None,
    options: LinearOptions | None = None,
) -> Float[Tensor, ""]:
    """Return the loss of a head whose cells have the given curve: what the functions by name call.

    Args:
        curve: The loss of a cell.
        input: Features of each sample.
        weight: Of the head.
        targets: Labels of the samples.
        bias: Of the head.
        label_weight: How much all cells of each label count.
        reduction: What the sum over cells is divided by; ranks share the samples.
        scale: What the sum is multiplied by, in the place of a reduction: where ranks share the labels, they know better.
        options: How it is computed.

    Raises:
        TargetError: If input, weight, targets and weights do not fit together.
        UsageError: If there is no such reduction, or a setting of the curve makes no sense.

    >>> from manyhot.losses.linear.curves import Binary
    >>> linear_loss(Binary(), torch.ones(1, 2), torch.zeros(2, 2), torch.tensor([[1.0, 0.0]]))
    tensor(0.6931)
    """
    check_reduction(reduction, REDUCTIONS)
    targets, options = as_targets(targets), options or LinearOptions()
    check_head(curve, input, weight, targets, bias=bias, label_weight=label_weight)
    dtype = torch.promote_types(torch.promote_types(input.dtype, weight.dtype), torch.float32)
    recorded = torch.is_grad_enabled()
    job = Job(
        cells=BatchCells(targets, chunk_size=options.chunk_size),
        rule=CellRule(
            curve=curve,
            label_weight=label_weight,
            scale=scale_of(targets, reduction, dtype) if scale is None else scale.to(dtype),
        ),
        options=options,
        wanted=(
            recorded and input.requires_grad,
            recorded and weight.requires_grad,
            recorded and bias is not None and bias.requires_grad,
        ),
    )
    # Any: torch's signature of apply says nothing of types.
    passed: Any = _LinearLoss.apply(input, weight, bias, job)
    return passed


def scale_of(targets: SparseTargets, reduction: Reduction, dtype: torch.dtype) -> Float[Tensor, ""]:
    """Return what the sum of this process's losses is multiplied by: see `reduce_cells`.

    >>> scale_of(SparseTargets.from_lists([[0], []], num_labels=2), "mean", torch.float32)
    tensor(0.2500)
    """
    count = targets.num_known() if reduction == "mean" else targets.num_samples
    return reduce_total(torch.ones((), dtype=dtype, device=targets.device), count, reduction=reduction)


def check_head(
    curve: Curve,
    input: Float[Tensor, "n d"],  # noqa: A002 - the name that torch's own functions have
    weight: Float[Tensor, "l d2"],
    targets: SparseTargets,
    *,
    bias: Float[Tensor, " l2"] | None,
    label_weight: Float[Tensor, " l3"] | None,
) -> None:
    """Check that features, head and targets fit together.

    Raises:
        TargetError: Saying what does not.
        UsageError: If a setting of the curve makes no sense.

    >>> from manyhot.losses.linear.curves import Binary
    >>> targets = SparseTargets.from_lists([[0]], num_labels=2)
    >>> check_head(Binary(), torch.ones(1, 3), torch.ones(2, 3), targets, bias=None, label_weight=None)
    """
    if input.ndim != 2 or weight.ndim != 2 or input.shape[1] != weight.shape[1]:
        raise TargetError(
            f"input has shape {tuple(input.shape)} and weight {tuple(weight.shape)}; "
            "(samples, features) and (labels, features) are expected"
        )
    if (len(input), len(weight), input.device) != (targets.num_samples, targets.num_labels, targets.device):
        # The shape of the logits, without the logits.
        targets.check_matches(input.detach()[:, :1].expand(-1, len(weight)))
    each = {"bias": bias, "label_weight": label_weight}
    for name, given in each.items():
        if given is None:
            continue
        check_numbers(given, name)
        if given.shape != (len(weight),):
            raise TargetError(
                f"{name} has shape {tuple(given.shape)} for {len(weight):,} labels; give one number a label"
            )
    own = curves_of(curve).num_labels
    if own not in (None, len(weight)):
        raise TargetError(f"there are {own:,} pos_weight for {len(weight):,} labels; give one a label")


class _Gradients:
    """Gradients of input, weight and bias, as far as they are wanted, filled chunk by chunk."""

    def __init__(self, job: Job, features: Tensor, weight: Tensor, bias: Tensor | None, products: Products) -> None:
        self.input = torch.zeros_like(features) if job.wanted[0] else None
        self.weight = None
        if job.wanted[1]:
            buffer = job.options.buffer
            self.weight = torch.empty_like(weight) if buffer is None else buffer.take(weight)
        self.bias = torch.empty_like(bias) if job.wanted[2] and bias is not None else None
        self._features, self._products = features, products

    def visit(self, labels: slice, of_logits: Tensor, weight: Tensor) -> None:
        """Use up the gradient of a chunk's logits."""
        if self.input is not None:
            self._products.spread(self.input, of_logits, weight)
        if self.weight is not None:
            own = self.weight[labels]
            if own.dtype == of_logits.dtype:
                torch.mm(of_logits.T, self._features, out=own)
            else:
                own.copy_(of_logits.T @ self._features)
        if self.bias is not None:
            self.bias[labels] = of_logits.sum(dim=0)


class _LinearLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, input: Tensor, weight: Tensor, bias: Tensor | None, job: Job) -> Tensor:  # noqa: A002, ANN401 - torch's signature
        dtype = job.rule.scale.dtype
        with torch.autocast(input.device.type, enabled=False):
            features = input.to(dtype)
            products = choose_products(job.options.matmul, features, job.cells.chunks[0].stop)
            gradients = _Gradients(job, features, weight, bias, products)
            total = walk(
                features,
                lambda labels: weight[labels].to(dtype),
                job.cells,
                job.rule,
                products,
                bias=None if bias is None else bias.to(dtype),
                visit=gradients.visit if any(job.wanted) else None,
            )
        of_input = None if gradients.input is None else gradients.input.to(input.dtype)
        ctx.gradients = (of_input, gradients.weight, gradients.bias)
        return (total * job.rule.scale).to(dtype)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride] - the decorator above hides the signature
        ctx: Any,  # noqa: ANN401 - torch's signature
        *grad_outputs: Any,  # noqa: ANN401 - torch's signature
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        if ctx.gradients is None:
            raise UsageError(
                "the gradients of this loss were handed out by its first backward pass; compute the loss again"
            )
        (received,) = grad_outputs
        given, ctx.gradients = ctx.gradients, None
        # On the CPU a look at the number is free, and a pass over the head's gradient is not.
        if received.device.type != "cpu" or received.item() != 1:
            for gradient in given:
                if gradient is not None:
                    gradient.mul_(received.to(gradient.dtype))
        return (*given, None)
