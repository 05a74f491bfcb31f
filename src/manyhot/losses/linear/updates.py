"""How a head learns from the gradient of a chunk that nobody will see again: plain descent, momentum, or Adagrad by rows."""

from dataclasses import dataclass

from manyhot.errors import UsageError


@dataclass(frozen=True)
class SGD:
    """Descent along the gradient, or along what momentum made of it: m ← momentum · m + g, w ← w - lr · m.

    Args:
        momentum: How much of the last direction is kept; any but 0 takes a float32 matrix as large as the head.

    Raises:
        UsageError: If it is not from 0 to below 1.

    >>> SGD().momentum
    0.0
    """

    momentum: float = 0.0

    def __post_init__(self) -> None:
        """Check the setting."""
        if not 0 <= self.momentum < 1:
            raise UsageError(f"momentum is {self.momentum!r}; it must be at least 0 and below 1")


@dataclass(frozen=True)
class RowwiseAdagrad:
    """Adagrad with one number a label: s ← s + mean(g²) over the features, w ← w - lr · g / (√s + eps).

    Rare labels keep large steps, and the state of a million labels is 8 MB, biases included.

    Args:
        eps: What keeps the first steps of a label without a gradient finite.

    Raises:
        UsageError: If it is not above 0.

    Source: Duchi, Hazan, Singer 2011; by rows as Gupta, Bengio, Weston 2014.

    >>> RowwiseAdagrad().eps
    1e-10
    """

    eps: float = 1e-10

    def __post_init__(self) -> None:
        """Check the setting."""
        if not 0 < self.eps < 1:
            raise UsageError(f"eps is {self.eps!r}; it must be above 0 and below 1")


Update = SGD | RowwiseAdagrad
