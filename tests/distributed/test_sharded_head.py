"""A head shared out over ranks is the head of one process: its loss, its gradients, its steps, and what is saved of it.

Each rank is this file, run as a script: FOLDER RANK RANKS. Starting them costs seconds, so they do everything in one go.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from manyhot.labels import LabelSets
from manyhot.losses import BCEWithLogitsLoss, asymmetric_loss, binary_cross_entropy_with_logits
from manyhot.losses.cells import CellWeights
from manyhot.losses.interface import Reduction
from manyhot.losses.linear import SGD, FusedLinearHead, RowwiseAdagrad
from manyhot.losses.linear.curves import Asymmetric, Binary
from manyhot.losses.linear.updates import Update
from manyhot.losses.linear.weights import WeightFormat
from manyhot.models.heads import LinearHead
from manyhot.targets import SparseTargets
from manyhot.training.clipping import clip_gradient_norm
from manyhot.training.head_loss import LinearHeadLoss
from manyhot.training.optimisation import parameter_groups
from manyhot.training.shard_files import load_shards, save_shards
from manyhot.training.sharded_fused_head import ShardedFusedHead
from manyhot.training.sharded_head import ShardedHead, mesh_of_all, shard_head, shard_of, whole_state

TIMEOUT_S = 240
NUM_SAMPLES, NUM_INPUTS, NUM_FEATURES, NUM_LABELS = 9, 4, 3, 17
POS_WEIGHT = torch.linspace(0.5, 2.0, NUM_LABELS)
LABEL_WEIGHT = torch.linspace(2.0, 0.5, NUM_LABELS)
CASES: dict[str, dict[str, Any]] = {
    "mean": {"curve": Binary()},
    "sample_mean": {"curve": Binary(), "reduction": "sample_mean"},
    "sum": {"curve": Binary(), "reduction": "sum"},
    "weighted": {"curve": Binary(POS_WEIGHT), "label_weight": LABEL_WEIGHT},
    "asymmetric": {"curve": Asymmetric()},
}
FUSED: dict[str, tuple[Update, WeightFormat, Reduction]] = {
    "descent": (SGD(), "float32", "sample_mean"),
    "momentum": (SGD(momentum=0.9), "float32", "mean"),
    "adagrad": (RowwiseAdagrad(), "float32", "sum"),
    "split": (SGD(), "split", "sample_mean"),
    "rounded": (SGD(), "bfloat16", "sample_mean"),
}
KINDS = ("complete", "unknown", "sources", "confident")


def global_batch(kind: str) -> tuple[Tensor, SparseTargets]:
    """Return inputs and targets of all ranks; the later a row, the more labels it has."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(NUM_SAMPLES, NUM_INPUTS, generator=generator)
    dense = (torch.rand(NUM_SAMPLES, NUM_LABELS, generator=generator) < torch.arange(NUM_SAMPLES)[:, None] / 12).float()
    match kind:
        case "unknown":
            dense[torch.rand(dense.shape, generator=generator) < 0.3] = float("nan")
        case "confident":
            dense[dense == 1] = torch.rand(int((dense == 1).sum()), generator=generator) / 2 + 0.5
        case "sources":
            return inputs, of_two_sources(dense)
    return inputs, SparseTargets.from_dense(dense)


def of_two_sources(dense: Tensor) -> SparseTargets:
    targets = SparseTargets.from_dense(dense)
    unlisted_known = torch.ones(2, NUM_LABELS, dtype=torch.bool)
    unlisted_known[1, ::2] = False
    sources = torch.arange(NUM_SAMPLES) % 2
    return SparseTargets(
        row_offsets=targets.row_offsets,
        label_ids=targets.label_ids,
        num_labels=NUM_LABELS,
        unlisted_known=unlisted_known,
        source_ids=sources,
    )


