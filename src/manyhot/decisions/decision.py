"""What turns logits into predictions: a calibration and a threshold for each label, with the reason for each."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64

from manyhot.decisions.calibration import Calibration
from manyhot.decisions.cells import check_finite
from manyhot.decisions.constraints import Constraints
from manyhot.decisions.rules import RuleName, check_rule_name
from manyhot.errors import BundleError, ScoreError, UsageError, did_you_mean

# Rows decided at once: float64 stays at 16 MB, however many samples there are.
_BLOCK_CELLS = 2**21


@dataclass(frozen=True, kw_only=True, eq=False)
class Decision:
    """Calibrated probabilities, and a yes where they reach their label's threshold.

    Args:
        calibration: Logits to probabilities.
        thresholds: On calibrated probabilities; `inf` for a label that is never predicted.
        reasons: For each label one sentence on where its threshold comes from.
        rule: How the thresholds were chosen.
        beta: Weight of recall relative to precision in the F-beta that they make large; 1 for rules without one.
        constraints: What is put right after the thresholds.
        promise: What the thresholds promise on new samples, or why they promise nothing; None for rules that do not.

    Raises:
        BundleError: If lengths differ, or a number makes no sense.

    >>> decision = Decision(
    ...     calibration=Calibration.identity(2), thresholds=np.array([0.3, np.inf]),
    ...     reasons=("threshold 0.3: fixed", "never predicted: no validation positives"), rule="half", beta=1.0)
    >>> decision.preds(np.array([[0.0, 9.0]]))
    array([[ True, False]])
    """

    calibration: Calibration
    thresholds: Float64[np.ndarray, " l"]
    reasons: tuple[str, ...]
    rule: RuleName
    beta: float
    constraints: Constraints = field(default_factory=Constraints)
    promise: str | None = None

    def __post_init__(self) -> None:
        lengths = {self.calibration.offsets.size, self.thresholds.size, len(self.reasons)}
        if len(lengths) != 1:
            raise BundleError(f"decision: offsets, thresholds and reasons have lengths {sorted(lengths)}; one a label")
        if not np.isfinite(self.beta) or self.beta <= 0 or not (self.thresholds >= 0).all():
            raise BundleError("decision: beta must be above 0, thresholds at least 0")
        self.constraints.check_width(self.thresholds.size)

    @property
    def notes(self) -> tuple[str, ...]:
        """What holds for all labels together: the promise, and what is put right after the thresholds."""
        return (() if self.promise is None else (self.promise,)) + tuple(self.constraints.to_lines())

    @property
    def num_labels(self) -> int:
        """Number of labels."""
        return len(self.thresholds)

    def probs(self, logits: Float[np.ndarray, "n l"]) -> Float32[np.ndarray, "n l"]:
        """Return calibrated probabilities.

        Raises:
            ScoreError: If there is not one column a label, or a logit is not finite.
        """
        self._check(logits)
        probs = np.empty(logits.shape, dtype=np.float32)
        for rows in self._row_blocks(len(logits)):
            probs[rows] = self.calibration.probs(logits[rows])
        return probs

    def preds(self, logits: Float[np.ndarray, "n l"]) -> Bool[np.ndarray, "n l"]:
        """Return which labels are predicted: the float64 probability, before it is rounded, reaches the threshold.

        Then the constraints are met, in their order.

        Raises:
            ScoreError: If there is not one column a label, or a logit is not finite.
        """
        self._check(logits)
        preds = np.empty(logits.shape, dtype=bool)
        for rows in self._row_blocks(len(logits)):
            probs = self.calibration.probs(logits[rows])
            preds[rows] = self.constraints.apply(probs >= self.thresholds, probs, self.thresholds)
        return preds

    def _check(self, logits: Float[np.ndarray, "n l"]) -> None:
        if logits.ndim != 2 or logits.shape[1] != self.num_labels:
            raise ScoreError(f"logits have shape {logits.shape}; this decision needs (samples, {self.num_labels:,})")
        check_finite(logits)

    def _row_blocks(self, num_samples: int) -> list[slice]:
        size = max(1, _BLOCK_CELLS // max(self.num_labels, 1))
        return [slice(start, start + size) for start in range(0, num_samples, size)]

    def to_dict(self) -> dict[str, Any]:
        """Return the decision as plain data for strict JSON: a threshold of `inf` is None, what there is not is left out.

        >>> decision = Decision(calibration=Calibration.identity(1), thresholds=np.array([np.inf]),
        ...     reasons=("never predicted: no validation positives",), rule="plug-in", beta=1.0)
        >>> decision.to_dict()["thresholds"]
        [None]
        """
        constraints = self.constraints.to_dict()
        data: dict[str, Any] = {
            "rule": self.rule,
            "beta": self.beta,
            "calibration": self.calibration.to_dict(),
            "thresholds": [value if math.isfinite(value) else None for value in self.thresholds.tolist()],
            "reasons": list(self.reasons),
        }
        data |= {"constraints": constraints} if constraints else {}
        return data if self.promise is None else data | {"promise": self.promise}

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> "Decision":
        """Return the decision that `to_dict` wrote.

        Raises:
            BundleError: If a field is missing, unknown or of another type.
        """
        known = tuple(entry.name for entry in fields(Decision))
        for name in data:
            if name not in known:
                raise BundleError(f"decision: this version does not know the field {name!r}{did_you_mean(name, known)}")
        for name in ("calibration", "constraints"):
            if not isinstance(data.get(name, {}), Mapping):
                raise BundleError(f"decision: {name} makes no sense, it must be a table of fields")
        promise = data.get("promise")
        try:
            return Decision(
                calibration=Calibration.from_dict(data["calibration"]),
                thresholds=np.array([math.inf if value is None else float(value) for value in data["thresholds"]]),
                reasons=tuple(str(reason) for reason in data["reasons"]),
                rule=check_rule_name(str(data["rule"])),
                beta=float(data["beta"]),
                constraints=Constraints.from_dict(data.get("constraints", {})),
                promise=None if promise is None else str(promise),
            )
        except KeyError as error:
            raise BundleError(f"decision: lacks the field {error}") from None
        except (TypeError, ValueError, UsageError) as error:
            raise BundleError(f"decision: a field makes no sense ({error})") from None
