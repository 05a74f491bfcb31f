"""How pictures are read while a model trains. Loads without torch."""

import math
from dataclasses import dataclass
from typing import Literal

from manyhot.config.checks import require


@dataclass(frozen=True, kw_only=True)
class LoadingConfig:
    """How pictures are read while a model trains."""

    loader: Literal["threads", "processes"] = "threads"
    """What training.workers counts: threads are faster, unless augmentation of your own spends its time in Python."""
    timeout_s: float = 300.0
    """Seconds after which a picture (with processes: a batch) that does not come ends the run, by name."""

    def __post_init__(self) -> None:
        require(0 < self.timeout_s < math.inf, "loading.timeout_s", self.timeout_s, "above 0 and finite")
