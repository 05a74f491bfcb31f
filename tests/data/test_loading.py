"""Batches depend on seed, epoch and position: not on workers, ranks, or how often training was stopped."""

import pickle
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from manyhot.data.augmentation import AugmentedTransform, EvaluationTransform, TrainingTransform
from manyhot.data.colour import ColourJitter
from manyhot.data.decoding import decode_image
from manyhot.data.loading import Batch, ImageLoader
from manyhot.data.mixing import Mixing
from manyhot.data.mixture import Mixed
from manyhot.data.order import Ranks
from manyhot.data.quarantine import Quarantine
from manyhot.data.rand_augment import RandAugment
from manyhot.data.samples import Request, SampleReader
from manyhot.data.sampling import Order, Repeated, Shuffled, Windowed
from manyhot.data.threads import BATCHES_AHEAD
from manyhot.errors import ImageError, LabelError, TrainingError, UsageError
from manyhot.labels import LabelSets
from manyhot.sources.manifest import Manifest

NUM_SAMPLES = 23
SIZE = 16
# The second data set comes more than twice in an epoch, and begins anew in the middle of one.
MIXED = Mixed([np.arange(19), np.arange(19, NUM_SAMPLES)], shares=[0.6, 0.4], seed=3)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Pictures of odd sizes in two folders; some rows without a label, some labels unknown."""
    root = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    references, labels = [], []
    for row in range(NUM_SAMPLES):
        reference = f"{'ab'[row % 2]}/{row}.{'png' if row % 3 else 'jpg'}"
        height, width = (int(side) for side in random.integers(5, 60, 2))
        path = root / reference
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(path)
        references.append(reference)
        labels.append([name for name in ("cat", "dog", "fox") if random.random() < 0.4])
    return Manifest.from_lists(root, references, LabelSets.from_names(labels, unlisted="unknown"))


def loader_of(manifest: Manifest, rows: Sequence[int] | None = None, **changes: object) -> ImageLoader:
    options: dict[str, object] = {"batch_size": 5, "seed": 3, "num_workers": 0, **changes}
    transform = options.pop("transform", TrainingTransform(SIZE))
    rows = options.pop("rows", rows)
    rows = range(NUM_SAMPLES) if rows is None else rows
    order = Shuffled(len(rows), seed=int(str(options["seed"])) % 2**64) if options.pop("shuffle", True) else None
    return ImageLoader(manifest, rows, transform, order=options.pop("order", order), **options)


def assert_same(ours: Iterable[Batch], theirs: Iterable[Batch]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        assert one.rows.tolist() == other.rows.tolist()
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.targets.label_ids, other.targets.label_ids)
        assert torch.equal(one.targets.row_offsets, other.targets.row_offsets)


def rows_of(batches: Iterable[Batch]) -> list[int]:
    return [row for batch in batches for row in batch.rows.tolist()]


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


@pytest.mark.parametrize("worker_kind", ["threads", "processes"])
def test_mixtures_are_resumed_exactly_and_differ_from_batch_to_batch(manifest: Manifest, worker_kind: str) -> None:
    options = {"mixing": Mixing(mixup=1.0, cutmix=1.0), "num_workers": 2, "worker_kind": worker_kind}
    whole = [*loader_of(manifest, **options)]
    plain = [*loader_of(manifest)]
    assert not any(torch.equal(one.images, other.images) for one, other in zip(whole, plain, strict=True))
    stopped = loader_of(manifest, **options)
    for _, _ in zip(range(2), stopped, strict=False):
        pass
    resumed = loader_of(manifest, **{**options, "num_workers": 0})
    resumed.load_state_dict(stopped.state_dict())
    assert_same(whole[2:], resumed)
    assert all(batch.targets.values is not None for batch in whole)


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


@pytest.mark.parametrize("taken", [0, 1, 3, 5, 6, 9])
@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize(
    "order", [Shuffled(NUM_SAMPLES, seed=3), Repeated(np.linspace(0.1, 2, NUM_SAMPLES), seed=3), MIXED]
)
def test_a_resumed_loader_goes_on_exactly(manifest: Manifest, taken: int, num_workers: int, order: Order) -> None:
    whole = loader_of(manifest, order=order)
    batches = [batch for _ in range(3) for batch in whole]
    per_epoch = len(whole)

    stopped = loader_of(manifest, num_workers=num_workers, order=order)
    seen: list[Batch] = []
    while len(seen) < taken:
        for batch in stopped:
            seen.append(batch)
            if len(seen) == taken:
                break
    state = pickle.loads(pickle.dumps(stopped.state_dict()))

    resumed = loader_of(manifest, num_workers=2 - num_workers, order=order)
    resumed.load_state_dict(state)
    rest = list(resumed)
    while len(seen) + len(rest) < 3 * per_epoch:
        rest.extend(resumed)
    assert_same([*seen, *rest], batches)


def test_a_state_is_small_and_plain(manifest: Manifest) -> None:
    loader = loader_of(manifest)
    next(iter(loader))
    state = loader.state_dict()
    assert all(type(value) is int for value in state.values())
    assert len(pickle.dumps(state)) < 1024
    assert state["position"] == 5
    assert state["epoch"] == 0


def test_an_iterator_that_is_never_used_changes_nothing(manifest: Manifest) -> None:
    loader = loader_of(manifest)
    list(loader)
    state = loader.state_dict()
    resumed = loader_of(manifest)
    resumed.load_state_dict(state)
    for _ in range(3):
        iter(resumed)
    assert resumed.state_dict() == state
    assert_same(loader, resumed)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_epoch_that_was_left_early_is_followed_by_a_whole_one(manifest: Manifest, num_workers: int) -> None:
    loader = loader_of(manifest, num_workers=num_workers)
    next(iter(loader))
    rows = rows_of(loader)
    assert sorted(rows) == list(range(NUM_SAMPLES))
    assert loader.epoch == 1


def test_an_epoch_can_be_chosen(manifest: Manifest) -> None:
    loader, other = loader_of(manifest), loader_of(manifest)
    epochs = [list(loader) for _ in range(3)]
    other.set_epoch(2)
    assert_same(epochs[2], other)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 4},
        {"batch_size": 4},
        {"rows": range(22)},
        {"rows": [*range(22), 0]},
        {"order": Shuffled(NUM_SAMPLES, seed=4)},
        {"order": Windowed(NUM_SAMPLES, seed=3)},
        {"order": Repeated(np.ones(NUM_SAMPLES), seed=3)},
        {"shuffle": False},
    ],
)
def test_the_state_of_another_loader_is_refused(manifest: Manifest, change: dict[str, object]) -> None:
    state = loader_of(manifest, **change).state_dict()
    with pytest.raises(TrainingError, match="the saved position is of"):
        loader_of(manifest).load_state_dict(state)


def test_a_state_without_contents_is_refused(manifest: Manifest) -> None:
    with pytest.raises(TrainingError, match="the saved position is of seed None"):
        loader_of(manifest).load_state_dict({})


@pytest.mark.parametrize("world_size", [1, 2, 3, 4])
@pytest.mark.parametrize("num_samples", [9, 16, 17, 18, 23])
def test_ranks_share_each_batch_and_repeat_nothing(manifest: Manifest, world_size: int, num_samples: int) -> None:
    loaders = [
        loader_of(manifest, range(num_samples), batch_size=8, ranks=Ranks(rank=rank, world_size=world_size))
        for rank in range(world_size)
    ]
    alone = list(loader_of(manifest, range(num_samples), batch_size=8))
    assert len({len(loader) for loader in loaders}) == 1
    parts = list(zip(*loaders, strict=True))
    together = [row for part in parts for batch in part for row in batch.rows.tolist()]
    # The order over all ranks is that of one process; only the last batch may be divided otherwise.
    assert together == rows_of(alone)
    images = torch.cat([batch.images for part in parts for batch in part])
    assert torch.equal(images, torch.cat([batch.images for batch in alone]))
    states = [loader.state_dict() for loader in loaders]
    assert all(state == states[0] for state in states)


@pytest.mark.parametrize("world_size", [1, 2, 3, 4])
@pytest.mark.parametrize("num_workers", [0, 1, 2, 3])
def test_a_mixture_is_the_same_for_any_number_of_ranks_and_workers(
    manifest: Manifest, world_size: int, num_workers: int
) -> None:
    alone = loader_of(manifest, order=MIXED, batch_size=8)
    loaders = [
        loader_of(
            manifest,
            order=MIXED,
            batch_size=8,
            num_workers=num_workers,
            ranks=Ranks(rank=rank, world_size=world_size),
        )
        for rank in range(world_size)
    ]
    for _ in range(2):
        whole, parts = list(alone), list(zip(*loaders, strict=True))
        assert [row for part in parts for batch in part for row in batch.rows.tolist()] == rows_of(whole)
        images = torch.cat([batch.images for part in parts for batch in part])
        assert torch.equal(images, torch.cat([batch.images for batch in whole]))
        counts = np.bincount(np.array(rows_of(whole)) >= 19)
        assert counts.tolist() == MIXED.counts.tolist()


def test_a_run_may_resume_on_another_number_of_ranks(manifest: Manifest) -> None:
    alone = list(loader_of(manifest))
    stopped = loader_of(manifest)
    for _, _ in zip(range(4), stopped, strict=False):
        pass
    state = stopped.state_dict()
    rest: list[list[int]] = []
    for rank in range(2):
        resumed = loader_of(manifest, ranks=Ranks(rank=rank, world_size=2))
        resumed.load_state_dict(state)
        rest.append(rows_of(resumed))
    assert sorted(rest[0] + rest[1]) == sorted(rows_of(alone[4:]))


def test_in_evaluation_a_rank_may_be_left_without_a_sample(manifest: Manifest) -> None:
    transform = EvaluationTransform(SIZE)
    batches = [
        list(loader_of(manifest, [5], shuffle=False, transform=transform, ranks=Ranks(rank=rank, world_size=2)))
        for rank in range(2)
    ]
    assert [rows_of(part) for part in batches] == [[], [5]]
    assert batches[0][0].images.shape == (0, 3, SIZE, SIZE)
    assert batches[0][0].targets.num_samples == 0


def test_training_with_less_samples_than_ranks_is_refused(manifest: Manifest) -> None:
    with pytest.raises(TrainingError, match="1 samples cannot be shared by 2 processes"):
        len(loader_of(manifest, [5], ranks=Ranks(rank=0, world_size=2)))


def test_drop_last_leaves_full_batches(manifest: Manifest) -> None:
    loader = loader_of(manifest, drop_last=True)
    for epoch in range(2):
        assert [batch.num_samples for batch in loader] == [5, 5, 5, 5]
        assert loader.epoch == epoch
    state = loader.state_dict()
    resumed = loader_of(manifest, drop_last=True)
    resumed.load_state_dict(state)
    assert_same(loader, resumed)


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


COLOURS = ColourJitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1)
BEFORE = (RandAugment(),)


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
