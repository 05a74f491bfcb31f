"""Which loss is best, on real label sets: figures on test over seeds, with differences from plain binary cross-entropy.

    python benchmarks/losses.py --data ../shared/data
    python benchmarks/losses.py --summary

Posters: pictures of 48 px, the smallest ResNet from random weights, 6 epochs. Tables (yeast and bibtex, of Mulan): a
hidden layer of 256, 20 epochs, the official test part. Everything else is what a run does: biases start where the loss
settles, AdamW with a cosine, the best epoch by map_macro on val, the default decision fitted on val. The seed draws weights,
order and validation split (of posters the test split too), the same for every loss. A line of results a run; finished ones
are not run again.
"""

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import timm
import torch
from main_job import cpu_model
from torch import Tensor, nn

from manyhot.data.decoding import decode_image
from manyhot.data.resizing import resize
from manyhot.decisions import fit_decision
from manyhot.labels import LabelCounts, LabelSets, count_cells
from manyhot.labels.splitting import split_samples
from manyhot.losses import (
    AsymmetricLoss,
    BCEWithLogitsLoss,
    DistributionBalancedLoss,
    FocalLoss,
    Loss,
    PairwiseLogSumExpLoss,
    SoftmaxLoss,
    TwoWayLoss,
    ZLPRLoss,
    class_balanced_weights,
    pos_weight_from_counts,
    starting_logits,
)
from manyhot.metrics import evaluate, mean_average_precision
from manyhot.sources import Manifest, SourceOptions, open_source
from manyhot.targets import SparseTargets

RESULTS = Path(__file__).parent / "results" / "losses.jsonl"
SEEDS = (0, 1, 2)
SIZE = 48
FIGURES = ("map_macro", "map_micro", "f1_macro", "f1_micro", "f1_macro_at_half")
T_QUANTILE = 4.303  # of three values, 95 %

LOSSES: dict[str, Callable[[LabelCounts], Loss]] = {
    "binary-cross-entropy": lambda _: BCEWithLogitsLoss(),
    "pos_weight counts": lambda counts: BCEWithLogitsLoss(pos_weight=pos_weight_from_counts(counts)),
    "class-balanced": lambda counts: BCEWithLogitsLoss(label_weight=class_balanced_weights(counts)),
    "focal": lambda _: FocalLoss(),
    "asymmetric": lambda _: AsymmetricLoss(),
    "distribution-balanced": DistributionBalancedLoss,
    "zlpr": lambda _: ZLPRLoss(),
    "pairwise": lambda _: PairwiseLogSumExpLoss(),
    "two-way": lambda _: TwoWayLoss(),
    "softmax": lambda _: SoftmaxLoss(),
}


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Inputs and labels of train, val and test, and how to learn from them."""

    inputs: tuple[Tensor, Tensor, Tensor]
    labels: tuple[LabelSets, LabelSets, LabelSets]
    epochs: int
    lr: float


def posters(data: Path, seed: int) -> Parts:
    """Return the posters, decoded once."""
    manifest = open_source(data / "posters")
    pictures = _pictures(manifest)
    part_of = split_samples(manifest.labels, (0.7, 0.15, 0.15), seed=seed)
    rows = [np.flatnonzero(part_of == part) for part in range(3)]
    inputs = tuple(pictures[torch.from_numpy(chosen)] for chosen in rows)
    return Parts(inputs=inputs, labels=tuple(manifest.labels.take(chosen) for chosen in rows), epochs=6, lr=1e-3)


_DECODED: dict[Path, Tensor] = {}


def _pictures(manifest: Manifest) -> Tensor:
    if manifest.root not in _DECODED:
        decoded = [resize(decode_image(manifest.path_of(row)), SIZE) for row in range(manifest.num_samples)]
        _DECODED[manifest.root] = torch.from_numpy(np.stack(decoded)).permute(0, 3, 1, 2).contiguous()
    return _DECODED[manifest.root]


def table(name: str) -> Callable[[Path, int], Parts]:
    """Return how to read one of Mulan's tables, its features standardised by those of train."""

    def read(data: Path, seed: int) -> Parts:
        both = [
            open_source(data / "tabular_arff" / f"{name}-{part}.arff", SourceOptions(pictures=False))
            for part in ("train", "test")
        ]
        known, test = (torch.from_numpy(manifest.features.to_dense()) for manifest in both)
        part_of = split_samples(both[0].labels, (0.85, 0.15), seed=seed)
        train, val = (np.flatnonzero(part_of == part) for part in range(2))
        mean, spread = known[train].mean(dim=0), known[train].std(dim=0).clamp(min=1e-3)
        inputs = tuple((part - mean) / spread for part in (known[train], known[val], test))
        labels = (both[0].labels.take(train), both[0].labels.take(val), both[1].labels)
        return Parts(inputs=inputs, labels=labels, epochs=20, lr=1e-3)

    return read


SETS: dict[str, Callable[[Path, int], Parts]] = {
    "posters": posters,
    "yeast": table("yeast"),
    "bibtex": table("bibtex"),
}


def network(parts: Parts) -> tuple[nn.Module, nn.Linear]:
    """Return a new network for the inputs, and its last layer."""
    num_labels, inputs = parts.labels[0].num_labels, parts.inputs[0]
    if inputs.ndim == 4:
        encoder = timm.create_model("test_resnet", pretrained=False, num_classes=0)
        head = nn.Linear(encoder.num_features, num_labels)
        return nn.Sequential(encoder, head), head
    head = nn.Linear(256, num_labels)
    return nn.Sequential(nn.Dropout(0.2), nn.Linear(inputs.shape[1], 256), nn.GELU(), nn.Dropout(0.3), head), head


