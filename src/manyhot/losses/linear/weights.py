"""How a head's weights are kept while it updates itself: float32, float32 in two halves, or bfloat16 rounded by chance.

| format | bytes a weight | in products | an update |
|---|---|---|---|
| `float32` | 4 | float32 | as it is |
| `split` | 4 | the bfloat16 half, on CPUs that multiply it fast | that of float32, bit by bit |
| `bfloat16` | 2 | bfloat16 | rounded up or down by chance, right on average |

Plain rounding would lose every step smaller than half a unit of the weight's last place, which is most of them.
"""

from abc import ABC, abstractmethod
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import BFloat16, Float, Float32, Int16, Int64
from torch import Tensor, nn

from manyhot.errors import UsageError, did_you_mean
from manyhot.losses.linear import torch_updates
from manyhot.losses.linear.torch_updates import join_halves, split_halves

WeightFormat = Literal["float32", "split", "bfloat16"]


class HeadWeights(nn.Module, ABC):
    """Weights of a head, read and moved by slices of labels.

    Attributes:
        first_label: Where these labels start among all labels, where they are one rank's part of a head: noise goes by it.
    """

    first_label: int = 0

    @abstractmethod
    def read(self, labels: slice) -> Float[Tensor, "c d"]:
        """Return the weights of some labels, as products want them. They share memory with the head."""

    @abstractmethod
    def write(self, labels: slice, weights: Float32[Tensor, "c d"]) -> None:
        """Set the weights of some labels, as near as the format can."""

    @abstractmethod
    def exact(self, labels: slice) -> Float32[Tensor, "c d"]:
        """Return the weights of some labels with all the digits that are kept."""

    @abstractmethod
    def descend(
        self, labels: slice, gradient: Float[Tensor, "c d"], steps: Float32[Tensor, " c"], step: Int64[Tensor, ""]
    ) -> None:
        """Take steps · gradient off the weights of some labels.

        Args:
            labels: Which.
            gradient: In float32 or bfloat16.
            steps: The length of each label's step.
            step: Number of this update, for the noise of formats that are rounded by chance.
        """


class Float32Weights(HeadWeights):
    """Weights in float32."""

    value: Float32[Tensor, "l d"]

    def __init__(self, num_labels: int, num_features: int) -> None:
        super().__init__()
        self.register_buffer("value", torch.zeros(num_labels, num_features))

    def read(self, labels: slice) -> Float32[Tensor, "c d"]:
        """Return the weights of some labels."""
        return self.value[labels]

    exact = read

    def write(self, labels: slice, weights: Float32[Tensor, "c d"]) -> None:
        """Set the weights of some labels."""
        self.value[labels] = weights

    def descend(
        self,
        labels: slice,
        gradient: Float[Tensor, "c d"],
        steps: Float32[Tensor, " c"],
        step: Int64[Tensor, ""],  # noqa: ARG002 - nothing is left to chance
    ) -> None:
        """Take steps · gradient off."""
        # Not value=-1: with it, GPUs round the product before they take it off.
        self.value[labels].addcmul_(gradient, -steps[:, None])


class SplitWeights(HeadWeights):
    """Float32 numbers as the nearest bfloat16 and what it lacks: products read half of the memory, updates lose nothing."""

    high: BFloat16[Tensor, "l d"]
    low: Int16[Tensor, "l d"]

    def __init__(self, num_labels: int, num_features: int) -> None:
        super().__init__()
        self.register_buffer("high", torch.zeros(num_labels, num_features, dtype=torch.bfloat16))
        self.register_buffer("low", torch.zeros(num_labels, num_features, dtype=torch.int16))

    def read(self, labels: slice) -> BFloat16[Tensor, "c d"]:
        """Return the halves that products read."""
        return self.high[labels]

    def exact(self, labels: slice) -> Float32[Tensor, "c d"]:
        """Return the float32 numbers."""
        return join_halves(self.high[labels], self.low[labels])

    def write(self, labels: slice, weights: Float32[Tensor, "c d"]) -> None:
        """Set both halves."""
        self.high[labels], self.low[labels] = split_halves(weights)

    def descend(
        self,
        labels: slice,
        gradient: Float[Tensor, "c d"],
        steps: Float32[Tensor, " c"],
        step: Int64[Tensor, ""],  # noqa: ARG002 - nothing is left to chance
    ) -> None:
        """Take steps · gradient off."""
        if not self.high.is_cpu:
            torch_updates.descend_split(self.high[labels], self.low[labels], gradient, steps)
            return
        from manyhot.losses.linear import update_kernels

        high, low = self.high[labels].view(torch.int16).numpy(), self.low[labels].numpy()
        numbers, widen = _bits(gradient)
        update_kernels.descend_split(high, low, numbers, steps.numpy(), widen)


