"""What an evaluation holds: figures with their coverage, one line a label, baselines; and its strict JSON."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from jaxtyping import Float64, Num

from manyhot.errors import RunError, ScoreError, did_you_mean

SCHEMA = 1
# Between so many values a sum in parts is faster than `math.fsum`, and exact: 2²⁰ parts of 31 bits have at most 51.
FEW_VALUES, MANY_VALUES = 200, 1 << 20
PART_BITS = 30
# The third part of smaller values could be smaller than any number.
LEAST_TOP = 2.0**-900


@dataclass(frozen=True)
class Figure:
    """One number, with how much it covers.

    Args:
        value: The figure; None where it is undefined.
        defined: How many labels (macro figures), samples (row-wise figures) or cells (pooled figures) it is defined on.
        total: How many there are.
        low: Lower end of its interval; None until intervals are asked for.
        high: Upper end.

    >>> str(Figure(0.5, 3, 4)), str(Figure(None, 0, 4))
    ('0.5000 (3 of 4)', 'undefined (0 of 4)')
    """

    value: float | None
    defined: int
    total: int
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        value = "undefined" if self.value is None else f"{self.value:.4f}"
        return f"{value} ({self.defined:,} of {self.total:,})"


def mean_figure(values: Float64[np.ndarray, " k"], weights: Num[np.ndarray, " k"] | None = None) -> Figure:
    """Return the mean of the defined values, NaN being undefined, with how many of them are defined.

    The sum is rounded once, so the mean does not depend on the order of the values. With weights it is undefined when
    the weights of the defined values sum to zero.

    >>> mean_figure(np.array([1.0, np.nan, 0.5]))
    Figure(value=0.75, defined=2, total=3, low=None, high=None)
    """
    defined = ~np.isnan(values)
    kept = values[defined]
    if weights is None:
        return ratio_figure(sum_once(kept), len(kept), len(kept), len(values))
    kept_weights = weights[defined].astype(np.float64)
    return ratio_figure(sum_once(kept * kept_weights), sum_once(kept_weights), len(kept), len(values))


def sum_once(values: Float64[np.ndarray, " k"]) -> float:
    """Return the sum of the values, rounded once, as `math.fsum` does, several times as fast where they are many.

    >>> sum_once(np.array([1.0, 1e-20, -1.0]))
    1e-20
    """
    if FEW_VALUES <= len(values) <= MANY_VALUES:
        top = float(np.abs(values).max())
        if LEAST_TOP < top < 1 / LEAST_TOP:
            # Each part is a whole multiple of one power of two, and so few that no sum of them is rounded.
            unit = math.ldexp(1.5, math.frexp(top)[1] + 52 - PART_BITS)
            parts: list[float] = []
            for _ in range(3):
                part = (values + unit) - unit
                parts.append(float(part.sum()))
                values = values - part
                unit = math.ldexp(unit, -PART_BITS - 1)
            if not values.any():
                return math.fsum(parts)
            return math.fsum([*parts, *values.tolist()])
    # tolist: Python sums its own numbers three times as fast as NumPy's.
    return math.fsum(values.tolist())


def ratio_figure(numerator: float, denominator: float, defined: int, total: int) -> Figure:
    """Return numerator / denominator as a figure: undefined when the denominator is zero or the ratio is infinite.

    >>> ratio_figure(1, 4, 4, 5).value, ratio_figure(1, 0, 0, 5).value
    (0.25, None)
    """
    value = numerator / denominator if denominator else math.nan
    return Figure(value if math.isfinite(value) else None, defined, total)


@dataclass(frozen=True, kw_only=True)
class LabelFigures:
    """The figures of one label; None where one is undefined.

    Args:
        name: The label's name.
        positives: Positive cells.
        known: Known cells.
        average_precision: Grouped at ties.
        auroc: With half of the tied pairs.
        precision: Of the decision, like all that follow.
        recall: Share of the positives that are predicted.
        f1: Harmonic mean of the two.
        f2: The same with recall counted twice.
        accuracy: Share of the known cells that are right.
        balanced_accuracy: Mean of the shares of positives and of negatives that are right.
        mcc: Matthews' correlation of truth and decision.
        threshold: The threshold of the decision on probabilities; None where the label is never predicted, or the
            decision has no threshold.
    """

    name: str
    positives: int
    known: int
    average_precision: float | None
    auroc: float | None
    precision: float | None
    recall: float | None
    f1: float | None
    f2: float | None
    accuracy: float | None
    balanced_accuracy: float | None
    mcc: float | None
    threshold: float | None


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Every figure of one model on one split, beside the baselines, with a line for each label.

    Args:
        protocol: Whose conventions the figures follow; "manyhot" is the table in docs/figures.md.
        split: Which split was judged.
        num_samples: Samples in it.
        num_labels: Labels of the space.
        figures: The figures by name.
        baselines: For each baseline its value of each figure; None where it makes no sense.
        labels: One entry a label, in the order of the label space.
    """

    protocol: str
    split: str
    num_samples: int
    num_labels: int
    figures: dict[str, Figure]
    baselines: dict[str, dict[str, float | None]]
    labels: tuple[LabelFigures, ...]

    def value(self, name: str) -> float | None:
        """Return the value of a figure; None where it is undefined.

        Raises:
            ScoreError: If the evaluation has no such figure; the message names the nearest one.
        """
        if name not in self.figures:
            raise ScoreError(f"there is no figure {name!r} in this evaluation{did_you_mean(name, tuple(self.figures))}")
        return self.figures[name].value

    def weakest_labels(self, count: int) -> tuple[LabelFigures, ...]:
        """Return the labels with the lowest average precision, lowest first, among those that have one."""
        pairs = [(label.average_precision, label) for label in self.labels]
        defined = [(score, label) for score, label in pairs if score is not None]
        return tuple(label for _, label in sorted(defined, key=lambda pair: pair[0])[:count])

    def to_dict(self) -> dict[str, Any]:
        """Return the evaluation as plain data for strict JSON: what is undefined or infinite is None.

        >>> evaluation = Evaluation(protocol="manyhot", split="test", num_samples=2, num_labels=1,
        ...     figures={"map_macro": Figure(0.5, 1, 1)}, baselines={}, labels=())
        >>> evaluation.to_dict()["figures"]
        {'map_macro': {'value': 0.5, 'defined': 1, 'total': 1, 'low': None, 'high': None}}
        >>> Evaluation.from_dict(evaluation.to_dict()) == evaluation
        True
        """
        return _finite({"schema": SCHEMA, **asdict(self)})

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> "Evaluation":
        """Return the evaluation that `to_dict` wrote.

        Raises:
            RunError: If the data are of another format, or a field is missing or unknown.
        """
        if data.get("schema") != SCHEMA:
            raise RunError(f"the figures have schema {data.get('schema')!r}; this version reads {SCHEMA}")
        _check_fields(data, ("schema", *(field.name for field in fields(Evaluation))))
        return Evaluation(
            protocol=data["protocol"],
            split=data["split"],
            num_samples=data["num_samples"],
            num_labels=data["num_labels"],
            figures={name: Figure(**_checked(entry, Figure)) for name, entry in data["figures"].items()},
            baselines={name: dict(values) for name, values in data["baselines"].items()},
            labels=tuple(LabelFigures(**_checked(entry, LabelFigures)) for entry in data["labels"]),
        )


def _checked(entry: Mapping[str, Any], kind: type[Figure] | type[LabelFigures]) -> Mapping[str, Any]:
    _check_fields(entry, tuple(field.name for field in fields(kind)))
    return entry


def _check_fields(entry: Mapping[str, Any], expected: tuple[str, ...]) -> None:
    if set(entry) != set(expected):
        strange = sorted(set(entry) ^ set(expected))
        raise RunError(f"the figures are damaged: field {strange[0]!r} is missing or unknown")


def _finite(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
