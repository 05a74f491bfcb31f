"""Samples are packed in their order, and few of them are held however large they are."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from manyhot.data import pack_samples as module
from manyhot.data.pack_samples import PackedSample, pack_samples
from manyhot.labels import LabelSets
from manyhot.sources import Manifest
from manyhot.sources.pack_files import PackSettings


@pytest.fixture
def manifest_of_copies(tmp_path: Path, jpeg: Callable[[int], bytes]) -> Callable[[int, int], Manifest]:
    """So many pictures of so many bytes; what follows the end of a JPEG is not decoded."""

    def make(count: int, size_bytes: int) -> Manifest:
        names = [f"{number}.jpg" for number in range(count)]
        for number, name in enumerate(names):
            (tmp_path / name).write_bytes(jpeg(number % 5).ljust(size_bytes, b"."))
        return Manifest.from_lists(tmp_path, names, LabelSets.from_names([["cat"]] * count))

    return make


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("count", [1, 17, 150])
def test_every_sample_comes_once_in_order(manifest_of_copies, workers: int, count: int) -> None:
    packed = pack_samples(manifest_of_copies(count, 0), range(count), PackSettings(), workers)
    assert [sample.row for sample in packed] == list(range(count))


@pytest.mark.parametrize("size_bytes", [50_000, 400_000])
def test_what_waits_for_a_slow_disk_is_bounded_in_bytes(manifest_of_copies, monkeypatch, size_bytes: int) -> None:
    monkeypatch.setattr(module, "_CHUNK_BYTES", 200_000)
    count, workers = 120, 2
    manifest = manifest_of_copies(count, size_bytes)
    read, most = 0, 0
    pack_picture = module.pack_picture

    def counting(content, settings):
        nonlocal read
        packed = pack_picture(content, settings)
        read += 1
        return packed

    monkeypatch.setattr(module, "pack_picture", counting)
    for written, sample in enumerate(pack_samples(manifest, range(count), PackSettings(), workers)):
        assert isinstance(sample, PackedSample)
        # The threads get as far ahead as they may.
        time.sleep(0.02)
        most = max(most, read - written)
    # The chunk that is being written comes on top; no chunk is less than a picture.
    assert most * size_bytes <= (workers * 4 + 1) * max(200_000, size_bytes)
    assert read == count
