"""A model judged in another label space: coarse labels by the scores of their fine ones."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64

from manyhot.errors import LabelError
from manyhot.labels import LabelCounts, LabelSets
from manyhot.labels.mapped_scores import MappedScore, map_scores
from manyhot.labels.mapping import LabelMapping
from manyhot.labels.unannotating import unannotate
from manyhot.metrics.evaluation import evaluate
from manyhot.metrics.figures import Evaluation
from manyhot.metrics.scores import Kind


@dataclass(frozen=True, kw_only=True, eq=False)
class Mapped:
    """Scores of coarse labels beside the truth, ready for `evaluate`.

    Args:
        scores: One column a coarse label; 0 where nothing is known of it.
        truth: The coarse labels, those without a fine label unknown in every row.
        kind: What the scores are.
    """

    scores: Float64[np.ndarray, "n c"]
    truth: LabelSets
    kind: Kind


def evaluate_mapped(
    logits: Float[np.ndarray, "n l"],
    truth: LabelSets,
    mapping: LabelMapping,
    *,
    how: MappedScore,
    train_counts: LabelCounts | None = None,
    min_positives: int = 1,
    split: str = "test",
) -> Evaluation:
    """Return every figure of a model of fine labels on data that carry coarse labels.

    For rows with exactly one positive, `argmax_accuracy` and `top5_accuracy` are the single-label figures. With
    `mean-softmax` the first is the test of the Stylized-ImageNet authors (sixteen classes, each of several ImageNet ones),
    with `restrict` that of ImageNet-A (the best among 200 of a thousand). Of tied labels the first of the coarse
    space wins: order it as the test that you repeat orders its own.

    A coarse label without a fine one cannot be judged: its cells are unknown here, and a row that has no other
    positive is undefined in the figures that need one. `defined / total` of each figure shows how many.

    Args:
        logits: Of the fine labels, before any sigmoid or softmax.
        truth: The coarse labels of the same samples.
        mapping: Which fine labels each coarse one stands for.
        how: Coarse scores from fine logits: see `map_scores`. `mean-softmax` gives probabilities, the others logits.
        train_counts: Of the coarse labels, for the prevalence baseline and for head, mid and tail.
        min_positives: Macro figures are given as well over labels with at least so many positives.
        split: The name of the split, to be kept.

    Raises:
        LabelError: If the truth is not of the mapping's coarse space.
        ScoreError: If shapes differ, or a logit is NaN.

    Source: Geirhos et al. 2019 for sixteen classes; Hendrycks et al. 2021 for ImageNet-A.

    >>> from manyhot.labels import LabelSpace
    >>> coarse, fine = LabelSpace(names=("cat", "dog")), LabelSpace(names=("tabby", "siamese", "beagle"))
    >>> mapping = LabelMapping.from_names(coarse, fine, {"cat": ["tabby", "siamese"], "dog": "beagle"})
    >>> truth = LabelSets.from_lists([[0], [1]], coarse)
    >>> logits = np.array([[1.0, 0.0, 0.5], [2.0, 0.0, 1.5]])
    >>> for how in ("max", "mean-softmax"):
    ...     print(how, evaluate_mapped(logits, truth, mapping, how=how).figures["argmax_accuracy"])
    max 0.5000 (2 of 2)
    mean-softmax 1.0000 (2 of 2)
    """
    mapped = map_truth(logits, truth, mapping, how=how)
    return evaluate(
        mapped.scores,
        mapped.truth,
        kind=mapped.kind,
        train_counts=train_counts,
        min_positives=min_positives,
        split=split,
    )


def map_truth(logits: Float[np.ndarray, "n l"], truth: LabelSets, mapping: LabelMapping, *, how: MappedScore) -> Mapped:
    """Return the scores of the coarse labels beside the truth that can be judged with them: see `evaluate_mapped`.

    Args:
        logits: As of `evaluate_mapped`.
        truth: As of `evaluate_mapped`.
        mapping: As of `evaluate_mapped`.
        how: As of `evaluate_mapped`.

    Raises:
        LabelError: As `evaluate_mapped`.

    >>> from manyhot.labels import LabelSpace
    >>> coarse, fine = LabelSpace(names=("cat", "dog")), LabelSpace(names=("tabby", "siamese"))
    >>> mapping = LabelMapping.from_names(coarse, fine, {"cat": ["tabby", "siamese"]})
    >>> mapped = map_truth(np.array([[1.0, 3.0]]), LabelSets.from_lists([[0]], coarse), mapping, how="max")
    >>> mapped.scores, mapped.kind, mapped.truth.to_multi_hot().tolist()
    (array([[3., 0.]]), 'logits', [[1.0, nan]])
    """
    if truth.space.names != mapping.coarse.names:
        raise LabelError("the truth's labels are not the mapping's coarse labels in their order; align them first")
    scores = map_scores(mapping, logits, how)
    unlinked = mapping.links.lengths() == 0
    # Any finite number: the cells are unknown and take part in nothing.
    scores[:, unlinked] = 0.0
    kind: Kind = "probs" if how == "mean-softmax" else "logits"
    return Mapped(scores=scores, truth=unannotate(truth, unlinked), kind=kind)
