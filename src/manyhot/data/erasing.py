"""Random erasing: a rectangle of noise, so that no single part of a picture decides."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from manyhot.errors import UsageError

MIN_AREA, MAX_AREA, MAX_STRETCH = 0.02, 1 / 3, 3.3


@dataclass(frozen=True, kw_only=True)
class RandomErasing:
    """Puts noise in the place of a rectangle, 2 % to 33 % of the picture and up to 3.3 times as wide or as high.

    A label whose whole object is covered stays positive, as in the paper: with small objects keep the probability low.

    Args:
        probability: How often, above 0 and at most 1.

    Raises:
        UsageError: If it is no probability.

    Source: Zhong, Zheng, Kang, Li, Yang 2020, "Random erasing data augmentation".

    >>> planes = np.zeros((3, 10, 10), np.uint8)
    >>> RandomErasing(probability=1.0).change(planes, np.random.default_rng(0))
    >>> int((planes > 0).any(axis=0).sum())
    12
    """

    probability: float

    def __post_init__(self) -> None:
        if not 0 < self.probability <= 1:
            raise UsageError(f"probability {self.probability} makes no sense; it must be above 0 and at most 1")

    def change(self, planes: UInt8[np.ndarray, "3 h w"], generator: np.random.Generator) -> None:
        """Change a picture in place."""
        whether, area, stretch, top, left = generator.random(5).tolist()
        if whether >= self.probability:
            return
        height, width = planes.shape[1:]
        pixels = height * width * (MIN_AREA + (MAX_AREA - MIN_AREA) * area)
        ratio = MAX_STRETCH ** (2 * stretch - 1)
        rows = min(height, max(1, round(np.sqrt(pixels / ratio))))
        columns = min(width, max(1, round(np.sqrt(pixels * ratio))))
        start = round(top * (height - rows)), round(left * (width - columns))
        noise = np.frombuffer(generator.bytes(3 * rows * columns), dtype=np.uint8)
        planes[:, start[0] : start[0] + rows, start[1] : start[1] + columns] = noise.reshape(3, rows, columns)
