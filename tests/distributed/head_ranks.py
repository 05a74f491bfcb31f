"""A small batch and model that ranks share, and the ranks: processes that run a script of tests."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn

from manyhot.models.heads import LinearHead
from manyhot.targets import SparseTargets
from manyhot.training.sharded_head import mesh_of_all

TIMEOUT_S = 240
NUM_SAMPLES, NUM_INPUTS, NUM_FEATURES, NUM_LABELS = 9, 4, 3, 17
KINDS = ("complete", "unknown", "sources", "confident")
POS_WEIGHT = torch.linspace(0.5, 2.0, NUM_LABELS)
LABEL_WEIGHT = torch.linspace(2.0, 0.5, NUM_LABELS)


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


def rows_of_rank(rank: int, ranks: int) -> slice:
    """Return which samples of the batch a rank has: 5 and 4, or 6, 3 and none: not even, and an empty part."""
    bounds = [0, 5, 9] if ranks == 2 else [0, 6, 9, 9]
    return slice(bounds[rank], bounds[rank + 1])


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


def join(folder: Path, name: str, rank: int, ranks: int) -> Any:
    """Join the other ranks, and return their mesh."""
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder}/rendezvous-{name}-{ranks}",
        rank=rank,
        world_size=ranks,
        timeout=timedelta(seconds=120),
    )
    return mesh_of_all(torch.device("cpu"))


def start(script: str, folder: Path, ranks: int, what: str) -> None:
    """Run a script on each rank, and wait for all: FOLDER RANK RANKS WHAT."""
    running = [
        subprocess.Popen(
            [sys.executable, script, str(folder), str(rank), str(ranks), what],
            env=os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(ranks)
    ]
    try:
        errors = [process.communicate(timeout=TIMEOUT_S)[1] for process in running]
    finally:
        for process in running:
            process.kill()
            process.communicate()
    assert [process.returncode for process in running] == [0] * ranks, "\n".join(errors)[-3000:]


def steps_of(script: str, folder: Path, ranks: int) -> list[dict[str, Any]]:
    """Run the steps of a script on some ranks, and return what each has found."""
    start(script, folder, ranks, "steps")
    return [torch.load(folder / f"results-{ranks}-{rank}.pt") for rank in range(ranks)]
