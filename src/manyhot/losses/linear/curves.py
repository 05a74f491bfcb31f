"""Which loss the cells of a head have: binary cross-entropy, focal or asymmetric, as plain values that kernels can read."""

from dataclasses import dataclass
from typing import assert_never

from jaxtyping import Float
from torch import Tensor

from manyhot.losses.binary import binary_curves
from manyhot.losses.cells import Curves
from manyhot.losses.focal import asymmetric_curves, focal_curves


@dataclass(frozen=True, eq=False)
class Binary:
    """Binary cross-entropy: see `BCEWithLogitsLoss`."""

    pos_weight: Float[Tensor, " l"] | None = None


@dataclass(frozen=True)
class Focal:
    """Focal loss: see `FocalLoss`."""

    gamma: float = 2.0
    alpha: float | None = 0.25


@dataclass(frozen=True)
class Asymmetric:
    """Asymmetric loss: see `AsymmetricLoss`."""

    gamma_neg: float = 4.0
    gamma_pos: float = 1.0
    clip: float = 0.05


Curve = Binary | Focal | Asymmetric


def curves_of(curve: Curve) -> Curves:
    """Return the losses of positives and negatives as functions that torch can differentiate.

    Raises:
        UsageError: If a setting makes no sense.

    >>> import torch
    >>> curves_of(Binary()).negative(torch.zeros(1), ...)
    tensor([0.6931])
    """
    match curve:
        case Binary():
            return binary_curves(curve.pos_weight)
        case Focal():
            return focal_curves(curve.gamma, curve.alpha)
        case Asymmetric():
            return asymmetric_curves(curve.gamma_neg, curve.gamma_pos, curve.clip)
        case _:
            assert_never(curve)
