"""What a setting must be, said in one sentence where it is not."""

import math
from collections.abc import Mapping

from manyhot.errors import ConfigError


def require(holds: bool, name: str, value: object, expected: str) -> None:
    """Check a setting.

    Raises:
        ConfigError: Saying what the setting is, and what it must be.

    >>> require(False, "optimiser.lr", -1.0, "above 0")
    Traceback (most recent call last):
    manyhot.errors.ConfigError: optimiser.lr is -1.0; it must be above 0
    """
    if not holds:
        raise ConfigError(f"{name} is {value!r}; it must be {expected}")


def require_between(low: int, high: int, name: str, value: int | None) -> None:
    """Check that a whole number, where it is set, is from `low` to `high`.

    >>> require_between(1, 8, "training.devices", None)
    """
    require(value is None or low <= value <= high, name, value, f"at least {low} and at most {high:,}")


def require_weights(name: str, weights: Mapping[str, float]) -> None:
    """Check that weights, by name, are above 0 and finite.

    >>> require_weights("loss.pos_weight", {"dog": 2.0})
    """
    for label, weight in weights.items():
        require(0 < weight < math.inf, f"{name}.{label}", weight, "above 0 and finite")
