"""A cache changes nothing but what is decoded."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from manyhot.data.augmentation import EvaluationTransform, TrainingTransform
from manyhot.data.caching import PictureCache, decoded_bytes
from manyhot.data.decoding import EncodedImage, open_image
from manyhot.data.disk_room import DiskRoom
from manyhot.data.loading import ImageLoader
from manyhot.data.resizing import ScaledPixels
from manyhot.errors import ImageError, UsageError
from manyhot.labels import LabelSets
from manyhot.sources.manifest import Manifest
from manyhot.sources.picture_store import PictureStore


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    """JPEG pictures of which the larger ones are decoded at a fraction, and turned by EXIF."""
    generator = np.random.default_rng(0)
    names = [f"{row}.jpg" for row in range(7)]
    for row, name in enumerate(names):
        pixels = generator.integers(0, 256, (10 + 30 * row, 15 + 20 * row, 3), dtype=np.uint8)
        exif = Image.Exif()
        exif[0x0112] = 1 + row
        Image.fromarray(pixels).save(tmp_path / name, exif=exif)
    return Manifest.from_lists(tmp_path, names, LabelSets.from_names([["cat"]] * 7))


@pytest.fixture(params=["memory", "disk"])
def cache(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> PictureCache:
    """A cache of each kind, empty."""
    return PictureCache(DiskRoom(tmp_path_factory.mktemp("room")) if request.param == "disk" else None)


@pytest.mark.parametrize("transform", [TrainingTransform(16), EvaluationTransform(16), TrainingTransform(100)])
@pytest.mark.parametrize("num_workers", [0, 2])
def test_batches_are_the_same_with_and_without(
    manifest: Manifest, transform: TrainingTransform | EvaluationTransform, num_workers: int, cache: PictureCache
) -> None:
    options = {"batch_size": 3, "seed": 1, "num_workers": num_workers}
    plain = ImageLoader(manifest, range(7), transform, **options)
    cached = ImageLoader(manifest, range(7), transform, cache=cache, **options)
    for _ in range(3):
        for one, other in zip(plain, cached, strict=True):
            assert torch.equal(one.images, other.images)


class Inverting:
    """A transform of somebody else, which changes what it is given."""

    def __call__(self, image: np.ndarray, generator: np.random.Generator | None) -> np.ndarray:
        np.subtract(255, image, out=image)
        return image[:10, :15]


def test_a_transform_that_changes_its_picture_finds_it_as_it_was_decoded(
    manifest: Manifest, cache: PictureCache
) -> None:
    loader = ImageLoader(manifest, range(7), Inverting(), batch_size=7, seed=1, num_workers=0, cache=cache)
    first, second, third = (next(iter(loader)).images.clone() for _ in range(3))
    assert torch.equal(first, second)
    assert torch.equal(first, third)


class CountedPictures:
    """Pictures that note which of them is read."""

    def __init__(self, pictures: PictureStore) -> None:
        self.read_rows: list[int] = []
        self._pictures = pictures

    def __len__(self) -> int:
        return len(self._pictures)

    def read(self, row: int, /) -> bytes | memoryview:
        self.read_rows.append(row)
        return self._pictures.read(row)

    def name_of(self, row: int, /) -> str:
        return self._pictures.name_of(row)

    def size_of(self, row: int, /) -> int:
        return self._pictures.size_of(row)

    def take(self, rows: np.ndarray, /) -> PictureStore:
        return self._pictures.take(rows)


def divisors_of(manifest: Manifest, transform: TrainingTransform | EvaluationTransform, row: int) -> set[int]:
    """At which fractions a picture is decoded, by many draws of the crop."""
    encoded, generator = open_image(manifest.path_of(row)), np.random.default_rng(7)
    plans = [transform.plan(*encoded.size, generator) for _ in range(500)]
    return {encoded.divisor(plan.least_size(*encoded.size)) for plan in plans}


@pytest.mark.parametrize("transform", [TrainingTransform(16), EvaluationTransform(16), TrainingTransform(100)])
def test_no_picture_is_read_or_decoded_twice_at_one_fraction(
    manifest: Manifest, transform: TrainingTransform | EvaluationTransform, cache: PictureCache, monkeypatch
) -> None:
    pictures = CountedPictures(manifest.pictures)
    decoded: list[tuple[str, int]] = []
    decode = EncodedImage.decode

    def counting(self: EncodedImage, *, at_least: tuple[int, int] | None = None) -> ScaledPixels:
        decoded.append((self.name, self.divisor(at_least)))
        return decode(self, at_least=at_least)

    monkeypatch.setattr(EncodedImage, "decode", counting)
    counted = replace(manifest, embedded=pictures)
    loader = ImageLoader(counted, range(7), transform, batch_size=3, seed=1, num_workers=0, cache=cache)
    for _ in range(20):
        assert sum(batch.num_samples for batch in loader) == 7
    fractions = [len(divisors_of(manifest, transform, row)) for row in range(7)]
    assert max(fractions) <= 2
    assert all(pictures.read_rows.count(row) <= fractions[row] for row in range(7))
    assert len(decoded) == len(pictures.read_rows)


def test_a_large_photo_takes_the_memory_of_the_fraction_that_is_needed(tmp_path: Path, cache: PictureCache) -> None:
    Image.new("RGB", (1601, 1203)).save(tmp_path / "a.jpg")
    manifest = Manifest.from_lists(tmp_path, ["a.jpg"], LabelSets.from_names([["cat"]]))
    transform = TrainingTransform(64)
    loader = ImageLoader(manifest, range(1), transform, batch_size=1, seed=1, num_workers=0, cache=cache)
    for _ in range(5):
        list(loader)
    # An eighth of each side, rounded up.
    assert cache.size_bytes == 3 * 151 * 201
    assert decoded_bytes(manifest.pictures, np.array([0]), transform) == cache.size_bytes


def test_the_memory_of_all_is_judged_by_some(manifest: Manifest) -> None:
    rows = np.arange(7)
    pixels = sum(3 * (10 + 30 * row) * (15 + 20 * row) for row in range(7))
    whole = TrainingTransform(300)
    assert decoded_bytes(manifest.pictures, rows, whole) == pytest.approx(pixels, abs=7)
    assert decoded_bytes(manifest.pictures, np.tile(rows, 100), whole) == pytest.approx(100 * pixels, rel=0.1)
    assert decoded_bytes(manifest.pictures, rows[:0], whole) == 0


def test_a_picture_that_is_called_for_at_two_fractions_is_kept_at_both(tmp_path: Path, cache: PictureCache) -> None:
    Image.new("RGB", (300, 300)).save(tmp_path / "a.jpg")
    manifest = Manifest.from_lists(tmp_path, ["a.jpg"], LabelSets.from_names([["cat"]]))
    transform = TrainingTransform(130)
    loader = ImageLoader(manifest, range(1), transform, batch_size=1, seed=1, num_workers=0, cache=cache)
    for _ in range(20):
        list(loader)
    assert cache.size_bytes == 3 * (300 * 300 + 150 * 150)
    assert decoded_bytes(manifest.pictures, np.array([0]), transform) == cache.size_bytes


@pytest.mark.parametrize("num_workers", [0, 2])
def test_beyond_its_limit_a_cache_keeps_no_more_and_says_so_once(manifest: Manifest, caplog, num_workers: int) -> None:
    transform, cache = TrainingTransform(100), PictureCache(limit_bytes=60_000)
    options = {"batch_size": 3, "seed": 1, "num_workers": num_workers}
    plain = ImageLoader(manifest, range(7), transform, **options)
    cached = ImageLoader(manifest, range(7), transform, cache=cache, **options)
    with caplog.at_level(logging.WARNING, "manyhot"):
        for _ in range(3):
            for one, other in zip(plain, cached, strict=True):
                assert torch.equal(one.images, other.images)
    assert 0 < cache.size_bytes <= 60_000
    (line,) = caplog.messages
    assert line.startswith("warning: kept pictures take all of the 0.1 MB of memory that they may")


def test_a_transform_that_says_nothing_of_its_crop_keeps_whole_pictures(manifest: Manifest) -> None:
    cache = PictureCache()
    whole = decoded_bytes(manifest.pictures, np.arange(7), lambda image, _: image[:5, :5])
    loader = ImageLoader(
        manifest, range(7), lambda image, _: image[:5, :5], batch_size=7, seed=1, num_workers=0, cache=cache
    )
    list(loader)
    assert cache.size_bytes == pytest.approx(whole, abs=7)


def test_a_picture_that_became_another_while_in_use_is_refused(manifest: Manifest) -> None:
    cache, path = PictureCache(), manifest.path_of(6)
    cache.open(6, lambda: open_image(path)).decode(at_least=(20, 20))
    with Image.open(path) as before:
        size = before.size
    Image.new("RGB", size).save(path, "JPEG")
    with pytest.raises(ImageError, match="has changed while it was in use"):
        cache.open(6, lambda: open_image(path)).decode()


def test_processes_are_refused_a_cache(manifest: Manifest) -> None:
    with pytest.raises(UsageError, match="cannot share a cache"):
        ImageLoader(
            manifest, range(7), EvaluationTransform(8), batch_size=2, seed=0, num_workers=1, worker_kind="processes",
            cache=PictureCache(),
        )  # fmt: skip


def test_a_full_disk_costs_speed_alone(manifest: Manifest, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    options = {"batch_size": 3, "seed": 1, "num_workers": 2}
    plain = ImageLoader(manifest, range(7), TrainingTransform(64), **options)
    # The folder is not there: no file can be made in it.
    cache = PictureCache(DiskRoom(tmp_path / "absent"))
    cached = ImageLoader(manifest, range(7), TrainingTransform(64), cache=cache, **options)
    with caplog.at_level(logging.WARNING, "manyhot"):
        for _ in range(2):
            for one, other in zip(plain, cached, strict=True):
                assert torch.equal(one.images, other.images)
    assert "decoded anew in every epoch" in caplog.text


def test_a_picture_that_was_turned_while_in_use_is_refused(tmp_path: Path) -> None:
    cache, path = PictureCache(), tmp_path / "a.png"
    picture, exif = Image.new("RGB", (40, 30)), Image.Exif()
    picture.save(path)
    cache.open(0, lambda: open_image(path))
    exif[0x0112] = 6
    picture.save(path, exif=exif)
    with pytest.raises(ImageError, match="has changed while it was in use"):
        cache.open(0, lambda: open_image(path)).decode()


def test_a_full_cache_keeps_nothing_of_what_comes_then(manifest: Manifest) -> None:
    cache = PictureCache(limit_bytes=0)
    cache.open(5, lambda: open_image(manifest.path_of(5))).decode()
    other = open_image(manifest.path_of(6))
    assert cache.open(6, lambda: other) is other
