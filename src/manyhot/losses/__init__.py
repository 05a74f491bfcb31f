"""Losses: logits and sparse targets to one number. Unknown cells take part in none of them."""

from manyhot.losses.binary import (
    BinaryCrossEntropy,
    binary_cross_entropy_cells,
    binary_cross_entropy_with_logits,
    pos_weight_from_counts,
)
from manyhot.losses.interface import Loss, Reduction, reduce_cells

__all__ = [
    "BinaryCrossEntropy",
    "Loss",
    "Reduction",
    "binary_cross_entropy_cells",
    "binary_cross_entropy_with_logits",
    "pos_weight_from_counts",
    "reduce_cells",
]
