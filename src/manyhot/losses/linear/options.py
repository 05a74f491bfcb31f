"""How head and loss are computed; what they are does not change."""

from dataclasses import dataclass

from manyhot.losses.linear.buffers import GradientBuffer
from manyhot.losses.linear.products import Matmul


@dataclass(frozen=True, kw_only=True)
class LinearOptions:
    """How head and loss are computed; what they are does not change.

    Args:
        chunk_size: Labels a chunk at most; None leaves it to manyhot: 1,024, in one chunk where there are no more.
        buffer: Where the weight's gradient is written, step after step; None takes fresh memory each time, whose pages cost
            more than the gradient itself at 90 MB. Set gradients to None before the forward pass, or there will be two.
        matmul: Which library multiplies in float32 on the CPU: torch's own unless a probe finds it slow, or one by name.
            `onednn` may be some percent faster, and less exact where there are many features.

    >>> LinearOptions(chunk_size=1_024).chunk_size
    1024
    """

    chunk_size: int | None = None
    buffer: GradientBuffer | None = None
    matmul: Matmul = "auto"
