"""Where a head's biases start: at the constants that a loss would settle on if it saw no picture at all.

Training from there need not learn first that most cells are negative. For binary cross-entropy these constants are the
log-odds of prevalence. For losses that look away from sure cells they are not: at the log-odds of posters' genres (mean
-3.2) asymmetric loss is 0.137, at 0 it is 0.054, and at its own constants (mean -0.6) 0.042.
"""

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from manyhot.labels import LabelCounts, log_odds
from manyhot.losses.cells import CellLoss, Curves
from manyhot.losses.interface import Loss
from manyhot.losses.rejection import LargeLossRejection
from manyhot.losses.softmax import SemanticSoftmaxLoss, SoftmaxLoss

# Between which logits a loss's constant is looked for, and how often the interval is halved: to 1e-10 of a logit.
FURTHEST = 20.0
HALVINGS = 38


def starting_logits(loss: Loss, counts: LabelCounts, *, num_samples: int | None = None) -> Float64[Tensor, " l"]:
    """Return the logit of each label at which training is to start.

    - Losses of cells: the constant of least loss over the label's positives and negatives, one more of each so that it
      is finite; for binary cross-entropy the log-odds of prevalence, plus the logarithm of `pos_weight`.
    - Softmax losses: the logarithm of prevalence, since their labels share one probability.
    - Losses that compare positives with negatives of a sample: the log-odds. On real label sets (posters, yeast,
      bibtex) that is within 7 % of the best constants, where a start at 0 is up to 150 % above them.

    Args:
        loss: What will be minimised.
        counts: Of the training labels.
        num_samples: Training samples; needed where the loss takes unknown cells as negatives.

    >>> from manyhot.losses import AsymmetricLoss, BCEWithLogitsLoss
    >>> counts = LabelCounts(positives=np.array([9]), known=np.array([98]))
    >>> starting_logits(BCEWithLogitsLoss(), counts).round(decimals=4), log_odds(counts).round(4)
    (tensor([-2.1972], dtype=torch.float64), array([-2.1972]))
    >>> starting_logits(AsymmetricLoss(), counts).round(decimals=2)
    tensor([-0.1300], dtype=torch.float64)
    """
    if isinstance(loss, LargeLossRejection):
        loss = loss.loss
    if isinstance(loss, CellLoss):
        if loss.unknown != "ignore" and num_samples is not None:
            counts = LabelCounts(positives=counts.positives, known=np.full_like(counts.known, num_samples))
        return _best_constants(loss, counts)
    if isinstance(loss, SoftmaxLoss | SemanticSoftmaxLoss):
        return torch.from_numpy(np.log(counts.positives + 1.0) - np.log(counts.known + 2.0))
    return torch.from_numpy(log_odds(counts))


def _best_constants(loss: CellLoss, counts: LabelCounts) -> Float64[Tensor, " l"]:
    """Return where the slope of the summed curves turns from down to up, by halving."""
    curves = loss.curves()
    low = torch.full((len(counts.known),), -FURTHEST, dtype=torch.float64)
    high = -low
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        falls = _slopes(curves, middle, counts, loss.label_smoothing) < 0
        low, high = torch.where(falls, middle, low), torch.where(falls, high, middle)
    return (low + high) / 2


def _slopes(
    curves: Curves, logits: Float64[Tensor, " l"], counts: LabelCounts, label_smoothing: float
) -> Float64[Tensor, " l"]:
    positives = torch.from_numpy(counts.positives + 1.0)
    negatives = torch.from_numpy(counts.negatives + 1.0)
    moved = label_smoothing / 2 * (positives - negatives)
    with torch.enable_grad():
        logits = logits.clone().requires_grad_()
        total = (positives - moved) * curves.positive(logits, ...) + (negatives + moved) * curves.negative(logits, ...)
        (slopes,) = torch.autograd.grad(total.sum(), logits)
    return slopes
