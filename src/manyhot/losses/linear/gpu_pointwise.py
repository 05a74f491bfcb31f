"""The pass over a chunk's cells on a GPU: Triton kernels, with numbers that stay on the device.

Nothing here waits for the device, so a CUDA graph can capture a whole step; where single cells are excepted (unknown cells of a
complete source, verified negatives of an incomplete one) finding those of a chunk waits once a batch.
"""

from dataclasses import dataclass
from typing import assert_never

import torch
from jaxtyping import Float, Float32, Float64
from torch import Tensor

from manyhot.losses.linear.chunks import BatchCells
from manyhot.losses.linear.curves import Asymmetric, Binary, CellRule, Curve, Focal

BLOCK, ROWS = 256, 8
"""Labels and rows of a program: 2,048 cells in its registers."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Powers:
    """A curve in numbers: positives count `(1 - p)^gamma_pos`, negatives `(p - clip)^gamma_neg`, each with a factor."""

    gamma_neg: float = 0.0
    gamma_pos: float = 0.0
    clip: float = 0.0
    negative: float = 1.0
    positive: float = 1.0


class GpuPass:
    """From logits to gradients, chunk after chunk of one batch.

    Args:
        cells: The batch's targets, on the device of the logits.
        rule: The loss of a cell.
        bias: Of the head; None where it has none.
    """

    def __init__(self, cells: BatchCells, rule: CellRule, bias: Float[Tensor, " l"] | None) -> None:
        targets, device = cells.targets, cells.targets.device
        self._cells, self._powers = cells, _powers_of(rule.curve)
        labels, order = targets.label_ids.long().sort(stable=True)
        # Chunks are equal but for the last one. From the device itself: a copy to it has no place in a CUDA graph.
        stops = torch.arange(len(cells.chunks) + 1, device=device) * cells.chunks[0].stop
        bounds = torch.searchsorted(labels, stops.clamp(max=targets.num_labels))
        # The positives by label: the row and label of each, and where those of a chunk start.
        self._listed = (targets.row_ids()[order], labels, bounds)
        self._confidence = None if targets.values is None else targets.values.float()[order]
        self._taken = torch.empty(len(labels), dtype=torch.float32, device=device)
        self._bias = None if bias is None else bias.detach().float()
        powers = self._powers
        self._modes = {"HAS_BIAS": bias is not None, "FOCAL": powers.gamma_neg != 0, "SHIFTED": powers.clip != 0}
        each = torch.ones(targets.num_labels, device=device) if rule.label_weight is None else rule.label_weight.float()
        self._weights: Float32[Tensor, " l"] = each * self._powers.negative
        self._positive_weights = each * self._powers.positive * _pos_weight(rule.curve)
        self._scale = rule.scale.detach().float().reshape(1)
        width = max(chunk.stop - chunk.start for chunk in cells.chunks)
        programs = _parts(width, BLOCK) * _parts(max(targets.num_samples, 1), ROWS)
        self._losses: Float64[Tensor, " programs"] = torch.zeros(programs, dtype=torch.float64, device=device)
        self._of_positives = torch.zeros(max(_parts(len(labels), BLOCK), 1), dtype=torch.float64, device=device)

    def run(self, index: int, logits: Float32[Tensor, "n c"]) -> None:
        """Write the gradient of the scaled loss over the logits of a chunk, which are without the bias."""
        # Triton starts a kernel on the current GPU, wherever its tensors are.
        with torch.cuda.device_of(logits):
            self._take_out(index, logits)
            self._run_negatives(index, logits)
            self._put_back(index, logits)

    def _take_out(self, index: int, logits: Float32[Tensor, "n c"]) -> None:
        from manyhot.losses.linear import triton_kernels

        triton_kernels.take_out[(len(self._of_positives),)](
            logits,
            *self._listed,
            self._taken,
            index,
            self._cells.chunks[index].start,
            logits.stride(0),
            BLOCK=BLOCK,
        )

    def _run_negatives(self, index: int, logits: Float32[Tensor, "n c"]) -> None:
        from manyhot.losses.linear import triton_kernels

        labels, num_rows = self._cells.chunks[index], logits.shape[0]
        width, unknown = labels.stop - labels.start, self._cells.unknown(index)
        triton_kernels.negatives[(_parts(width, BLOCK), _parts(num_rows, ROWS))](
            logits,
            logits if self._bias is None else self._bias[labels],
            self._weights[labels],
            logits if unknown is None else unknown.view(torch.uint8),
            self._losses,
            self._scale,
            num_rows,
            width,
            logits.stride(0),
            self._powers.gamma_neg,
            self._powers.clip,
            HAS_UNKNOWN=unknown is not None,
            ROWS=ROWS,
            BLOCK=BLOCK,
            **self._modes,
        )

    def _put_back(self, index: int, logits: Float32[Tensor, "n c"]) -> None:
        from manyhot.losses.linear import triton_kernels

        labels = self._cells.chunks[index]
        triton_kernels.put_back[(len(self._of_positives),)](
            logits,
            *self._listed,
            self._taken,
            logits if self._bias is None else self._bias[labels],
            self._positive_weights[labels],
            self._weights[labels],
            self._taken if self._confidence is None else self._confidence,
            self._of_positives,
            self._scale,
            index,
            labels.start,
            logits.stride(0),
            self._powers.gamma_pos,
            self._powers.gamma_neg,
            self._powers.clip,
            HAS_CONFIDENCE=self._confidence is not None,
            FOCAL_POS=self._powers.gamma_pos != 0,
            BLOCK=BLOCK,
            **self._modes,
        )

    def total(self) -> Float64[Tensor, ""]:
        """Return the sum of the losses of all chunks so far, not scaled."""
        return self._losses.sum() + self._of_positives.sum()


def _powers_of(curve: Curve) -> Powers:
    match curve:
        case Binary():
            return Powers()
        case Focal():
            negative, positive = (1.0, 1.0) if curve.alpha is None else (1 - curve.alpha, curve.alpha)
            return Powers(gamma_neg=curve.gamma, gamma_pos=curve.gamma, negative=negative, positive=positive)
        case Asymmetric():
            return Powers(gamma_neg=curve.gamma_neg, gamma_pos=curve.gamma_pos, clip=curve.clip)
        case _:
            assert_never(curve)


def _pos_weight(curve: Curve) -> Float32[Tensor, " l"] | float:
    return curve.pos_weight.float() if isinstance(curve, Binary) and curve.pos_weight is not None else 1.0


def _parts(length: int, size: int) -> int:
    return -(-length // size)
