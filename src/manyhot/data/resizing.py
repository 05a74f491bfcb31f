"""Parts of a picture made a square, with every pixel of the part counted: what models see in evaluation and training."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from manyhot.errors import UsageError

Filter = Literal["antialiased", "linear"]
"""How far a pixel of the result looks while a side shrinks: as Pillow does, or half as far, which is sharper and faster.

`linear` is plain linear interpolation up to a factor of 2; beyond it reaches further, so that no pixel is passed over.
Where a side grows, both are linear interpolation.
"""


@dataclass(frozen=True, kw_only=True)
class CropPlan:
    """Which part of a picture becomes which square; made from the picture's size, before it is decoded.

    Args:
        top: First row of the part, in the upright picture at its stored size.
        left: First column.
        height: Rows of the part.
        width: Columns.
        size: Side of the square.
        filter: How the part is resized.
        is_mirrored: Whether left and right are swapped.

    >>> CropPlan(top=0, left=10, height=300, width=400, size=100, filter="linear").least_size(375, 500)
    (125, 125)
    """

    top: int
    left: int
    height: int
    width: int
    size: int
    filter: Filter
    is_mirrored: bool = False

    def least_size(self, height: int, width: int) -> tuple[int, int]:
        """Return how large the whole picture has to be decoded for the part to be no smaller than the square.

        Three times as large where the part is antialiased: libjpeg cuts frequencies off more sharply than a triangle
        does, which shows unless a wide triangle follows.

        Args:
            height: Stored height of the picture, upright.
            width: Stored width.
        """
        # Rounded up: a part that ends one pixel short would have to grow.
        side = self.size * (3 if self.filter == "antialiased" else 1)
        return -(-height * side // self.height), -(-width * side // self.width)


def plan_whole(height: int, width: int, size: int) -> CropPlan:
    """Return the plan that makes the whole picture a square, antialiased.

    Raises:
        UsageError: If the size is no positive number.

    >>> plan_whole(2, 6, 3).width
    6
    """
    check_size(size)
    return CropPlan(top=0, left=0, height=height, width=width, size=size, filter="antialiased")


@dataclass(frozen=True, kw_only=True, eq=False)
class ScaledPixels:
    """A picture that may have been decoded smaller than it is stored.

    Args:
        pixels: The picture, upright.
        divisor: How many stored pixels a decoded pixel stands for, along each side: 1, 2, 4 or 8.
        top: Where the picture's first row starts in `pixels`: above 0 only where a side is no multiple of the divisor
            and the picture was turned, so that the row which is not full comes first.
        left: Where its first column starts.
    """

    pixels: UInt8[np.ndarray, "h w 3"]
    divisor: int = 1
    top: float = 0.0
    left: float = 0.0


def write_crop(source: ScaledPixels, plan: CropPlan, out: UInt8[np.ndarray, "3 height width"]) -> None:
    """Write the planned part of a picture, resized and mirrored, into three planes: colour, row, column.

    Every machine gives the same pixels; shrinking differs from Pillow's antialiased result by rounding alone.

    Raises:
        UsageError: If `out` has another size than the plan.

    >>> planes = np.empty((3, 1, 1), np.uint8)
    >>> write_crop(ScaledPixels(pixels=np.full((2, 6, 3), 7, np.uint8)), plan_whole(2, 6, 1), planes)
    >>> planes.tolist()
    [[[7]], [[7]], [[7]]]
    """
    if out.shape != (3, plan.size, plan.size):
        raise UsageError(
            f"a square of {plan.size} does not fit planes of {out.shape}; give (3, {plan.size}, {plan.size})"
        )
    part = plan.top, plan.left, plan.height, plan.width
    write_part(source, part, out, kind=plan.filter, is_mirrored=plan.is_mirrored)


def write_part(
    source: ScaledPixels,
    part: tuple[int, int, int, int],
    out: UInt8[np.ndarray, "3 height width"],
    *,
    kind: Filter,
    is_mirrored: bool = False,
) -> None:
    """Write a part of a picture, resized to the size of three planes, into them: what `write_crop` does for any size.

    Args:
        source: The picture.
        part: Top, left, height and width of the part, in the upright picture at its stored size.
        out: Where it goes.
        kind: How it is resized.
        is_mirrored: Whether left and right are swapped.

    >>> planes = np.empty((3, 1, 2), np.uint8)
    >>> write_part(ScaledPixels(pixels=np.full((2, 6, 3), 7, np.uint8)), (0, 0, 2, 6), planes, kind="linear")
    >>> planes[0].tolist()
    [[7, 7]]
    """
    # numba is loaded only once there is something to resize.
    from manyhot.data.resize_kernels import write_resized

    # Plain numbers: arrays of two and four would take a tenth of the time that the loop takes.
    top, left, height, width = (side / source.divisor for side in part)
    widest = 1.0 if kind == "antialiased" else 0.5
    reach = max(1.0, height / out.shape[1] * widest), max(1.0, width / out.shape[2] * widest)
    # The loop is compiled for such arrays alone; kept pictures are read-only, and others can be read as if they were.
    pixels = np.ascontiguousarray(source.pixels).view()
    pixels.flags.writeable = False
    write_resized(pixels, (top + source.top, left + source.left, height, width), reach, is_mirrored, out)


def crop_image(source: ScaledPixels, plan: CropPlan) -> UInt8[np.ndarray, "size size 3"]:
    """Return the planned part of a picture; its memory is that of three planes, as batches want it.

    >>> crop_image(ScaledPixels(pixels=np.full((2, 6, 3), 7, np.uint8)), plan_whole(2, 6, 4)).shape
    (4, 4, 3)
    """
    planes = np.empty((3, plan.size, plan.size), dtype=np.uint8)
    write_crop(source, plan, planes)
    return planes.transpose(1, 2, 0)


def resize(image: UInt8[np.ndarray, "h w 3"], size: int) -> UInt8[np.ndarray, "{size} {size} 3"]:
    """Return the whole picture as a square, antialiased. A picture of the right size comes out as it is.

    Raises:
        UsageError: If the size is no positive number.

    >>> resize(np.full((2, 6, 3), 7, np.uint8), 3)[..., 0].tolist()
    [[7, 7, 7], [7, 7, 7], [7, 7, 7]]
    """
    height, width = image.shape[:2]
    return crop_image(ScaledPixels(pixels=image), plan_whole(height, width, size))


def check_size(size: int) -> None:
    """Refuse a side of a square that is no positive number.

    Raises:
        UsageError: If it is none.

    >>> check_size(1)
    """
    if size < 1:
        raise UsageError(f"image size {size} is no positive number of pixels")
