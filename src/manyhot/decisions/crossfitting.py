"""Validation figures that stay honest: each sample is decided by a decision that was fitted without it."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32

from manyhot.decisions.calibration import Method, method_named
from manyhot.decisions.cells import Cells
from manyhot.decisions.constraints import Constraints
from manyhot.decisions.fitting import Fit
from manyhot.decisions.rules import Rule, RuleName, rule_named
from manyhot.errors import UsageError
from manyhot.labels import LabelSets
from manyhot.labels.splitting import fold_samples


@dataclass(frozen=True, kw_only=True, eq=False)
class CrossFitted:
    """Probabilities and predictions for validation samples, each by a decision that has not seen it.

    Args:
        probs: Calibrated probabilities.
        preds: Decisions.
        folds: Into how many parts the samples were divided.
    """

    probs: Float32[np.ndarray, "n l"]
    preds: Bool[np.ndarray, "n l"]
    folds: int


def cross_fit(
    logits: Float[np.ndarray, "n l"],
    truth: LabelSets,
    *,
    rule: Rule | RuleName = "plug-in",
    beta: float = 1.0,
    calibration: Method = "shrunk",
    constraints: Constraints | None = None,
    folds: int = 5,
    seed: int = 0,
) -> CrossFitted:
    """Return what decisions fitted on the other folds say about each fold.

    Figures on these predictions are about what new samples will give; those of the decision on the samples that it was fitted
    on flatter. The folds are stratified. One thing is taken from all samples together: which labels have positives, since a
    label whose only positive is left out would otherwise count as never predicted.

    Args:
        logits: Of validation samples, before any sigmoid.
        truth: The labels of the same samples.
        rule: As in `fit_decision`.
        beta: As in `fit_decision`.
        calibration: As in `fit_decision`.
        constraints: As in `fit_decision`.
        folds: Parts that the samples are divided into; no more than there are samples.
        seed: Another seed divides them otherwise.

    Raises:
        ScoreError: If shapes disagree, there is no sample, or a logit is not finite.
        UsageError: As `fit_decision`, or if there are fewer than two folds or samples.

    >>> truth = LabelSets.from_names([["cat"], ["cat"], [], []] * 5)
    >>> cross_fit(np.array([[3.0], [1.0], [-1.0], [-3.0]] * 5), truth).preds[:4, 0]
    array([ True,  True, False, False])
    """
    cells = Cells.of(logits, truth)
    folds = min(folds, truth.num_samples)
    if folds < 2:
        raise UsageError(f"{truth.num_samples:,} samples in {folds} folds; cross-fitting takes at least two of both")
    fit = Fit(
        rule=rule_named(rule, beta=beta) if isinstance(rule, str) else rule,
        method=method_named(calibration),
        constraints=constraints or Constraints(),
        names=truth.space.names,
    )
    probs, preds = np.empty(logits.shape, np.float32), np.empty(logits.shape, bool)
    fold_of = fold_samples(truth, folds, seed=seed)
    for fold in range(folds):
        held_out, rest = np.flatnonzero(fold_of == fold), np.flatnonzero(fold_of != fold)
        decision = fit.on(cells.take(rest), cells.positives > 0)
        probs[held_out], preds[held_out] = decision.probs(logits[held_out]), decision.preds(logits[held_out])
    return CrossFitted(probs=probs, preds=preds, folds=folds)