class BFloat16Weights(HeadWeights):
    """Weights in bfloat16, rounded by chance: by noise keyed by seed, step, label and feature, so that runs repeat.

    Args:
        num_labels: Number of labels.
        num_features: Number of features.
        seed: Of the noise.
    """

    value: BFloat16[Tensor, "l d"]
    seed: Int64[Tensor, ""]

    def __init__(self, num_labels: int, num_features: int, seed: int = 0) -> None:
        super().__init__()
        self.register_buffer("value", torch.zeros(num_labels, num_features, dtype=torch.bfloat16))
        self.register_buffer("seed", torch.tensor(seed))

    def read(self, labels: slice) -> BFloat16[Tensor, "c d"]:
        """Return the weights of some labels."""
        return self.value[labels]

    def exact(self, labels: slice) -> Float32[Tensor, "c d"]:
        """Return the weights of some labels in float32."""
        return self.value[labels].float()

    def write(self, labels: slice, weights: Float32[Tensor, "c d"]) -> None:
        """Set the weights of some labels, each to the nearest bfloat16."""
        self.value[labels] = weights.to(torch.bfloat16)

    def descend(
        self, labels: slice, gradient: Float[Tensor, "c d"], steps: Float32[Tensor, " c"], step: Int64[Tensor, ""]
    ) -> None:
        """Take steps · gradient off."""
        first_row = self.first_label + labels.start
        if not self.value.is_cpu:
            key = torch_updates.key_of(self.seed, step)
            torch_updates.descend_rounded(self.value[labels], gradient, steps, key, first_row)
            return
        from manyhot.losses.linear import update_kernels

        key = np.uint32(update_kernels.key_of(int(self.seed), int(step)))
        numbers, widen = _bits(gradient)
        value = self.value[labels].view(torch.int16).numpy()
        update_kernels.descend_rounded(value, numbers, steps.numpy(), widen, key, first_row)


def make_weights(form: WeightFormat, num_labels: int, num_features: int, *, seed: int = 0) -> HeadWeights:
    """Return weights of the given format, all 0.

    Raises:
        UsageError: If there is no such format.

    >>> weights = make_weights("split", 2, 3)
    >>> weights.write(slice(0, 2), torch.full((2, 3), 0.1))
    >>> weights.exact(slice(0, 1)), weights.read(slice(0, 1))
    (tensor([[0.1000, 0.1000, 0.1000]]), tensor([[0.1001, 0.1001, 0.1001]], dtype=torch.bfloat16))
    """
    match form:
        case "float32":
            return Float32Weights(num_labels, num_features)
        case "split":
            return SplitWeights(num_labels, num_features)
        case "bfloat16":
            return BFloat16Weights(num_labels, num_features, seed)
        case _:
            known = get_args(WeightFormat)
            raise UsageError(f"weights {form!r} are none of {', '.join(known)}{did_you_mean(str(form), known)}")


def _bits(gradient: Tensor) -> tuple[np.ndarray, bool | None]:
    """Return float32 numbers as they are, or the bits of bfloat16 and that they are to be widened."""
    if gradient.dtype == torch.bfloat16:
        return gradient.view(torch.int16).numpy(), True
    return gradient.numpy(), None
