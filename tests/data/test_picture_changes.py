"""Changes of colour and shape agree with torchvision's, and draw the same numbers whatever they are switched to."""

import colorsys
from collections.abc import Callable
from itertools import permutations

import numpy as np
import pytest
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from manyhot.data import colour, rand_augment
from manyhot.data.colour import BRIGHTNESS, CONTRAST, HUE, SATURATION, ColourJitter
from manyhot.data.erasing import RandomErasing
from manyhot.data.rand_augment import CHANGES, RandAugment
from manyhot.errors import UsageError


def picture() -> np.ndarray:
    """Smooth, with all grey levels, and of odd size."""
    rows, columns = np.mgrid[:33, :47] / 46
    waves = [np.sin(5 * rows + 3 * columns), np.cos(4 * rows * columns), np.sin(7 * columns) * np.cos(2 * rows)]
    return np.stack([np.rint(127.5 + 127.5 * wave) for wave in waves]).astype(np.uint8)


def changed(change: Callable[[np.ndarray, float], None], factor: float) -> np.ndarray:
    planes = picture()
    change(planes, factor)
    return planes


# torchvision cuts off what is behind the point, once or twice; we round.
@pytest.mark.parametrize(
    ("ours", "theirs", "tolerance"),
    [
        (colour.change_brightness, functional.adjust_brightness, 1),
        (colour.change_contrast, functional.adjust_contrast, 2),
        (colour.change_saturation, functional.adjust_saturation, 2),
    ],
)
@pytest.mark.parametrize("factor", [0.0, 0.4, 1.0, 1.7])
def test_colours_change_as_in_torchvision(ours: Callable, theirs: Callable, tolerance: int, factor: float) -> None:
    expected = theirs(torch.from_numpy(picture()), factor).numpy()
    assert np.abs(changed(ours, factor).astype(int) - expected.astype(int)).max() <= tolerance


@pytest.mark.parametrize("turn", [-0.5, -0.2, 0.0, 0.1, 0.5])
def test_hues_turn_as_in_torchvision(turn: float) -> None:
    expected = functional.adjust_hue(torch.from_numpy(picture()), turn).numpy()
    assert np.abs(changed(colour.change_hue, turn).astype(int) - expected.astype(int)).max() <= 2


def colours_changed_in_float64(planes: np.ndarray, kind: int, amount: float) -> np.ndarray:
    """Pixel by pixel, from the definitions; Python's own library turns the hue."""
    pixels = planes.reshape(3, -1).T.astype(np.float64)
    grey = (pixels @ [0.299, 0.587, 0.114])[:, None]
    if kind == HUE:
        parts = [colorsys.rgb_to_hsv(*pixel) for pixel in (pixels / 255).tolist()]
        found = 255 * np.array([colorsys.hsv_to_rgb((h + amount) % 1, s, v) for h, s, v in parts])
    else:
        away_from = {BRIGHTNESS: 0.0, CONTRAST: grey.mean(), SATURATION: grey}[kind]
        found = away_from + amount * (pixels - away_from)
    return np.rint(found.clip(0, 255)).T.reshape(planes.shape).astype(np.uint8)


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_jitter_does_its_changes_in_the_order_drawn(order: tuple[int, ...]) -> None:
    jitter = ColourJitter(brightness=0.4, contrast=0.3, saturation=0.5, hue=0.2)

    class Drawn(np.random.Generator):
        """Gives the strengths 0.2, 0.9, 0.7, 0.6 of what is possible, and the order."""

        def random(self, *size: object, **options: object) -> np.ndarray:
            return np.array([[0.2, 0.9, 0.7, 0.6, *np.argsort(order)]])

    amounts = (1 - 0.4 * 0.6, 1 + 0.3 * 0.8, 1 + 0.5 * 0.4, 0.2 * 0.2)
    expected, found = picture(), picture()
    for kind in order:
        expected = colours_changed_in_float64(expected, kind, amounts[kind])
    jitter.change(found, Drawn(np.random.PCG64()))
    # What float32 and float64 round to either side differs by a level.
    assert np.abs(found.astype(int) - expected.astype(int)).max() <= 1
    assert (found == expected).mean() > 0.999


