"""Pictures composed of real handwritten digits: data for a demonstration that needs no download.

scikit-learn ships 1,797 digits of 8 x 8 pixels, written by 43 people. Each picture shows 0 to 5 different ones, in
random colours, sizes and places, so that they overlap; its labels are the digits that are in it. No digit that is
seen in training was used for a picture of validation or test.
"""

import csv
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float32, Int64, UInt8

from manyhot.errors import UsageError

LABELS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SPLIT_SHARES = {"train": 0.6, "val": 0.2, "test": 0.2}
MOST_DIGITS = 5
SIZE = 64
SMALLEST_DIGIT, LARGEST_DIGIT = 12, 22
DARKEST_INK, LIGHTEST_PAPER = 100, 50


@dataclass(frozen=True, kw_only=True, eq=False)
class Digits:
    """Handwritten digits, as dark-to-bright images and as numbers 0 to 9."""

    images: UInt8[np.ndarray, "n 8 8"]
    numbers: Int64[np.ndarray, " n"]

    def take(self, rows: Int64[np.ndarray, " k"]) -> "Digits":
        """Return some of the digits, in the order given."""
        return Digits(images=self.images[rows], numbers=self.numbers[rows])


def load_digits() -> Digits:
    """Return the 1,797 digits that scikit-learn ships.

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI repository, 1998 (test part).
    """
    from sklearn.datasets import load_digits as load

    pixels, numbers = load(return_X_y=True)
    # 0 to 16 in the source.
    images = np.minimum(np.asarray(pixels).reshape(-1, 8, 8) * 16, 255).astype(np.uint8)
    return Digits(images=images, numbers=np.asarray(numbers, dtype=np.int64))


def split_digits(digits: Digits, seed: int) -> dict[str, Digits]:
    """Return the digits of train, val and test: each in one of them, each number in the same shares in all."""
    generator = np.random.default_rng(seed)
    rows: dict[str, list[np.ndarray]] = {split: [] for split in SPLIT_SHARES}
    for number in range(len(LABELS)):
        order = generator.permutation(np.flatnonzero(digits.numbers == number))
        ends = np.round(np.cumsum(list(SPLIT_SHARES.values())) * len(order)).astype(int)
        for split, part in zip(SPLIT_SHARES, np.split(order, ends[:-1]), strict=True):
            rows[split].append(part)
    return {split: digits.take(np.concatenate(parts)) for split, parts in rows.items()}


def compose_pictures(
    digits: Digits, num_pictures: int, generator: np.random.Generator
) -> Iterator[tuple[UInt8[np.ndarray, "h w 3"], list[int]]]:
    """Yield pictures, each with the sorted numbers of the digits in it.

    >>> pictures = list(compose_pictures(load_digits(), 2, np.random.default_rng(0)))
    >>> pictures[0][0].shape, [numbers for _, numbers in pictures]
    ((64, 64, 3), [[3], [4, 5, 7, 9]])
    """
    choices = [digits.images[digits.numbers == number] for number in range(len(LABELS))]
    for _ in range(num_pictures):
        paper = generator.integers(0, LIGHTEST_PAPER, 3)
        picture = np.full((SIZE, SIZE, 3), paper, dtype=np.float32)
        count = generator.integers(0, MOST_DIGITS + 1)
        numbers = generator.choice(len(LABELS), size=count, replace=False).tolist()
        for number in numbers:
            _write_digit(picture, choices[number][generator.integers(len(choices[number]))], generator)
        yield np.clip(picture, 0, 255).astype(np.uint8), sorted(numbers)


def _write_digit(
    picture: Float32[np.ndarray, "h w 3"], digit: UInt8[np.ndarray, "8 8"], generator: np.random.Generator
) -> None:
    size = int(generator.integers(SMALLEST_DIGIT, LARGEST_DIGIT + 1))
    top, left = generator.integers(0, SIZE - size + 1, 2)
    ink = generator.integers(DARKEST_INK, 256, 3).astype(np.float32)
    opacity = cv2.resize(digit, (size, size), interpolation=cv2.INTER_CUBIC).astype(np.float32)[..., None] / 255
    place = picture[top : top + size, left : left + size]
    place += (ink - place) * opacity


def write_pictures(folder: Path, num_pictures: dict[str, int], *, seed: int) -> None:
    """Write pictures and `labels.csv` into a new folder, whole or not at all.

    The table has the columns `image`, `split` and `labels` (names joined by `|`).

    Args:
        folder: A folder that does not exist yet.
        num_pictures: Number of pictures of each split.
        seed: Seed of the digits' split and of the pictures.

    Raises:
        UsageError: If the folder exists.
    """
    if folder.exists():
        raise UsageError(f"{folder}: exists already; choose another place for the pictures")
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    try:
        unfinished.chmod(0o755)
        _fill(unfinished, num_pictures, seed)
        unfinished.rename(folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _fill(folder: Path, num_pictures: dict[str, int], seed: int) -> None:
    splits = split_digits(load_digits(), seed)
    generators = np.random.default_rng([seed, 1]).spawn(len(splits))
    rows = [("image", "split", "labels")]
    for (split, digits), generator in zip(splits.items(), generators, strict=True):
        (folder / "images" / split).mkdir(parents=True)
        for index, (picture, numbers) in enumerate(compose_pictures(digits, num_pictures[split], generator)):
            name = f"{split}/{index:05d}.png"
            encoded = cv2.imencode(".png", picture[..., ::-1])[1]
            (folder / "images" / name).write_bytes(encoded.tobytes())
            rows.append((name, split, "|".join(LABELS[number] for number in numbers)))
    with (folder / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
