"""Losses: logits and targets to one number, for any number of labels at once. Unknown cells take part in none of them.

Targets are `SparseTargets`, or a dense matrix of 1, 0 and NaN (unknown) in a loop of your own.
"""

from manyhot.losses.balance import DistributionBalancedLoss, class_balanced_weights
from manyhot.losses.binary import (
    BCEWithLogitsLoss,
    MultiLabelSoftMarginLoss,
    binary_cross_entropy_with_logits,
    multilabel_soft_margin_loss,
    pos_weight_from_counts,
)
from manyhot.losses.cells import CellLoss, CellOptions, CellWeights, WeightedOptions
from manyhot.losses.dice import DiceLoss, dice_loss
from manyhot.losses.focal import AsymmetricLoss, FocalLoss, asymmetric_loss, focal_loss
from manyhot.losses.interface import EpochAware, Loss, Reduction, reduce_cells, reduce_means, reduce_samples
from manyhot.losses.margin import MultiLabelMarginLoss, multilabel_margin_loss
from manyhot.losses.ranking import (
    PairwiseLogSumExpLoss,
    TwoWayLoss,
    ZLPRLoss,
    pairwise_logsumexp_loss,
    two_way_loss,
    zlpr_loss,
)
from manyhot.losses.rejection import LargeLossRejection
from manyhot.losses.softmax import (
    SemanticSoftmaxLoss,
    SoftmaxLoss,
    levels_of,
    semantic_softmax_loss,
    softmax_loss,
)
from manyhot.losses.starts import starting_logits
from manyhot.losses.unknown import SelectiveUnknown, Unknown

__all__ = [
    "AsymmetricLoss",
    "BCEWithLogitsLoss",
    "CellLoss",
    "CellOptions",
    "CellWeights",
    "DiceLoss",
    "DistributionBalancedLoss",
    "EpochAware",
    "FocalLoss",
    "LargeLossRejection",
    "Loss",
    "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss",
    "PairwiseLogSumExpLoss",
    "Reduction",
    "SelectiveUnknown",
    "SemanticSoftmaxLoss",
    "SoftmaxLoss",
    "TwoWayLoss",
    "Unknown",
    "WeightedOptions",
    "ZLPRLoss",
    "asymmetric_loss",
    "binary_cross_entropy_with_logits",
    "class_balanced_weights",
    "dice_loss",
    "focal_loss",
    "levels_of",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "pairwise_logsumexp_loss",
    "pos_weight_from_counts",
    "reduce_cells",
    "reduce_means",
    "reduce_samples",
    "semantic_softmax_loss",
    "softmax_loss",
    "starting_logits",
    "two_way_loss",
    "zlpr_loss",
]
