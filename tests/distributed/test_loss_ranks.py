"""On several ranks the loss is that of the global batch, however its known cells are spread.

Each rank is this file, run as a script: FOLDER RANK. Starting them costs seconds, so they do everything in one go.
"""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from leaving import leave
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from manyhot.losses import (
    AsymmetricLoss,
    BCEWithLogitsLoss,
    Loss,
    MultiLabelMarginLoss,
    SemanticSoftmaxLoss,
    SoftmaxLoss,
    ZLPRLoss,
)
from manyhot.targets import SparseTargets

TIMEOUT_S = 240
NUM_FEATURES, NUM_LABELS = 3, 5
ROWS_OF_RANK = (slice(0, 6), slice(6, 9))
REDUCTIONS = ("mean", "sample_mean", "sum")
LOSSES: dict[str, Loss] = {
    **{reduction: BCEWithLogitsLoss(reduction=reduction) for reduction in REDUCTIONS},
    "asymmetric": AsymmetricLoss(),
    "asymmetric-source": AsymmetricLoss(source_weight=torch.tensor([2.0]), label_smoothing=0.1),
    "margin": MultiLabelMarginLoss(),
    "zlpr": ZLPRLoss(),
    "softmax": SoftmaxLoss(),
    "softmax-sample-mean": SoftmaxLoss(reduction="sample_mean"),
    # On each level other samples have a positive, on the ranks as many more or fewer.
    "semantic-softmax": SemanticSoftmaxLoss(torch.tensor([0, 0, 1, 1, 2]), torch.tensor([1.0, 2.0, 3.0])),
    "semantic-softmax-sum": SemanticSoftmaxLoss(torch.tensor([0, 0, 1, 1, 2]), reduction="sum"),
}


def global_batch() -> tuple[Tensor, Tensor]:
    """Return features and dense targets; the later a row, the fewer of its cells are known."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(9, NUM_FEATURES, generator=generator, dtype=torch.float64)
    dense = (torch.rand(9, NUM_LABELS, generator=generator) < 0.3).double()
    dense[torch.rand(9, NUM_LABELS, generator=generator) < torch.arange(9)[:, None] / 10] = float("nan")
    return features, dense


def new_head() -> nn.Linear:
    torch.manual_seed(1)
    return nn.Linear(NUM_FEATURES, NUM_LABELS, dtype=torch.float64)


def run_rank(folder: Path, rank: int) -> None:
    """Take a step of DistributedDataParallel on this rank's rows with each loss and save the results."""
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder}/rendezvous",
        rank=rank,
        world_size=len(ROWS_OF_RANK),
        timeout=timedelta(seconds=120),
    )
    features, dense = global_batch()
    rows = ROWS_OF_RANK[rank]
    targets = SparseTargets.from_dense(dense[rows])
    results = {}
    for name, loss in LOSSES.items():
        model = DistributedDataParallel(new_head())
        value = loss(model(features[rows]), targets)
        value.backward()
        gradients = [parameter.grad for parameter in model.parameters()]
        results[name] = {"value": value.detach(), "gradients": gradients}
    if rank == 0:
        # Only this rank evaluates: without gradients nothing is exchanged, and so nobody is waited for.
        with torch.no_grad():
            results["alone"] = BCEWithLogitsLoss()(new_head()(features[rows]), targets)
    torch.save(results, folder / f"rank{rank}.pt")
    distributed.barrier()
    leave()


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """What each rank saved; the ranks meet in a file and talk over the loopback device only."""
    folder = tmp_path_factory.mktemp("ranks")
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, str(folder), str(rank)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(len(ROWS_OF_RANK))
    ]
    try:
        outputs = [process.communicate(timeout=TIMEOUT_S)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert [process.returncode for process in processes] == [0] * len(processes), "\n".join(outputs)
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(len(processes))]


@pytest.mark.distributed
@pytest.mark.parametrize("name", LOSSES)
def test_ranks_together_take_the_step_of_one_process(ranks: list[dict], name: str):
    features, dense = global_batch()
    head = new_head()
    expected = LOSSES[name](head(features), SparseTargets.from_dense(dense))
    expected.backward()
    results = [rank[name] for rank in ranks]
    torch.testing.assert_close(torch.stack([result["value"] for result in results]).mean(), expected.detach())
    for result in results:
        for gradient, parameter in zip(result["gradients"], head.parameters(), strict=True):
            torch.testing.assert_close(gradient, parameter.grad)


@pytest.mark.distributed
def test_a_mean_of_the_ranks_own_means_would_be_wrong(ranks: list[dict]):
    features, dense = global_batch()
    known = [int((~dense[rows].isnan()).sum()) for rows in ROWS_OF_RANK]
    means = [
        BCEWithLogitsLoss()(new_head()(features[rows]), SparseTargets.from_dense(dense[rows])).item()
        for rows in ROWS_OF_RANK
    ]
    assert known[0] > 2 * known[1]
    assert abs(sum(means) / 2 - torch.stack([rank["mean"]["value"] for rank in ranks]).mean().item()) > 0.01


@pytest.mark.distributed
def test_a_rank_that_evaluates_alone_waits_for_nobody(ranks: list[dict]):
    features, dense = global_batch()
    rows = ROWS_OF_RANK[0]
    expected = BCEWithLogitsLoss()(new_head()(features[rows]), SparseTargets.from_dense(dense[rows]))
    torch.testing.assert_close(ranks[0]["alone"], expected.detach())


if __name__ == "__main__":
    run_rank(Path(sys.argv[1]), int(sys.argv[2]))
