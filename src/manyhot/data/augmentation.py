"""From a decoded picture to the square that a model sees, as 8-bit pixels: the model normalises them on the device."""

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from manyhot.data.resizing import CropPlan, ScaledPixels, check_size, crop_image, plan_whole
from manyhot.errors import UsageError

MAX_STRETCH = 4 / 3
"""A training crop is at most this much wider or narrower, relative to its height, than the picture."""


@runtime_checkable
class ImageTransform(Protocol):
    """Makes every picture the same size. Whatever is random in it comes from the generator, and from nothing else.

    It must not keep the generator, which is used again for the next sample. It may change the picture in place: that is its
    own copy.
    """

    def __call__(
        self, image: UInt8[np.ndarray, "h w 3"], generator: np.random.Generator | None
    ) -> UInt8[np.ndarray, "height width 3"]:
        """Return the picture as the model is to see it."""
        ...


@runtime_checkable
class CropTransform(ImageTransform, Protocol):
    """A transform that only crops, resizes and mirrors, and needs no more than the picture's size to say how.

    Large pictures are then decoded smaller, and straight into the memory of a batch: see `load_picture`.
    """

    def plan(self, height: int, width: int, generator: np.random.Generator | None) -> CropPlan:
        """Return which part of a picture of that size becomes the square; all that is random is drawn here."""
        ...


@runtime_checkable
class PictureChange(Protocol):
    """A change of a picture that is already of its final size: of its colours, for example."""

    def change(self, planes: UInt8[np.ndarray, "3 h w"], generator: np.random.Generator) -> None:
        """Change the planes in place; all that is random comes from the generator."""
        ...


@runtime_checkable
class FinishingTransform(CropTransform, Protocol):
    """A crop that is changed once more when it is in its place."""

    def finish(self, planes: UInt8[np.ndarray, "3 h w"], generator: np.random.Generator | None) -> None:
        """Change the square in place, with the generator that the plan has drawn from."""
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
        check_size(self.size)

    def __call__(
        self,
        image: UInt8[np.ndarray, "h w 3"],
        generator: np.random.Generator | None = None,  # noqa: ARG002 (every transform takes one; nothing is random here)
    ) -> UInt8[np.ndarray, "{self.size} {self.size} 3"]:
        """Return the resized picture."""
        height, width = image.shape[:2]
        return crop_image(ScaledPixels(pixels=image), self.plan(height, width))

    def plan(
        self,
        height: int,
        width: int,
        generator: np.random.Generator | None = None,  # noqa: ARG002 (as above)
    ) -> CropPlan:
        """Return the plan of the whole picture."""
        return plan_whole(height, width, self.size)


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
        check_size(self.size)
        if not 0 < self.min_scale <= 1:
            raise UsageError(f"min_scale {self.min_scale} is no share of a picture; it must be in (0, 1]")

    def __call__(
        self, image: UInt8[np.ndarray, "h w 3"], generator: np.random.Generator | None
    ) -> UInt8[np.ndarray, "{self.size} {self.size} 3"]:
        """Return a part of the picture, drawn with the generator.

        Raises:
            UsageError: If there is no generator.
        """
        height, width = image.shape[:2]
        return crop_image(ScaledPixels(pixels=image), self.plan(height, width, generator))

    def plan(self, height: int, width: int, generator: np.random.Generator | None) -> CropPlan:
        """Return a part of a picture of that size, drawn with the generator.

        Raises:
            UsageError: If there is no generator.
        """
        if generator is None:
            raise UsageError("a training transform draws random numbers; give it a generator")
        # Always five draws: what one option uses does not change what the next one draws.
        scale, stretch, top, left, mirror = generator.random(5).tolist()
        share = self.min_scale + (1 - self.min_scale) * scale
        # Beyond 1 / share one side would be longer than the picture's, and the part smaller than its share.
        widest = min(MAX_STRETCH, 1 / share)
        ratio = widest ** (2 * stretch - 1)
        part_height = max(1, round(height * math.sqrt(share / ratio)))
        part_width = max(1, round(width * math.sqrt(share * ratio)))
        return CropPlan(
            top=round(top * (height - part_height)),
            left=round(left * (width - part_width)),
            height=part_height,
            width=part_width,
            size=self.size,
            filter="linear",
            is_mirrored=self.flip and mirror < 0.5,
        )


@dataclass(frozen=True)
class AugmentedTransform:
    """A crop, and changes of it one after the other.

    Args:
        crop: Makes all pictures the same size.
        changes: What is done then, for example `ColourJitter`, `RandAugment` or `RandomErasing`.

    >>> from manyhot.data.erasing import RandomErasing
    >>> transform = AugmentedTransform(TrainingTransform(4), (RandomErasing(probability=0.5),))
    >>> transform(np.zeros((17, 41, 3), np.uint8), np.random.default_rng(0)).shape
    (4, 4, 3)
    """

    crop: CropTransform
    changes: tuple[PictureChange, ...]

    def __call__(
        self, image: UInt8[np.ndarray, "h w 3"], generator: np.random.Generator | None
    ) -> UInt8[np.ndarray, "height width 3"]:
        """Return a part of the picture, changed.

        Raises:
            UsageError: If there is no generator.
        """
        planes = self.crop(image, generator).transpose(2, 0, 1)
        self.finish(planes, generator)
        return planes.transpose(1, 2, 0)

    def plan(self, height: int, width: int, generator: np.random.Generator | None) -> CropPlan:
        """Return the plan of the crop."""
        return self.crop.plan(height, width, generator)

    def finish(self, planes: UInt8[np.ndarray, "3 h w"], generator: np.random.Generator | None) -> None:
        """Change the crop in place.

        Raises:
            UsageError: If there is no generator.
        """
        if generator is None:
            raise UsageError("changes of pictures draw random numbers; give them a generator")
        for change in self.changes:
            change.change(planes, generator)
