"""Dice and IoU of multi-label masks: the counts of any decision, over pixels instead of samples."""

from typing import Literal

import numpy as np
from jaxtyping import Bool, Float64, Int64, Integer
from torch import Tensor

from manyhot.errors import ScoreError
from manyhot.metrics.counts import Confusion
from manyhot.metrics.figures import Figure, mean_figure

Empty = Literal["undefined", "one"]


def count_masks(
    preds: Bool[np.ndarray, "n l *pixels"] | Bool[Tensor, "n l *pixels"],
    targets: Bool[np.ndarray, "n l *pixels"] | Bool[Tensor, "n l *pixels"],
    known: Bool[np.ndarray, "n l *pixels"] | Bool[Tensor, "n l *pixels"] | None = None,
) -> Confusion:
    """Return the counts of each label over all pixels of a batch of masks; counts of batches add up with `+`.

    A pixel may carry any number of labels. Memory: one byte a pixel and label, once.

    Args:
        preds: Which pixels are predicted, by label: probabilities after a threshold.
        targets: Which pixels carry the label.
        known: Which are known; all, if not given. Unknown pixels take part in nothing.

    Raises:
        ScoreError: If the shapes differ or a mask is not of booleans.

    >>> preds, targets = np.array([[[True, True, False]]]), np.array([[[True, False, False]]])
    >>> counts = count_masks(preds, targets)
    >>> counts.hits, counts.predicted, counts.positives, counts.known
    (array([1]), array([2]), array([1]), array([3]))
    """
    predicted, positive = _array_of(preds), _array_of(targets)
    masks = [predicted, positive] if known is None else [predicted, positive, _array_of(known)]
    if any(mask.dtype.kind != "b" for mask in masks) or predicted.ndim < 2:
        raise ScoreError(
            f"masks are {predicted.dtype} of shape {predicted.shape} and {positive.dtype} of shape {positive.shape}; "
            "expected booleans of shape (samples, labels, height, width), such as probs >= thresholds"
        )
    if any(mask.shape != predicted.shape for mask in masks):
        raise ScoreError(f"masks have different shapes: {', '.join(str(mask.shape) for mask in masks)}")
    axes = tuple(axis for axis in range(predicted.ndim) if axis != 1)
    if known is not None:
        predicted, positive = predicted & masks[2], positive & masks[2]
    pixels = predicted.size // max(1, predicted.shape[1])
    return Confusion(
        hits=_count(predicted & positive, axes),
        predicted=_count(predicted, axes),
        positives=_count(positive, axes),
        known=np.full(predicted.shape[1], pixels, dtype=np.int64) if known is None else _count(masks[2], axes),
    )


def count_index_masks(
    preds: Integer[np.ndarray, "n *pixels"] | Integer[Tensor, "n *pixels"],
    targets: Integer[np.ndarray, "n *pixels"] | Integer[Tensor, "n *pixels"],
    *,
    num_labels: int,
    unlabelled: int | None = None,
) -> Confusion:
    """Return the counts of each label over masks that hold one label id a pixel; counts of batches add up with `+`.

    Args:
        preds: The label predicted for each pixel.
        targets: The label of each pixel.
        num_labels: Labels there are.
        unlabelled: The number that stands for an unknown pixel in `targets`: such pixels take part in nothing. It may
            be outside the label ids (255, say); inside them, it is a label that nobody has.

    Raises:
        ScoreError: If the shapes differ, or a number is no label id.

    >>> counts = count_index_masks(np.array([[0, 1, 1]]), np.array([[0, 0, 255]]), num_labels=2, unlabelled=255)
    >>> counts.hits, counts.predicted, counts.positives
    (array([1, 0]), array([1, 1]), array([2, 0]))
    """
    predicted, positive = _array_of(preds), _array_of(targets)
    if predicted.shape != positive.shape:
        raise ScoreError(f"masks have different shapes: {predicted.shape} predicted, {positive.shape} true")
    known = np.ones(positive.shape, dtype=bool) if unlabelled is None else positive != unlabelled
    predicted, positive = predicted[known].astype(np.int64), positive[known].astype(np.int64)
    for name, ids in (("predicted", predicted), ("true", positive)):
        if ids.size and not 0 <= int(ids.min()) <= int(ids.max()) < num_labels:
            raise ScoreError(
                f"{name} masks hold the number {int(ids.min()) if ids.min() < 0 else int(ids.max())}, which is no label "
                f"id below {num_labels}; is it the number of unlabelled pixels? Then say unlabelled=…"
            )
    return Confusion(
        hits=np.bincount(positive[predicted == positive], minlength=num_labels).astype(np.int64, copy=False),
        predicted=np.bincount(predicted, minlength=num_labels).astype(np.int64, copy=False),
        positives=np.bincount(positive, minlength=num_labels).astype(np.int64, copy=False),
        known=np.full(num_labels, positive.size, dtype=np.int64),
    )


