"""From the recipe's `[decision]` to a decision, for a training and, without another one, for a run that is finished."""

from collections.abc import Mapping
from typing import assert_never

import numpy as np
from jaxtyping import Float

from manyhot.config import DecisionConfig
from manyhot.decisions import (
    BestF,
    Constraints,
    CrossFitted,
    Decision,
    FalseDiscoveryRate,
    FalseNegativeRate,
    Global,
    Half,
    LeastCost,
    MatchPrevalence,
    PlugIn,
    PrecisionAtLeast,
    RecallAtLeast,
    Rule,
    TopK,
    constraints_of,
    cross_fit,
    fit_decision,
)
from manyhot.decisions.fitting import Fit
from manyhot.labels import LabelSets, LabelSpace


def decide(config: DecisionConfig, logits: Float[np.ndarray, "n l"], truth: LabelSets) -> Decision:
    """Return the decision that the recipe asks for, fitted on validation samples."""
    constraints = constraints_from(config, truth.space)
    return fit_decision(logits, truth, rule=rule_from(config), calibration=config.calibration, constraints=constraints)


def check_decision(config: DecisionConfig, space: LabelSpace) -> None:
    """Check, before anything is trained, that the decision can be fitted on these labels.

    Raises:
        LabelError: If a group is not in the space, or ancestors are asked for and there are no parents.
        UsageError: If a cost is of no label, or constraints would break a promise.

    >>> check_decision(DecisionConfig(exclusive={"colour": "exactly-one"}), LabelSpace(names=("cat", "dog")))
    Traceback (most recent call last):
    manyhot.errors.LabelError: 'colour' is no group of labels; the labels have no groups
    """
    constraints = constraints_from(config, space)
    Fit(rule=rule_from(config), method=config.calibration, constraints=constraints, names=space.names)


def cross_decide(config: DecisionConfig, logits: Float[np.ndarray, "n l"], truth: LabelSets) -> CrossFitted | None:
    """Return what such decisions say about validation samples that they have not seen; None for fewer than two samples."""
    if truth.num_samples < 2:
        return None
    constraints = constraints_from(config, truth.space)
    return cross_fit(logits, truth, rule=rule_from(config), calibration=config.calibration, constraints=constraints)


def constraints_from(config: DecisionConfig, space: LabelSpace) -> Constraints:
    """Return what is put right after the thresholds.

    Raises:
        LabelError: If a group is not in the space, or ancestors are asked for and there are no parents.

    >>> constraints_from(DecisionConfig(at_most=2), LabelSpace(names=("cat", "dog"))).to_lines()
    ['at most 2 labels']
    """
    return constraints_of(
        space,
        exclusive={} if config.exclusive == "none" else config.exclusive,
        at_most=config.at_most,
        at_least_one=config.at_least_one,
        ancestors=config.ancestors,
    )


def rule_from(config: DecisionConfig) -> Rule:  # noqa: C901, PLR0911 - one case a rule
    """Return the rule that thresholds are chosen by.

    >>> rule_from(DecisionConfig(rule="recall-at-least", recall=0.9))
    RecallAtLeast(recall=0.9)
    """
    beta, level = config.beta or 1.0, config.level or 0.1
    match config.rule:
        case "plug-in":
            return PlugIn(beta=beta)
        case "best-f":
            return BestF(beta=beta)
        case "global":
            return Global(beta=beta)
        case "half":
            return Half()
        case "precision-at-least":
            return PrecisionAtLeast(precision=config.precision or 0.0)
        case "recall-at-least":
            return RecallAtLeast(recall=config.recall or 0.0)
        case "prevalence":
            return MatchPrevalence()
        case "top-k":
            return TopK(k=config.k or 0)
        case "cost":
            return LeastCost(
                false_positive=_shared(config.false_positive_cost),
                false_negative=_shared(config.false_negative_cost),
                false_positives=_by_label(config.false_positive_cost),
                false_negatives=_by_label(config.false_negative_cost),
            )
        case "false-negative-rate":
            return FalseNegativeRate(level=level, confidence=config.confidence)
        case "false-discovery-rate":
            return FalseDiscoveryRate(level=level, confidence=config.confidence)
        case _:
            assert_never(config.rule)


def _shared(cost: float | Mapping[str, float] | None) -> float:
    return float(cost) if isinstance(cost, float | int) else 1.0


def _by_label(cost: float | Mapping[str, float] | None) -> Mapping[str, float]:
    return cost if isinstance(cost, Mapping) else {}
