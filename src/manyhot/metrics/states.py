"""Evaluate batch by batch: scores are kept in memory or in a file, and every figure is exact however they were split.

A state is updated with batches, merged with other states, and computed at the end, on one rank or on many. Nothing is sent
before `compute`, so ranks may see any number of batches, or none; then they send each other the positives' scores and
counts, never the scores of all cells. A sample that comes twice, as samplers repeat some to give all ranks equally many,
counts once.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float, Integer, Num
from torch import Tensor

from manyhot.errors import UsageError
from manyhot.labels import LabelCounts, LabelSets
from manyhot.metrics.batches import Settings, evaluation_of_parts, read_batch
from manyhot.metrics.column_pass import compare_columns
from manyhot.metrics.exchange import Alone, Exchange
from manyhot.metrics.figures import Evaluation
from manyhot.metrics.held import Held, Kept, Segment
from manyhot.metrics.scores import Kind
from manyhot.metrics.spilling import Spill
from manyhot.metrics.stores import Precision, ScoreStore, rounded
from manyhot.targets import SparseTargets


class ExactState:
    """An evaluation that is fed with batches; give all of them to `update`, then call `compute`.

    Its figures are those of `evaluate`, whatever the batches, their order and the number of ranks; scores are taken as
    float32. Intervals need all scores at once: `evaluate` has them.

    Args:
        kind: What the scores are.
        thresholds: The decision's threshold of each label, as of `evaluate`.
        train_counts: As of `evaluate`.
        min_positives: As of `evaluate`.
        split: As of `evaluate`.
        precision: "float16" takes half the space, and all figures are then those of the scores rounded to float16: relative
            error at most 2⁻¹¹, ties included.
        spill: Keeps the scores in a file instead of in memory; see `Spill`.

    >>> truth = LabelSets.from_names([["cat"], ["dog"], ["cat", "dog"], []])
    >>> logits = np.array([[2.0, -1.0], [-3.0, 0.5], [1.0, 1.0], [1.5, -2.0]])
    >>> state = ExactState(kind="logits", spill=Spill())
    >>> for rows in (range(1), range(1, 4)):
    ...     state.update(logits[rows], truth.take(rows), sample_ids=np.array(rows))
    >>> print(state.compute().figures["map_macro"])
    0.9167 (2 of 2)
    """

    def __init__(
        self,
        *,
        kind: Kind,
        thresholds: Float[np.ndarray, " l"] | None = None,
        train_counts: LabelCounts | None = None,
        min_positives: int = 1,
        split: str = "test",
        precision: Precision = "float32",
        spill: Spill | None = None,
    ) -> None:
        if precision not in ("float32", "float16"):
            raise UsageError(f"precision is {precision!r}; say 'float32' or 'float16'")
        self.settings = Settings(
            kind=kind, thresholds=thresholds, train_counts=train_counts, min_positives=min_positives, split=split
        )
        self._dtype = np.dtype(np.uint32 if precision == "float32" else np.uint16)
        self.precision: Precision = precision
        self._spill = spill
        self.segments: list[Segment] = []
        self.current: Segment | None = None
        self.has_ids: bool | None = None

    def update(
        self,
        scores: Num[np.ndarray, "n l"] | Num[Tensor, "n l"],
        truth: LabelSets | SparseTargets,
        *,
        sample_ids: Integer[np.ndarray, " n"] | Integer[Tensor, " n"] | Sequence[str] | None = None,
        preds: Bool[np.ndarray, "n l"] | Bool[Tensor, "n l"] | None = None,
    ) -> None:
        """Add a batch.

        Args:
            scores: What the model gave.
            truth: The labels of the same samples.
            sample_ids: One number or name for each sample, the same wherever the sample comes; needed where states are
                merged or ranks are several. All batches have them or none.
            preds: The decision; all batches have it or none.

        Raises:
            ScoreError: As `evaluate`; if the disk is full; if the labels are not those of the batches before.
            UsageError: If some batches have ids or decisions and others not.
        """
        batch = read_batch(scores, truth, self.settings, sample_ids, preds)
        if self.precision == "float16":
            batch = replace(batch, scores=rounded(batch.scores))
        if self.has_ids is not None and self.has_ids != (batch.ids is not None):
            raise UsageError("some batches have sample ids and others not; give all of them ids, or none")
        self.has_ids = batch.ids is not None
        if self.current is None:
            store = ScoreStore(batch.truth.num_labels, precision=self.precision, spill=self._spill)
            self.current = Segment(store=store)
            self.segments.append(self.current)
        start = self.current.store.num_rows
        self.current.append(batch, np.arange(start, start + len(batch.scores), dtype=np.uint64), self.settings)

    def merge(self, other: "ExactState") -> None:
        """Take over the batches of another state, which must not be used after it.

        Raises:
            UsageError: If the states are of different kinds or precisions, or their samples have no ids.
        """
        mine, others = self.settings, other.settings
        if (mine.kind, self.precision) != (others.kind, other.precision):
            raise UsageError(
                f"a state of {mine.kind} as {self.precision} cannot take over one of {others.kind} as {other.precision}"
            )
        if False in (self.has_ids, other.has_ids):
            raise UsageError(
                "states without sample ids cannot be merged: no one could tell whether a sample came twice"
            )
        self.segments += other.segments
        self.has_ids = self.has_ids if other.has_ids is None else other.has_ids
        other.segments, other.current = [], None

    def compute(self, exchange: Exchange | None = None) -> Evaluation:
        """Return the evaluation of all batches; on several ranks every rank calls this, and all get the same.

        Args:
            exchange: `Ranks()` where several ranks hold batches; this process alone otherwise.

        Raises:
            ScoreError: If there are no samples at all, or one came twice with different content.
            UsageError: If there are several ranks and samples without ids.
        """
        exchange = exchange or Alone()
        without_ids = exchange.gather(self.has_ids is False)
        if exchange.num_ranks > 1 and any(without_ids):
            raise UsageError(
                f"rank {without_ids.index(True)} has samples without ids; several ranks need sample_ids, since samplers "
                "repeat samples to give all ranks equally many"
            )
        held = Held(self.segments, self._dtype, self.settings)
        dropped = held.repeated(exchange)
        truth, positives = held.gather_truth(dropped, exchange)
        sums = held.gather_rows(dropped, exchange)
        labels = compare_columns(Kept(held, dropped), truth.num_samples, positives, exchange, self.settings.kind)
        return evaluation_of_parts(sums.parts(labels), truth, self.settings)
