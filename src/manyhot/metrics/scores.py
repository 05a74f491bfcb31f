"""Scores as they come from users: their shape and kind checked once, then handed on in blocks of rows."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Num
from torch import Tensor

from manyhot.errors import ScoreError
from manyhot.metrics.truth import Truth

Kind = Literal["logits", "probs"]
COLUMN_CELLS = 1 << 20
MAX_COLUMNS = 256


def read_scores(scores: Num[np.ndarray, "n l"] | Num[Tensor, "n l"], truth: Truth) -> Float[np.ndarray, "n l"]:
    """Return the scores as an array on the CPU: float64 stays so, everything else becomes float32.

    Nothing is copied where the scores are float32 on the CPU already. Infinite scores rank like any other.

    Raises:
        ScoreError: If the shape is not that of the truth, or a score is NaN; the message names sample and label.
    """
    array = _to_array(scores)
    if array.shape != (truth.num_samples, truth.num_labels):
        raise ScoreError(
            f"scores have shape {array.shape}, but the truth describes {truth.num_samples:,} samples × "
            f"{truth.num_labels:,} labels; give one row a sample and one column a label"
        )
    # min() passes NaN on, in one pass without a mask.
    if array.size and np.isnan(array.min()):
        bad = np.argwhere(np.isnan(array))
        row, label = int(bad[0][0]), int(bad[0][1])
        raise ScoreError(
            f"{len(bad):,} scores are NaN; the first is of sample {row}, label {truth.names[label]!r}; "
            "NaN cannot be ranked: look for an overflow in the model or a damaged input"
        )
    return array


def read_probs(probs: Num[np.ndarray, "n l"] | Num[Tensor, "n l"], truth: Truth) -> Float[np.ndarray, "n l"]:
    """Return probabilities as an array on the CPU.

    Raises:
        ScoreError: As `read_scores`, and if a value is outside [0, 1].
    """
    array = read_scores(probs, truth)
    if array.size and not 0 <= float(array.min()) <= float(array.max()) <= 1:
        outside = np.argwhere((array < 0) | (array > 1))
        row, label = int(outside[0][0]), int(outside[0][1])
        raise ScoreError(
            f"{len(outside):,} probabilities are outside [0, 1]; the first is {array[row, label]} of sample {row}, "
            f"label {truth.names[label]!r}; if these are logits, say kind='logits'"
        )
    return array


def read_preds(preds: Bool[np.ndarray, "n l"] | Bool[Tensor, "n l"], truth: Truth) -> Bool[np.ndarray, "n l"]:
    """Return decisions as an array on the CPU.

    Raises:
        ScoreError: If the shape is not that of the truth, or the decisions are not booleans.
    """
    array = preds.detach().cpu().numpy() if isinstance(preds, Tensor) else preds
    if array.shape != (truth.num_samples, truth.num_labels) or array.dtype.kind != "b":
        raise ScoreError(
            f"preds are {array.dtype} of shape {array.shape}; expected booleans of shape "
            f"({truth.num_samples}, {truth.num_labels}), such as probs >= thresholds"
        )
    return array


def read_block(scores: Float[np.ndarray, "n l"], rows: slice) -> Float[np.ndarray, "k l"]:
    """Return a block of rows as the kernels take it: contiguous and writable, so that they are compiled once.

    A view where the scores are so already; else a copy, no larger than the block.
    """
    return np.require(scores[rows], requirements=("C", "W"))


def known_block(scores: Float[np.ndarray, "n l"], truth: Truth, rows: slice) -> Float[np.ndarray, "k l"]:
    """Return a block of rows with NaN in place of unknown cells; a view where all are known, as `read_block`."""
    block = read_block(scores, rows)
    known = truth.known_rows(rows)
    return np.where(known, block, block.dtype.type(np.nan)) if known.shape[1] else block


def column_blocks(scores: Float[np.ndarray, "n l"], truth: Truth) -> Iterator[tuple[slice, Float[np.ndarray, "b n"]]]:
    """Yield slices of labels with their columns as rows, until all have come; NaN stands for unknown cells.

    One buffer of about 2²⁰ cells is filled again and again: use each before the next is asked for.
    """
    from manyhot.metrics.kernels import turn_columns

    # Columns are turned by sixteen, and so narrow a strip of many rows keeps the memory waiting.
    width = min(truth.num_labels, max(16, min(MAX_COLUMNS, COLUMN_CELLS // max(1, truth.num_samples) // 16 * 16)))
    buffer = np.empty((width, truth.num_samples), dtype=scores.dtype)
    for start in range(0, truth.num_labels, max(1, width)):
        labels = slice(start, min(start + width, truth.num_labels))
        columns = buffer[: labels.stop - labels.start]
        if scores.flags.c_contiguous:
            turn_columns(scores, start, columns)
        else:
            np.copyto(columns, scores[:, labels].T)
        for label in range(labels.start, labels.stop):
            known = truth.known_column(label)
            if known is not None:
                columns[label - start, ~known] = np.nan
        yield labels, columns


def _to_array(scores: Num[np.ndarray, "n l"] | Num[Tensor, "n l"]) -> Float[np.ndarray, "n l"]:
    if isinstance(scores, Tensor):
        tensor = scores.detach().cpu()
        array = (tensor if tensor.dtype == torch.float64 else tensor.float()).numpy()
    else:
        array = scores
    return array if array.dtype.name in ("float32", "float64") else array.astype(np.float32)
