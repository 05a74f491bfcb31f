"""A batch as it enters a state of an evaluation: read, checked, judged row by row, and known by its samples' ids."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Float32, Integer, Num, UInt8, UInt64
from torch import Tensor

from manyhot.errors import ScoreError, UsageError
from manyhot.labels import LabelCounts, LabelSets
from manyhot.metrics.baselines import baseline_figures
from manyhot.metrics.bootstrap import mixed, read_sample_ids
from manyhot.metrics.calibration import Predicted
from manyhot.metrics.counts import Decide
from manyhot.metrics.evaluation import bands_of, check_thresholds, decision_of, label_figures
from manyhot.metrics.figures import Evaluation
from manyhot.metrics.parts import Parts, figures_of_parts
from manyhot.metrics.propensity import Propensity
from manyhot.metrics.protocols import MANYHOT
from manyhot.metrics.rows import RowPart, count_rows
from manyhot.metrics.scores import Kind, read_preds, read_probs, read_scores
from manyhot.metrics.truth import Truth, check_num_counted, read_truth
from manyhot.targets import SparseTargets

# Two ranks that score one sample in batches of other sizes get scores that differ in their last digits.
TOLERANCE = 1e-3


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a state of an evaluation is asked for; the arguments of `evaluate`.

    Args:
        kind: What the scores are.
        thresholds: The decision's threshold of each label, on probabilities.
        train_counts: Counts of the training labels.
        min_positives: How many positives make a label count in `_min` figures.
        split: The name of the split.
    """

    kind: Kind
    thresholds: Float[np.ndarray, " l"] | None = None
    train_counts: LabelCounts | None = None
    min_positives: int = 1
    split: str = "test"

    def __post_init__(self) -> None:
        if self.kind not in ("logits", "probs"):
            raise UsageError(f"kind is {self.kind!r}; say 'logits' or 'probs': manyhot does not guess")


@dataclass(frozen=True, kw_only=True, eq=False)
class Identity:
    """Who the samples of a batch are, and what they hold, so that a sample that comes twice is noticed.

    Args:
        ids: One number a sample.
        truths: Digest of each sample's positives and known cells.
        sketches: A random sum of each sample's scores and their root of squares: near for scores that are near.
    """

    ids: UInt64[np.ndarray, " n"]
    truths: UInt64[np.ndarray, " n"]
    sketches: Float32[np.ndarray, "n two"]

    @staticmethod
    def of(ids: UInt64[np.ndarray, " n"], scores: Float32[np.ndarray, "n l"], truth: Truth) -> "Identity":
        """Return the identity of a batch."""
        codes = mixed(np.arange(truth.num_labels, dtype=np.uint64))
        truths = np.zeros(truth.num_samples, dtype=np.uint64)
        np.add.at(truths, truth.row_ids, codes[truth.label_ids])
        for rows in truth.row_blocks() if truth.unlisted_known is not None else []:
            known = truth.known_rows(rows)
            truths[rows] ^= mixed((known * mixed(codes)).sum(axis=1, dtype=np.uint64))
        signs = np.where(codes & np.uint64(1), np.float32(1), np.float32(-1))
        with np.errstate(over="ignore", invalid="ignore"):
            sums = np.stack((scores @ signs, np.sqrt(np.einsum("nl,nl->n", scores, scores))), axis=1)
        return Identity(ids=ids, truths=truths, sketches=sums.astype(np.float32))

    @staticmethod
    def concatenate(parts: Sequence["Identity"]) -> "Identity":
        """Return the identities one after the other."""
        return Identity(
            ids=np.concatenate([np.empty(0, dtype=np.uint64), *(part.ids for part in parts)]),
            truths=np.concatenate([np.empty(0, dtype=np.uint64), *(part.truths for part in parts)]),
            sketches=np.concatenate([np.empty((0, 2), dtype=np.float32), *(part.sketches for part in parts)]),
        )

    def first_ones(self) -> Bool[np.ndarray, " n"]:
        """Return which samples are the first of their id.

        Raises:
            ScoreError: If a later one has another truth, or scores that differ by more than rounding.
        """
        _, firsts, groups = np.unique(self.ids, return_index=True, return_inverse=True)
        is_first = np.zeros(len(self.ids), dtype=bool)
        is_first[firsts] = True
        later = np.flatnonzero(~is_first)
        known = firsts[groups[later]]
        far = np.abs(self.sketches[later] - self.sketches[known]).max(axis=1, initial=0.0)
        wrong = (self.truths[later] != self.truths[known]) | (far > TOLERANCE * (1e-6 + self.sketches[known, 1]))
        if wrong.any():
            sample = later[np.flatnonzero(wrong)[0]]
            what = "truth" if self.truths[sample] != self.truths[firsts[groups[sample]]] else "scores"
            raise ScoreError(
                f"{int(wrong.sum()):,} samples came twice with different content; the first is number {sample}, with id "
                f"{int(self.ids[sample])} and another {what}; give each sample an id of its own"
            )
        return is_first


