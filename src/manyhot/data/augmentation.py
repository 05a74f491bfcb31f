"""From a decoded picture to the square that a model sees, as 8-bit pixels: the model normalises them on the device."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import cv2
import numpy as np
from jaxtyping import UInt8

from manyhot.errors import UsageError

MAX_STRETCH = 4 / 3
"""A training crop is at most this much wider or narrower, relative to its height, than the picture."""


@runtime_checkable
class ImageTransform(Protocol):
    """Makes every picture the same size. Whatever is random in it comes from the generator, and from nothing else."""

    def __call__(
        self, image: UInt8[np.ndarray, "h w 3"], generator: np.random.Generator | None
    ) -> UInt8[np.ndarray, "height width 3"]:
        """Return the picture as the model is to see it."""
        ...


@dataclass(frozen=True)
class EvaluationTransform:
    """Resizes the whole picture to a square: a crop could cut off what a label names. Nothing is random.

    Args:
        size: Side of the square in pixels.

    >>> EvaluationTransform(4)(np.zeros((17, 41, 3), np.uint8), None).shape
    (4, 4, 3)
    """

    size: int

    def __post_init__(self) -> None:
        _check_size(self.size)

    def __call__(
        self,
        image: UInt8[np.ndarray, "h w 3"],
        generator: np.random.Generator | None = None,  # noqa: ARG002 (every transform takes one; nothing is random here)
    ) -> UInt8[np.ndarray, "{self.size} {self.size} 3"]:
        """Return the resized picture."""
        return resize(image, self.size)


@dataclass(frozen=True)
class TrainingTransform:
    """Takes a random part of the picture, resizes it to a square, and mirrors it half of the time.

    The part is a share of the picture's area, uniform from `min_scale` to 1, and its sides are in the picture's own
    ratio, stretched by at most 4 / 3: large parts keep most of what the labels name. With `min_scale=1` the part is the
    whole picture.

    Args:
        size: Side of the square in pixels.
        min_scale: The smallest share of the picture's area, in (0, 1].
        flip: Whether to mirror left and right; not for pictures in which left means something.

    >>> transform = TrainingTransform(4)
    >>> transform(np.zeros((17, 41, 3), np.uint8), np.random.default_rng(0)).shape
    (4, 4, 3)
    """

    size: int
    min_scale: float = 0.6
    flip: bool = True

    def __post_init__(self) -> None:
        _check_size(self.size)
        if not 0 < self.min_scale <= 1:
            raise UsageError(f"min_scale {self.min_scale} is no share of a picture; it must be in (0, 1]")

    def __call__(
        self, image: UInt8[np.ndarray, "h w 3"], generator: np.random.Generator | None
    ) -> UInt8[np.ndarray, "{self.size} {self.size} 3"]:
        """Return a part of the picture, drawn with the generator.

        Raises:
            UsageError: If there is no generator.
        """
        if generator is None:
            raise UsageError("a training transform draws random numbers; give it a generator")
        # Always five draws: what one option uses does not change what the next one draws.
        scale, stretch, top, left, mirror = generator.random(5).tolist()
        part = self._crop(image, scale, stretch, top, left)
        resized = resize(part, self.size)
        return np.asarray(cv2.flip(resized, 1), dtype=np.uint8) if self.flip and mirror < 0.5 else resized

    def _crop(
        self, image: UInt8[np.ndarray, "h w 3"], scale: float, stretch: float, top: float, left: float
    ) -> UInt8[np.ndarray, "height width 3"]:
        share = self.min_scale + (1 - self.min_scale) * scale
        # Beyond 1 / share one side would be longer than the picture's, and the part smaller than its share.
        widest = min(MAX_STRETCH, 1 / share)
        ratio = widest ** (2 * stretch - 1)
        height, width = image.shape[:2]
        part_height = max(1, round(height * np.sqrt(share / ratio)))
        part_width = max(1, round(width * np.sqrt(share * ratio)))
        start = round(top * (height - part_height)), round(left * (width - part_width))
        return image[start[0] : start[0] + part_height, start[1] : start[1] + part_width]


def resize(image: UInt8[np.ndarray, "h w 3"], size: int) -> UInt8[np.ndarray, "{size} {size} 3"]:
    """Return the picture as a square: each side that shrinks is averaged over areas, each that grows is linear.

    Averaging keeps fine patterns from turning into false ones; shrinking differs from Pillow's antialiased result by
    less than one grey level in the mean. A picture of the right size is returned as it is.

    >>> resize(np.full((2, 6, 3), 7, np.uint8), 3)[..., 0].tolist()
    [[7, 7, 7], [7, 7, 7], [7, 7, 7]]
    """
    height, width = image.shape[:2]
    smaller = min(height, size), min(width, size)
    # Two steps: OpenCV averages only where no side grows.
    if smaller != (height, width):
        shrunk = cv2.resize(image, (smaller[1], smaller[0]), interpolation=cv2.INTER_AREA)
        image = np.asarray(shrunk, dtype=np.uint8)
    if smaller != (size, size):
        grown = cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR)
        image = np.asarray(grown, dtype=np.uint8)
    return image


def _check_size(size: int) -> None:
    if size < 1:
        raise UsageError(f"image size {size} is no positive number of pixels")
