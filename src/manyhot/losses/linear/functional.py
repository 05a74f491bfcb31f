"""Head and loss in one: the loss of `linear(input, weight, bias)`, whose logits never exist all at once.

How it works is said in `autograd`; what it costs, and when to take it, in `docs/large-heads.md`.
"""

from jaxtyping import Float
from torch import Tensor

from manyhot.losses.interface import Reduction, Targets
from manyhot.losses.linear.autograd import linear_loss
from manyhot.losses.linear.curves import Asymmetric, Binary, Focal
from manyhot.losses.linear.options import LinearOptions


def linear_bce_with_logits(
    input: Float[Tensor, "n d"],  # noqa: A002 - the name that torch's own functions have
    weight: Float[Tensor, "l d"],
    targets: Targets,
    *,
    bias: Float[Tensor, " l"] | None = None,
    pos_weight: Float[Tensor, " l"] | None = None,
    label_weight: Float[Tensor, " l"] | None = None,
    reduction: Reduction = "mean",
    options: LinearOptions | None = None,
) -> Float[Tensor, ""]:
    """Return the binary cross-entropy of `linear(input, weight, bias)` without forming all logits at once.

    Equals `binary_cross_entropy_with_logits` of the logits, and so do its gradients. All is computed in float32 at least,
    also under autocast; gradients come in the dtype of what they belong to.

    Args:
        input: Features of each sample.
        weight: Of the head.
        targets: Positives, with their confidence as soft targets where they have any, and unknown cells; or dense.
        bias: Of the head.
        pos_weight: How much more a positive of each label counts; 1 if not given.
        label_weight: How much all cells of each label count.
        reduction: `mean` over known cells, `sample_mean` over samples, of all ranks (see `reduce_cells`), or `sum`.
        options: How it is computed.

    Raises:
        TargetError: If input, weight, targets and weights do not fit together.
        UsageError: If there is no such reduction, or the backward pass is asked for twice.

    >>> import torch
    >>> weight = torch.zeros(3, 2, requires_grad=True)
    >>> loss = linear_bce_with_logits(torch.ones(1, 2), weight, torch.tensor([[1.0, 0.0, 0.0]]))
    >>> loss.backward()
    >>> loss.detach(), weight.grad
    (tensor(0.6931), tensor([[-0.1667, -0.1667],
            [ 0.1667,  0.1667],
            [ 0.1667,  0.1667]]))
    """
    return linear_loss(
        Binary(pos_weight),
        input,
        weight,
        targets,
        bias=bias,
        label_weight=label_weight,
        reduction=reduction,
        options=options,
    )


def linear_focal_loss(
    input: Float[Tensor, "n d"],  # noqa: A002 - the name that torch's own functions have
    weight: Float[Tensor, "l d"],
    targets: Targets,
    *,
    gamma: float = 2.0,
    alpha: float | None = 0.25,
    bias: Float[Tensor, " l"] | None = None,
    label_weight: Float[Tensor, " l"] | None = None,
    reduction: Reduction = "mean",
    options: LinearOptions | None = None,
) -> Float[Tensor, ""]:
    """Return the focal loss of `linear(input, weight, bias)`: see `FocalLoss` and `linear_bce_with_logits`.

    >>> import torch
    >>> linear_focal_loss(torch.ones(1, 2), torch.zeros(2, 2), torch.tensor([[1.0, 0.0]]), gamma=0.0, alpha=None)
    tensor(0.6931)
    """
    return linear_loss(
        Focal(gamma, alpha),
        input,
        weight,
        targets,
        bias=bias,
        label_weight=label_weight,
        reduction=reduction,
        options=options,
    )


def linear_asymmetric_loss(
    input: Float[Tensor, "n d"],  # noqa: A002 - the name that torch's own functions have
    weight: Float[Tensor, "l d"],
    targets: Targets,
    *,
    gamma_neg: float = 4.0,
    gamma_pos: float = 1.0,
    clip: float = 0.05,
    bias: Float[Tensor, " l"] | None = None,
    label_weight: Float[Tensor, " l"] | None = None,
    reduction: Reduction = "mean",
    options: LinearOptions | None = None,
) -> Float[Tensor, ""]:
    """Return the asymmetric loss of `linear(input, weight, bias)`: see `AsymmetricLoss` and `linear_bce_with_logits`.

    >>> import torch
    >>> linear_asymmetric_loss(torch.ones(1, 2), torch.zeros(2, 2), torch.tensor([[1.0, 0.0]]))
    tensor(0.1855)
    """
    return linear_loss(
        Asymmetric(gamma_neg, gamma_pos, clip),
        input,
        weight,
        targets,
        bias=bias,
        label_weight=label_weight,
        reduction=reduction,
        options=options,
    )
