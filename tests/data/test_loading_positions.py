"""Batches depend on seed, epoch and position: not on ranks, or how often training was stopped."""

import pickle

import numpy as np
import pytest
import torch
from small_loaders import MIXED, NUM_SAMPLES, SIZE, assert_same, loader_of, rows_of, write_pictures

from manyhot.data.augmentation import EvaluationTransform
from manyhot.data.loading import Batch
from manyhot.data.mixing import Mixing
from manyhot.data.order import Ranks
from manyhot.data.sampling import Order, Repeated, Shuffled, Windowed
from manyhot.errors import TrainingError
from manyhot.sources.manifest import Manifest


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return write_pictures(tmp_path_factory.mktemp("pictures"))


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
