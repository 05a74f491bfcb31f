"""A head shared out over ranks is the head of one process: its loss, its gradients, its steps, and what is saved of it.

Each rank is this file, run as a script: FOLDER RANK RANKS WHAT. Starting them costs seconds, so they do everything in one go.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from head_ranks import (
    KINDS,
    LABEL_WEIGHT,
    NUM_LABELS,
    NUM_SAMPLES,
    POS_WEIGHT,
    global_batch,
    join,
    new_model,
    rows_of,
    rows_of_rank,
    start,
    steps_of,
)
from leaving import leave
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from manyhot.labels import LabelSets
from manyhot.losses import asymmetric_loss, binary_cross_entropy_with_logits
from manyhot.losses.cells import CellWeights
from manyhot.losses.linear.curves import Asymmetric, Binary
from manyhot.targets import SparseTargets
from manyhot.training.clipping import clip_gradient_norm
from manyhot.training.head_loss import LinearHeadLoss
from manyhot.training.optimisation import parameter_groups
from manyhot.training.shard_files import load_shards, save_shards
from manyhot.training.sharded_head import ShardedHead, shard_head, whole_state

CASES: dict[str, dict[str, Any]] = {
    "mean": {"curve": Binary()},
    "sample_mean": {"curve": Binary(), "reduction": "sample_mean"},
    "sum": {"curve": Binary(), "reduction": "sum"},
    "weighted": {"curve": Binary(POS_WEIGHT), "label_weight": LABEL_WEIGHT},
    "asymmetric": {"curve": Asymmetric()},
}


def dense_step(kind: str, case: dict[str, Any]) -> dict[str, Tensor]:
    """Return what one process comes to with all logits at once, in float64."""
    encoder, head = (part.double() for part in new_model())
    inputs, targets = global_batch(kind)
    logits = head(encoder(inputs.double()))
    curve, reduction = case["curve"], case.get("reduction", "mean")
    weights = CellWeights(label=case.get("label_weight"))
    if isinstance(curve, Asymmetric):
        loss = asymmetric_loss(logits, targets, weights=weights, reduction=reduction)
    else:
        loss = binary_cross_entropy_with_logits(
            logits, targets, pos_weight=curve.pos_weight, weights=weights, reduction=reduction
        )
    loss.backward()
    return finish_step(loss, encoder, head)


def finish_step(loss: Tensor, encoder: nn.Module, head: nn.Module) -> dict[str, Tensor]:
    """Clip, step, and return the loss, the gradients and the new weights."""
    whole = nn.ModuleDict({"encoder": encoder, "head": head})
    gradients = {
        name: parameter.grad.full_tensor() if hasattr(parameter.grad, "full_tensor") else parameter.grad.clone()
        for name, parameter in whole.named_parameters()
    }
    clip_gradient_norm(whole.parameters(), 0.05)
    torch.optim.SGD([dict(group) for group in parameter_groups(whole, weight_decay=0.0)], lr=1.0).step()
    return {"loss": loss.detach(), **gradients, **{f"new {name}": value for name, value in whole_state(whole).items()}}


@contextmanager
def counted_bytes() -> Iterator[list[int]]:
    """Count the bytes that this rank hands to collectives."""
    sent: list[int] = []
    names = ("all_gather_into_tensor", "reduce_scatter_tensor", "all_reduce", "all_to_all_single")
    real = {name: getattr(distributed, name) for name in names}

    def counting(name: str) -> Any:
        def call(*tensors: Any, **options: Any) -> Any:
            given = tensors[0] if name == "all_reduce" else tensors[1]
            sent.append(given.numel() * given.element_size())
            return real[name](*tensors, **options)

        return call

    for name in names:
        setattr(distributed, name, counting(name))
    try:
        yield sent
    finally:
        for name in names:
            setattr(distributed, name, real[name])


def run_rank(folder: Path, rank: int, ranks: int) -> None:
    """Take a step with each loss and each kind of targets on this rank's samples, and save the results."""
    mesh, rows = join(folder, "steps", rank, ranks), rows_of_rank(rank, ranks)
    results: dict[str, dict[str, Tensor]] = {}
    for kind in KINDS:
        for name, case in CASES.items():
            encoder, head = new_model()
            sharded = shard_head(head, mesh)
            # As the trainer does: the encoder is whole on each rank, and its gradients are averaged.
            shared = DistributedDataParallel(encoder)
            inputs, targets = global_batch(kind)
            loss = LinearHeadLoss(**case).of_features(sharded, shared(inputs[rows]), rows_of(targets, rows))
            loss.backward()
            results[f"{kind} {name}"] = finish_step(loss, encoder, sharded)
    results["bytes"] = {str(labels): torch.tensor(step_bytes(labels, rows, mesh)) for labels in (NUM_LABELS, 17_000)}
    encoder, head = new_model()
    sharded = shard_head(head, mesh)
    inputs, _ = global_batch("complete")
    results["logits"] = {"of rows": sharded(encoder(inputs[rows])), "expected": head(encoder(inputs[rows])).detach()}
    if ranks == 2:
        save_shards({"state": whole_tree(sharded)}, folder / "shards-0123456789abcdef")
    torch.save(results, folder / f"results-{ranks}-{rank}.pt")
    leave()


