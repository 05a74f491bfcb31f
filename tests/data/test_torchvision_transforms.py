"""Transforms of torchvision are repeatable, and leave torch's main generator alone."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from manyhot.data.augmentation import ImageTransform
from manyhot.data.loading import ImageLoader
from manyhot.data.torchvision_transforms import TorchTransform
from manyhot.errors import UsageError
from manyhot.labels import LabelSets
from manyhot.sources.manifest import Manifest

CROP = TorchTransform(v2.Compose([v2.RandomResizedCrop(8, antialias=True), v2.ColorJitter(0.5)]))


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    generator = np.random.default_rng(0)
    names = [f"{row}.png" for row in range(6)]
    for name in names:
        Image.fromarray(generator.integers(0, 256, (19, 25, 3), dtype=np.uint8)).save(tmp_path / name)
    return Manifest.from_lists(tmp_path, names, LabelSets.from_names([["cat"]] * 6))


def batches(manifest: Manifest, transform: ImageTransform, **workers: object) -> list[torch.Tensor]:
    return [batch.images for batch in ImageLoader(manifest, range(6), transform, batch_size=4, seed=1, **workers)]


def test_processes_and_the_main_thread_draw_the_same(manifest: Manifest) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    alone = batches(manifest, CROP, num_workers=0)
    shared = batches(manifest, CROP, num_workers=2, worker_kind="processes")
    assert all(torch.equal(one, other) for one, other in zip(alone, shared, strict=True))
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(alone[0][0], alone[0][1])


def test_threads_are_refused_since_they_share_the_generator(manifest: Manifest) -> None:
    with pytest.raises(UsageError, match=r"0\.png: torch's main generator cannot be shared .*worker_kind='processes'"):
        batches(manifest, CROP, num_workers=2)


def test_what_is_no_picture_of_bytes_is_refused(manifest: Manifest) -> None:
    floats = TorchTransform(v2.ToDtype(torch.float32, scale=True))
    with pytest.raises(UsageError, match=r"gave torch\.float32 of shape \(3, 19, 25\).*the model does it"):
        batches(manifest, floats, num_workers=0)