def dice(counts: Confusion, *, empty: Empty = "undefined") -> Float64[np.ndarray, " l"]:
    """Return 2TP / (2TP + FP + FN) of each label; a label neither there nor predicted is NaN, or 1 by `empty="one"`.

    >>> dice(Confusion(hits=np.array([1, 0]), predicted=np.array([2, 0]), positives=np.array([2, 0]), known=np.array([9, 9])))
    array([0.5, nan])
    """
    return _filled(counts.f_beta(1), empty)


def iou(counts: Confusion, *, empty: Empty = "undefined") -> Float64[np.ndarray, " l"]:
    """Return TP / (TP + FP + FN) of each label; a label neither there nor predicted is NaN, or 1 by `empty="one"`.

    >>> iou(Confusion(hits=np.array([1, 0]), predicted=np.array([2, 0]), positives=np.array([1, 0]), known=np.array([9, 9])))
    array([0.5, nan])
    """
    return _filled(counts.jaccard(), empty)


def mask_figures(counts: Confusion, *, empty: Empty = "undefined") -> dict[str, Figure]:
    """Return `dice_macro`, `iou_macro` (means over the defined labels), `dice_micro`, `iou_micro` (pooled pixels).

    Counts are summed over all pixels first: a mean over pictures is another figure, in which small objects weigh more.

    Args:
        counts: Of each label: `count_masks` or `count_index_masks`, of one batch or the sum of all.
        empty: What a label is worth that is neither there nor predicted: nothing (it is left out of the mean and
            counted in `defined / total`), or 1, as some papers have it.

    >>> preds, targets = np.array([[[True, True], [False, False]]]), np.array([[[True, False], [False, False]]])
    >>> figures = mask_figures(count_masks(preds, targets))
    >>> print(figures["dice_macro"], mask_figures(count_masks(preds, targets), empty="one")["dice_macro"])
    0.6667 (1 of 2) 0.8333 (2 of 2)
    """
    figures: dict[str, Figure] = {}
    pooled, known = counts.pooled(), int(counts.known.sum())
    for name, figure in (("dice", dice), ("iou", iou)):
        figures[f"{name}_macro"] = mean_figure(figure(counts, empty=empty))
        value = float(figure(pooled, empty=empty)[0])
        figures[f"{name}_micro"] = Figure(None if np.isnan(value) else value, known, known)
    return figures


def _filled(values: Float64[np.ndarray, " l"], empty: Empty) -> Float64[np.ndarray, " l"]:
    return values if empty == "undefined" else np.nan_to_num(values, nan=1.0)


def _count(mask: Bool[np.ndarray, "n l *pixels"], axes: tuple[int, ...]) -> Int64[np.ndarray, " l"]:
    return np.count_nonzero(mask, axis=axes).astype(np.int64, copy=False)


def _array_of(mask: np.ndarray | Tensor) -> np.ndarray:
    return mask.detach().cpu().numpy() if isinstance(mask, Tensor) else mask
