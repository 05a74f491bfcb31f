"""The usual mistakes of multi-label training, found by name in logits and in the history of a training.

Each finding says what was seen, why it is a mistake, and the mend. Where a healthy model could look the same, it is a
warning, or nothing is said.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from manyhot.sources.finding import Finding, Severity
from manyhot.targets import SparseTargets

# Fewer cells say nothing of how a model's outputs lie.
MIN_CELLS = 100
MIN_SAMPLES = 10
# Rows of probabilities sum to 1 up to float32's and bf16's rounding.
ROW_SUM_TOLERANCE = 5e-3
# Labels whose logits differ by less from sample to sample rank nothing.
SAME_LOGITS = 1e-2
# How far the mean probability must lie above the prevalence, before outputs from 0 to 1 are no logits.
TOO_LIKELY = 0.1
# What a model ends in, by the name of the step back through it, and steps that change no value.
ACTIVATIONS = {
    "SigmoidBackward0": "a sigmoid",
    "HardsigmoidBackward0": "a sigmoid",
    "LogSigmoidBackward0": "the logarithm of a sigmoid",
    "SoftmaxBackward0": "a softmax",
    "LogSoftmaxBackward0": "the logarithm of a softmax",
    "TanhBackward0": "a tanh",
    "ReluBackward0": "a ReLU",
}
PASSED_THROUGH = ("ToCopy", "View", "UnsafeView", "ReshapeAlias", "Clone", "Alias", "Squeeze", "Transpose", "T")


def final_activation(logits: Float[Tensor, "n l"]) -> str | None:
    """Return what a model ends in that no loss here wants, from the gradient's way back; None where it ends in logits.

    Sees functions as well as modules; not through `torch.compile`, nor without gradients.

    >>> weights = torch.ones(1, 2, requires_grad=True)
    >>> final_activation(torch.sigmoid(weights)), final_activation(2 * weights)
    ('a sigmoid', None)
    """
    node = logits.grad_fn
    while node is not None and node.name().rstrip("0123456789").removesuffix("Backward") in PASSED_THROUGH:
        node = node.next_functions[0][0]
    return None if node is None else ACTIVATIONS.get(node.name())


def diagnose_logits(
    logits: Float[Tensor, "n l"],
    targets: SparseTargets | None = None,
    preds: Bool[Tensor, "n l"] | None = None,
) -> tuple[Finding, ...]:
    """Return what is wrong with the outputs of a model: probabilities in place of logits, a collapse, no numbers.

    Give a whole validation split, or many batches: fewer than 100 cells say nothing.

    Args:
        logits: What the loss was given.
        targets: Of the same samples; with them, outputs that only look unusual are left alone.
        preds: What was decided, if anything was.

    >>> [finding.name for finding in diagnose_logits(torch.rand(50, 4, generator=torch.Generator().manual_seed(0)))]
    ['sigmoid-twice']
    >>> diagnose_logits(torch.randn(50, 4) - 2)
    ()
    """
    if targets is not None:
        targets.check_matches(logits)
    logits = logits.detach().double()
    if not bool(logits.isfinite().all()):
        bad = int((~logits.isfinite()).any(dim=1).sum())
        message = "logits are not finite: the weights are lost; train again with a lower learning rate, in fp32"
        return (Finding(name="logits-not-finite", severity="error", message=message, count=bad),)
    if logits.numel() < MIN_CELLS or logits.shape[0] < MIN_SAMPLES:
        return ()
    findings = [_probabilities(logits, targets), _collapse(logits, targets), _nothing_predicted(targets, preds)]
    return tuple(finding for finding in findings if finding is not None)


def _probabilities(logits: Float[Tensor, "n l"], targets: SparseTargets | None) -> Finding | None:
    low, high, sums = float(logits.min()), float(logits.max()), logits.sum(dim=1)
    seen = f"all {logits.numel():,} logits lie between {low:.3g} and {high:.3g}"
    remedy = "take the {} out of the model: losses, figures and decisions take logits"
    if logits.shape[1] > 1 and low >= 0 and _all_near(sums, 1.0):
        why = "and each sample's sum to 1: the model ends in a softmax, under which labels exclude one another"
        return _error("softmax-for-multi-label", f"{seen}, {why}; {remedy.format('softmax')}")
    if logits.shape[1] > 1 and high <= 0 and _all_near(logits.exp().sum(dim=1), 1.0):
        why = "and each sample's exponentials sum to 1: the model ends in the logarithm of a softmax"
        return _error("softmax-for-multi-label", f"{seen}, {why}; {remedy.format('softmax')}")
    if low < 0 or float(logits.std()) < SAME_LOGITS or not _too_likely(logits, targets):
        return None
    if high <= 1:
        why = "as probabilities do: the model ends in a sigmoid, and the loss applies another"
        return _error("sigmoid-twice", f"{seen}, {why}; {remedy.format('sigmoid')}")
    why = "and none is below 0: the model ends in a ReLU or its like, and can call nothing unlikely"
    return _error("no-negative-logits", f"{seen}, {why}; {remedy.format('activation')}")


def _all_near(values: Float[Tensor, " n"], expected: float) -> bool:
    return bool(((values - expected).abs() < ROW_SUM_TOLERANCE).all())


def _too_likely(logits: Float[Tensor, "n l"], targets: SparseTargets | None) -> bool:
    """Whether the mean probability lies far above the share of positives; where that is not known, whether it may."""
    if targets is None:
        return True
    known = targets.known_mask()
    probs = torch.sigmoid(logits if known is None else logits[known])
    share = targets.label_ids.shape[0] / max(1, probs.numel())
    return probs.numel() > 0 and float(probs.mean()) - share > TOO_LIKELY


def _collapse(logits: Float[Tensor, "n l"], targets: SparseTargets | None) -> Finding | None:
    largest = float(logits.std(dim=0).max())
    if largest >= SAME_LOGITS:
        return None
    if targets is not None and int(targets.label_ids.unique().numel()) == 0:
        return None
    seen = f"every sample gets the same logits (no label's deviate by more than {largest:.2g})"
    return _error(
        "constant-logits",
        f"{seen}: the model says how common labels are and looks at nothing; try a lower or a higher learning rate, "
        "and look whether features reach the head (a dead ReLU, pictures of one colour, a frozen encoder of random weights)",
    )


def _nothing_predicted(targets: SparseTargets | None, preds: Bool[Tensor, "n l"] | None) -> Finding | None:
    if targets is None or preds is None or bool(preds.any()) or not targets.label_ids.shape[0]:
        return None
    seen = f"nothing is predicted for any of {preds.shape[0]:,} samples, which have {targets.label_ids.shape[0]:,} positives"
    return _error(
        "all-negative",
        f"{seen}: no probability reaches its label's threshold; fit the decision (manyhot decide), train longer, or take "
        "a loss for rare labels (docs/losses.md)",
    )


def diagnose_history(
    train_losses: Sequence[float],
    val_figures: Sequence[float] = (),
    *,
    prevalence_loss: float | None = None,
    val_loss: float | None = None,
) -> tuple[Finding, ...]:
    """Return what is wrong with the course of a training, from its mean loss and its validation figure of each epoch.

    Args:
        train_losses: Of each epoch.
        val_figures: Of each epoch, better when higher; NaN where undefined.
        prevalence_loss: The loss of predicting each label's prevalence for every sample.
        val_loss: The loss of the weights that were kept, on the validation split.

    >>> [finding.name for finding in diagnose_history([0.69, 0.66, 0.64], prevalence_loss=0.2)]
    ['missing-prevalence-bias']
    >>> [finding.name for finding in diagnose_history([0.3, float("nan")])]
    ['loss-not-finite']
    """
    bad = [epoch for epoch, loss in enumerate(train_losses, start=1) if not math.isfinite(loss)]
    if bad:
        message = (
            f"the loss of epoch {bad[0]} is not a finite number; lower the learning rate, train in fp32, and look for "
            "pictures or features that cannot be right (manyhot check DATA)"
        )
        return (_error("loss-not-finite", message),)
    findings = [
        _missing_bias(train_losses, prevalence_loss),
        _not_falling(train_losses),
        _not_moving(val_figures),
        _overfitted(train_losses, val_figures, val_loss),
    ]
    return tuple(finding for finding in findings if finding is not None)


def _missing_bias(losses: Sequence[float], prevalence_loss: float | None) -> Finding | None:
    if not losses or prevalence_loss is None or losses[0] <= 1.5 * prevalence_loss:
        return None
    late = next((epoch for epoch, loss in enumerate(losses, start=1) if loss <= prevalence_loss), None)
    reached = "in no epoch" if late is None else f"from epoch {late} on"
    return _warning(
        "missing-prevalence-bias",
        f"the mean loss of the first epoch is {losses[0]:.3g}, and predicting each label's prevalence costs "
        f"{prevalence_loss:.3g}, which is reached {reached}: the head had to learn that most cells are negative; start "
        "its biases at manyhot.losses.starting_logits(loss, counts), or raise a learning rate that is too low for it",
    )


def _not_falling(losses: Sequence[float]) -> Finding | None:
    if len(losses) < 3 or losses[-1] < 0.98 * losses[0]:
        return None
    return _warning(
        "loss-not-falling",
        f"the mean loss was {losses[0]:.3g} in the first epoch and is {losses[-1]:.3g} in the last of {len(losses)}: "
        "nothing is learnt; try other learning rates, and look whether labels belong to their pictures (manyhot check DATA)",
    )


def _not_moving(figures: Sequence[float]) -> Finding | None:
    defined = [figure for figure in figures if math.isfinite(figure)]
    # A figure at its ceiling has nowhere to move.
    if len(defined) < 3 or max(defined) - min(defined) >= 2e-3 or max(defined) > 0.95:
        return None
    return _warning(
        "val-not-moving",
        f"the validation figure stays between {min(defined):.4f} and {max(defined):.4f} over {len(defined)} epochs: what "
        "is learnt does not carry over, or nothing is; compare it with predict prevalence, and raise the learning rate",
    )


def _overfitted(losses: Sequence[float], figures: Sequence[float], val_loss: float | None) -> Finding | None:
    """Return the gap between train and val: in the loss, or in a figure that fell while the loss went on falling."""
    mend = "add data or augmentation, freeze the encoder, use more weight decay, or stop earlier (--training.patience)"
    if losses and val_loss is not None and val_loss > 1.5 * min(losses) and val_loss - min(losses) > 1e-3:
        seen = f"the loss is {min(losses):.3g} on train and {val_loss:.3g} on val"
        return _warning("train-val-gap", f"{seen}: the model knows its training samples by heart; {mend}")
    if len(figures) < 3 or len(losses) != len(figures) or not all(map(math.isfinite, figures)):
        return None
    best = max(range(len(figures)), key=lambda epoch: figures[epoch])
    if figures[-1] > 0.9 * figures[best] or losses[-1] >= losses[best]:
        return None
    seen = f"the validation figure fell from {figures[best]:.3f} in epoch {best + 1} to {figures[-1]:.3f}"
    return _warning("train-val-gap", f"{seen}, while the loss went on falling; {mend}")


def _error(name: str, message: str) -> Finding:
    return _finding(name, "error", message)


def _warning(name: str, message: str) -> Finding:
    return _finding(name, "warning", message)


def _finding(name: str, severity: Severity, message: str) -> Finding:
    return Finding(name=name, severity=severity, message=message)
