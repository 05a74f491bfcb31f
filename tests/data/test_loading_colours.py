"""Colours that change once a batch is on its device: the same pictures as if they changed one by one."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_loaders import NUM_SAMPLES, SIZE, assert_same, loader_of, write_pictures

from manyhot.data.augmentation import AugmentedTransform, TrainingTransform
from manyhot.data.colour import ColourJitter
from manyhot.data.mixing import Mixing
from manyhot.data.order import Ranks
from manyhot.data.quarantine import Quarantine
from manyhot.data.rand_augment import RandAugment
from manyhot.data.sampling import Repeated
from manyhot.errors import TrainingError, UsageError
from manyhot.labels import LabelSets
from manyhot.sources.manifest import Manifest

COLOURS = ColourJitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1)
BEFORE = (RandAugment(),)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return write_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.mark.parametrize(("num_workers", "worker_kind"), [(0, "threads"), (2, "threads"), (2, "processes")])
def test_colours_of_a_batch_change_as_if_they_came_last_in_the_transform(
    manifest: Manifest, num_workers: int, worker_kind: str
) -> None:
    # Samples that come several times in an epoch draw anew each time.
    options = {"order": Repeated(np.linspace(0.5, 2.5, NUM_SAMPLES), seed=3), "batch_size": 7}
    whole = loader_of(manifest, transform=AugmentedTransform(TrainingTransform(SIZE), (*BEFORE, COLOURS)), **options)
    transform = AugmentedTransform(TrainingTransform(SIZE), BEFORE)
    workers = {"num_workers": num_workers, "worker_kind": worker_kind}
    parted = loader_of(manifest, transform=transform, colours=COLOURS, **options, **workers)
    plain = loader_of(manifest, transform=transform, **options)
    for _ in range(2):
        batches = list(parted)
        assert_same(batches, plain)
        finished = [batch.to("cpu").finished() for batch in batches]
        assert_same(finished, whole)
        assert all(batch.finished() is batch for batch in finished)
        # What a batch was loaded into stays as it is.
        assert not any(torch.equal(one.images, other.images) for one, other in zip(batches, finished, strict=True))


def test_what_colours_draw_moves_with_a_batch(manifest: Manifest) -> None:
    moved = next(iter(loader_of(manifest, colours=COLOURS))).to("meta")
    assert moved.colours is not None
    assert {moved.colours.kinds.device.type, moved.colours.amounts.device.type} == {"meta"}


def test_a_rank_without_a_sample_has_colours_of_nothing(manifest: Manifest) -> None:
    loader = loader_of(
        manifest, range(1), shuffle=False, batch_size=3, ranks=Ranks(rank=0, world_size=3), colours=COLOURS
    )
    (batch,) = loader
    assert batch.num_samples == 0
    assert batch.finished().images.shape == (0, 3, SIZE, SIZE)


def test_pictures_are_not_mixed_before_their_colours_change(manifest: Manifest) -> None:
    with pytest.raises(UsageError, match="put ColourJitter into the transform"):
        loader_of(manifest, colours=COLOURS, mixing=Mixing(mixup=0.2))


@pytest.mark.parametrize("worker_kind", ["threads", "processes"])
def test_pictures_that_cannot_be_read_are_left_out_by_name_where_that_was_asked_for(
    tmp_path: Path, worker_kind: str
) -> None:
    names = [f"{row}.png" for row in range(6)]
    for name in names:
        Image.new("RGB", (9, 9)).save(tmp_path / name)
    (tmp_path / "2.png").write_bytes(b"<html>")
    (tmp_path / "5.png").unlink()
    data = Manifest.from_lists(tmp_path, names, LabelSets.from_names([["cat"], [], ["cat"], [], ["cat"], ["cat"]]))
    quarantine = Quarantine(6, bad_files="skip", max_share=0.5)
    options = {"batch_size": 3, "num_workers": 2, "worker_kind": worker_kind, "quarantine": quarantine}
    whole = AugmentedTransform(TrainingTransform(SIZE), (COLOURS,))
    expected = list(loader_of(data, [0, 1, 3, 4], shuffle=False, batch_size=2, transform=whole))
    loader = loader_of(data, range(6), shuffle=False, colours=COLOURS, **options)
    for epoch in range(2):
        batches = list(loader)
        if not epoch:
            assert_same([batch.finished() for batch in batches], expected)
        assert [batch.rows.tolist() for batch in batches] == [[0, 1], [3, 4]]
        assert [batch.targets.row_offsets.tolist() for batch in batches] == [[0, 1, 1], [0, 0, 1]]
        assert [batch.num_samples for batch in batches] == [2, 2]
    assert [row for row, _ in quarantine.failures] == [2, 5]
    assert "2.png: is an HTML page" in quarantine.failures[0][1]
    strict = Quarantine(6, bad_files="skip", max_share=0.2)
    with pytest.raises(TrainingError, match=r"2 of 6 pictures cannot be read.*5\.png"):
        list(loader_of(data, range(6), shuffle=False, **{**options, "quarantine": strict}))
