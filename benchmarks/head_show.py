"""Heads that update themselves, trained: the rows of AmazonTitles-131K, and planted labels beside dense training.

    python benchmarks/head_show.py amazon --data ../shared/data/label_spaces/amazontitles131k_test_labels.txt.gz
    python benchmarks/head_show.py planted

`amazon` has real label rows (134,835 × 131,073) and no features: each label is given a random direction in 256 dimensions, and a
sample's features are the sum of its labels' directions and of noise of its own. What can be learnt is this mapping and nothing
else; the figures show that learning and judging work at this size, not how well titles tell products apart. One row of ten is
the test split. `planted` draws labels by a power law and features in the same way, trains an ordinary head by `torch.optim.SGD`
and heads of every format on the same batches, and compares precision at 1 and at 5 on 20,000 new samples over three seeds.
"""

import argparse
import json
import resource
import time
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from main_job import cpu_model
from torch import Tensor, nn

from manyhot.labels import Csr, LabelSets, LabelSpace, count_cells, log_odds
from manyhot.losses import BCEWithLogitsLoss
from manyhot.losses.linear import FusedLinearHead, RowwiseAdagrad, top_k
from manyhot.losses.linear.weights import WeightFormat
from manyhot.metrics import Propensity, evaluate_best
from manyhot.sources import SourceOptions, open_source
from manyhot.targets import SparseTargets

RESULTS = Path(__file__).parent / "results" / "head_show.jsonl"
BATCH = 256
BEST = 5
COMPARED = ("precision_at_1", "precision_at_5")
AMAZON_PROPENSITY = Propensity(a=0.6, b=2.6)


@dataclass(frozen=True, kw_only=True)
class Planted:
    """Features that hold a sample's labels, and these."""

    features: Tensor
    sets: LabelSets

    def batch(self, rows: np.ndarray) -> tuple[Tensor, SparseTargets]:
        """Return features and targets of some rows."""
        return self.features[rows], SparseTargets.from_label_sets(self.sets.take(rows))


def plant(sets: LabelSets, num_features: int, *, noise: float, seed: int) -> Planted:
    """Return for each sample the normed sum of its labels' random directions and of noise."""
    generator = torch.Generator().manual_seed(seed)
    directions = torch.randn(sets.num_labels, num_features, generator=generator) / num_features**0.5
    targets = SparseTargets.from_label_sets(sets)
    features = noise * torch.randn(sets.num_samples, num_features, generator=generator) / num_features**0.5
    for rows in torch.arange(len(targets.label_ids)).split(100_000):
        features.index_add_(0, targets.row_ids()[rows], directions[targets.label_ids[rows].long()])
    return Planted(features=nn.functional.normalize(features, dim=1), sets=sets)


