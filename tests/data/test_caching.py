"""A cache changes nothing but what is decoded."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from manyhot.data.augmentation import EvaluationTransform, TrainingTransform
from manyhot.data.caching import PictureCache, decoded_bytes
from manyhot.data.disk_room import DiskRoom
from manyhot.data.loading import ImageLoader
from manyhot.errors import UsageError
from manyhot.labels import LabelSets
from manyhot.sources.manifest import Manifest


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


def test_from_the_second_epoch_on_no_file_is_read(manifest: Manifest, cache: PictureCache) -> None:
    loader = ImageLoader(manifest, range(7), TrainingTransform(64), batch_size=3, seed=1, num_workers=2, cache=cache)
    list(loader)
    for row in range(7):
        manifest.path_of(row).unlink()
    assert sum(batch.num_samples for batch in loader) == 7


def test_the_memory_of_all_is_judged_by_some(manifest: Manifest) -> None:
    rows = np.arange(7)
    files = sum(manifest.path_of(row).stat().st_size for row in range(7))
    pixels = sum(3 * (10 + 30 * row) * (15 + 20 * row) for row in range(7))
    assert decoded_bytes(manifest.pictures, rows) == pytest.approx(files + pixels, abs=7)
    assert decoded_bytes(manifest.pictures, np.tile(rows, 100)) == pytest.approx(100 * (files + pixels), rel=0.1)
    assert decoded_bytes(manifest.pictures, rows[:0]) == 0


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