@pytest.mark.parametrize("shape", [(1, 1), (1, 513), (17, 41), (32, 32), (3, 1000)])
@pytest.mark.parametrize("kind", [BRIGHTNESS, CONTRAST, SATURATION, HUE])
def test_colours_of_pictures_of_any_size_change_as_defined(shape: tuple[int, int], kind: int) -> None:
    planes = np.random.default_rng(1).integers(0, 256, (3, *shape), dtype=np.uint8)
    expected = colours_changed_in_float64(planes, kind, 0.35)
    (colour.change_brightness, colour.change_contrast, colour.change_saturation, colour.change_hue)[kind](planes, 0.35)
    assert np.abs(planes.astype(int) - expected.astype(int)).max() <= 1


@pytest.mark.parametrize("off", ["brightness", "contrast", "saturation", "hue"])
def test_a_strength_of_zero_leaves_out_its_change_and_nothing_else(off: str) -> None:
    strengths = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}
    draws = np.random.default_rng(2).random((50, 8))
    kinds, amounts = ColourJitter(**strengths).steps(draws)
    without = ColourJitter(**{**strengths, off: 0.0}).steps(draws)
    stays = kinds != list(strengths).index(off)
    np.testing.assert_array_equal(without[0], kinds[stays].reshape(50, 3))
    np.testing.assert_array_equal(without[1], amounts[stays].reshape(50, 3))


def test_jitter_of_no_strength_leaves_pictures_as_they_are_and_draws_all_the_same() -> None:
    planes, generator, other = picture(), np.random.default_rng(4), np.random.default_rng(4)
    ColourJitter().change(planes, generator)
    np.testing.assert_array_equal(planes, picture())
    other.random(8)
    assert generator.random() == other.random()


def test_hues_that_turn_by_nothing_and_grey_pictures_keep_their_colours() -> None:
    levels = np.random.default_rng(3).integers(0, 256, (3, 100, 100), dtype=np.uint8)
    turned = levels.copy()
    colour.change_hue(turned, 0.0)
    np.testing.assert_array_equal(turned, levels)
    grey = levels[:1].repeat(3, axis=0)
    turned = grey.copy()
    colour.change_hue(turned, 0.3)
    np.testing.assert_array_equal(turned, grey)


@pytest.mark.parametrize(("more", "expected"), [(200, 202), (-200, 201)])
def test_the_mean_grey_of_a_large_picture_is_exact(more: int, expected: int) -> None:
    # The sum of its levels is beyond what float32 counts one by one, and a few pixels decide what the mean is rounded to.
    planes = np.full((3, 600, 500), 201, np.uint8)
    planes.reshape(3, -1)[:, : 150_000 + more] = 202
    colour.change_contrast(planes, 0.0)
    assert (planes == expected).all()


def test_pictures_whose_memory_lies_otherwise_change_alike() -> None:
    pixels = np.ascontiguousarray(picture().transpose(1, 2, 0))
    ColourJitter(contrast=0.5, hue=0.2).change(pixels.transpose(2, 0, 1), np.random.default_rng(0))
    planes = picture()
    ColourJitter(contrast=0.5, hue=0.2).change(planes, np.random.default_rng(0))
    np.testing.assert_array_equal(pixels.transpose(2, 0, 1), planes)


@pytest.mark.parametrize(
    ("ours", "theirs", "tolerance"),
    [
        (lambda planes: rand_augment.solarise(planes, 0.3), lambda planes: functional.solarize(planes, 255 * 0.7), 0),
        (lambda planes: rand_augment.posterise(planes, 0.5), lambda planes: functional.posterize(planes, 6), 0),
        (lambda planes: rand_augment.stretch_contrast(planes, 1.0), functional.autocontrast, 1),
        (lambda planes: rand_augment.sharpen(planes, 0.5), lambda planes: functional.adjust_sharpness(planes, 1.45), 1),
    ],
)
def test_changes_are_those_of_torchvision(ours: Callable, theirs: Callable, tolerance: int) -> None:
    planes = picture()
    ours(planes)
    expected = theirs(torch.from_numpy(picture())).numpy()
    assert np.abs(planes.astype(int) - expected.astype(int)).max() <= tolerance


def test_a_levelled_histogram_follows_the_share_of_darker_pixels() -> None:
    planes = picture()
    rand_augment.level_histogram(planes, 1.0)
    for plane, before in zip(planes, picture(), strict=True):
        counts = np.bincount(before.ravel(), minlength=256).cumsum().astype(float)
        darkest = counts[before.min()]
        expected = 255 * (counts[before] - darkest) / (before.size - darkest)
        # Rounded.
        assert np.abs(plane - expected).max() <= 1


