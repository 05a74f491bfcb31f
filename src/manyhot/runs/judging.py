"""What is to be judged, wherever it came from, and its figures under one protocol or several."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float

from manyhot.labels import LabelCounts, LabelSets, count_cells
from manyhot.metrics import Bootstrap, Evaluation, Figure, evaluate, mean_average_precision
from manyhot.metrics.calibration import sigmoid
from manyhot.metrics.protocols import MANYHOT, ProtocolName
from manyhot.metrics.scores import Kind


@dataclass(frozen=True, kw_only=True, eq=False)
class Judgeable:
    """Scores and the truth of the same samples, with all that a model says beside them.

    Args:
        scores: One row a sample, one column a label.
        truth: The labels of the same samples.
        kind: What the scores are.
        split: What the samples are called.
        sample_ids: The name of each sample, which decides its weights in a bootstrap; None where it has none.
        probs: Calibrated probabilities, where they are not the scores' sigmoid.
        preds: The model's decisions, if it makes any.
        thresholds: The thresholds that stand behind them.
        train_counts: Counts of the training labels.
        reasons: For each label, by name, why its threshold is what it is, where a decision says so.
        notes: What holds for the decision as a whole.
    """

    scores: Float[np.ndarray, "n l"]
    truth: LabelSets
    kind: Kind
    split: str
    sample_ids: Sequence[str] | None = None
    probs: Float[np.ndarray, "n l"] | None = None
    preds: Bool[np.ndarray, "n l"] | None = None
    thresholds: Float[np.ndarray, " l"] | None = None
    train_counts: LabelCounts | None = None
    reasons: Mapping[str, str] = field(default_factory=dict[str, str])
    notes: Sequence[str] = ()

    def probabilities(self) -> Float[np.ndarray, "n l"]:
        """Return calibrated probabilities, or else those that the scores mean."""
        if self.probs is not None or self.kind == "probs":
            return self.scores if self.probs is None else self.probs
        return sigmoid(self.scores.astype(np.float64))

    @property
    def num_unknown(self) -> int:
        """Cells that are neither positive nor negative."""
        return self.truth.num_samples * self.truth.num_labels - int(count_cells(self.truth).known.sum())

    def precision_with_unknown_as_negative(self) -> Figure:
        """Return `map_macro` as it would be if every unknown cell were a negative: what some numbers elsewhere are."""
        flattened = LabelSets(space=self.truth.space, positives=self.truth.positives)
        return mean_average_precision(self.scores, flattened)

    def evaluate(
        self, *, protocol: ProtocolName = "manyhot", min_positives: int = 1, intervals: Bootstrap | None = None
    ) -> Evaluation:
        """Return the figures; intervals are of the protocol `manyhot` alone, and left out of any other."""
        return evaluate(
            self.scores,
            self.truth,
            kind=self.kind,
            preds=self.preds,
            thresholds=self.thresholds,
            probs=self.probs,
            train_counts=self.train_counts,
            min_positives=min_positives,
            split=self.split,
            protocol=protocol,
            intervals=intervals if protocol == MANYHOT.name else None,
            sample_ids=self.sample_ids,
        )
