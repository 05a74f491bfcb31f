"""How a new head starts: small weights, and biases that already know how common each label is."""

import torch
from jaxtyping import Float
from torch import Tensor

from manyhot.errors import ModelError
from manyhot.models.heads import Head


def initialise_head(head: Head, start: Float[Tensor, " l"]) -> None:
    """Draw the head's weights anew and set its biases to the logits that training starts from, in place.

    From the first step on the head predicts each label's prevalence, give or take what the random weights add; the
    first hundreds of steps need not teach it that most cells are negative.

    Args:
        head: The head.
        start: The logit of each label, as `manyhot.losses.starting_logits` finds it for a loss and its weights; for binary
            cross-entropy without weights `manyhot.labels.log_odds`.

    Raises:
        ModelError: If there is not one finite logit a label.

    Source: He, Zhang, Ren, Sun 2015; Lin, Goyal, Girshick, He, Dollár 2017, section 4.1, for the bias.

    >>> from manyhot.models.heads import LinearHead
    >>> head = LinearHead(4, 2)
    >>> initialise_head(head, torch.tensor([-3.0, 0.5]))
    >>> head.bias.data
    tensor([-3.0000,  0.5000])
    """
    if start.shape != (head.num_labels,):
        raise ModelError(f"the head has {head.num_labels:,} labels, but starts at {start.shape[0]:,} logits")
    if not bool(torch.isfinite(start).all()):
        raise ModelError(f"the starting logit of label {int((~torch.isfinite(start)).nonzero()[0])} is not finite")
    head.reset_parameters()
    head.start_at(start)