def test_pictures_turn_as_in_torchvision() -> None:
    expected = functional.rotate(torch.from_numpy(picture()), 15, InterpolationMode.BILINEAR).numpy()
    inner = (slice(None), slice(8, -8), slice(12, -12))
    # OpenCV places pixels on a grid of 1/32: a few grey levels where the picture is steep.
    assert np.abs(changed(rand_augment.turn, 0.5)[inner].astype(int) - expected[inner].astype(int)).max() <= 8


@pytest.mark.parametrize("strength", [-1.0, 0.5])
def test_sheared_and_moved_pictures_are_linear_between_pixels(strength: float) -> None:
    places = np.arange(47.0)
    sheared, moved = changed(rand_augment.shear_x, strength), changed(rand_augment.move_x, strength)
    turned = picture().transpose(0, 2, 1).copy()
    rand_augment.shear_y(turned, strength)
    # The two sums of a pixel are taken in another order: a tie may be rounded the other way.
    assert np.abs(turned.transpose(0, 2, 1).astype(int) - sheared).max() <= 1
    for plane, found in zip(picture(), sheared, strict=True):
        for row in (3, 20):
            expected = np.interp(places - 0.3 * strength * row, places, plane[row], left=128, right=128)
            # As above; at the border OpenCV mixes with grey, so it is left out.
            inner = np.abs(places - 0.3 * strength * row - 23) < 21
            assert np.abs(found[row] - expected)[inner].max() <= 2
    distance = 150 / 331 * 47 * strength
    inner = np.abs(places - distance - 23) < 21
    expected = np.interp(places - distance, places, picture()[1, 9])
    assert np.abs(moved[1, 9] - expected)[inner].max() <= 2
    assert (moved[1, 9][np.abs(places - distance - 23) > 25] == 128).all()


@pytest.mark.parametrize("number", range(len(CHANGES)))
@pytest.mark.parametrize("strength", [-1.0, 0.0, 1.0])
def test_every_change_works_in_place_on_a_part_of_a_batch(number: int, strength: float) -> None:
    batch = np.stack([picture()] * 3)
    CHANGES[number](batch[1], strength)
    np.testing.assert_array_equal(batch[[0, 2]], np.stack([picture()] * 2))
    alone = picture()
    CHANGES[number](alone, strength)
    np.testing.assert_array_equal(batch[1], alone)


@pytest.mark.parametrize(
    "change",
    [
        ColourJitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1),
        RandAugment(),
        RandomErasing(probability=0.5),
    ],
)
def test_changes_depend_on_the_generator_alone(change: ColourJitter | RandAugment | RandomErasing) -> None:
    found = []
    for seed in (1, 1, *range(2, 12)):
        planes = picture()
        change.change(planes, np.random.default_rng(seed))
        found.append(planes.tobytes())
    assert found[0] == found[1]
    assert len(set(found)) > 3


def test_a_picture_of_one_pixel_can_be_changed() -> None:
    for seed in range(30):
        planes = np.full((3, 1, 1), 9, np.uint8)
        for change in (
            ColourJitter(brightness=1.0, hue=0.5),
            RandAugment(num_changes=3),
            RandomErasing(probability=1.0),
        ):
            change.change(planes, np.random.default_rng(seed))


def test_erasing_covers_as_much_as_it_says() -> None:
    shares = []
    for seed in range(300):
        planes = np.zeros((3, 100, 80), np.uint8)
        RandomErasing(probability=0.5).change(planes, np.random.default_rng(seed))
        shares.append((planes > 0).any(axis=0).mean())
    erased = [share for share in shares if share]
    assert 0.4 < len(erased) / 300 < 0.6
    assert min(erased) > 0.015
    assert max(erased) < 0.35


def test_what_makes_no_sense_is_refused() -> None:
    for make in (
        lambda: ColourJitter(hue=0.6),
        lambda: ColourJitter(contrast=-0.1),
        lambda: RandAugment(num_changes=0),
        lambda: RandAugment(magnitude=31),
        lambda: RandomErasing(probability=0.0),
    ):
        with pytest.raises(UsageError, match="makes no sense"):
            make()
