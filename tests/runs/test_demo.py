"""The demonstration: real digits, kept apart between the splits, in pictures that are read like any others."""

from pathlib import Path

import numpy as np
import pytest

from manyhot.errors import UsageError
from manyhot.runs.demo import demo_recipe, run_demo
from manyhot.runs.digits import LABELS, MOST_DIGITS, SIZE, compose_pictures, load_digits, split_digits, write_pictures
from manyhot.sources import open_source

COUNTS = {"train": 41, "val": 7, "test": 17}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "pictures"
    write_pictures(folder, COUNTS, seed=0)
    return folder


def rows_of(images: np.ndarray) -> set[bytes]:
    return {image.tobytes() for image in images}


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_digit_serves_two_splits(seed: int) -> None:
    digits = load_digits()
    parts = split_digits(digits, seed)
    assert sum(len(part.numbers) for part in parts.values()) == len(digits.numbers) == 1_797
    images = {split: rows_of(part.images) for split, part in parts.items()}
    assert sum(len(found) for found in images.values()) == len(rows_of(digits.images))


def test_every_split_has_every_number_in_the_same_share() -> None:
    digits = load_digits()
    parts = split_digits(digits, 3)
    whole = np.bincount(digits.numbers)
    for split, share in (("train", 0.6), ("val", 0.2), ("test", 0.2)):
        assert np.abs(np.bincount(parts[split].numbers) - share * whole).max() <= 1


def test_pictures_show_0_to_5_different_digits() -> None:
    found = [numbers for _, numbers in compose_pictures(load_digits(), 300, np.random.default_rng(0))]
    assert {len(numbers) for numbers in found} == set(range(MOST_DIGITS + 1))
    assert all(numbers == sorted(set(numbers)) for numbers in found)
    assert {number for numbers in found for number in numbers} == set(range(10))


def test_a_picture_without_digits_is_blank_and_one_with_digits_is_not() -> None:
    for picture, numbers in compose_pictures(load_digits(), 50, np.random.default_rng(1)):
        assert picture.shape == (SIZE, SIZE, 3)
        assert (picture != picture[0, 0]).any() == bool(numbers)


def test_the_same_seed_gives_the_same_pictures() -> None:
    first, second, other = (
        [picture.tobytes() for picture, _ in compose_pictures(load_digits(), 5, np.random.default_rng(seed))]
        for seed in (7, 7, 8)
    )
    assert first == second != other


def test_pictures_are_read_like_any_other_data(pictures: Path) -> None:
    manifest = open_source(pictures)
    assert manifest.num_samples == sum(COUNTS.values())
    assert manifest.labels.space.names == tuple(sorted(LABELS)) or set(manifest.labels.space.names) == set(LABELS)
    splits = manifest.splits()
    assert {split: splits.count(split) for split in COUNTS} == COUNTS
    assert manifest.labels.is_complete
    lengths = manifest.labels.positives.lengths()
    assert 0 < (lengths == 0).sum() < len(lengths)


def test_pictures_are_never_written_over_others(pictures: Path) -> None:
    with pytest.raises(UsageError, match="exists already"):
        write_pictures(pictures, COUNTS, seed=0)


def test_an_interrupted_writing_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        write_pictures(tmp_path / "pictures", {"train": 2}, seed=0)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        run_demo(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_too_few_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="too few"):
        run_demo(tmp_path / "demo", num_train=3)


@pytest.mark.parametrize(("option", "message"), [({"epochs": 0}, "training.epochs"), ({"seed": -1}, "seed is -1")])
def test_a_wrong_option_is_told_before_pictures_are_written(
    tmp_path: Path, option: dict[str, int], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        run_demo(tmp_path / "demo", **option)
    assert list(tmp_path.iterdir()) == []


def test_digits_are_not_mirrored() -> None:
    recipe = demo_recipe(Path("pictures"))
    assert not recipe.images.flip
    assert recipe.encoder.pretrained == "none"
