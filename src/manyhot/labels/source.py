"""Where rows of labels came from, and what it means that a source says nothing of a cell."""

from dataclasses import dataclass
from typing import Literal

from manyhot.errors import LabelError

Unlisted = Literal["negative", "unknown"]


@dataclass(frozen=True, kw_only=True)
class LabelSource:
    """Where rows came from: what their unlisted cells mean and which labels were annotated at all.

    Args:
        name: A name for messages.
        unlisted: The state of a cell of an annotated label that no list mentions.
        annotated: Ids of the labels that this source annotated; None for all. Unlisted cells of the others are unknown.

    Raises:
        LabelError: If `unlisted` is none of the two states.

    >>> LabelSource(name="vehicles", annotated=(0, 2)).unlisted
    'negative'
    """

    name: str = "data"
    unlisted: Unlisted = "negative"
    annotated: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.unlisted not in ("negative", "unknown"):
            raise LabelError(f"unlisted is {self.unlisted!r}; it must be 'negative' or 'unknown'")
