"""Random changes of colour: brightness, contrast, saturation and hue, in an order of their own each time."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from manyhot.errors import UsageError

Planes = UInt8[np.ndarray, "3 h w"]

_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True, kw_only=True)
class ColourJitter:
    """Changes the colours of a picture, as torchvision's `ColorJitter` does.

    Each strength s draws a factor between 1 − s and 1 + s, never below 0; the hue turns by up to `hue` of the circle
    either way. Eight draws, whatever is switched on.

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
        draws = generator.random(8)
        strengths = (self.brightness, self.contrast, self.saturation, self.hue)
        # Sorting numbers gives every order with the same chance.
        for number in np.argsort(draws[4:]).tolist():
            if strengths[number]:
                spread = strengths[number] * (2 * float(draws[number]) - 1)
                _CHANGES[number](planes, spread if number == 3 else max(0.0, 1 + spread))


def change_brightness(planes: Planes, factor: float) -> None:
    """Multiply a picture in place; 0 makes it black.

    >>> planes = np.full((3, 1, 1), 100, np.uint8)
    >>> change_brightness(planes, 0.5)
    >>> planes.ravel().tolist()
    [50, 50, 50]
    """
    look_up(planes, np.arange(256, dtype=np.float32) * factor)


def change_contrast(planes: Planes, factor: float) -> None:
    """Draw a picture away from its mean grey, or towards it, in place; 0 makes it grey.

    >>> planes = np.array([0, 200], np.uint8).reshape(1, 1, 2).repeat(3, axis=0)
    >>> change_contrast(planes, 0.5)
    >>> planes[0, 0].tolist()
    [50, 150]
    """
    mean = sum(weight * float(plane.mean()) for plane, weight in zip(planes, _LUMA, strict=True))
    look_up(planes, np.arange(256, dtype=np.float32) * factor + mean * (1 - factor))


def change_saturation(planes: Planes, factor: float) -> None:
    """Draw a picture away from its own grey version, or towards it, in place; 0 makes it grey.

    >>> planes = np.array([255, 0, 0], np.uint8).reshape(3, 1, 1)
    >>> change_saturation(planes, 0.0)
    >>> planes.ravel().tolist()
    [76, 76, 76]
    """
    red, green, blue = (plane * np.float32(weight * (1 - factor)) for plane, weight in zip(planes, _LUMA, strict=True))
    grey = red + green + blue
    for plane in planes:
        plane[...] = _to_bytes(plane * np.float32(factor) + grey)


def change_hue(planes: Planes, turn: float) -> None:
    """Turn the hue of a picture in place, by a part of the circle.

    >>> planes = np.array([255, 0, 0], np.uint8).reshape(3, 1, 1)
    >>> change_hue(planes, 1 / 3)
    >>> planes.ravel().tolist()
    [0, 255, 0]
    """
    # In float: in 8 bits OpenCV knows 180 hues.
    pixels = np.ascontiguousarray(planes.transpose(1, 2, 0), dtype=np.float32) / 255
    hsv = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)
    # OpenCV takes any angle from 0 up: hues lie on a circle.
    hsv[..., 0] += np.float32(360 * (turn % 1))
    planes[...] = _to_bytes(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB) * np.float32(255)).transpose(2, 0, 1)


def look_up(planes: UInt8[np.ndarray, "*c h w"], table: Float[np.ndarray, "256"]) -> None:
    """Replace each grey level of a picture by that of a table, in place; what is out of range is cut.

    >>> planes = np.array([0, 1, 255], np.uint8).reshape(3, 1, 1)
    >>> look_up(planes, 300 - np.arange(256, dtype=np.float32))
    >>> planes.ravel().tolist()
    [255, 255, 45]
    """
    # In rows of one plane, which OpenCV looks up ten times as fast as NumPy.
    flat = planes.reshape(-1, planes.shape[-1])
    planes[...] = cv2.LUT(flat, _to_bytes(table)).reshape(planes.shape)


def _to_bytes(values: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    rounded = np.rint(values)
    return np.clip(rounded, 0, 255, out=rounded).astype(np.uint8)


_CHANGES: tuple[Callable[[Planes, float], None], ...] = (
    change_brightness, change_contrast, change_saturation, change_hue,
)  # fmt: skip
