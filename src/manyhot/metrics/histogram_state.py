"""Evaluate batch by batch without keeping scores: from histograms, with bounds for each label."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Float64, Integer, Num
from torch import Tensor

from manyhot.errors import ScoreError, UsageError
from manyhot.labels import LabelCounts, LabelSets
from manyhot.metrics.bands import Bands, macro_figures
from manyhot.metrics.batches import Identity, Settings, evaluation_of_parts, read_batch
from manyhot.metrics.evaluation import bands_of
from manyhot.metrics.exchange import Alone, Exchange
from manyhot.metrics.figures import Evaluation, Figure, mean_figure
from manyhot.metrics.histograms import Bounds, Histograms, binned_scores
from manyhot.metrics.joining import check_labels, join_truths
from manyhot.metrics.parts import LabelPart
from manyhot.metrics.row_sums import RowSums, add_rows
from manyhot.metrics.scores import Kind
from manyhot.metrics.truth import Truth
from manyhot.targets import SparseTargets


@dataclass(frozen=True, kw_only=True, eq=False)
class BoundedEvaluation:
    """An evaluation from histograms.

    Args:
        evaluation: Its figures of average precision and AUROC are midpoints, with the bounds as low and high; all others
            are exact. `ece_micro` and `ece_macro` are not among them.
        average_precision: The bounds of each label.
        auroc: The bounds of each label.
    """

    evaluation: Evaluation
    average_precision: Bounds
    auroc: Bounds


class HistogramState:
    """An evaluation that is fed with batches and keeps histograms of each label's scores.

    The histograms take 8 bytes a bin and label, 90 MB at 11,000 labels, however many samples there are; besides them the
    sparse labels of the samples stay, about 50 bytes a sample. The exact average precision and AUROC of a label always lie
    between its bounds, and the estimate is their middle. What is found depends neither on batches nor on their order.

    Args:
        kind: What the scores are. Bins of probabilities are bins of their logits.
        num_bins: Bins of each label between its lowest and its highest score; at least half of them are used.
        thresholds: As of `evaluate`.
        train_counts: As of `evaluate`.
        min_positives: As of `evaluate`.
        split: As of `evaluate`.

    >>> truth = LabelSets.from_names([["cat"], ["dog"], ["cat", "dog"], []])
    >>> logits = np.array([[2.0, -1.0], [-3.0, 0.5], [1.0, 1.0], [1.5, -2.0]])
    >>> state = HistogramState(kind="logits")
    >>> state.update(logits, truth)
    >>> found = state.compute()
    >>> print(found.evaluation.figures["map_macro"], found.average_precision.low.round(4))
    0.9167 (2 of 2) [0.8333 1.    ]
    """

    def __init__(
        self,
        *,
        kind: Kind,
        num_bins: int = 1024,
        thresholds: Float[np.ndarray, " l"] | None = None,
        train_counts: LabelCounts | None = None,
        min_positives: int = 1,
        split: str = "test",
    ) -> None:
        if num_bins < 2:
            raise UsageError(f"there are {num_bins} bins; histograms need at least 2, good ones 1,024")
        self.settings = Settings(
            kind=kind, thresholds=thresholds, train_counts=train_counts, min_positives=min_positives, split=split
        )
        self.num_bins = num_bins
        self.histograms: Histograms | None = None
        self.truths: list[Truth] = []
        self.identities: list[Identity] = []
        self.rows: list[RowSums] = []
        self.has_ids: bool | None = None

    def update(
        self,
        scores: Num[np.ndarray, "n l"] | Num[Tensor, "n l"],
        truth: LabelSets | SparseTargets,
        *,
        sample_ids: Integer[np.ndarray, " n"] | Integer[Tensor, " n"] | Sequence[str] | None = None,
        preds: Bool[np.ndarray, "n l"] | Bool[Tensor, "n l"] | None = None,
    ) -> None:
        """Add a batch; see `ExactState.update`."""
        batch = read_batch(scores, truth, self.settings, sample_ids, preds)
        if self.has_ids is not None and self.has_ids != (batch.ids is not None):
            raise UsageError("some batches have sample ids and others not; give all of them ids, or none")
        self.has_ids = batch.ids is not None
        if self.truths:
            check_labels(self.truths[0], batch.truth)
        start = sum(own.num_samples for own in self.truths)
        ids = np.arange(start, start + len(batch.scores), dtype=np.uint64) if batch.ids is None else batch.ids
        rows = RowSums.of(batch.count_rows(self.settings))
        self.rows = [add_rows([*self.rows, rows])]
        self.identities.append(Identity.of(ids, batch.scores, batch.truth))
        self.truths.append(batch.truth)
        histograms = self.histograms or Histograms.empty(batch.truth.num_labels, self.num_bins)
        self.histograms = histograms.add(binned_scores(batch.scores, self.settings.kind), batch.truth)

    def merge(self, other: "HistogramState") -> None:
        """Take over the batches of another state, which must not be used after it.

        Raises:
            UsageError: If the states are of different kinds or bins, or their samples have no ids.
        """
        if (self.settings.kind, self.num_bins) != (other.settings.kind, other.num_bins):
            raise UsageError(
                f"a state of {self.settings.kind} in {self.num_bins} bins cannot take over one of {other.settings.kind} in "
                f"{other.num_bins}"
            )
        if False in (self.has_ids, other.has_ids):
            raise UsageError(
                "states without sample ids cannot be merged: no one could tell whether a sample came twice"
            )
        if self.histograms is None or other.histograms is None:
            self.histograms = self.histograms or other.histograms
        else:
            check_labels(self.truths[0], other.truths[0])
            self.histograms = self.histograms.merge(other.histograms)
        self.truths += other.truths
        self.identities += other.identities
        self.rows += other.rows
        self.has_ids = self.has_ids if other.has_ids is None else other.has_ids

    def compute(self, exchange: Exchange | None = None) -> BoundedEvaluation:
        """Return the evaluation of all batches; on several ranks every rank calls this, and all get the same.

        Raises:
            ScoreError: If there are no samples, or one came twice: histograms cannot give a sample back.
            UsageError: If there are several ranks and samples without ids.
        """
        exchange = exchange or Alone()
        if exchange.num_ranks > 1 and any(exchange.gather(self.has_ids is False)):
            raise UsageError("several ranks need sample_ids, so that no sample counts twice; give them to update")
        self._refuse_repeated(exchange)
        truths = exchange.gather(replace(join_truths(self.truths)) if self.truths else None)
        if not any(truths):
            raise ScoreError("there are no samples to evaluate: no rank was given a batch")
        truth = join_truths([found for found in truths if found is not None])
        own = self.histograms or Histograms.empty(truth.num_labels, self.num_bins)
        histograms = own.gathered(exchange)
        rows = exchange.gather(add_rows(self.rows) if self.rows else None)
        sums = add_rows([found for found in rows if found is not None])
        (precision, auroc), (pooled, pooled_auroc) = histograms.bounds(), histograms.pooled_bounds()
        labels = LabelPart(
            average_precision=precision.middle,
            auroc=auroc.middle,
            calibration_error=None,
            pooled_average_precision=float(pooled.middle[0]),
            pooled_auroc=float(pooled_auroc.middle[0]),
            pooled_calibration_error=None,
        )
        evaluation = evaluation_of_parts(sums.parts(labels), truth, self.settings)
        bands = bands_of(truth, self.settings.train_counts, self.settings.min_positives)
        columns = {"map": (precision, pooled), "auroc": (auroc, pooled_auroc)}
        figures = _with_bounds(evaluation.figures, columns, truth, bands)
        return BoundedEvaluation(
            evaluation=replace(evaluation, figures=figures), average_precision=precision, auroc=auroc
        )

    def _refuse_repeated(self, exchange: Exchange) -> None:
        every = Identity.concatenate(exchange.gather(Identity.concatenate(self.identities)))
        repeated = np.flatnonzero(~every.first_ones())
        if len(repeated):
            raise ScoreError(
                f"{len(repeated):,} samples came twice, the first with id {int(every.ids[repeated[0]])}, and histograms "
                "cannot give a sample back; use ExactState, or a sampler that repeats none"
            )


def _with_bounds(
    figures: Mapping[str, Figure], columns: dict[str, tuple[Bounds, Bounds]], truth: Truth, bands: Bands
) -> dict[str, Figure]:
    """Return the figures, those of average precision and AUROC with their bounds."""
    filled = dict(figures)
    for name, (labels, pooled) in columns.items():
        ends = [_averages(name, values, truth, bands) for values in (labels.low, labels.high)]
        for figure, other in zip(ends[0].items(), ends[1].values(), strict=True):
            filled[figure[0]] = replace(filled[figure[0]], low=figure[1].value, high=other.value)
        micro = f"{name}_micro"
        if filled[micro].value is not None:
            filled[micro] = replace(filled[micro], low=float(pooled.low[0]), high=float(pooled.high[0]))
    return filled


def _averages(name: str, values: Float64[np.ndarray, " l"], truth: Truth, bands: Bands) -> dict[str, Figure]:
    found = macro_figures(f"{name}_macro", values, bands)
    return found | {"map_weighted": mean_figure(values, truth.label_positives)} if name == "map" else found
