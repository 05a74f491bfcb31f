"""Head and loss in one, from a thousand labels to a million: no dense targets, and never all logits at once."""

from manyhot.losses.linear.buffers import GradientBuffer
from manyhot.losses.linear.functional import linear_asymmetric_loss, linear_bce_with_logits, linear_focal_loss
from manyhot.losses.linear.head import FusedLinearHead
from manyhot.losses.linear.options import LinearOptions
from manyhot.losses.linear.top_k import TopK, top_k
from manyhot.losses.linear.updates import SGD, RowwiseAdagrad

__all__ = [
    "SGD",
    "FusedLinearHead",
    "GradientBuffer",
    "LinearOptions",
    "RowwiseAdagrad",
    "TopK",
    "linear_asymmetric_loss",
    "linear_bce_with_logits",
    "linear_focal_loss",
    "top_k",
]
