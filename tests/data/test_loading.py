"""Every sample comes with its picture and its labels, whoever loads it; what cannot be loaded is named."""

import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from small_loaders import NUM_SAMPLES, SIZE, assert_same, loader_of, rows_of, write_pictures

from manyhot.data.augmentation import EvaluationTransform
from manyhot.data.decoding import decode_image
from manyhot.data.samples import Request, SampleReader
from manyhot.data.sampling import Repeated, Shuffled
from manyhot.data.threads import BATCHES_AHEAD
from manyhot.errors import ImageError, LabelError, UsageError
from manyhot.labels import LabelSets
from manyhot.sources.manifest import Manifest


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return write_pictures(tmp_path_factory.mktemp("pictures"))


def test_every_sample_comes_once_an_epoch_with_its_picture_and_its_labels(manifest: Manifest) -> None:
    batches = list(loader_of(manifest, transform=EvaluationTransform(SIZE)))
    assert sorted(rows_of(batches)) == list(range(NUM_SAMPLES))
    for batch in batches:
        assert batch.images.dtype == torch.uint8
        assert batch.images.is_contiguous()
        expected = manifest.labels.take(batch.rows.numpy()).to_multi_hot()
        np.testing.assert_array_equal(batch.targets.to_multi_hot().numpy(), expected)
        for image, row in zip(batch.images, batch.rows.tolist(), strict=True):
            shown = EvaluationTransform(SIZE)(decode_image(manifest.path_of(row)))
            np.testing.assert_array_equal(image.numpy(), shown.transpose(2, 0, 1))


def test_rows_come_as_given_without_shuffling_and_may_repeat(manifest: Manifest) -> None:
    loader = loader_of(manifest, [7, 2, 2, 0, 22, 1], shuffle=False, transform=EvaluationTransform(SIZE))
    for _ in range(2):
        assert rows_of(loader) == [7, 2, 2, 0, 22, 1]


def test_the_number_of_batches_is_known(manifest: Manifest) -> None:
    for batch_size in (1, 2, 5, 11, 22, 23, 100):
        loader = loader_of(manifest, batch_size=batch_size)
        batches = list(loader)
        assert len(loader) == len(batches)
        assert rows_of(batches) != sorted(rows_of(batches))
        assert min(batch.num_samples for batch in batches) >= min(batch_size, 2)


def test_each_epoch_has_its_own_order_and_augmentation(manifest: Manifest) -> None:
    loader = loader_of(manifest)
    first, second = list(loader), list(loader)
    assert rows_of(first) != rows_of(second)
    by_row = [{row: image for batch in epoch for row, image in zip(batch.rows.tolist(), batch.images, strict=True)}
              for epoch in (first, second)]  # fmt: skip
    assert not any(torch.equal(by_row[0][row], by_row[1][row]) for row in range(NUM_SAMPLES))
    again = loader_of(manifest)
    assert_same(first, again)
    assert_same(second, again)


def test_augmentation_of_a_sample_depends_on_seed_epoch_and_row_alone(manifest: Manifest) -> None:
    shuffled = {
        row: image
        for batch in loader_of(manifest)
        for row, image in zip(batch.rows.tolist(), batch.images, strict=True)
    }
    for batch in loader_of(manifest, [4, 9], shuffle=False, batch_size=1):
        assert torch.equal(batch.images[0], shuffled[int(batch.rows[0])])


@pytest.mark.parametrize("worker_kind", ["threads", "processes"])
@pytest.mark.parametrize("num_workers", [1, 2, 3])
def test_workers_change_nothing(manifest: Manifest, num_workers: int, worker_kind: str) -> None:
    alone, shared = loader_of(manifest), loader_of(manifest, num_workers=num_workers, worker_kind=worker_kind)
    for _ in range(2):
        assert_same(alone, shared)


@pytest.mark.parametrize("worker_kind", ["threads", "processes"])
def test_samples_that_come_several_times_an_epoch_are_augmented_each_time_anew(
    manifest: Manifest, worker_kind: str
) -> None:
    order = Repeated(np.array([3.0] + [0.0] * 21 + [2.0]), seed=3)
    loader = loader_of(manifest, order=order, num_workers=2, worker_kind=worker_kind)
    assert loader.num_samples == 5
    (batch,) = list(loader)
    assert sorted(batch.rows.tolist()) == [0, 0, 0, 22, 22]
    pictures = {picture.numpy().tobytes() for picture in batch.images}
    assert len(pictures) == 5


