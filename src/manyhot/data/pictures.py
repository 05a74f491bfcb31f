"""From a file to what the model sees, in one go: no more is decoded than the crop needs."""

from functools import cache
from pathlib import Path
from typing import Protocol, TypeGuard, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from manyhot.data.augmentation import CropTransform, FinishingTransform, ImageTransform
from manyhot.data.decoding import MAX_PIXELS, open_image
from manyhot.data.resizing import ScaledPixels, write_crop
from manyhot.errors import UsageError


def load_picture(
    source: Path | bytes | memoryview,
    transform: ImageTransform,
    generator: np.random.Generator | None = None,
    *,
    out: UInt8[np.ndarray, "3 height width"] | None = None,
    max_pixels: int = MAX_PIXELS,
) -> UInt8[np.ndarray, "3 height width"]:
    """Return a picture, decoded and transformed, as three planes.

    A transform that can plan its crop does so from the header, and a JPEG much larger than needed is then decoded at a
    half, a quarter or an eighth. What is drawn at random does not depend on that. Safe to call from several threads,
    each with its own generator.

    Args:
        source: A file, or the bytes of one.
        transform: Makes all pictures the same size.
        generator: Where the transform's random numbers come from.
        out: Where the planes go, for example a place in a batch; new memory by default.
        max_pixels: The largest number of pixels that is decoded.

    Raises:
        ImageError: Whatever is wrong with the file, naming it.
        UsageError: If the transform gives another size than that of `out`.

    >>> from manyhot.data.augmentation import EvaluationTransform
    >>> load_picture(Path("absent.jpg"), EvaluationTransform(8))
    Traceback (most recent call last):
    manyhot.errors.ImageError: absent.jpg: does not exist
    """
    return render_picture(open_image(source, max_pixels=max_pixels), transform, generator, out=out)


@runtime_checkable
class OpenedImage(Protocol):
    """A picture that can be decoded: `EncodedImage` is one."""

    @property
    def size(self) -> tuple[int, int]:
        """Stored height and width, upright."""
        ...

    def decode(self, *, at_least: tuple[int, int] | None = None) -> ScaledPixels:
        """Return the pixels, not smaller than asked for."""
        ...


def render_picture(
    encoded: OpenedImage,
    transform: ImageTransform,
    generator: np.random.Generator | None = None,
    *,
    out: UInt8[np.ndarray, "3 height width"] | None = None,
) -> UInt8[np.ndarray, "3 height width"]:
    """Return an opened picture, decoded and transformed, as three planes: see `load_picture`.

    Raises:
        ImageError: If it is damaged, naming it.
        UsageError: If the transform gives another size than that of `out`.
    """
    if is_crop(transform):
        plan = transform.plan(*encoded.size, generator)
        image = encoded.decode(at_least=plan.least_size(*encoded.size))
        planes = np.empty((3, plan.size, plan.size), dtype=np.uint8) if out is None else out
        write_crop(image, plan, planes)
        if _finishes(transform):
            transform.finish(planes, generator)
        return planes
    pixels = encoded.decode().pixels
    # A kept picture is read-only; a transform may change what it is given.
    own = pixels if pixels.flags.writeable else pixels.copy()
    planes = transform(own, generator).transpose(2, 0, 1)
    if out is None:
        return np.ascontiguousarray(planes)
    if planes.shape != out.shape:
        raise UsageError(
            f"the transform gave planes of {planes.shape} for a place of {out.shape}; all must be the same"
        )
    out[...] = planes
    return out


def is_crop(transform: ImageTransform) -> TypeGuard[CropTransform]:
    """Return whether a transform says from a picture's size which part of it is needed, and how large.

    >>> from manyhot.data.augmentation import EvaluationTransform
    >>> is_crop(EvaluationTransform(8)), is_crop(lambda image, generator: image)
    (True, False)
    """
    return _implements(type(transform), CropTransform)


def _finishes(transform: ImageTransform) -> TypeGuard[FinishingTransform]:
    return _implements(type(transform), FinishingTransform)


@cache
def _implements(kind: type, protocol: type) -> bool:
    # Once a type: for each picture, asking two protocols would take as long as reading its file.
    return issubclass(kind, protocol)
