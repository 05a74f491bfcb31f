"""Our figures as a torchmetrics Metric, for Lightning modules and loops that are built around those."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Integer, Num
from torch import Tensor, distributed
from torchmetrics import Metric

from manyhot.errors import UsageError
from manyhot.metrics.exchange import Ranks
from manyhot.metrics.figures import Evaluation
from manyhot.metrics.scores import Kind
from manyhot.metrics.spilling import Spill
from manyhot.metrics.states import ExactState
from manyhot.metrics.stores import Precision
from manyhot.targets import SparseTargets


class EvaluationMetric(Metric):
    """A metric that keeps all batches of an epoch and computes exact figures over all ranks.

    Nothing is sent between ranks before `compute`, so ranks may see different numbers of batches, or none. A sample that a
    sampler repeats to give all ranks equally many counts once, by its id. Calling the metric adds a batch and returns
    nothing: a figure of one batch is no estimate of the figure of all.

    Args:
        kind: What the scores are.
        figures: Which figures `compute` returns, as tensors; `evaluation` has all of them.
        precision: As of `ExactState`.
        spill: As of `ExactState`.

    >>> metric = EvaluationMetric(kind="logits", figures=("map_macro", "lrap"))
    >>> metric.update(torch.tensor([[2.0, -1.0]]), SparseTargets.from_lists([[0]], 2), sample_ids=torch.tensor([0]))
    >>> metric.update(torch.tensor([[1.0, 3.0]]), SparseTargets.from_lists([[0]], 2), sample_ids=torch.tensor([1]))
    >>> metric.compute()
    {'map_macro': tensor(1., dtype=torch.float64), 'lrap': tensor(0.7500, dtype=torch.float64)}
    """

    full_state_update = False

    def __init__(
        self,
        *,
        kind: Kind,
        figures: Sequence[str] = ("map_macro",),
        precision: Precision = "float32",
        spill: Spill | None = None,
    ) -> None:
        # Its own way of sending states would gather every score.
        super().__init__(sync_on_compute=False)
        self.kind: Kind = kind
        self.figures = tuple(figures)
        self.precision: Precision = precision
        self.spill = spill
        self._state = self._new_state()
        self._evaluation: Evaluation | None = None

    def update(
        self,
        scores: Num[Tensor, "n l"],
        targets: SparseTargets,
        sample_ids: Integer[Tensor, " n"] | Sequence[str] | None = None,
        preds: Bool[Tensor, "n l"] | None = None,
    ) -> None:
        """Add a batch; see `ExactState.update`."""
        self._evaluation = None
        self._state.update(scores, targets, sample_ids=sample_ids, preds=preds)

    def forward(
        self,
        scores: Num[Tensor, "n l"],
        targets: SparseTargets,
        sample_ids: Integer[Tensor, " n"] | Sequence[str] | None = None,
        preds: Bool[Tensor, "n l"] | None = None,
    ) -> None:
        """Add a batch."""
        self.update(scores, targets, sample_ids, preds)

    def compute(self) -> dict[str, Float[Tensor, ""]]:
        """Return the figures asked for; NaN where one is undefined. On several ranks every rank calls this.

        Raises:
            ScoreError: As `ExactState.compute`, and if there is no figure of a name asked for.
        """
        evaluation = self.evaluation()
        values = {name: evaluation.value(name) for name in self.figures}
        return {
            name: torch.tensor(float("nan") if value is None else value, dtype=torch.float64)
            for name, value in values.items()
        }

    def evaluation(self) -> Evaluation:
        """Return all figures; on several ranks every rank calls this."""
        if self._evaluation is None:
            is_alone = not distributed.is_available() or not distributed.is_initialized()
            self._evaluation = self._state.compute(None if is_alone else Ranks())
        return self._evaluation

    def reset(self) -> None:
        """Forget all batches."""
        super().reset()
        self._state = self._new_state()
        self._evaluation = None

    def _new_state(self) -> ExactState:
        if not self.figures:
            raise UsageError("no figure was asked for; name at least one, such as 'map_macro'")
        return ExactState(kind=self.kind, precision=self.precision, spill=self.spill)
