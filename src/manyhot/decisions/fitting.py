"""From validation logits and their truth to a decision, with a reason for each threshold."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64

from manyhot.decisions.calibration import Calibration, Method, calibrate, has_own, method_named
from manyhot.decisions.cells import Cells
from manyhot.decisions.constraints import Constraints
from manyhot.decisions.decision import Decision
from manyhot.decisions.guarantees import control
from manyhot.decisions.reaching import reach
from manyhot.decisions.reasons import NEVER, NEVER_CALIBRATED, Grounds, reason
from manyhot.decisions.rules import (
    BestF,
    FalseDiscoveryRate,
    FalseNegativeRate,
    Global,
    Half,
    LeastCost,
    MatchPrevalence,
    PlugIn,
    PrecisionAtLeast,
    Promised,
    RecallAtLeast,
    Rule,
    RuleName,
    TopK,
    beta_of,
    rule_named,
)
from manyhot.decisions.thresholds import plug_in_thresholds, search, search_pooled
from manyhot.errors import UsageError
from manyhot.labels import LabelSets

# Measured in docs/decisions/0006: below twenty positives a label's own best threshold loses to the shared rule.
FEW_POSITIVES = 20
# Which samples calibrate and which choose the threshold, where a promise is made.
PROMISE_SEED = 0


def fit_decision(
    logits: Float[np.ndarray, "n l"],
    truth: LabelSets,
    *,
    rule: Rule | RuleName = "plug-in",
    beta: float = 1.0,
    calibration: Method = "shrunk",
    constraints: Constraints | None = None,
) -> Decision:
    """Return the decision fitted on validation samples; never fit it on test samples.

    Rules, all on calibrated probabilities but `Half`: `PlugIn` (the default), `BestF`, `Global`, `PrecisionAtLeast`,
    `RecallAtLeast`, `MatchPrevalence`, `TopK`, `LeastCost`, and, with a promise on new samples, `FalseNegativeRate` and
    `FalseDiscoveryRate`. Each says in its own text what it does.

    A label without positives is never predicted (except by `Half`). A label of fewer than 20 positives has too few to count:
    what its calibrated probabilities expect takes their place, and the reason says so. Unknown cells take part in nothing.

    Args:
        logits: Of validation samples, before any sigmoid.
        truth: The labels of the same samples.
        rule: A rule, or the name of one that needs no number of its own.
        beta: Weight of recall relative to precision, where the rule is given by name; 2 counts recall twice.
        calibration: How logits become probabilities: see `fit_calibration`.
        constraints: What is put right after the thresholds: groups, numbers of labels, ancestors.

    Raises:
        ScoreError: If shapes disagree, there is no sample, or a logit is not finite.
        UsageError: If the rule is unknown, a number makes no sense, or constraints would break a promise.

    Source: Lipton, Elkan, Naryanaswamy 2014 for F*/2.

    >>> from manyhot.labels import LabelSpace
    >>> truth = LabelSets.from_lists([[0], [0], [], []] * 50, LabelSpace(names=("cat", "dog")))
    >>> logits = np.array([[3.0, 0.0], [1.0, 0.0], [-1.0, 1.0], [-3.0, 0.0]] * 50)
    >>> decision = fit_decision(logits, truth)
    >>> decision.preds(logits[:4]).tolist()
    [[True, False], [True, False], [False, False], [False, False]]
    >>> decision.reasons
    ('threshold 0.5: F*/2 on 100 validation positives', 'never predicted: no validation positives')
    """
    resolved = rule_named(rule, beta=beta) if isinstance(rule, str) else rule
    cells = Cells.of(logits, truth)
    return Fit(
        rule=resolved,
        method=method_named(calibration),
        constraints=constraints or Constraints(),
        names=truth.space.names,
    ).on(cells, cells.positives > 0)


@dataclass(frozen=True, kw_only=True)
class Fit:
    """How a decision is fitted, on whatever cells.

    Args:
        rule: What thresholds are chosen for.
        method: Of calibration.
        constraints: What is put right after the thresholds.
        names: Of the labels, for costs by name.

    Raises:
        UsageError: If constraints would break the rule's promise, or a cost is of no label.
    """

    rule: Rule
    method: Method
    constraints: Constraints
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        _check_promise(self.rule, self.constraints)
        if isinstance(self.rule, LeastCost):
            strange = sorted({*self.rule.false_positives, *self.rule.false_negatives} - set(self.names))
            if strange:
                raise UsageError(f"a cost is given for {strange[0]!r}, which is no label")

    def on(self, cells: Cells, predictable: Bool[np.ndarray, " l"]) -> Decision:
        """Return the decision fitted on some cells.

        Args:
            cells: Logits and truth.
            predictable: Labels that may be predicted at all: those with positives, as a rule.
        """
        if isinstance(self.rule, Half):
            return self._half(predictable.size)
        if isinstance(self.rule, FalseNegativeRate | FalseDiscoveryRate):
            return self._promised(cells, predictable, self.rule)
        calibration = calibrate(cells, self.method)
        calibrated = Cells(scores=calibration.probs(cells.scores), positive=cells.positive, known=cells.known)
        positives = cells.positives
        chosen = self._choose(calibrated, positives)
        thresholds = np.where(predictable, chosen.thresholds, np.inf)
        own = has_own(calibration, cells.fewest)
        reasons = tuple(
            reason(
                self.rule,
                Grounds(
                    threshold=float(thresholds[label]),
                    positives=int(positives[label]),
                    is_few=bool(positives[label] < FEW_POSITIVES),
                    best_precision=float(chosen.best[label]),
                    calibration=self.method,
                    is_own=bool(own[label]),
                ),
            )
            if predictable[label]
            else NEVER
            for label in range(predictable.size)
        )
        return self._decision(calibration, thresholds, reasons)

    def _choose(self, cells: Cells, positives: Int64[np.ndarray, " l"]) -> "_Chosen":
        few = positives < FEW_POSITIVES
        match self.rule:
            case PlugIn():
                thresholds = plug_in_thresholds(cells.scores, cells.known, beta=self.rule.beta)
            case BestF():
                shared = plug_in_thresholds(cells.scores, cells.known, beta=self.rule.beta)
                thresholds = np.where(few, shared, search(cells, self.rule.beta))
            case Global():
                thresholds = np.full(few.size, search_pooled(cells, self.rule.beta))
            case PrecisionAtLeast() | RecallAtLeast() | MatchPrevalence():
                reached = reach(cells, self.rule, few)
                return _Chosen(thresholds=reached.thresholds, best=reached.best)
            case TopK():
                thresholds = np.zeros(few.size)
            case LeastCost():
                thresholds = np.array([self.rule.threshold_of(name) for name in self.names])
            case _:
                raise AssertionError(f"{self.rule} chooses no thresholds label by label")
        return _Chosen(thresholds=thresholds, best=np.full(few.size, np.nan))

    def _promised(self, cells: Cells, predictable: Bool[np.ndarray, " l"], rule: Promised) -> Decision:
        """Return the decision of one threshold with a promise: half of the samples calibrate, the other half chooses."""
        rows = np.random.default_rng(PROMISE_SEED).permutation(len(cells.scores))
        calibrating, choosing = cells.take(rows[: len(rows) // 2]), cells.take(rows[len(rows) // 2 :])
        calibration = calibrate(calibrating, self.method)
        predicted = predictable & (calibrating.positives > 0)
        probs = np.where(predicted, calibration.probs(choosing.scores), -1.0)
        promise = control(Cells(scores=probs, positive=choosing.positive, known=choosing.known), rule)
        thresholds = np.where(predicted, promise.threshold, np.inf)
        shared = f"threshold {promise.threshold:.2g}: shared by all labels; {promise.statement}"
        if not np.isfinite(promise.threshold):
            shared = f"never predicted: {promise.statement}"
        never = [NEVER_CALIBRATED if predictable[label] else NEVER for label in range(predictable.size)]
        reasons = tuple(shared if predicted[label] else never[label] for label in range(predicted.size))
        return replace(self._decision(calibration, thresholds, reasons), promise=promise.statement)

    def _half(self, num_labels: int) -> Decision:
        reasons = ("threshold 0.5: fixed, nothing fitted",) * num_labels
        return self._decision(Calibration.identity(num_labels), np.full(num_labels, 0.5), reasons)

    def _decision(
        self, calibration: Calibration, thresholds: Float64[np.ndarray, " l"], reasons: tuple[str, ...]
    ) -> Decision:
        constraints = self.constraints
        if isinstance(self.rule, TopK):
            constraints = replace(constraints, at_most=min(self.rule.k, constraints.at_most or self.rule.k))
        return Decision(
            calibration=calibration,
            thresholds=thresholds,
            reasons=reasons,
            rule=self.rule.name,
            beta=beta_of(self.rule),
            constraints=constraints,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Chosen:
    """Thresholds, and the best precision of each label where the rule looked for it, else NaN."""

    thresholds: Float64[np.ndarray, " l"]
    best: Float64[np.ndarray, " l"]


def _check_promise(rule: Rule, constraints: Constraints) -> None:
    """Check that nothing is put right after the thresholds that the promise does not survive."""
    broken = isinstance(rule, FalseNegativeRate) and constraints.removes
    broken |= isinstance(rule, FalseDiscoveryRate) and (constraints.adds or constraints.removes)
    if broken:
        raise UsageError(
            f"the rule {rule.name!r} promises a rate, and does not keep it under: "
            f"{', '.join(constraints.to_lines())}; leave out one of the two"
        )
