"""What thresholds are chosen for: one small value a rule, each with its own numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal, get_args

from manyhot.errors import UsageError, did_you_mean

RuleName = Literal[
    "plug-in",
    "best-f",
    "global",
    "half",
    "precision-at-least",
    "recall-at-least",
    "prevalence",
    "top-k",
    "cost",
    "false-negative-rate",
    "false-discovery-rate",
]


@dataclass(frozen=True, kw_only=True)
class PlugIn:
    """F*/(1 + β²) of each label: the best F-beta that calibrated probabilities expect. The default.

    Rare labels do not overfit, and labels that the model knows nothing about are predicted everywhere, which is the best
    that F-beta allows.
    """

    name: ClassVar[RuleName] = "plug-in"
    beta: float = 1.0
    """Weight of recall relative to precision; 2 counts recall twice."""

    def __post_init__(self) -> None:
        _check_beta(self.beta)


@dataclass(frozen=True, kw_only=True)
class BestF:
    """Each label's best threshold on the validation samples, midway between two probabilities; `PlugIn` where few are positive."""

    name: ClassVar[RuleName] = "best-f"
    beta: float = 1.0
    """Weight of recall relative to precision."""

    def __post_init__(self) -> None:
        _check_beta(self.beta)


@dataclass(frozen=True, kw_only=True)
class Global:
    """One threshold for all labels: the best for F-beta of all cells pooled (micro)."""

    name: ClassVar[RuleName] = "global"
    beta: float = 1.0
    """Weight of recall relative to precision."""

    def __post_init__(self) -> None:
        _check_beta(self.beta)


@dataclass(frozen=True, kw_only=True)
class Half:
    """0.5 on the sigmoid of the logits as they are; nothing is fitted."""

    name: ClassVar[RuleName] = "half"


@dataclass(frozen=True, kw_only=True)
class PrecisionAtLeast:
    """The most recall of each label at a precision; a label that does not reach the precision is never predicted."""

    name: ClassVar[RuleName] = "precision-at-least"
    precision: float
    """Between 0 and 1."""

    def __post_init__(self) -> None:
        _check_share("precision", self.precision)


@dataclass(frozen=True, kw_only=True)
class RecallAtLeast:
    """The highest threshold of each label that keeps a recall; it can always be had, at whatever precision."""

    name: ClassVar[RuleName] = "recall-at-least"
    recall: float
    """Between 0 and 1."""

    def __post_init__(self) -> None:
        _check_share("recall", self.recall)


@dataclass(frozen=True, kw_only=True)
class MatchPrevalence:
    """Each label is predicted as often as it occurs in the validation samples."""

    name: ClassVar[RuleName] = "prevalence"


@dataclass(frozen=True, kw_only=True)
class TopK:
    """The k most probable labels of each sample, whatever their probability."""

    name: ClassVar[RuleName] = "top-k"
    k: int
    """At least 1."""

    def __post_init__(self) -> None:
        if self.k < 1:
            raise UsageError(f"k is {self.k}; it must be at least 1")


@dataclass(frozen=True, kw_only=True)
class LeastCost:
    """The lowest expected cost: predict where (1 - p) × the cost of a false positive < p × that of a false negative.

    >>> LeastCost(false_negative=4.0, false_positives={"cat": 12.0}).threshold_of("cat")
    0.75
    """

    name: ClassVar[RuleName] = "cost"
    false_positive: float = 1.0
    """What a prediction that is wrong costs."""
    false_negative: float = 1.0
    """What a positive that is missed costs."""
    false_positives: Mapping[str, float] = field(default_factory=dict[str, float])
    """Labels, by name, whose false positives cost something else."""
    false_negatives: Mapping[str, float] = field(default_factory=dict[str, float])
    """Labels, by name, whose false negatives cost something else."""

    def __post_init__(self) -> None:
        costs = (
            self.false_positive,
            self.false_negative,
            *self.false_positives.values(),
            *self.false_negatives.values(),
        )
        for cost in costs:
            if not 0 < cost < float("inf"):
                raise UsageError(f"a cost is {cost!r}; it must be above 0 and finite")

    def threshold_of(self, label: str) -> float:
        """Return the probability from which on predicting a label costs less."""
        wrong = self.false_positives.get(label, self.false_positive)
        return wrong / (wrong + self.false_negatives.get(label, self.false_negative))