def whole_tree(sharded: ShardedHead) -> dict[str, Any]:
    return {"weights": dict(sharded.state_dict()), "step": [3, {"lr": 0.5}]}


def step_bytes(num_labels: int, rows: slice, mesh: Any) -> int:
    """Return the bytes that this rank sends in a step, with the same positives whatever the number of labels."""
    encoder, head = new_model(num_labels)
    sharded = shard_head(head, mesh)
    inputs, _ = global_batch("complete")
    targets = SparseTargets.from_lists([[0, num_labels - 1], *[[1]] * (NUM_SAMPLES - 1)], num_labels=num_labels)
    with counted_bytes() as sent:
        LinearHeadLoss(Binary()).of_features(sharded, encoder(inputs[rows]), rows_of(targets, rows)).backward()
    return sum(sent)


def load_rank(folder: Path, rank: int, ranks: int) -> None:
    """Load on this many ranks what two have saved, and save the whole of it."""
    mesh = join(folder, "load", rank, ranks)
    _, head = new_model()
    with torch.device("meta"):
        noted = {"state": {"weights": {}, "step": [3, {"lr": 0.5}]}}
    noted["state"]["weights"] = {
        name: {"manyhot_sharded": f"/state/weights/{name}", "shape": list(value.shape), "dtype": "float32"}
        for name, value in head.state_dict().items()
    }
    loaded = load_shards(noted | {"manyhot_shards": "shards-0123456789abcdef"}, folder, mesh)
    whole = {name: value.full_tensor() for name, value in loaded["state"]["weights"].items()}
    if rank == 0:
        torch.save({"weights": whole, "step": loaded["state"]["step"]}, folder / f"loaded-{ranks}.pt")
    leave()


@pytest.fixture(scope="module", params=[2, 3])
def results(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return steps_of(__file__, tmp_path_factory.mktemp("sharded"), request.param)


@pytest.mark.distributed
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CASES)
def test_every_rank_tells_the_loss_and_takes_the_step_of_one_process(
    results: list[dict[str, Any]], kind: str, name: str
) -> None:
    expected = dense_step(kind, CASES[name])
    for result in results:
        for key, value in result[f"{kind} {name}"].items():
            # A sum over 153 cells in float32 is off by parts of 10⁻⁷ of its size.
            size = max(1.0, float(expected[key].abs().max()))
            torch.testing.assert_close(value.double() / size, expected[key] / size, rtol=0, atol=1e-6, msg=key)


@pytest.mark.distributed
@pytest.mark.timeout(600)
def test_what_is_sent_does_not_grow_with_labels(results: list[dict[str, Any]]) -> None:
    for result in results:
        few, many = result["bytes"].values()
        assert few == many
        assert 0 < few < 1_000


@pytest.mark.distributed
@pytest.mark.timeout(600)
def test_logits_of_a_ranks_samples_are_those_of_the_whole_head(results: list[dict[str, Any]]) -> None:
    for result in results:
        torch.testing.assert_close(result["logits"]["of rows"], result["logits"]["expected"])


@pytest.mark.distributed
@pytest.mark.timeout(600)
def test_what_two_ranks_save_loads_on_one_and_on_three(tmp_path: Path) -> None:
    start(__file__, tmp_path, 2, "steps")
    _, head = new_model()
    for ranks in (1, 3):
        start(__file__, tmp_path, ranks, "load")
        loaded = torch.load(tmp_path / f"loaded-{ranks}.pt")
        assert loaded["step"] == [3, {"lr": 0.5}]
        for name, value in head.state_dict().items():
            assert torch.equal(loaded["weights"][name], value)


def test_labels_taken_from_targets_are_columns_of_the_dense_ones() -> None:
    for kind in KINDS:
        _, targets = global_batch(kind)
        dense = targets.to_multi_hot()
        for labels in (slice(0, 6), slice(6, 17), slice(17, 17)):
            taken = targets.take_labels(labels)
            assert torch.equal(taken.to_multi_hot().nan_to_num(-1), dense[:, labels].nan_to_num(-1))
            assert int(taken.num_known()) == int((~dense[:, labels].isnan()).sum())


def test_targets_of_label_sets_and_sources_meet_here() -> None:
    sets = LabelSets.from_names([["cat"], []], unlisted="unknown")
    assert SparseTargets.from_label_sets(sets).take_labels(slice(0, 1)).to_multi_hot().isnan().tolist() == [
        [False],
        [True],
    ]


if __name__ == "__main__":
    jobs = {"steps": run_rank, "load": load_rank}
    jobs[sys.argv[4]](Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