@dataclass(frozen=True, kw_only=True, eq=False)
class ReadBatch:
    """A batch as it was given, checked.

    Args:
        scores: As float32.
        truth: The labels.
        ids: One number a sample; None where the caller gave none.
        preds: The decision, where one was given.
    """

    scores: Float32[np.ndarray, "n l"]
    truth: Truth
    ids: UInt64[np.ndarray, " n"] | None
    preds: Bool[np.ndarray, "n l"] | None

    def count_rows(self, settings: Settings) -> RowPart:
        """Return what the rows give."""
        predicted = Predicted(values=self.scores, kind=settings.kind)
        decide: Decide | None = decision_of(self.preds, settings.thresholds, predicted)
        return count_rows(self.scores, predicted, self.truth, decide=decide)

    def packed(self) -> UInt8[np.ndarray, "n bytes"] | None:
        """Return the decision, one bit a cell."""
        return None if self.preds is None else np.packbits(self.preds, axis=1)


def read_batch(
    scores: Num[np.ndarray, "n l"] | Num[Tensor, "n l"],
    truth: LabelSets | SparseTargets,
    settings: Settings,
    sample_ids: Integer[np.ndarray, " n"] | Integer[Tensor, " n"] | Sequence[str] | None,
    preds: Bool[np.ndarray, "n l"] | Bool[Tensor, "n l"] | None,
) -> ReadBatch:
    """Return the batch, checked as `evaluate` checks it."""
    known = read_truth(truth)
    check_thresholds(settings.thresholds, known.num_labels)
    if settings.train_counts is not None:
        check_num_counted(len(settings.train_counts.positives), known)
        known = replace(known, inverse_propensities=Propensity().inverse(settings.train_counts))
    ranked = (read_probs if settings.kind == "probs" else read_scores)(scores, known)
    if isinstance(sample_ids, Tensor):
        sample_ids = sample_ids.cpu().numpy()
    with np.errstate(over="ignore"):
        narrow = ranked.astype(np.float32, copy=False)
    return ReadBatch(
        scores=narrow,
        truth=known,
        ids=None if sample_ids is None else read_sample_ids(sample_ids, known.num_samples),
        preds=None if preds is None else read_preds(preds, known),
    )


def evaluation_of_parts(parts: Parts, truth: Truth, settings: Settings) -> Evaluation:
    """Return the evaluation that parts make, beside the baselines and with a line for each label."""
    bands = bands_of(truth, settings.train_counts, settings.min_positives)
    figures = figures_of_parts(parts, bands)
    given = np.full(truth.num_labels, 0.5) if parts.decided is None else settings.thresholds
    return Evaluation(
        protocol=MANYHOT.name,
        split=settings.split,
        num_samples=truth.num_samples,
        num_labels=truth.num_labels,
        figures=figures,
        baselines=baseline_figures(figures, truth, bands, settings.train_counts),
        labels=label_figures(parts, truth.names, given),
    )
