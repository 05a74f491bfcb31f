"""Sums of floats without rounding, so that it does not matter in which order, or on how many ranks, they are taken."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from manyhot.metrics.figures import Figure, ratio_figure

SCALE_BITS = 1074
LOW_BITS = 27


@dataclass(frozen=True, kw_only=True)
class ExactSum:
    """The sum of the defined values of some samples.

    Args:
        units: The sum in units of 2⁻¹⁰⁷⁴, the smallest float64: a whole number of any size.
        defined: How many values are defined.
        total: How many there are.
        infinite: How many are infinite, which they are upwards only.

    >>> values = np.array([0.1, np.nan, 0.2, 0.3])
    >>> parts = ExactSum.of(values[:1]) + ExactSum.of(values[1:])
    >>> parts.value, parts == ExactSum.of(values)
    (0.6, True)
    """

    units: int
    defined: int
    total: int
    infinite: int

    @staticmethod
    def of(values: Float64[np.ndarray, " n"]) -> "ExactSum":
        """Return the sum of the values; NaN where one is undefined."""
        defined = ~np.isnan(values)
        kept = values[np.isfinite(values)]
        mantissas, exponents = np.frexp(kept)
        whole = (mantissas * 2.0**53).astype(np.int64)
        units = 0
        for exponent in np.unique(exponents).tolist():
            same = whole[exponents == exponent]
            # Two parts, whose sums cannot overflow below 2³⁶ values.
            total = (int((same >> LOW_BITS).sum()) << LOW_BITS) + int((same & ((1 << LOW_BITS) - 1)).sum())
            shift = exponent - 53 + SCALE_BITS
            units += total << shift if shift >= 0 else total >> -shift
        num_defined = int(defined.sum())
        return ExactSum(units=units, defined=num_defined, total=len(values), infinite=num_defined - len(kept))

    def __add__(self, other: "ExactSum") -> "ExactSum":
        return ExactSum(
            units=self.units + other.units,
            defined=self.defined + other.defined,
            total=self.total + other.total,
            infinite=self.infinite + other.infinite,
        )

    def __neg__(self) -> "ExactSum":
        return ExactSum(units=-self.units, defined=-self.defined, total=-self.total, infinite=-self.infinite)

    @property
    def value(self) -> float:
        """The sum, rounded once."""
        return math.inf if self.infinite else self.units / (1 << SCALE_BITS)

    def mean(self) -> Figure:
        """Return the mean of the defined values, as `mean_figure` does."""
        return ratio_figure(self.value, self.defined, self.defined, self.total)


def sums_of(values: dict[str, Float64[np.ndarray, " n"]]) -> dict[str, ExactSum]:
    """Return the sum of each column."""
    return {name: ExactSum.of(column) for name, column in values.items()}


def add_sums(parts: Sequence[dict[str, ExactSum]]) -> dict[str, ExactSum]:
    """Return the sums of each name; all parts have the same names, or none."""
    sums: dict[str, ExactSum] = {}
    for part in parts:
        for name, value in part.items():
            sums[name] = sums[name] + value if name in sums else value
    return sums
