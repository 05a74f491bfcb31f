"""How a new head starts: small weights, and biases that already know how common each label is."""

import torch
from jaxtyping import Float
from torch import Tensor

from manyhot.errors import ModelError
from manyhot.models.heads import Head


def initialise_head(
    head: Head, log_odds: Float[Tensor, " l"], *, pos_weight: Float[Tensor, " l"] | None = None
) -> None:
    """Draw the head's weights anew and set its biases to each label's log-odds, in place.

    From the first step on the head predicts each label's prevalence, give or take what the random weights add; the
    first hundreds of steps need not teach it that most cells are negative. Where positives weigh more, the balance of
    the loss lies at higher odds, and so does the bias.

    Args:
        head: The head.
        log_odds: `log((positives + 1) / (negatives + 1))` of each label, as `manyhot.labels.statistics.log_odds` gives.
        pos_weight: Weight of each label's positives in the loss; None where they weigh like negatives.

    Raises:
        ModelError: If there is not one finite log-odds a label.

    Source: He, Zhang, Ren, Sun 2015; Lin, Goyal, Girshick, He, Dollár 2017, section 4.1, for the bias.

    >>> from manyhot.models.heads import LinearHead
    >>> head = LinearHead(4, 2)
    >>> initialise_head(head, torch.tensor([-3.0, 0.5]))
    >>> head.bias.data
    tensor([-3.0000,  0.5000])
    """
    bias = log_odds if pos_weight is None else log_odds + pos_weight.log()
    if bias.shape != (head.num_labels,):
        raise ModelError(f"the head has {head.num_labels:,} labels, but {bias.shape[0]:,} log-odds are given")
    if not bool(torch.isfinite(bias).all()):
        raise ModelError(f"the log-odds of label {int((~torch.isfinite(bias)).nonzero()[0])} are not finite")
    head.reset_parameters()
    head.start_at(bias)
