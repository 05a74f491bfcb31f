"""Random changes of colour: brightness, contrast, saturation and hue, in an order of their own each time."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt8

from manyhot.errors import UsageError

Planes = UInt8[np.ndarray, "3 h w"]

BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)

NUM_DRAWS = 8
"""Random numbers that a picture takes: a strength and a place in the order for each of the four."""


@dataclass(frozen=True, kw_only=True)
class ColourJitter:
    """Changes the colours of a picture, as torchvision's `ColorJitter` does.

    Each strength s draws a factor between 1 − s and 1 + s, never below 0; the hue turns by up to `hue` of the circle
    either way. Eight draws, whatever is switched on. A picture of 224 × 224 pixels takes some 0.14 ms.

    Args:
        brightness: Strength of the change of brightness; 0 leaves it.
        contrast: Strength of the change of contrast.
        saturation: Strength of the change of saturation.
        hue: Largest turn of the hue, from 0 to 0.5.

    Raises:
        UsageError: If a strength is negative, or the hue above 0.5.

    Source: Krizhevsky, Sutskever, Hinton 2012 for the idea; the operations are those of Pillow's `ImageEnhance`.

    >>> planes = np.full((3, 1, 1), 100, np.uint8)
    >>> ColourJitter(brightness=0.5).change(planes, np.random.default_rng(0))
    >>> planes.ravel().tolist()
    [114, 114, 114]
    """

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0

    def __post_init__(self) -> None:
        if min(self.brightness, self.contrast, self.saturation, self.hue) < 0 or self.hue > 0.5:
            raise UsageError(f"{self} makes no sense; strengths are 0 or more, the hue 0.5 at most")

    def change(self, planes: Planes, generator: np.random.Generator) -> None:
        """Change a picture in place."""
        kinds, amounts = self.steps(generator.random((1, NUM_DRAWS)))
        change_colours(planes, kinds[0], amounts[0])

    def steps(self, draws: Float64[np.ndarray, "n 8"]) -> tuple[Int64[np.ndarray, "n k"], Float32[np.ndarray, "n k"]]:
        """Return which changes each picture takes, in its order, and by how much: see `change_colours`.

        Args:
            draws: Numbers from 0 to 1 for each picture: four strengths, and four that give the order when sorted.

        >>> ColourJitter(brightness=0.5, hue=0.5).steps(np.array([[0.25, 0, 0, 0.75, 0.9, 0, 0, 0.1]]))
        (array([[3, 0]]), array([[1.5 , 0.75]], dtype=float32))
        """
        strengths = np.array((self.brightness, self.contrast, self.saturation, self.hue))
        kinds = np.flatnonzero(strengths)
        spreads = strengths[kinds] * (2 * draws[:, kinds] - 1)
        amounts = np.where(kinds == HUE, 6 * (spreads % 1), np.maximum(0, 1 + spreads))
        # Sorting numbers gives every order with the same chance.
        order = np.argsort(draws[:, 4 + kinds], axis=1)
        return kinds[order], np.take_along_axis(amounts, order, axis=1).astype(np.float32)


def change_colours(planes: Planes, kinds: Int64[np.ndarray, " k"], amounts: Float32[np.ndarray, " k"]) -> None:
    """Change a picture in place, by one change after the other, each rounded to whole grey levels.

    Args:
        planes: The picture.
        kinds: Which changes, in their order: `BRIGHTNESS`, `CONTRAST`, `SATURATION` or `HUE`.
        amounts: By how much: a factor, or for the hue its turn in sixths of the circle, from 0 to 6.

    >>> planes = np.array([255, 0, 0], np.uint8).reshape(3, 1, 1)
    >>> change_colours(planes, np.array([HUE, BRIGHTNESS]), np.array([2.0, 0.5], np.float32))
    >>> planes.ravel().tolist()
    [0, 128, 0]
    """
    from manyhot.data.colour_kernels import change_pixels

    # One kind of memory, so that loops are compiled once: pictures in a batch lie like this anyway.
    pixels = np.ascontiguousarray(planes)
    change_pixels(pixels.reshape(3, -1), kinds, amounts)
    if pixels is not planes:
        planes[...] = pixels


def change_brightness(planes: Planes, factor: float) -> None:
    """Multiply a picture in place; 0 makes it black.

    >>> planes = np.full((3, 1, 1), 100, np.uint8)
    >>> change_brightness(planes, 0.5)
    >>> planes.ravel().tolist()
    [50, 50, 50]
    """
    _change(planes, BRIGHTNESS, factor)


def change_contrast(planes: Planes, factor: float) -> None:
    """Draw a picture away from its mean grey, or towards it, in place; 0 makes it grey.

    >>> planes = np.array([0, 200], np.uint8).reshape(1, 1, 2).repeat(3, axis=0)
    >>> change_contrast(planes, 0.5)
    >>> planes[0, 0].tolist()
    [50, 150]
    """
    _change(planes, CONTRAST, factor)


def change_saturation(planes: Planes, factor: float) -> None:
    """Draw a picture away from its own grey version, or towards it, in place; 0 makes it grey.

    >>> planes = np.array([255, 0, 0], np.uint8).reshape(3, 1, 1)
    >>> change_saturation(planes, 0.0)
    >>> planes.ravel().tolist()
    [76, 76, 76]
    """
    _change(planes, SATURATION, factor)


def change_hue(planes: Planes, turn: float) -> None:
    """Turn the hue of a picture in place, by a part of the circle.

    >>> planes = np.array([255, 0, 0], np.uint8).reshape(3, 1, 1)
    >>> change_hue(planes, 1 / 3)
    >>> planes.ravel().tolist()
    [0, 255, 0]
    """
    _change(planes, HUE, 6 * (turn % 1))


def _change(planes: Planes, kind: int, amount: float) -> None:
    change_colours(planes, np.array([kind]), np.array([amount], dtype=np.float32))
