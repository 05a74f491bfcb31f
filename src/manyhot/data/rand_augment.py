"""RandAugment: a few changes drawn from a list, all with the same strength."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from manyhot.data.colour import change_brightness, change_contrast, change_saturation
from manyhot.errors import UsageError

Planes = UInt8[np.ndarray, "3 h w"]

MAX_MAGNITUDE = 30
FILL = 128
"""What comes in from outside when a picture is turned or moved: middle grey."""

_LEVELS = np.arange(256, dtype=np.float32)


@dataclass(frozen=True, kw_only=True)
class RandAugment:
    """Applies some changes, drawn with replacement, one after the other.

    The list is that of the paper: nothing, contrast stretched, histogram levelled, turned, solarised, saturation,
    posterised, contrast, brightness, sharpness, sheared and moved along either side; ranges are those of torchvision.
    Turning, shearing and moving are linear between pixels and bring in middle grey.

    Args:
        num_changes: How many.
        magnitude: How strong, from 0 to 30.

    Raises:
        UsageError: If a number is out of range.

    Source: Cubuk, Zoph, Shlens, Le 2020, "RandAugment: practical automated data augmentation with a reduced search
    space".

    >>> planes = np.arange(48, dtype=np.uint8).reshape(3, 4, 4)
    >>> RandAugment(num_changes=1, magnitude=9).change(planes, np.random.default_rng(3))
    """

    num_changes: int = 2
    magnitude: float = 9.0

    def __post_init__(self) -> None:
        if self.num_changes < 1 or not 0 <= self.magnitude <= MAX_MAGNITUDE:
            raise UsageError(f"{self} makes no sense; give 1 change or more, and a magnitude from 0 to {MAX_MAGNITUDE}")

    def change(self, planes: Planes, generator: np.random.Generator) -> None:
        """Change a picture in place."""
        strength = self.magnitude / MAX_MAGNITUDE
        for which, sign in generator.random((self.num_changes, 2)).tolist():
            change = CHANGES[int(which * len(CHANGES))]
            change(planes, strength if sign < 0.5 else -strength)


def keep(planes: Planes, strength: float) -> None:
    """Change nothing."""


def stretch_contrast(planes: Planes, strength: float) -> None:  # noqa: ARG001 - every change takes a strength
    """Stretch each plane to all grey levels, whatever the strength.

    >>> planes = np.array([10, 20], np.uint8).reshape(1, 1, 2).repeat(3, axis=0)
    >>> stretch_contrast(planes, 0.0)
    >>> planes[0, 0].tolist()
    [0, 255]
    """
    for plane in planes:
        low, high = float(plane.min()), float(plane.max())
        if high > low:
            look_up(plane, (_LEVELS - low) * (255 / (high - low)))


def level_histogram(planes: Planes, strength: float) -> None:  # noqa: ARG001 - every change takes a strength
    """Level the histogram of each plane, whatever the strength."""
    for plane in planes:
        plane[...] = cv2.equalizeHist(np.ascontiguousarray(plane))


def solarise(planes: Planes, strength: float) -> None:
    """Invert all that is brighter than a threshold, which falls from white to black.

    >>> planes = np.array([0, 100, 200], np.uint8).reshape(3, 1, 1)
    >>> solarise(planes, 0.5)
    >>> planes.ravel().tolist()
    [0, 100, 55]
    """
    threshold = 255 * (1 - abs(strength))
    look_up(planes, np.where(threshold <= _LEVELS, 255 - _LEVELS, _LEVELS))


def posterise(planes: Planes, strength: float) -> None:
    """Keep the first bits of each grey level, from 8 down to 4.

    >>> planes = np.array([255, 31, 15], np.uint8).reshape(3, 1, 1)
    >>> posterise(planes, 1.0)
    >>> planes.ravel().tolist()
    [240, 16, 0]
    """
    planes &= np.uint8(0xFF << round(4 * abs(strength)) & 0xFF)


def sharpen(planes: Planes, strength: float) -> None:
    """Draw a picture away from its blurred version, or towards it; the border stays."""
    kernel = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]], dtype=np.float32) / 13
    inner = (slice(1, -1), slice(1, -1))
    for plane in planes:
        blurred = cv2.filter2D(np.ascontiguousarray(plane), cv2.CV_32F, kernel)
        mixed = blurred + (plane - blurred) * (1 + 0.9 * strength)
        plane[inner] = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)[inner]


def turn(planes: Planes, strength: float) -> None:
    """Turn a picture about its centre, by 30 degrees at most."""
    height, width = planes.shape[1:]
    _warp(planes, cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), 30 * strength, 1.0))


def shear_x(planes: Planes, strength: float) -> None:
    """Shear along the rows, by 0.3 at most."""
    _warp(planes, np.array([[1, 0.3 * strength, 0], [0, 1, 0]]))


def shear_y(planes: Planes, strength: float) -> None:
    """Shear along the columns, by 0.3 at most."""
    _warp(planes, np.array([[1, 0, 0], [0.3 * strength, 1, 0]]))


def move_x(planes: Planes, strength: float) -> None:
    """Move along the rows, by 45 % of the width at most."""
    _warp(planes, np.array([[1, 0, 150 / 331 * planes.shape[2] * strength], [0, 1, 0]]))


def move_y(planes: Planes, strength: float) -> None:
    """Move along the columns, by 45 % of the height at most."""
    _warp(planes, np.array([[1, 0, 0], [0, 1, 150 / 331 * planes.shape[1] * strength]]))


def look_up(planes: UInt8[np.ndarray, "*c h w"], table: Float[np.ndarray, "256"]) -> None:
    """Replace each grey level of a picture by that of a table, in place; what is out of range is cut.

    >>> planes = np.array([0, 1, 255], np.uint8).reshape(3, 1, 1)
    >>> look_up(planes, 300 - np.arange(256, dtype=np.float32))
    >>> planes.ravel().tolist()
    [255, 255, 45]
    """
    # In rows of one plane, which OpenCV looks up ten times as fast as NumPy.
    flat = planes.reshape(-1, planes.shape[-1])
    levels = np.clip(np.rint(table), 0, 255).astype(np.uint8)
    planes[...] = cv2.LUT(flat, levels).reshape(planes.shape)


def _warp(planes: Planes, matrix: Float[np.ndarray, "2 3"]) -> None:
    size = (planes.shape[2], planes.shape[1])
    for plane in planes:
        plane[...] = cv2.warpAffine(np.ascontiguousarray(plane), matrix, size, borderValue=FILL)


def _by_factor(change: Callable[[Planes, float], None]) -> Callable[[Planes, float], None]:
    return lambda planes, strength: change(planes, 1 + 0.9 * strength)


CHANGES: tuple[Callable[[Planes, float], None], ...] = (
    keep, shear_x, shear_y, move_x, move_y, turn,
    _by_factor(change_brightness), _by_factor(change_saturation), _by_factor(change_contrast),
    sharpen, posterise, solarise, stretch_contrast, level_histogram,
)  # fmt: skip
