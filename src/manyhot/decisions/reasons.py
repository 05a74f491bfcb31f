"""Why a threshold is what it is: one sentence a label, for people who ask."""

from dataclasses import dataclass

from manyhot.decisions.calibration import Method
from manyhot.decisions.rules import (
    BestF,
    Global,
    LeastCost,
    MatchPrevalence,
    PlugIn,
    PrecisionAtLeast,
    RecallAtLeast,
    Rule,
    TopK,
)

NEVER = "never predicted: no validation positives"
NEVER_CALIBRATED = "never predicted: no positives among the half of the validation samples that calibrates"


@dataclass(frozen=True, kw_only=True)
class Grounds:
    """What a threshold rests on.

    Args:
        threshold: `inf` where the label is never predicted.
        positives: Validation positives.
        is_few: Whether they are too few to count.
        best_precision: The highest that any threshold has; NaN where it was not looked for.
        calibration: The method asked for.
        is_own: Whether the label has a calibration of its own.
    """

    threshold: float
    positives: int
    is_few: bool
    best_precision: float
    calibration: Method
    is_own: bool


def reason(rule: Rule, grounds: Grounds) -> str:
    """Return why a label with positives has its threshold.

    >>> grounds = Grounds(threshold=0.31, positives=1_204, is_few=False, best_precision=float("nan"),
    ...     calibration="shrunk", is_own=False)
    >>> reason(PlugIn(), grounds)
    'threshold 0.31: F*/2 on 1,204 validation positives'
    """
    counted = f"{grounds.positives:,} validation positive{'' if grounds.positives == 1 else 's'}"
    if isinstance(rule, PrecisionAtLeast) and grounds.threshold == float("inf"):
        best = f"{grounds.best_precision:.2g}"
        return f"never predicted: precision {rule.precision:g} is not reached, at most {best} on {counted}"
    if isinstance(rule, TopK):
        return f"among the {rule.k} most probable labels of a sample, at any probability; {counted}"
    own = grounds.calibration in {"platt", "isotonic"}
    shared = "" if grounds.is_own or not own else f", too few for {grounds.calibration}"
    return f"threshold {grounds.threshold:.2g}: {_origin(rule, grounds, counted)}{shared}"


def _origin(rule: Rule, grounds: Grounds, counted: str) -> str:
    match rule:
        case Global():
            return f"best F{rule.beta:g} of all labels pooled"
        case LeastCost():
            return f"lowest expected cost on calibrated probabilities, {counted}"
        case _:
            pass
    if grounds.is_few:
        return f"{_aim(rule, expects=True)} by the calibration shared by all labels, as there are few: {counted}"
    return f"{_aim(rule, expects=False)} on {counted}"


def _aim(rule: Rule, *, expects: bool) -> str:
    match rule:
        case PlugIn():
            return f"F*/{1 + rule.beta**2:g}"
        case BestF():
            return f"F*/{1 + rule.beta**2:g}" if expects else f"best F{rule.beta:g}"
        case PrecisionAtLeast():
            return f"precision at least {rule.precision:g}"
        case RecallAtLeast():
            return f"recall at least {rule.recall:g}"
        case MatchPrevalence():
            return "predicted as often as it occurs"
        case _:
            raise AssertionError(f"{rule} says itself what it aims at")
