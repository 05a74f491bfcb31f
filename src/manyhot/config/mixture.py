"""How often the data sets of a training come. Loads without torch."""

import math
from dataclasses import dataclass

from manyhot.config.checks import require, require_between
from manyhot.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class MixtureConfig:
    """How often several data sets come in an epoch; by default each sample comes once."""

    temperature: float | None = None
    """Draw shares together: 2 makes them the roots of the sizes, inf makes them equal, 1 leaves them as they are."""
    weight: dict[str, float] | None = None
    """Or the share of each data set, by name, up to a factor; 0 leaves one out of training."""
    epoch_length: int | None = None
    """Samples in an epoch; as many as there are in the data sets that come, if not given."""

    def __post_init__(self) -> None:
        temperature, weights = self.temperature, self.weight
        require(temperature is None or temperature >= 1, "mixture.temperature", temperature, "1 or more")
        require_between(1, 2**40, "mixture.epoch_length", self.epoch_length)
        for name, weight in (weights or {}).items():
            require(0 <= weight < math.inf, f"mixture.weight.{name}", weight, "0 or more and finite")
        if weights is not None and not any(weights.values()):
            raise ConfigError("mixture.weight leaves every data set out; give one a weight above 0")
        if weights is not None and temperature is not None:
            raise ConfigError(
                "mixture.weight and mixture.temperature both say how often data sets come; give one of them"
            )

    @property
    def is_set(self) -> bool:
        """Whether data sets come other than each sample once."""
        return (self.temperature, self.weight, self.epoch_length) != (None, None, None)
