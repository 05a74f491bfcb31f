"""Squares are what a triangle filter in float64 gives, and what Pillow gives."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from manyhot.data.decoding import decode_image
from manyhot.data.resizing import CropPlan, Filter, ScaledPixels, crop_image, plan_whole, resize, write_crop
from manyhot.errors import UsageError


def noise(height: int = 17, width: int = 41) -> np.ndarray:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), dtype=np.uint8)


def triangle(start: float, length: float, limit: int, size: int, widest: float) -> np.ndarray:
    """The weight of every pixel of a side in every pixel of the result, in float64, without a thought for speed."""
    centres = start + (np.arange(size) + 0.5) * length / size
    reach = max(1.0, length / size * widest)
    weights = np.maximum(0, reach - np.abs(np.arange(limit) + 0.5 - centres[:, None]))
    return weights / weights.sum(axis=1, keepdims=True)


def reference(image: np.ndarray, plan: CropPlan, divisor: int = 1) -> np.ndarray:
    widest = 1.0 if plan.filter == "antialiased" else 0.5
    height, width = image.shape[:2]
    rows = triangle(plan.top / divisor, plan.height / divisor, height, plan.size, widest)
    columns = triangle(plan.left / divisor, plan.width / divisor, width, plan.size, widest)
    result = np.einsum("yh,xw,hwc->yxc", rows, columns, image.astype(np.float64), optimize=True)
    return result[:, ::-1] if plan.is_mirrored else result


@pytest.mark.parametrize("kind", ["antialiased", "linear"])
@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 500), (500, 1), (17, 41), (8, 8), (3, 100), (100, 3), (16, 16), (61, 83)]
)
def test_every_plan_gives_what_float64_gives(kind: Filter, shape: tuple[int, int]) -> None:
    image, random = noise(*shape), np.random.default_rng(1)
    for size in (1, 8, 13):
        top, left = (int(random.integers(side)) for side in shape)
        height, width = int(random.integers(1, shape[0] - top + 1)), int(random.integers(1, shape[1] - left + 1))
        plan = CropPlan(
            top=top, left=left, height=height, width=width, size=size, filter=kind, is_mirrored=bool(size % 2)
        )
        # Half a level is rounding; weights of 14 bits add a hundredth, and a little more where many of them are small.
        assert np.abs(crop_image(ScaledPixels(pixels=image), plan) - reference(image, plan)).max() < 0.55


def test_parts_of_smaller_decoded_pictures_are_where_they_belong() -> None:
    image = noise(50, 63)
    plan = CropPlan(top=37, left=11, height=301, width=222, size=30, filter="linear")
    found = crop_image(ScaledPixels(pixels=image, divisor=8), plan)
    assert np.abs(found - reference(image, plan, divisor=8)).max() < 0.55


def test_a_margin_moves_the_part() -> None:
    image = noise(20, 20)
    moved = crop_image(ScaledPixels(pixels=image, top=3.0, left=5.0), plan_whole(15, 15, 7))
    plan = CropPlan(top=3, left=5, height=15, width=15, size=7, filter="antialiased")
    np.testing.assert_array_equal(moved, crop_image(ScaledPixels(pixels=image), plan))


@pytest.mark.parametrize("shape", [(375, 500), (17, 41), (225, 224), (1000, 30)])
def test_antialiased_squares_are_those_of_pillow(shape: tuple[int, int]) -> None:
    image = noise(*shape)
    theirs = np.asarray(Image.fromarray(image).resize((224, 224), Image.Resampling.BILINEAR)).astype(int)
    # Pillow rounds to whole levels between its two passes.
    assert np.abs(resize(image, 224) - theirs).max() <= 1


def test_a_side_of_many_pixels_keeps_its_mean() -> None:
    image = np.zeros((2, 65_500, 3), dtype=np.uint8)
    image[:, ::2] = 200
    for size in (1, 8, 13):
        # Sixteen-thousandths are the smallest weights: beyond so many pixels only some of them count.
        assert np.abs(resize(image, size).astype(int) - 100).max() <= 1


def test_a_picture_of_the_right_size_stays_as_it_is() -> None:
    for kind in ("antialiased", "linear"):
        plan = CropPlan(top=2, left=3, height=9, width=9, size=9, filter=kind)
        np.testing.assert_array_equal(crop_image(ScaledPixels(pixels=noise()), plan), noise()[2:11, 3:12])


@pytest.mark.parametrize(("kind", "expected"), [("linear", "32ce3576820a038e"), ("antialiased", "f42aa2faed7a3669")])
def test_every_machine_gives_the_same_pixels(kind: Filter, expected: str) -> None:
    # Written down on an AMD EPYC: products are never joined with sums, which some processors would round otherwise.
    plan = CropPlan(top=3, left=2, height=140, width=301, size=97, filter=kind, is_mirrored=True)
    pixels = np.ascontiguousarray(crop_image(ScaledPixels(pixels=noise(150, 311)), plan))
    assert hashlib.sha256(pixels.tobytes()).hexdigest()[:16] == expected


def test_mirrored_parts_are_the_mirrored_result() -> None:
    plain, mirrored = (
        CropPlan(top=1, left=2, height=12, width=30, size=5, filter="linear", is_mirrored=mirrored)
        for mirrored in (False, True)
    )
    source = ScaledPixels(pixels=noise())
    np.testing.assert_array_equal(crop_image(source, plain)[:, ::-1], crop_image(source, mirrored))


def test_pictures_in_memory_of_any_kind_are_read() -> None:
    image = noise(40, 40)
    expected = resize(image, 9)
    frozen = image.copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(resize(frozen, 9), expected)
    np.testing.assert_array_equal(resize(np.asfortranarray(image), 9), expected)


def test_planes_of_another_size_are_refused() -> None:
    with pytest.raises(UsageError, match=r"a square of 4 does not fit planes of \(3, 4, 5\)"):
        write_crop(ScaledPixels(pixels=noise()), plan_whole(17, 41, 4), np.empty((3, 4, 5), dtype=np.uint8))


def test_the_least_size_never_lets_a_part_grow() -> None:
    random = np.random.default_rng(5)
    for _ in range(300):
        height, width = (int(side) for side in random.integers(1, 5000, 2))
        part = int(random.integers(1, height + 1)), int(random.integers(1, width + 1))
        plan = CropPlan(top=0, left=0, height=part[0], width=part[1], size=224, filter="linear")
        for stored, least, side in zip((height, width), plan.least_size(height, width), part, strict=True):
            assert least * side >= stored * 224
            assert (least - 1) * side < stored * 224


@pytest.mark.real_data
def test_photos_are_those_of_pillow(shared_data: Path) -> None:
    paths = sorted((shared_data / "coco128" / "images").glob("*.jpg"))[::8]
    assert paths
    for path in paths:
        image = decode_image(path)
        theirs = np.asarray(Image.fromarray(image).resize((224, 224), Image.Resampling.BILINEAR)).astype(int)
        # Pillow rounds to whole levels between its two passes.
        assert np.abs(resize(image, 224) - theirs).max() <= 1
