"""On 1 to 4 ranks the figures are the same to the last bit, with uneven batches, empty ranks and repeated samples.

Each rank is this file, run as a script: FOLDER RANK RANKS. All cases run in one go, since starting ranks costs seconds.
"""

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
from leaving import leave
from torch import distributed

from manyhot.errors import ScoreError, UsageError
from manyhot.labels import LabelCounts, LabelSets, LabelSpace
from manyhot.metrics import Evaluation, ExactState, HistogramState, Ranks, evaluate
from manyhot.metrics.metric import EvaluationMetric
from manyhot.targets import SparseTargets

TIMEOUT_S = 280
NUM_SAMPLES, NUM_LABELS = 53, 9
SPACE = LabelSpace(names=tuple(f"label {label}" for label in range(NUM_LABELS)))
OPTIONS = {
    "thresholds": np.array([0.2, 0.5, np.inf, 0.9, 0.4, 0.5, 0.3, 0.6, 0.5]),
    "train_counts": LabelCounts(positives=np.arange(NUM_LABELS), known=np.full(NUM_LABELS, 20)),
    "min_positives": 3,
}
CASES = ("float32", "float16", "histograms", "metric")


def samples() -> tuple[np.ndarray, LabelSets]:
    generator = np.random.default_rng(0)
    truth = (generator.random((NUM_SAMPLES, NUM_LABELS)) < generator.random(NUM_LABELS) / 2).astype(np.float32)
    logits = np.round(generator.normal(size=truth.shape) * 4 + 3 * truth).astype(np.float32) / 4
    truth[generator.random(truth.shape) < 0.1] = np.nan
    return logits, LabelSets.from_dense(truth, SPACE)


def rows_of(rank: int, num_ranks: int) -> list[np.ndarray]:
    """Return the batches of a rank: as a sampler deals them out, so that all ranks get equally many, but the last rank of
    three or more gets none, and batches are of other sizes on each rank."""
    dealing = num_ranks - (num_ranks > 2)
    if rank >= dealing:
        return []
    padded = np.resize(np.arange(NUM_SAMPLES), -(-NUM_SAMPLES // dealing) * dealing)
    own = padded[rank::dealing]
    return [own[start : start + 5 + 3 * rank] for start in range(0, len(own), 5 + 3 * rank)]


def run_case(case: str, batches: list[np.ndarray], exchange: Ranks) -> Evaluation:
    logits, sets = samples()
    if case == "metric":
        metric = EvaluationMetric(kind="logits")
        for rows in batches:
            targets = SparseTargets.from_label_sets(sets.take(rows))
            metric(torch.tensor(logits[rows]), targets, torch.tensor(rows))
        return metric.evaluation()
    if case == "histograms":
        # Histograms cannot give a repeated sample back: deal without repeating.
        state = HistogramState(kind="logits", **OPTIONS)
        batches = np.array_split(np.arange(NUM_SAMPLES), exchange.num_ranks)[exchange.rank : exchange.rank + 1]
    else:
        state = ExactState(kind="logits", precision=case, **OPTIONS)
    for rows in batches:
        state.update(logits[rows], sets.take(rows), sample_ids=rows)
    found = state.compute(exchange)
    return found if isinstance(found, Evaluation) else found.evaluation


def run_rank(folder: Path, rank: int, num_ranks: int) -> None:
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder}/rendezvous",
        rank=rank,
        world_size=num_ranks,
        timeout=timedelta(seconds=200),
    )
    exchange, batches, results = Ranks(), rows_of(rank, num_ranks), {}
    for case in CASES:
        before = exchange.bytes_received
        results[case] = run_case(case, batches, exchange).to_dict()
        results[f"{case} bytes"] = exchange.bytes_received - before
    logits, sets = samples()
    changed = ExactState(kind="logits")
    changed.update(logits[:4] + rank, sets.take(range(4)), sample_ids=np.arange(4))
    nameless = ExactState(kind="logits")
    nameless.update(logits[:4], sets.take(range(4)))
    for name, state in (("changed", changed), ("nameless", nameless)):
        try:
            state.compute(exchange)
        except (ScoreError, UsageError) as error:
            results[name] = str(error)
    (folder / f"rank{rank}.json").write_text(json.dumps(results))
    distributed.barrier()
    leave()


@pytest.fixture(scope="module", params=[1, 2, 3, 4])
def ranks(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """What each rank saved; the ranks meet in a file and talk over the loopback device only."""
    folder = tmp_path_factory.mktemp("ranks")
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, str(folder), str(rank), str(request.param)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(request.param)
    ]
    try:
        outputs = [process.communicate(timeout=TIMEOUT_S)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert [process.returncode for process in processes] == [0] * len(processes), "\n".join(outputs)
    return [json.loads((folder / f"rank{rank}.json").read_text()) for rank in range(len(processes))]


def alone(case: str) -> Evaluation:
    logits, sets = samples()
    if case == "metric":
        state = ExactState(kind="logits")
    elif case == "histograms":
        state = HistogramState(kind="logits", **OPTIONS)
    else:
        state = ExactState(kind="logits", precision=case, **OPTIONS)
    state.update(logits, sets)
    found = state.compute()
    return found if isinstance(found, Evaluation) else found.evaluation


@pytest.mark.distributed
@pytest.mark.parametrize("case", CASES)
def test_every_rank_gets_the_figures_of_one_process(ranks: list[dict], case: str):
    expected = alone(case).to_dict()
    if case == "metric":
        # SparseTargets know labels by number.
        for number, label in enumerate(expected["labels"]):
            label["name"] = str(number)
    for result in ranks:
        assert result[case] == json.loads(json.dumps(expected))


@pytest.mark.distributed
def test_repeated_samples_count_once(ranks: list[dict]):
    logits, sets = samples()
    expected = evaluate(logits, sets, kind="logits", **OPTIONS).to_dict()["figures"]
    for name, figure in expected.items():
        if not name.startswith("ece"):
            assert ranks[0]["float32"]["figures"][name] == figure, name


@pytest.mark.distributed
def test_wrong_content_and_missing_ids_are_refused_on_every_rank(ranks: list[dict]):
    for result in ranks:
        if len(ranks) > 1:
            assert "samples came twice with different content" in result["changed"]
            assert "several ranks need sample_ids" in result["nameless"]
        else:
            assert "changed" not in result
            assert "nameless" not in result


@pytest.mark.distributed
def test_bytes_are_counted(ranks: list[dict]):
    for result in ranks:
        assert (result["float32 bytes"] > 0) == (len(ranks) > 1)


if __name__ == "__main__":
    run_rank(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