@dataclass(frozen=True, kw_only=True)
class FalseNegativeRate:
    """One threshold that keeps the mean share of a sample's positives that are missed below a level, on new samples."""

    name: ClassVar[RuleName] = "false-negative-rate"
    level: float = 0.1
    """Between 0 and 1."""
    confidence: float | None = None
    """None: the level holds in expectation. 0.95: it holds for 95 of 100 validation splits."""

    def __post_init__(self) -> None:
        _check_promise(self.level, self.confidence)


@dataclass(frozen=True, kw_only=True)
class FalseDiscoveryRate:
    """One threshold that keeps the mean share of a sample's predictions that are wrong below a level, on new samples."""

    name: ClassVar[RuleName] = "false-discovery-rate"
    level: float = 0.1
    """Between 0 and 1."""
    confidence: float | None = None
    """None: the level holds in expectation. 0.95: it holds for 95 of 100 validation splits."""

    def __post_init__(self) -> None:
        _check_promise(self.level, self.confidence)


Promised = FalseNegativeRate | FalseDiscoveryRate
Rule = PlugIn | BestF | Global | Half | PrecisionAtLeast | RecallAtLeast | MatchPrevalence | TopK | LeastCost | Promised


def rule_named(name: str, *, beta: float = 1.0) -> Rule:
    """Return the rule of a name that needs no number but beta.

    Raises:
        UsageError: If there is none, it needs a number of its own, or beta makes no sense.

    >>> rule_named("plug-in", beta=2.0)
    PlugIn(beta=2.0)
    """
    _check_beta(beta)
    match check_rule_name(name):
        case "plug-in":
            return PlugIn(beta=beta)
        case "best-f":
            return BestF(beta=beta)
        case "global":
            return Global(beta=beta)
        case "half":
            return Half()
        case "prevalence":
            return MatchPrevalence()
        case needy:
            example = {
                "precision-at-least": "PrecisionAtLeast(precision=0.9)",
                "recall-at-least": "RecallAtLeast(recall=0.9)",
            }
            example |= {"top-k": "TopK(k=3)", "cost": "LeastCost(false_negative=10.0)"}
            example |= {"false-negative-rate": "FalseNegativeRate()", "false-discovery-rate": "FalseDiscoveryRate()"}
            raise UsageError(f"rule {needy!r} has numbers of its own; give rule={example[needy]} instead of its name")


def check_rule_name(name: str) -> RuleName:
    """Return the name of a rule as it was given.

    Raises:
        UsageError: If there is no such rule.

    >>> check_rule_name("cost")
    'cost'
    """
    names: tuple[RuleName, ...] = get_args(RuleName)
    for known in names:
        if known == name:
            return known
    raise UsageError(f"rule is {name!r}; it must be one of {', '.join(names)}{did_you_mean(name, names)}")


def beta_of(rule: Rule) -> float:
    """Return the beta of a rule, 1 where it has none.

    >>> beta_of(BestF(beta=2.0)), beta_of(Half())
    (2.0, 1.0)
    """
    return float(rule.beta) if isinstance(rule, PlugIn | BestF | Global) else 1.0


def _check_beta(beta: float) -> None:
    if not 0 < beta < float("inf"):
        raise UsageError(f"beta is {beta!r}; it must be above 0")


def _check_share(name: str, value: float) -> None:
    if not 0 < value <= 1:
        raise UsageError(f"{name} is {value!r}; it must be above 0 and at most 1")


def _check_promise(level: float, confidence: float | None) -> None:
    if not 0 < level < 1:
        raise UsageError(f"level is {level!r}; it must be between 0 and 1")
    if confidence is not None and not 0 < confidence < 1:
        raise UsageError(f"confidence is {confidence!r}; it must be between 0 and 1, as in 0.95")
