"""How likely a label is to be recorded where it is true: rare labels are missed more often, and weigh more when found."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from manyhot.errors import UsageError
from manyhot.labels import LabelCounts


@dataclass(frozen=True, kw_only=True)
class Propensity:
    """The model of propensities that `psp_at_k` and `psndcg_at_k` weigh labels with.

    Args:
        a: How fast the inverse propensity falls with a label's training positives.
        b: Shift of these.

    Raises:
        UsageError: If a value is negative or not finite.

    Source: Jain, Prabhu, Varma 2016, section 4. Usual are 0.55 and 1.5; Wikipedia sets take 0.5 and 0.4, Amazon sets 0.6
    and 2.6.

    >>> Propensity(a=0.5, b=0.4)
    Propensity(a=0.5, b=0.4)
    """

    a: float = 0.55
    b: float = 1.5

    def __post_init__(self) -> None:
        for name, value in (("a", self.a), ("b", self.b)):
            if not (math.isfinite(value) and value >= 0):
                raise UsageError(f"{name} of the propensities is {value}; give a number from 0, such as 0.55 or 1.5")
        if self.b == 0:
            raise UsageError("b of the propensities is 0, which labels without training positives cannot take")

    def inverse(self, counts: LabelCounts) -> Float64[np.ndarray, " l"]:
        """Return 1 + C·(n + B)^−A of each label, where C = (ln N − 1)·(B + 1)^A.

        `n` are the label's training positives and `N` the training samples, taken as the cells known of the label that
        is known most often. Below three samples C would be negative; it is 0 there, and all labels weigh the same.

        >>> counts = LabelCounts(positives=np.array([500, 2, 0]), known=np.array([1000, 1000, 1000]))
        >>> Propensity().inverse(counts).round(2)
        array([1.32, 5.91, 8.82])
        """
        samples = int(counts.known.max(initial=0))
        scale = max(0.0, math.log(max(1, samples)) - 1) * (self.b + 1) ** self.a
        return 1 + scale * (counts.positives + self.b) ** -self.a
