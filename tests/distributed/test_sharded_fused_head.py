"""Heads that learn by themselves, shared out over ranks, learn together what one process learns, and load anywhere.

Each rank is this file, run as a script: FOLDER RANK RANKS WHAT. Starting them costs seconds, so they do everything in one go.
"""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from head_ranks import (
    LABEL_WEIGHT,
    NUM_FEATURES,
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

from manyhot.losses import BCEWithLogitsLoss
from manyhot.losses.interface import Reduction
from manyhot.losses.linear import SGD, FusedLinearHead, RowwiseAdagrad
from manyhot.losses.linear.updates import Update
from manyhot.losses.linear.weights import WeightFormat
from manyhot.targets import SparseTargets
from manyhot.training.shard_files import load_shards, save_shards
from manyhot.training.sharded_fused_head import ShardedFusedHead
from manyhot.training.sharded_head import shard_of, whole_state

FUSED: dict[str, tuple[Update, WeightFormat, Reduction]] = {
    "descent": (SGD(), "float32", "sample_mean"),
    "momentum": (SGD(momentum=0.9), "float32", "mean"),
    "adagrad": (RowwiseAdagrad(), "float32", "sum"),
    "split": (SGD(), "split", "sample_mean"),
    "rounded": (SGD(), "bfloat16", "sample_mean"),
}


def new_fused(name: str, labels: slice) -> FusedLinearHead:
    """Return a fused head of some of the labels, with the weights that all of them start from."""
    _, whole = new_model()
    update, weights, reduction = FUSED[name]
    loss = BCEWithLogitsLoss(pos_weight=POS_WEIGHT[labels], label_weight=LABEL_WEIGHT[labels], reduction=reduction)
    width = labels.stop - labels.start
    head = FusedLinearHead(
        NUM_FEATURES, width, loss=loss, lr=0.5, update=update, weights=weights, bias=whole.bias[labels]
    )
    head.weights.write(slice(None), whole.weight.detach()[labels])
    return head


class Taught(nn.Module):
    """An encoder with a head that learns by itself, as one module."""

    def __init__(self, encoder: nn.Module, head: ShardedFusedHead) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head

    def forward(self, inputs: Tensor, targets: SparseTargets) -> Tensor:
        return self.head(self.encoder(inputs), targets)


def taught_head(name: str, rows: slice, mesh: Any, *, wrapped: bool = False) -> tuple[Taught, Tensor]:
    """Take two steps of this rank's part on its samples; return what has learnt, and the last loss."""
    encoder, _ = new_model()
    head = ShardedFusedHead(new_fused(name, own_labels()), NUM_LABELS, mesh)
    model = Taught(encoder, head)
    step = DistributedDataParallel(model) if wrapped else Taught(DistributedDataParallel(encoder), head)
    inputs, targets = global_batch("unknown")
    for _ in range(2):
        model.zero_grad()
        loss = step(inputs[rows], rows_of(targets, rows))
        loss.backward()
    return model, loss.detach()


def fused_step(name: str, rows: slice, mesh: Any, *, wrapped: bool = False) -> dict[str, Tensor]:
    """Take two steps of this rank's part on its samples; return what the encoder and the labels came to."""
    model, loss = taught_head(name, rows, mesh, wrapped=wrapped)
    inputs, _ = global_batch("unknown")
    part, best = model.head.part, model.head.top_k(model.encoder(inputs[rows]), 5)
    return {
        "loss": loss,
        "gradient": model.encoder.weight.grad,
        "weights": part.weights.exact(slice(None)).clone(),
        "bias": part.bias,
        "best": best.label_ids,
        "scores": best.scores,
    }


def own_labels() -> slice:
    return shard_of(NUM_LABELS, distributed.get_rank(), distributed.get_world_size())


def noisy_step(head: FusedLinearHead) -> Tensor:
    """Return weights that were 1 after a step that is rounded by chance."""
    labels, ones = slice(0, head.num_labels), torch.ones(head.num_labels)
    head.weights.write(labels, torch.ones(head.num_labels, NUM_FEATURES))
    gradient = torch.full((head.num_labels, NUM_FEATURES), 0.001)
    head.weights.descend(labels, gradient, ones, torch.tensor(1))
    return head.weights.exact(labels)


def best_of_none(rows: slice, mesh: Any) -> Tensor:
    """Return the best labels where all logits are minus infinity: more than any rank has, and all the same."""
    head = new_fused("descent", own_labels())
    head.bias.fill_(-torch.inf)
    inputs, _ = global_batch("complete")
    return ShardedFusedHead(head, NUM_LABELS, mesh).top_k(inputs[rows, :NUM_FEATURES], NUM_LABELS + 3).label_ids


def run_rank(folder: Path, rank: int, ranks: int) -> None:
    """Take the steps of each head on this rank's samples, and save the results."""
    mesh, rows = join(folder, "steps", rank, ranks), rows_of_rank(rank, ranks)
    results: dict[str, dict[str, Tensor]] = {}
    for name in FUSED:
        results[f"fused {name}"] = fused_step(name, rows, mesh)
    results["wrapped"] = fused_step("descent", rows, mesh, wrapped=True)
    results["noise"] = {"part": noisy_step(ShardedFusedHead(new_fused("rounded", own_labels()), NUM_LABELS, mesh).part)}
    results["no score"] = {"best": best_of_none(rows, mesh)}
    torch.save(results, folder / f"results-{ranks}-{rank}.pt")
    leave()


def pass_heads_on(folder: Path, rank: int, ranks: int) -> None:
    """Check what other numbers of ranks have saved; then train a head of each kind and save it for the others."""
    mesh = join(folder, "pass", rank, ranks)
    for saved in sorted(folder.glob("saved-*.pt")):
        check_heads(torch.load(saved), folder, mesh)
    distributed.barrier()
    bounds = [NUM_SAMPLES * part // ranks for part in range(ranks + 1)]
    rows = slice(bounds[rank], bounds[rank + 1])
    heads = {name: taught_head(name, rows, mesh)[0].head for name in FUSED}
    noted = save_shards(
        {name: dict(head.state_dict()) for name, head in heads.items()}, folder / f"shards-{ranks:016x}"
    )
    whole = {name: whole_state(head) for name, head in heads.items()}
    if rank == 0:
        torch.save({"noted": noted, "whole": whole}, folder / f"saved-{ranks}.pt")
    leave()


def check_heads(given: dict[str, Any], folder: Path, mesh: Any) -> None:
    """Check that saved heads are, on this many ranks, what they were, bit by bit: from shards, and from the whole of each."""
    loaded = load_shards(given["noted"], folder, mesh)
    for name, whole in given["whole"].items():
        head, same = (ShardedFusedHead(new_fused(name, own_labels()), NUM_LABELS, mesh) for _ in range(2))
        alone = new_fused(name, slice(0, NUM_LABELS))
        head.load_state_dict(loaded[name])
        same.load_state_dict(whole)
        alone.load_state_dict(whole)
        for found in (whole_state(head), whole_state(same), alone.state_dict()):
            assert found.keys() == whole.keys()
            assert all(torch.equal(value, whole[key]) for key, value in found.items())
        assert int(head.part.num_steps) == 2


@pytest.fixture(scope="module", params=[2, 3])
def results(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return steps_of(__file__, tmp_path_factory.mktemp("sharded"), request.param)


@pytest.mark.distributed
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", FUSED)
def test_heads_that_learn_by_themselves_learn_together_what_one_learns_alone(
    results: list[dict[str, Any]], name: str
) -> None:
    encoder, _ = new_model()
    head = new_fused(name, slice(0, NUM_LABELS))
    inputs, targets = global_batch("unknown")
    for _ in range(2):
        encoder.zero_grad()
        loss = head(encoder(inputs), targets)
        loss.backward()
    best = head.top_k(encoder(inputs), 5)
    found = [result[f"fused {name}"] for result in results]
    # Sums in another order, in float32; bfloat16 products keep eight bits.
    bounds = {"rtol": 1e-6, "atol": 1e-6 if FUSED[name][1] == "float32" else 1e-2}
    for one in found:
        torch.testing.assert_close(one["loss"], loss.detach(), **bounds)
        torch.testing.assert_close(one["gradient"], encoder.weight.grad, **bounds)
    torch.testing.assert_close(torch.cat([one["weights"] for one in found]), head.weights.exact(slice(None)), **bounds)
    torch.testing.assert_close(torch.cat([one["bias"] for one in found]), head.bias, **bounds)
    torch.testing.assert_close(torch.cat([one["scores"] for one in found]), best.scores, **bounds)
    if FUSED[name][1] == "float32":
        assert torch.equal(torch.cat([one["best"] for one in found]), best.label_ids)


@pytest.mark.distributed
@pytest.mark.timeout(600)
def test_noise_is_that_of_one_process(results: list[dict[str, Any]]) -> None:
    whole = noisy_step(new_fused("rounded", slice(0, NUM_LABELS)))
    assert torch.equal(torch.cat([result["noise"]["part"] for result in results]), whole)


@pytest.mark.distributed
@pytest.mark.timeout(600)
def test_a_score_of_minus_infinity_is_better_than_no_label(results: list[dict[str, Any]]) -> None:
    for result in results:
        best = result["no score"]["best"]
        assert torch.equal(best, torch.arange(NUM_LABELS).expand(len(best), -1))


@pytest.mark.distributed
@pytest.mark.timeout(600)
def test_heads_that_learn_by_themselves_load_on_any_number_of_ranks(tmp_path: Path) -> None:
    # Each loads what those before it have saved.
    for ranks in (1, 2, 3, 2, 1):
        (tmp_path / f"rendezvous-pass-{ranks}").unlink(missing_ok=True)
        start(__file__, tmp_path, ranks, "pass heads on")


@pytest.mark.distributed
@pytest.mark.timeout(600)
def test_ranks_that_average_a_whole_model_leave_its_labels_alone(results: list[dict[str, Any]]) -> None:
    for result in results:
        for key, value in result["wrapped"].items():
            assert torch.equal(value, result["fused descent"][key]), key


if __name__ == "__main__":
    jobs = {"steps": run_rank, "pass heads on": pass_heads_on}
    jobs[sys.argv[4]](Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
