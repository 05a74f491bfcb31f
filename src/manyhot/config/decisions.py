"""How logits become yes or no. Loads without torch."""

import math
from dataclasses import dataclass
from typing import Literal

from manyhot.config.checks import require, require_between
from manyhot.errors import ConfigError

# Which settings a rule of decision takes; the rest of them belong to other rules.
RULE_SETTINGS = {
    "plug-in": ("beta",),
    "best-f": ("beta",),
    "global": ("beta",),
    "half": (),
    "precision-at-least": ("precision",),
    "recall-at-least": ("recall",),
    "prevalence": (),
    "top-k": ("k",),
    "cost": ("false_positive_cost", "false_negative_cost"),
    "false-negative-rate": ("level", "confidence"),
    "false-discovery-rate": ("level", "confidence"),
}
HowMany = Literal["at-most-one", "exactly-one"]
SHARES = ("precision", "recall", "level", "confidence")


@dataclass(frozen=True, kw_only=True)
class DecisionConfig:
    """How logits become yes or no; fitted on the validation split."""

    rule: Literal[
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
    ] = "plug-in"
    """What thresholds are chosen for: plug-in is F*/(1 + beta²) of each label; docs/deciding.md has them all."""
    beta: float | None = None
    """Weight of recall against precision in the F-beta of plug-in, best-f and global; 1 if it is not given."""
    precision: float | None = None
    """What precision-at-least shall reach."""
    recall: float | None = None
    """What recall-at-least shall reach."""
    k: int | None = None
    """How many labels top-k predicts."""
    false_positive_cost: float | dict[str, float] | None = None
    """Of the rule cost: one for all labels, or by name (others 1)."""
    false_negative_cost: float | dict[str, float] | None = None
    """Of the rule cost: one for all labels, or by name (others 1)."""
    level: float | None = None
    """What false-negative-rate and false-discovery-rate stay below on new samples; 0.1 if it is not given."""
    confidence: float | None = None
    """Share of validation splits for which the level holds, 0.95 say; without it, it holds in expectation."""
    calibration: Literal["shrunk", "temperature", "platt", "isotonic"] = "shrunk"
    """How logits become probabilities: shrunk has an offset a label, pulled towards 0 where positives are few."""
    exclusive: Literal["none"] | dict[str, HowMany] = "none"
    """Groups of labels of which at most one or exactly one holds."""
    at_most: int | None = None
    """Largest number of labels of a sample."""
    at_least_one: bool = False
    """Give samples without a label the one that is nearest to its threshold."""
    ancestors: bool = False
    """Predicted labels imply their parents."""

    def __post_init__(self) -> None:
        taken = RULE_SETTINGS[self.rule]
        for name in dict.fromkeys(name for names in RULE_SETTINGS.values() for name in names):
            value: float | dict[str, float] | None = getattr(self, name)
            if name in {"precision", "recall", "k"} & {*taken} and value is None:
                raise ConfigError(f"decision.rule is {self.rule!r}, which needs decision.{name}")
            if name not in taken and value is not None:
                rules = " and ".join(rule for rule, names in RULE_SETTINGS.items() if name in names)
                raise ConfigError(
                    f"decision.{name} belongs to {rules}; decision.rule is {self.rule!r}, set one of them"
                )
            for label, number in (value if isinstance(value, dict) else {"": value}).items():
                high = 1.0 if name in SHARES else math.inf
                holds = number is None or 0 < number < high or (number == 1 and name in {"precision", "recall"})
                where = f"decision.{name}.{label}".removesuffix(".")
                require(holds, where, number, f"above 0 and {'at most 1' if name in SHARES else 'finite'}")
        require_between(1, 1_000_000, "decision.at_most", self.at_most)
