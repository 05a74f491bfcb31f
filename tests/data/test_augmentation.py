"""Pictures become squares: whole in evaluation, in large random parts in training."""

import numpy as np
import pytest
from PIL import Image

from manyhot.data.augmentation import EvaluationTransform, TrainingTransform
from manyhot.data.resizing import ScaledPixels, crop_image
from manyhot.errors import UsageError


def picture(height: int = 17, width: int = 41) -> np.ndarray:
    noise = np.random.default_rng(7).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC))


def ramp(height: int, width: int) -> np.ndarray:
    """A picture whose first channel says the row and whose second says the column, each from 0 to 1 over 255."""
    rows = np.linspace(0, 255, height).round().astype(np.uint8)
    columns = np.linspace(0, 255, width).round().astype(np.uint8)
    image = np.zeros((height, width, 3), dtype=np.uint8)
    image[..., 0], image[..., 1] = rows[:, None], columns[None]
    return image


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1), (17, 41), (8, 8), (3, 100), (100, 3)])
def test_every_shape_becomes_a_square(shape: tuple[int, int]) -> None:
    image = picture(*shape)
    for transform in (EvaluationTransform(8), TrainingTransform(8)):
        result = transform(image, np.random.default_rng(0))
        assert result.shape == (8, 8, 3)
        assert result.dtype == np.uint8
        assert result.strides[0] > 0
        assert result.strides[1] > 0


def test_a_picture_of_the_right_size_stays_as_it_is() -> None:
    image = picture(8, 8)
    np.testing.assert_array_equal(EvaluationTransform(8)(image), image)


def test_evaluation_shows_the_whole_picture() -> None:
    corners = EvaluationTransform(32)(ramp(64, 256))[[0, 0, -1, -1], [0, -1, 0, -1], :2]
    # 5: each corner is the mean over the first or last 32nd part of the ramp.
    assert np.abs(corners.astype(int) - [[0, 0], [0, 255], [255, 0], [255, 255]]).max() <= 5


def test_evaluation_is_the_same_with_and_without_a_generator() -> None:
    transform = EvaluationTransform(8)
    np.testing.assert_array_equal(transform(picture()), transform(picture(), np.random.default_rng(0)))


def test_training_is_decided_by_the_generator() -> None:
    transform = TrainingTransform(8)
    results = [transform(picture(), np.random.default_rng(seed)) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(results[0], results[1])
    assert (results[0] != results[2]).any()


def seen_part(result: np.ndarray) -> tuple[float, float, float, float]:
    """Top, bottom, left and right of what a transform showed of a `ramp`, from 0 to 1."""
    top, bottom = result[0, :, 0].mean() / 255, result[-1, :, 0].mean() / 255
    left, right = sorted((result[:, 0, 1].mean() / 255, result[:, -1, 1].mean() / 255))
    return top, bottom, left, right


def test_training_parts_cover_the_area_that_was_asked_for() -> None:
    image, transform = ramp(200, 300), TrainingTransform(64, min_scale=0.6)
    areas, ratios, generator = [], [], np.random.default_rng(0)
    for _ in range(1000):
        top, bottom, left, right = seen_part(transform(image, generator))
        # The first and the last pixel lie half of a 64th inside the part, and the ramp ends half a pixel inside.
        height, width = (bottom - top) * 64 / 63 * 199 / 200, (right - left) * 64 / 63 * 299 / 300
        areas.append(height * width)
        ratios.append(width / height)
    # 0.02: whole pixels of the part, and rounding of levels.
    assert min(areas) > 0.58
    assert max(areas) < 1.02
    # Five standard errors of 1000 uniform draws from 0.6 to 1.
    assert np.mean(areas) == pytest.approx(0.8, abs=0.018)
    assert max(ratios) < 4 / 3 + 0.05
    assert min(ratios) > 3 / 4 - 0.05
    assert np.exp(np.mean(np.log(ratios))) == pytest.approx(1, abs=0.02)


def test_training_parts_reach_every_border() -> None:
    image, transform = ramp(200, 300), TrainingTransform(64, min_scale=0.5, flip=False)
    parts = np.array([seen_part(transform(image, np.random.default_rng(seed))) for seed in range(300)])
    assert parts[:, [0, 2]].min() < 0.03
    assert parts[:, [1, 3]].max() > 0.97


def test_half_of_the_pictures_are_mirrored() -> None:
    image, transform = ramp(50, 50), TrainingTransform(16)
    mirrored = [
        bool((result := transform(image, np.random.default_rng(seed)))[0, 0, 1] > result[0, -1, 1])
        for seed in range(400)
    ]
    # Four standard deviations of a fair coin thrown 400 times are 0.1.
    assert np.mean(mirrored) == pytest.approx(0.5, abs=0.1)


def test_without_flip_nothing_is_mirrored_and_the_part_is_the_same() -> None:
    image = ramp(50, 50)
    for seed in range(30):
        plain = TrainingTransform(16, flip=False)(image, np.random.default_rng(seed))
        assert plain[0, 0, 1] < plain[0, -1, 1]
        either = TrainingTransform(16)(image, np.random.default_rng(seed))
        assert (either == plain).all() or (either[:, ::-1] == plain).all()


def test_the_whole_picture_at_full_scale_is_what_evaluation_shows() -> None:
    # No side shrinks by more than 2 and none by less than 1: the filters differ only in between.
    image = picture(32, 29)
    training = TrainingTransform(32, min_scale=1.0, flip=False)(image, np.random.default_rng(0))
    np.testing.assert_array_equal(training, EvaluationTransform(32)(image))


@pytest.mark.parametrize("shape", [(1, 1), (17, 41), (5000, 1)])
def test_a_transform_does_to_a_picture_what_it_plans_for_its_size(shape: tuple[int, int]) -> None:
    image, transform = picture(*shape), TrainingTransform(8)
    for seed in range(20):
        plan = transform.plan(*shape, np.random.default_rng(seed))
        assert 0 <= plan.top <= plan.top + plan.height <= shape[0]
        assert 0 <= plan.left <= plan.left + plan.width <= shape[1]
        planned = crop_image(ScaledPixels(pixels=image), plan)
        np.testing.assert_array_equal(transform(image, np.random.default_rng(seed)), planned)


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(UsageError, match="image size 0"):
        EvaluationTransform(0)
    with pytest.raises(UsageError, match=r"min_scale 0\.0"):
        TrainingTransform(8, min_scale=0.0)
    with pytest.raises(UsageError, match=r"min_scale 1\.5"):
        TrainingTransform(8, min_scale=1.5)
    with pytest.raises(UsageError, match="give it a generator"):
        TrainingTransform(8)(picture(), None)
