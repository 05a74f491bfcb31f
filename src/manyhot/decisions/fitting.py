"""From validation logits and their truth to a decision, with a reason for each threshold."""

from typing import assert_never

import numpy as np
from jaxtyping import Float, Float64, Int64

from manyhot.decisions.calibration import Calibration, calibrate
from manyhot.decisions.cells import Cells
from manyhot.decisions.decision import Decision, Rule, rule_named
from manyhot.decisions.thresholds import plug_in_thresholds, search, search_pooled
from manyhot.errors import UsageError
from manyhot.labels import LabelSets

# Measured in docs/decisions/0006: below twenty positives a label's own best threshold loses to the shared rule.
FEW_POSITIVES = 20
NEVER = "never predicted: no validation positives"


def fit_decision(
    logits: Float[np.ndarray, "n l"], truth: LabelSets, *, rule: Rule = "plug-in", beta: float = 1.0
) -> Decision:
    """Return the decision that makes F-beta large, fitted on validation samples; never fit it on test samples.

    Rules, all on calibrated probabilities but the last:

    - `plug-in`: F*/(1 + β²) of each label. Rare labels do not overfit, and labels that the model knows nothing about are
      predicted everywhere, which is the best that F-beta allows. The default.
    - `best-f`: each label's best threshold on these samples; labels of fewer than 20 positives take `plug-in`.
    - `global`: one threshold, the best for F-beta of all cells pooled.
    - `half`: 0.5 on the sigmoid of the logits as they are; nothing is fitted.

    A label without positives is never predicted (except by `half`). Unknown cells take part in nothing.

    Args:
        logits: Of validation samples, before any sigmoid.
        truth: The labels of the same samples.
        rule: One of the four.
        beta: Weight of recall relative to precision; 2 counts recall twice.

    Raises:
        ScoreError: If shapes disagree, there is no sample, or a logit is not finite.
        UsageError: If the rule is unknown or `beta` is not above 0.

    Source: Lipton, Elkan, Naryanaswamy 2014 for F*/2.

    >>> from manyhot.labels import LabelSpace
    >>> truth = LabelSets.from_lists([[0], [0], [], []] * 50, LabelSpace(names=("cat", "dog")))
    >>> logits = np.array([[3.0, 0.0], [1.0, 0.0], [-1.0, 1.0], [-3.0, 0.0]] * 50)
    >>> decision = fit_decision(logits, truth)
    >>> decision.preds(logits[:4]).tolist()
    [[True, False], [True, False], [False, False], [False, False]]
    >>> decision.reasons
    ('threshold 0.5: F*/2 on 100 validation positives', 'never predicted: no validation positives')
    """
    if not 0 < beta < np.inf:
        raise UsageError(f"beta is {beta!r}; it must be above 0")
    rule = rule_named(rule)
    cells = Cells.of(logits, truth)
    if rule == "half":
        return _half(truth.num_labels, beta)
    positives = cells.positives
    calibration = calibrate(cells)
    calibrated = Cells(scores=calibration.probs(logits), positive=cells.positive, known=cells.known)
    thresholds = np.where(positives > 0, _thresholds(calibrated, positives, rule, beta), np.inf)
    reasons = tuple(
        _reason(float(threshold), int(count), rule, beta)
        for threshold, count in zip(thresholds, positives, strict=True)
    )
    return Decision(calibration=calibration, thresholds=thresholds, reasons=reasons, rule=rule, beta=float(beta))


def _thresholds(cells: Cells, positives: Int64[np.ndarray, " l"], rule: Rule, beta: float) -> Float64[np.ndarray, " l"]:
    match rule:
        case "plug-in":
            return plug_in_thresholds(cells.scores, cells.known, beta=beta)
        case "best-f":
            shared = plug_in_thresholds(cells.scores, cells.known, beta=beta)
            return np.where(positives < FEW_POSITIVES, shared, search(cells, beta))
        case "global":
            return np.full(len(positives), search_pooled(cells, beta))
        case "half":
            return np.full(len(positives), 0.5)
        case _:
            assert_never(rule)


def _half(num_labels: int, beta: float) -> Decision:
    return Decision(
        calibration=Calibration.identity(num_labels),
        thresholds=np.full(num_labels, 0.5),
        reasons=("threshold 0.5: fixed, nothing fitted",) * num_labels,
        rule="half",
        beta=float(beta),
    )


def _reason(threshold: float, positives: int, rule: Rule, beta: float) -> str:
    if threshold == np.inf:
        return NEVER
    share = f"F*/{1 + beta**2:g}"
    counted = f"{positives:,} validation positive{'' if positives == 1 else 's'}"
    if rule == "global":
        origin = f"best F{beta:g} of all labels pooled"
    elif positives < FEW_POSITIVES:
        origin = f"{share} by the calibration shared by all labels, as there are few: {counted}"
    elif rule == "best-f":
        origin = f"best F{beta:g} on {counted}"
    else:
        origin = f"{share} on {counted}"
    return f"threshold {threshold:.2g}: {origin}"
