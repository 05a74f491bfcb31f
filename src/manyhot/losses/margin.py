"""Multi-label margin: every positive is to stand one above every negative of its sample."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from manyhot.errors import UsageError
from manyhot.losses.interface import Reduction, Targets, check_reduction, reduce_means
from manyhot.losses.pairs import negative_mask, read_batch, sum_by_sample
from manyhot.targets import as_targets


class MultiLabelMarginLoss(nn.Module):
    """The value of `torch.nn.MultiLabelMarginLoss`, from sparse targets instead of padded lists of ids.

    It ranks, and nothing more: only differences of logits of one sample matter, so no threshold fits all samples, and
    samples without positives teach nothing. Where columns seem to drift together, that is why; take binary
    cross-entropy unless the order of labels within a sample is all that you need.

    Args:
        margin: How far above.
        reduction: `mean` over known cells (of a complete batch torch's: by sample, the sum over pairs / number of labels,
            then the mean), `sample_mean` over samples, `none`, one number a sample: its sum / known cells, or `sum`, the
            sum of these.

    Raises:
        UsageError: If the margin is not above 0.

    >>> MultiLabelMarginLoss()(torch.tensor([[0.1, 0.2, 0.4, 0.8]]), torch.tensor([[1.0, 0.0, 0.0, 1.0]]))
    tensor(0.8500)
    """

    def __init__(self, *, margin: float = 1.0, reduction: Reduction = "mean") -> None:
        super().__init__()
        check_reduction(reduction)
        _check_margin(margin)
        self.margin = margin
        self.reduction: Reduction = reduction

    def forward(self, logits: Float[Tensor, "n l"], targets: Targets) -> Float[Tensor, ""] | Float[Tensor, " n"]:
        """Return the loss of a batch."""
        return multilabel_margin_loss(logits, targets, margin=self.margin, reduction=self.reduction)

    def extra_repr(self) -> str:
        """Return the settings for `repr`."""
        return f"margin={self.margin}, reduction={self.reduction!r}"


def multilabel_margin_loss(
    logits: Float[Tensor, "n l"], targets: Targets, *, margin: float = 1.0, reduction: Reduction = "mean"
) -> Float[Tensor, ""] | Float[Tensor, " n"]:
    """Return the sum over pairs of a positive and a negative of one sample of max(0, margin - (z⁺ - z⁻)), reduced.

    Memory: 4 bytes for each pair of a positive and any label, a few times.

    >>> multilabel_margin_loss(torch.tensor([[3.0, 0.0]]), torch.tensor([[1.0, 0.0]]))
    tensor(0.)
    """
    check_reduction(reduction)
    _check_margin(margin)
    targets = as_targets(targets)
    logits = read_batch(logits, targets)
    rows, ids = targets.row_ids(), targets.label_ids.long()
    gaps = (margin - logits[rows, ids])[:, None] + logits[rows]
    pairs = gaps.clamp(min=0).masked_fill(~negative_mask(targets)[rows], 0)
    samples = sum_by_sample(pairs.sum(dim=1), targets)
    known = targets.known_mask()
    cells = torch.full_like(targets.row_offsets[1:], targets.num_labels) if known is None else known.sum(dim=1)
    return reduce_means(samples, cells, reduction=reduction)


def _check_margin(margin: float) -> None:
    if not 0 < margin < float("inf"):
        raise UsageError(f"margin is {margin!r}; it must be above 0")
