"""Which loss the cells of a head have: binary cross-entropy, focal or asymmetric, as plain values that kernels can read."""

from dataclasses import dataclass
from typing import assert_never

from jaxtyping import Float
from torch import Tensor

from manyhot.errors import UsageError
from manyhot.losses.binary import BCEWithLogitsLoss, binary_curves
from manyhot.losses.cells import CellLoss, Curves
from manyhot.losses.focal import AsymmetricLoss, FocalLoss, asymmetric_curves, focal_curves


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


@dataclass(frozen=True, kw_only=True, eq=False)
class CellRule:
    """What the loss of a cell is, and how much it counts.

    Args:
        curve: The loss of positives and of negatives.
        label_weight: How much each label's cells count.
        scale: What gradients are multiplied by: the reduction, known before the first chunk; in the dtype of the computation.
    """

    curve: Curve
    label_weight: Float[Tensor, " l"] | None
    scale: Float[Tensor, ""]


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


def curve_of(loss: CellLoss) -> Curve:
    """Return the curve of a loss of cells, for a head that computes it in chunks.

    Raises:
        UsageError: If it has a setting that chunks know nothing of.

    >>> from manyhot.losses.binary import BCEWithLogitsLoss
    >>> curve_of(BCEWithLogitsLoss())
    Binary(pos_weight=None)
    """
    # torch's own losses have the names of ours.
    if not isinstance(loss, CellLoss):  # pyright: ignore[reportUnnecessaryIsInstance] - callers are not all typed
        raise UsageError(
            f"{type(loss).__module__}.{type(loss).__name__} cannot be computed together with the head; "
            "take BCEWithLogitsLoss, FocalLoss or AsymmetricLoss of manyhot.losses"
        )
    unusual = {
        "label_smoothing": loss.label_smoothing != 0,
        "source_weight": loss.source_weight is not None,
        "unknown": loss.unknown != "ignore",
        "reduction 'none'": loss.reduction == "none",
    }
    found = [name for name, is_set in unusual.items() if is_set]
    match loss:
        case BCEWithLogitsLoss() if not found:
            return Binary(loss.pos_weight)
        case FocalLoss() if not found:
            return Focal(loss.gamma, loss.alpha)
        case AsymmetricLoss() if not found:
            return Asymmetric(loss.gamma_neg, loss.gamma_pos, loss.clip)
        case _:
            what = f"with {', '.join(found)} " if found else ""
            raise UsageError(
                f"{type(loss).__name__} {what}cannot be computed together with the head; "
                "take BCEWithLogitsLoss, FocalLoss or AsymmetricLoss without it, or an ordinary head"
            )
