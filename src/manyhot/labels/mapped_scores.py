"""Scores of coarse labels from those of their fine ones."""

from typing import Literal, assert_never

import numpy as np
from jaxtyping import Float, Float64, Int64

from manyhot.errors import LabelError
from manyhot.labels.mapping import LabelMapping

MappedScore = Literal["max", "logsumexp", "noisy-or", "mean-softmax", "restrict"]


def map_scores(mapping: LabelMapping, logits: Float[np.ndarray, "n l"], how: MappedScore) -> Float64[np.ndarray, "n c"]:
    """Return a score of each coarse label, computed in float64; NaN for a label without links, of which nothing is known.

    `max` is the largest logit; `logsumexp` the logarithm of the sum of exponentials; `noisy-or` the logit of the
    probability that at least one is true, were they independent; `mean-softmax` the mean probability after a softmax
    over all fine labels; `restrict` the logit of the one fine label. Memory: a float64 for each row and link, twice.

    Args:
        mapping: The links.
        logits: Logits of the fine labels.
        how: Which score.

    Raises:
        LabelError: If there is not one column a fine label, or `restrict` meets a label of several links.

    >>> from manyhot.labels.space import LabelSpace
    >>> spaces = LabelSpace(names=("cat", "dog")), LabelSpace(names=("tabby", "siamese"))
    >>> mapping = LabelMapping.from_names(*spaces, {"cat": ["tabby", "siamese"]})
    >>> map_scores(mapping, np.array([[0.5, 2.0]]), "max")
    array([[ 2., nan]])
    """
    if logits.ndim != 2 or logits.shape[1] != len(mapping.fine):
        raise LabelError(
            f"logits have shape {logits.shape}; expected (samples, {len(mapping.fine):,}), one column a fine label"
        )
    lengths = mapping.links.lengths()
    if how == "restrict" and (lengths > 1).any():
        name = mapping.coarse.names[int(np.flatnonzero(lengths > 1)[0])]
        raise LabelError(f"coarse label {name!r} has several fine ones; restrict wants one, take max or mean-softmax")
    scores = np.full((len(logits), len(mapping.coarse)), np.nan)
    linked = np.flatnonzero(lengths)
    if linked.size and len(logits):
        fine = logits.astype(np.float64)
        if how == "mean-softmax":
            fine = np.exp(fine - fine.max(axis=1, keepdims=True))
            fine /= fine.sum(axis=1, keepdims=True)
        scores[:, linked] = _reduced(
            fine[:, mapping.links.ids], mapping.links.indptr[:-1][linked], lengths[linked], how
        )
    return scores


def _reduced(
    gathered: Float64[np.ndarray, "n p"],
    starts: Int64[np.ndarray, " k"],
    lengths: Int64[np.ndarray, " k"],
    how: MappedScore,
) -> Float64[np.ndarray, "n k"]:
    match how:
        case "max" | "restrict":
            return np.maximum.reduceat(gathered, starts, axis=1)
        case "logsumexp":
            return np.logaddexp.reduceat(gathered, starts, axis=1)
        case "mean-softmax":
            return np.add.reduceat(gathered, starts, axis=1) / lengths
        case "noisy-or":
            # none = -log P(no label is true), a sum of softplus; the logit of 1 - exp(-none) is log(expm1(none)).
            none = np.add.reduceat(np.logaddexp(0.0, gathered), starts, axis=1)
            return none + np.log(-np.expm1(-none))
        case _:
            assert_never(how)