def train(head: FusedLinearHead, data: Planted, rows: np.ndarray, *, epochs: int, seed: int) -> list[float]:
    """Return the mean loss of each tenth of the training."""
    order = np.concatenate([np.random.default_rng((seed, epoch)).permutation(rows) for epoch in range(epochs)])
    losses = [head(*data.batch(batch)).item() for batch in np.array_split(order, len(order) // BATCH)]
    return [round(float(np.mean(part)), 4) for part in np.array_split(losses, 10)]


def best_of(head: FusedLinearHead | nn.Linear, features: Tensor) -> np.ndarray:
    """Return the best labels of each sample, batch by batch."""
    parts = []
    for part in features.split(1_024):
        if isinstance(head, nn.Linear):
            parts.append(top_k(part, head.weight, BEST, bias=head.bias).label_ids)
        else:
            parts.append(head.top_k(part, BEST).label_ids)
    return torch.cat(parts).numpy()


def amazon(path: Path) -> dict[str, object]:
    """Train one epoch on the rows of AmazonTitles-131K."""
    sets = open_source(path, SourceOptions(pictures=False)).labels
    data = plant(sets, 256, noise=1.0, seed=0)
    rows = np.random.default_rng(0).permutation(sets.num_samples)
    test, training = np.sort(rows[: len(rows) // 10]), rows[len(rows) // 10 :]
    counts = count_cells(sets.take(np.sort(training)))
    head = FusedLinearHead(
        256,
        sets.num_labels,
        loss=BCEWithLogitsLoss(reduction="sample_mean"),
        lr=0.5,
        update=RowwiseAdagrad(),
        weights="bfloat16",
        bias=torch.from_numpy(log_odds(counts)),
    )
    started = time.perf_counter()
    losses = train(head, data, training, epochs=1, seed=0)
    trained = time.perf_counter()
    figures = evaluate_best(
        best_of(head, data.features[test]), sets.take(test), train_counts=counts, propensity=AMAZON_PROPENSITY
    )
    judged = time.perf_counter()
    return {
        "mode": "amazon", "samples": len(training), "labels": sets.num_labels, "features": 256, "losses": losses,
        "figures": {name: figure.value for name, figure in figures.items()}, "train_s": round(trained - started, 1),
        "judge_s": round(judged - trained, 1), "process_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
    }  # fmt: skip


def power_law(num_samples: int, num_labels: int, seed: int) -> LabelSets:
    """Return five draws a sample of labels whose chance falls as one over their rank."""
    rng = np.random.default_rng(seed)
    chances = 1 / np.arange(1, num_labels + 1)
    drawn = rng.choice(num_labels, (num_samples, 5), p=chances / chances.sum())
    rows = [np.unique(row) for row in drawn]
    csr = Csr.from_lists([row.tolist() for row in rows])
    return LabelSets(space=LabelSpace(names=tuple(map(str, range(num_labels)))), positives=csr)


def train_dense(layer: nn.Linear, data: Planted, rows: np.ndarray, *, lr: float, epochs: int, seed: int) -> None:
    """Train an ordinary head on the same batches in the same order."""
    optimiser = torch.optim.SGD(layer.parameters(), lr=lr)
    order = np.concatenate([np.random.default_rng((seed, epoch)).permutation(rows) for epoch in range(epochs)])
    for batch in np.array_split(order, len(order) // BATCH):
        features, targets = data.batch(batch)
        sums = nn.functional.binary_cross_entropy_with_logits(layer(features), targets.to_multi_hot(), reduction="sum")
        optimiser.zero_grad()
        (sums / len(features)).backward()
        optimiser.step()


def planted_points(num_labels: int, epochs: int, lr: float, seed: int) -> dict[str, dict[str, float]]:
    """Return precision at 1 and at 5 in points, of dense training and of every format, on the same batches."""
    training, test = np.arange(20_000), np.arange(20_000, 40_000)
    data = plant(power_law(40_000, num_labels, seed), 64, noise=0.5, seed=seed)
    bias = torch.from_numpy(log_odds(count_cells(data.sets.take(training)))).float()
    layer = nn.Linear(64, num_labels)
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.copy_(bias)
    train_dense(layer, data, training, lr=lr, epochs=epochs, seed=seed)
    heads: dict[str, FusedLinearHead | nn.Linear] = {"dense": layer}
    for name in get_args(WeightFormat):
        loss = BCEWithLogitsLoss(reduction="sample_mean")
        head = FusedLinearHead(64, num_labels, loss=loss, lr=lr, weights=name, bias=bias, seed=seed)
        train(head, data, training, epochs=epochs, seed=seed)
        heads[name] = head
    points = {}
    for name, head in heads.items():
        figures = evaluate_best(best_of(head, data.features[test]), data.sets.take(test))
        points[name] = {figure: round(100 * (figures[figure].value or 0), 3) for figure in COMPARED}
    return points


def planted(num_labels: int, epochs: int, lr: float) -> dict[str, object]:
    """Compare every format with dense training, over three seeds."""
    results = []
    for seed in range(3):
        results.append(planted_points(num_labels, epochs, lr, seed))
        print(seed, results[-1], flush=True)
    worst = {
        name: max(abs(points[name][figure] - points["dense"][figure]) for points in results for figure in COMPARED)
        for name in get_args(WeightFormat)
    }
    return {
        "mode": "planted", "labels": num_labels, "epochs": epochs, "lr": lr, "results": results, "worst_points": worst
    }  # fmt: skip


def main() -> None:
    """Train what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", choices=["amazon", "planted"])
    parser.add_argument("--data", type=Path, help="the label rows of amazon")
    parser.add_argument("--labels", type=int, default=50_000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--lr", type=float, default=100.0)
    flags = parser.parse_args()
    if flags.mode == "amazon" and flags.data is None:
        parser.error("amazon needs --data")
    line = amazon(flags.data) if flags.mode == "amazon" else planted(flags.labels, flags.epochs, flags.lr)
    line = {"benchmark": "head_show", "cpu": cpu_model()} | line
    print(json.dumps(line))
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