def batches(parts: Parts, generator: torch.Generator) -> Iterator[tuple[Tensor, SparseTargets]]:
    """Yield shuffled training batches; half of the pictures mirrored."""
    inputs, labels = parts.inputs[0], parts.labels[0]
    for rows in torch.randperm(len(inputs), generator=generator).split(64):
        batch = _floats(inputs[rows])
        if batch.ndim == 4:
            flipped = torch.rand(len(rows), generator=generator) < 0.5
            batch[flipped] = batch[flipped].flip(-1)
        yield batch, SparseTargets.from_label_sets(labels.take(rows.numpy()))


def _floats(inputs: Tensor) -> Tensor:
    return inputs if inputs.is_floating_point() else (inputs.float() / 255 - 0.45) / 0.25


def logits_of(model: nn.Module, inputs: Tensor) -> np.ndarray:
    """Return the logits of inputs, in evaluation mode."""
    model.eval()
    with torch.no_grad():
        parts = [model(_floats(batch)) for batch in inputs.split(256)]
    model.train()
    return torch.cat(parts).numpy()


def run(parts: Parts, make: Callable[[LabelCounts], Loss], seed: int) -> dict[str, float]:
    """Return the figures on test of one training."""
    torch.manual_seed(seed)
    counts = count_cells(parts.labels[0])
    loss, (model, head) = make(counts), network(parts)
    with torch.no_grad():
        head.bias.copy_(starting_logits(loss, counts))
    generator = torch.Generator().manual_seed(seed)
    steps = parts.epochs * math.ceil(len(parts.inputs[0]) / 64)
    optimiser = torch.optim.AdamW(model.parameters(), lr=parts.lr, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, parts.lr, total_steps=steps + 1, pct_start=0.1)
    best, kept = -1.0, model.state_dict()
    for _ in range(parts.epochs):
        for inputs, targets in batches(parts, generator):
            optimiser.zero_grad()
            loss(model(inputs), targets).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
        figure = mean_average_precision(logits_of(model, parts.inputs[1]), parts.labels[1]).value or 0.0
        if figure > best:
            best, kept = figure, {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(kept)
    val, test = logits_of(model, parts.inputs[1]), logits_of(model, parts.inputs[2])
    decision = fit_decision(val, parts.labels[1])
    figures = evaluate(test, parts.labels[2], kind="logits", preds=decision.preds(test)).figures
    return {name: round(figures[name].value or 0.0, 4) for name in FIGURES}


def run_all(data: Path, sets: list[str], seeds: list[int], losses: list[str]) -> None:
    """Run what is not there yet, seed by seed, and write a line a run."""
    done = {(line["set"], line["loss"], line["seed"]) for line in results()}
    for seed in seeds:
        for name in sets:
            parts = None
            for loss in losses:
                if (name, loss, seed) in done:
                    continue
                parts = parts or SETS[name](data, seed)
                started = time.process_time()
                figures = run(parts, LOSSES[loss], seed)
                seconds = round(time.process_time() - started, 1)
                line = {"set": name, "loss": loss, "seed": seed, "cpu_s": seconds, **figures, "cpu": cpu_model()}
                with RESULTS.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line, ensure_ascii=False) + "\n")
                print(" ".join(f"{key} {value}" for key, value in line.items() if key != "cpu"), flush=True)


def results() -> list[dict[str, object]]:
    """Return all results so far."""
    return [json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines()] if RESULTS.exists() else []


def summarise() -> None:
    """Print a table a set: means over seeds, and the paired difference from plain binary cross-entropy with its interval."""
    lines = results()
    for name in SETS:
        found = {
            loss: {line["seed"]: line for line in lines if (line["set"], line["loss"]) == (name, loss)}
            for loss in LOSSES
        }
        print(f"\n{name}\n| loss | " + " | ".join(FIGURES) + " | CPU s |\n" + "|---" * (len(FIGURES) + 2) + "|")
        plain = found["binary-cross-entropy"]
        for loss, of_seed in found.items():
            seeds = sorted(of_seed.keys() & plain.keys())
            if len(seeds) < len(SEEDS):
                continue
            cells = [_cell([of_seed[s][f] for s in seeds], [plain[s][f] for s in seeds]) for f in FIGURES]
            cpu_s = statistics.mean(line["cpu_s"] for line in of_seed.values())
            print(f"| {loss} | " + " | ".join(cells) + f" | {cpu_s:.1f} |")


def _cell(values: list[float], plain: list[float]) -> str:
    mean = statistics.mean(values)
    if values == plain:
        return f"{mean:.3f} ± {T_QUANTILE * statistics.stdev(values) / math.sqrt(len(values)):.3f}"
    differences = [value - other for value, other in zip(values, plain, strict=True)]
    spread = T_QUANTILE * statistics.stdev(differences) / math.sqrt(len(values))
    return f"{mean:.3f} ({statistics.mean(differences):+.3f} ± {spread:.3f})"


def main() -> None:
    """Run or summarise."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, help="the folder of the real data sets")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--losses", nargs="+", choices=LOSSES, default=list(LOSSES))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--summary", action="store_true", help="print the tables of what was run")
    flags = parser.parse_args()
    torch.set_num_threads(1)
    if flags.data is not None:
        run_all(flags.data, flags.sets, flags.seeds, flags.losses)
    if flags.summary or flags.data is None:
        summarise()


if __name__ == "__main__":
    main()
