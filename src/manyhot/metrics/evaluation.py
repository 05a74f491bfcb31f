"""Evaluate: every figure of a model's scores on one split, beside the baselines and with a line for each label."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float, Float64, Integer, Num
from torch import Tensor

from manyhot.errors import ScoreError, UsageError
from manyhot.labels import LabelCounts, LabelSets
from manyhot.metrics.bands import Bands, label_bands
from manyhot.metrics.baselines import baseline_figures
from manyhot.metrics.bootstrap import Bootstrap, read_sample_ids
from manyhot.metrics.calibration import Predicted
from manyhot.metrics.counts import Decide
from manyhot.metrics.figures import Evaluation, LabelFigures
from manyhot.metrics.parts import Parts
from manyhot.metrics.propensity import Propensity
from manyhot.metrics.protocols import MANYHOT, Protocol, ProtocolName, protocol_named
from manyhot.metrics.replicates import Judged, replicate_figures, with_intervals
from manyhot.metrics.rows import count_rows
from manyhot.metrics.scored import compare_samples
from manyhot.metrics.scores import Kind, read_preds, read_probs, read_scores
from manyhot.metrics.truth import Truth, check_num_counted, read_truth
from manyhot.targets import SparseTargets

DEFAULT_PROPENSITY = Propensity()


def evaluate(
    scores: Num[np.ndarray, "n l"] | Num[Tensor, "n l"],
    truth: LabelSets | SparseTargets,
    *,
    kind: Kind,
    preds: Bool[np.ndarray, "n l"] | Bool[Tensor, "n l"] | None = None,
    thresholds: Float[np.ndarray, " l"] | None = None,
    probs: Num[np.ndarray, "n l"] | Num[Tensor, "n l"] | None = None,
    train_counts: LabelCounts | None = None,
    min_positives: int = 1,
    split: str = "test",
    protocol: ProtocolName = "manyhot",
    propensity: Propensity = DEFAULT_PROPENSITY,
    intervals: Bootstrap | None = None,
    sample_ids: Integer[np.ndarray, " n"] | Sequence[str] | None = None,
) -> Evaluation:
    """Return every figure of the scores against the truth, as docs/figures.md defines them.

    Unknown cells take part in nothing; a sample without labels is a sample of negatives. No figure depends on the
    order of the samples, and none is a mean over batches: give the whole split at once.

    Args:
        scores: What the model gave; ranks are taken from it, and ties are ties. Logits are better than probabilities:
            sigmoids saturate and tie.
        truth: The labels of the same samples.
        kind: What the scores are; never guessed.
        preds: The decision. Without it, and without thresholds, figures of a decision are there at one half only.
        thresholds: The decision's threshold of each label on the probabilities; decides where `preds` are not given.
        probs: Calibrated probabilities, where they are not the scores' sigmoid; used by `_at_half`, `brier`, `bce` and
            `ece`, and compared with the thresholds.
        train_counts: Counts of the training labels, for the prevalence baseline, for head, mid and tail, and for the
            propensities of `psp_at_k` and `psndcg_at_k`.
        min_positives: Macro figures are given as well over labels with at least so many positives: `map_macro_min5`.
        split: The name of the split, to be kept.
        protocol: Whose conventions to follow; any other than "manyhot" gives the figures that it defines, and no others.
        propensity: How `psp_at_k` and `psndcg_at_k` weigh labels by their training positives.
        intervals: How the ends of each figure's interval are found; without it there are none. `ece_micro` and
            `ece_macro` have none in any case: the mean of absolute differences grows with the noise of resampling.
        sample_ids: One number or name for each sample, which alone decides how often the sample counts in each replicate:
            with it intervals do not depend on the order of the samples. Rows are counted from 0 without it.

    Raises:
        ScoreError: If shapes differ, a score is NaN (the message names sample and label), or a probability is outside
            [0, 1].
        UsageError: If `kind` is neither "logits" nor "probs", `min_positives` is below 1, or intervals are asked for
            under a protocol other than "manyhot".

    >>> truth = LabelSets.from_names([["cat"], ["dog"], ["cat", "dog"], []])
    >>> logits = np.array([[2.0, -1.0], [-3.0, 0.5], [1.0, 1.0], [1.5, -2.0]])
    >>> evaluation = evaluate(logits, truth, kind="logits")
    >>> print(evaluation.figures["map_macro"], evaluation.value("f1_micro_at_half"))
    0.9167 (2 of 2) 0.888...
    >>> [label.name for label in evaluation.weakest_labels(1)]
    ['cat']
    """
    chosen = protocol_named(protocol)
    weights = None if train_counts is None else propensity.inverse(train_counts)
    judged = judge(
        scores,
        truth,
        kind=kind,
        preds=preds,
        thresholds=thresholds,
        probs=probs,
        protocol=chosen,
        inverse_propensities=weights,
    )
    known = judged.truth
    bands = bands_of(known, train_counts, min_positives)
    figures = chosen.figures(judged.parts, bands)
    if intervals is not None:
        if chosen is not MANYHOT:
            raise UsageError(
                f"intervals are of the protocol 'manyhot' only, not of {protocol!r}; leave one of them out"
            )
        ids = read_sample_ids(sample_ids, known.num_samples)
        figures = with_intervals(figures, replicate_figures(judged, intervals, ids, bands), intervals)
    given = np.full(known.num_labels, 0.5) if judged.decide is None else thresholds
    return Evaluation(
        protocol=chosen.name,
        split=split,
        num_samples=known.num_samples,
        num_labels=known.num_labels,
        figures=figures,
        baselines=baseline_figures(figures, known, bands, train_counts, chosen),
        labels=label_figures(judged.parts, known.names, given, chosen),
    )


def judge(
    scores: Num[np.ndarray, "n l"] | Num[Tensor, "n l"],
    truth: LabelSets | SparseTargets,
    *,
    kind: Kind,
    preds: Bool[np.ndarray, "n l"] | Bool[Tensor, "n l"] | None,
    thresholds: Float[np.ndarray, " k"] | None,
    probs: Num[np.ndarray, "n l"] | Num[Tensor, "n l"] | None,
    protocol: Protocol,
    inverse_propensities: Float64[np.ndarray, " k"] | None = None,
) -> Judged:
    """Return what the figures are made of; see `evaluate`."""
    if kind not in ("logits", "probs"):
        raise UsageError(f"kind is {kind!r}; say 'logits' or 'probs': manyhot does not guess")
    known = read_truth(protocol.read_truth(truth))
    check_thresholds(thresholds, known.num_labels)
    if inverse_propensities is not None:
        check_num_counted(len(inverse_propensities), known)
        known = replace(known, inverse_propensities=inverse_propensities)
    scores, kind = protocol.read_scores(scores, kind)
    ranked = read_probs(scores, known) if kind == "probs" else read_scores(scores, known)
    predicted = Predicted(values=ranked, kind=kind, is_half_positive=protocol.is_half_positive)
    if probs is not None:
        predicted = replace(predicted, values=read_probs(probs, known), kind="probs")
    decide = decision_of(None if preds is None else read_preds(preds, known), thresholds, predicted)
    rows = count_rows(ranked, predicted, known, decide=decide, row_values=protocol.row_values)
    parts = Parts.of(rows, compare_samples(ranked, predicted, known, protocol=protocol))
    return Judged(scores=ranked, predicted=predicted, truth=known, decide=decide, samples=rows.samples, parts=parts)


def bands_of(truth: Truth, train_counts: LabelCounts | None, min_positives: int) -> Bands:
    """Return over which labels macro figures are averaged as well.

    Raises:
        UsageError: If `min_positives` is below 1.
        ScoreError: If the training counts are of another number of labels.
    """
    if min_positives < 1:
        raise UsageError(f"min_positives is {min_positives}; it must be at least 1")
    train_positives = None if train_counts is None else train_counts.positives
    if train_positives is not None:
        check_num_counted(len(train_positives), truth)
    return label_bands(truth.label_positives, train_positives, min_positives, truth.groups)


def check_thresholds(thresholds: Float[np.ndarray, " k"] | None, num_labels: int) -> None:
    """Check that there is one threshold for each label.

    Raises:
        ScoreError: If there is not, or one is NaN.
    """
    if thresholds is not None and (thresholds.shape != (num_labels,) or np.isnan(thresholds).any()):
        raise ScoreError(
            f"thresholds have shape {thresholds.shape}; give one for each of the {num_labels:,} labels, "
            "infinity for a label that is never predicted, and no NaN"
        )


def decision_of(
    preds: Bool[np.ndarray, "n l"] | None, thresholds: Float[np.ndarray, " l"] | None, predicted: Predicted
) -> Decide | None:
    """Return the decision by rows: that which is given, or that of the thresholds; None without either."""
    if preds is not None:
        return lambda rows: preds[rows]
    if thresholds is None:
        return None
    return lambda rows: predicted.probs(predicted.values[rows]) >= thresholds


def label_figures(
    parts: Parts,
    names: tuple[str, ...],
    thresholds: Float[np.ndarray, " l"] | None,
    protocol: Protocol = MANYHOT,
) -> tuple[LabelFigures, ...]:
    """Return the line of each label: its curves, and its counts under the decision, at one half if there is none.

    Args:
        parts: What the figures are made of.
        names: The labels' names.
        thresholds: The decision's threshold of each label; None where it has none.
        protocol: What it says of each label.
    """
    decided = (parts.decided or parts.half).labels
    columns = {
        "average_precision": parts.average_precision,
        "auroc": parts.auroc,
        "precision": decided.precision(),
        "recall": decided.recall(),
        "f1": decided.f_beta(1),
        "f2": decided.f_beta(2),
        "accuracy": decided.accuracy(),
        "balanced_accuracy": decided.balanced_accuracy(),
        "mcc": decided.mcc(),
        "threshold": np.full(len(names), np.nan) if thresholds is None else thresholds,
    }
    listed = {name: _finite_or_none(values) for name, values in protocol.columns(columns).items()}
    lines = zip(names, parts.positives.tolist(), parts.known.tolist(), *listed.values(), strict=True)
    fields = ("name", "positives", "known", *listed)
    return tuple(LabelFigures(**dict(zip(fields, line, strict=True))) for line in lines)


def _finite_or_none(values: Float[np.ndarray, " l"]) -> list[float | None]:
    wide: Float64[np.ndarray, " l"] = values.astype(np.float64)
    return [value if finite else None for value, finite in zip(wide.tolist(), np.isfinite(wide), strict=True)]