def rows_of(targets: SparseTargets, rows: slice) -> SparseTargets:
    """Return some rows that stand together."""
    offsets = targets.row_offsets[rows.start : rows.stop + 1]
    own = slice(int(offsets[0]), int(offsets[-1]))
    exceptions = None if targets.exception_offsets is None else targets.exception_offsets[rows.start : rows.stop + 1]
    return SparseTargets(
        row_offsets=offsets - offsets[0],
        label_ids=targets.label_ids[own],
        num_labels=targets.num_labels,
        values=None if targets.values is None else targets.values[own],
        unlisted_known=targets.unlisted_known,
        source_ids=None if targets.source_ids is None else targets.source_ids[rows],
        exception_known=targets.exception_known,
        exception_offsets=None if exceptions is None else exceptions - exceptions[0],
        exception_ids=None
        if exceptions is None or targets.exception_ids is None
        else targets.exception_ids[int(exceptions[0]) : int(exceptions[-1])],
    )


def new_model(num_labels: int = NUM_LABELS) -> tuple[nn.Linear, LinearHead]:
    torch.manual_seed(1)
    encoder, head = nn.Linear(NUM_INPUTS, NUM_FEATURES), LinearHead(NUM_FEATURES, num_labels)
    nn.init.normal_(head.bias)
    return encoder, head


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
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder}/rendezvous-{ranks}",
        rank=rank,
        world_size=ranks,
        timeout=timedelta(seconds=120),
    )
    mesh = mesh_of_all(torch.device("cpu"))
    results: dict[str, dict[str, Tensor]] = {}
    # 5 and 4 samples, or 6, 3 and none: not even, and an empty part.
    bounds = [0, 5, 9] if ranks == 2 else [0, 6, 9, 9]
    rows = slice(bounds[rank], bounds[rank + 1])
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
    for name in FUSED:
        results[f"fused {name}"] = fused_step(name, rows, mesh)
    results["wrapped"] = fused_step("descent", rows, mesh, wrapped=True)
    results["noise"] = {"part": noisy_step(ShardedFusedHead(new_fused("rounded", own_labels()), NUM_LABELS, mesh).part)}
    results["no score"] = {"best": best_of_none(rows, mesh)}
    if ranks == 2:
        save_shards({"state": whole_tree(sharded)}, folder / "shards-0123456789abcdef")
    torch.save(results, folder / f"results-{ranks}-{rank}.pt")
    distributed.destroy_process_group()


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
    distributed.destroy_process_group()


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
    distributed.destroy_process_group()


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


def join(folder: Path, name: str, rank: int, ranks: int) -> Any:
    """Join the other ranks, and return their mesh."""
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous-{name}-{ranks}", rank=rank, world_size=ranks
    )
    return mesh_of_all(torch.device("cpu"))


def start(folder: Path, ranks: int, what: str) -> None:
    running = [
        subprocess.Popen(
            [sys.executable, __file__, str(folder), str(rank), str(ranks), what],
            env=os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(ranks)
    ]
    for process in running:
        _, errors = process.communicate(timeout=TIMEOUT_S)
        assert process.returncode == 0, errors[-3000:]


@pytest.fixture(scope="module", params=[2, 3])
def results(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("sharded")
    start(folder, request.param, "steps")
    return [torch.load(folder / f"results-{request.param}-{rank}.pt") for rank in range(request.param)]


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
    start(tmp_path, 2, "steps")
    _, head = new_model()
    for ranks in (1, 3):
        start(tmp_path, ranks, "load")
        loaded = torch.load(tmp_path / f"loaded-{ranks}.pt")
        assert loaded["step"] == [3, {"lr": 0.5}]
        for name, value in head.state_dict().items():
            assert torch.equal(loaded["weights"][name], value)


@pytest.mark.distributed
@pytest.mark.timeout(600)
def test_heads_that_learn_by_themselves_load_on_any_number_of_ranks(tmp_path: Path) -> None:
    # Each loads what those before it have saved.
    for ranks in (1, 2, 3, 2, 1):
        (tmp_path / f"rendezvous-pass-{ranks}").unlink(missing_ok=True)
        start(tmp_path, ranks, "pass heads on")


@pytest.mark.distributed
@pytest.mark.timeout(600)
def test_ranks_that_average_a_whole_model_leave_its_labels_alone(results: list[dict[str, Any]]) -> None:
    for result in results:
        for key, value in result["wrapped"].items():
            assert torch.equal(value, result["fused descent"][key]), key


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
    jobs = {"steps": run_rank, "load": load_rank, "pass heads on": pass_heads_on}
    jobs[sys.argv[4]](Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