def test_an_order_of_another_number_of_samples_is_refused(manifest: Manifest) -> None:
    with pytest.raises(UsageError, match="the order is of 7 samples, and there are 23"):
        loader_of(manifest, order=Shuffled(7, seed=0))


def test_batches_that_are_kept_stay_as_they_are(manifest: Manifest) -> None:
    loader = loader_of(manifest, num_workers=2)
    kept = [(batch, batch.images.clone()) for _ in range(4) for batch in loader]
    assert all(torch.equal(batch.images, images) for batch, images in kept)


def test_memory_of_batches_that_are_gone_is_used_again(manifest: Manifest) -> None:
    loader = loader_of(manifest, num_workers=2)
    places = {batch.images.data_ptr() for _ in range(6) for batch in loader}
    # As many as are on their way, in use and just given back; 30 batches were loaded.
    assert len(places) <= BATCHES_AHEAD + 3


def test_workers_start_after_other_threads_have_run(manifest: Manifest) -> None:
    # A forked child in which a pool of OpenCV or OpenMP waits for threads that are gone would hang here.
    before = cv2.getNumThreads()
    cv2.setNumThreads(2)
    try:
        cv2.resize(np.zeros((2000, 2000, 3), np.uint8), (1500, 1500), interpolation=cv2.INTER_AREA)
        torch.rand(500, 500) @ torch.rand(500, 500)
        big = EvaluationTransform(700)
        assert_same(
            loader_of(manifest, transform=big, shuffle=False),
            loader_of(manifest, transform=big, shuffle=False, num_workers=2, worker_kind="processes"),
        )
    finally:
        cv2.setNumThreads(before)


def test_loading_leaves_the_main_generators_alone(manifest: Manifest) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    list(loader_of(manifest))
    list(loader_of(manifest, num_workers=1))
    list(loader_of(manifest, num_workers=1, worker_kind="processes"))
    assert torch.equal(torch.rand(3), expected)


def test_no_rows_make_no_batches(manifest: Manifest) -> None:
    loader = loader_of(manifest, [])
    assert len(loader) == 0
    assert list(loader) == []


@pytest.mark.parametrize(("num_workers", "worker_kind"), [(0, "threads"), (2, "threads"), (2, "processes")])
def test_a_picture_that_cannot_be_read_stops_training_by_name(
    tmp_path: Path, num_workers: int, worker_kind: str
) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "good.png")
    (tmp_path / "bad.jpg").write_bytes((tmp_path / "good.png").read_bytes()[:40])
    data = Manifest.from_lists(tmp_path, ["good.png", "bad.jpg"], LabelSets.from_names([["cat"], []]))
    options = {"batch_size": 2, "num_workers": num_workers, "worker_kind": worker_kind}
    loader = loader_of(data, [0, 0, 1], shuffle=False, **options)
    with pytest.raises(ImageError, match=r"bad\.jpg: is cut off") as caught:
        list(loader)
    assert "\n" not in str(caught.value)


def test_what_makes_no_sense_is_refused(manifest: Manifest) -> None:
    with pytest.raises(LabelError, match="row 23 is outside"):
        loader_of(manifest, [0, 23])
    with pytest.raises(LabelError, match="row -1 is outside"):
        loader_of(manifest, [0, -1])
    with pytest.raises(UsageError, match="-1 workers"):
        loader_of(manifest, num_workers=-1)
    with pytest.raises(UsageError, match="seed -1"):
        loader_of(manifest, seed=-1)
    with pytest.raises(UsageError, match="batch size 0"):
        loader_of(manifest, batch_size=0)


def test_a_transform_that_gives_several_sizes_is_refused(manifest: Manifest) -> None:
    class Unchanged:
        def __call__(self, image: np.ndarray, generator: np.random.Generator | None) -> np.ndarray:
            return image

    with pytest.raises(UsageError, match="all must be the same"):
        list(loader_of(manifest, transform=Unchanged()))


def test_labels_do_not_travel_to_workers(manifest: Manifest) -> None:
    reader = SampleReader(manifest.pictures, EvaluationTransform(SIZE), seed=0)
    sent = pickle.dumps(reader)
    assert b"LabelSets" not in sent
    request = Request(epoch=0, rows=np.array([3, 1]))
    for place in range(2):
        np.testing.assert_array_equal(pickle.loads(sent).load(request, place), reader.load(request, place))


def test_a_batch_moves_with_its_labels(manifest: Manifest) -> None:
    batch = next(iter(loader_of(manifest)))
    moved = batch.to("meta")
    assert moved.images.device.type == "meta"
    assert moved.targets.device.type == "meta"
    assert moved.rows.device.type == "cpu"
    assert moved.colours is None
