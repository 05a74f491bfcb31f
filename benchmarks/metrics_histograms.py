"""Evaluation from histograms against torchmetrics' binned mode: time, distance from the exact value, bounds that hold.

    python benchmarks/metrics_histograms.py

`MultilabelAveragePrecision(thresholds=100)` and `HistogramState` take turns on the same batches, at 11,000 labels. CPU time
of one thread; ours is given for all figures and for the histograms alone. torchmetrics compares every cell with every
threshold, in 64-bit numbers: 4.5 GB a batch. So it is given every 22nd label only, and its time counts 22 times.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from labels_store import cpu_model
from metrics_bootstrap import NUM_LABELS, RESULTS, model_logits
from synthetic_labels import zipf_sets
from torchmetrics.classification import MultilabelAveragePrecision

from manyhot.labels import LabelSets
from manyhot.metrics import HistogramState, evaluate
from manyhot.metrics.histogram_state import BoundedEvaluation
from manyhot.metrics.histograms import Histograms
from manyhot.metrics.truth import read_truth

BATCH = 512
STEP = 22


def batches(logits: np.ndarray, sets: LabelSets) -> list[tuple[np.ndarray, LabelSets]]:
    """Return the samples in batches."""
    starts = range(0, len(logits), BATCH)
    return [
        (logits[start : start + BATCH], sets.take(range(start, min(start + BATCH, len(logits))))) for start in starts
    ]


def binned(logits: np.ndarray, sets: LabelSets) -> float:
    """Return macro average precision of every 22nd label as torchmetrics bins it."""
    metric = MultilabelAveragePrecision(num_labels=NUM_LABELS // STEP, thresholds=100, validate_args=False)
    for scores, own in batches(logits, sets):
        truth = own.to_multi_hot()[:, ::STEP].astype(np.int64)
        metric.update(torch.from_numpy(scores[:, ::STEP].copy()), torch.from_numpy(truth))
    return float(metric.compute())


def whole(logits: np.ndarray, sets: LabelSets) -> BoundedEvaluation:
    """Return every figure."""
    state = HistogramState(kind="logits")
    for scores, own in batches(logits, sets):
        state.update(scores, own)
    return state.compute()


def alone(logits: np.ndarray, sets: LabelSets) -> object:
    """Return bounds of average precision and AUROC, and nothing else."""
    histograms = Histograms.empty(NUM_LABELS, 1024)
    for scores, own in batches(logits, sets):
        histograms = histograms.add(scores, read_truth(own))
    return histograms.bounds()


def main() -> None:
    """Measure, print and write a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=5000)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    sets = zipf_sets(arguments.samples, NUM_LABELS)
    logits = model_logits(sets, 0, 4.0)
    whole(logits[:300], sets.take(range(300)))
    ways = {"torchmetrics": binned, "all figures": whole, "histograms": alone}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(arguments.runs):
        for name, work in ways.items():
            start = time.process_time()
            work(logits, sets)
            seconds[name].append(time.process_time() - start)
            print(name, f"{seconds[name][-1]:.2f} s", flush=True)
    found, exact = whole(logits, sets), evaluate(logits, sets, kind="logits")
    values = np.array([label.average_precision for label in exact.labels], dtype=float)
    bounds = found.average_precision
    outside = int(((values < bounds.low) | (values > bounds.high)).sum())
    seconds["torchmetrics"] = [taken * STEP for taken in seconds["torchmetrics"]]
    median = {name: statistics.median(taken) for name, taken in seconds.items()}
    result = {
        "benchmark": "metrics_histograms",
        "cpu": cpu_model(),
        "samples": arguments.samples,
        "num_labels": NUM_LABELS,
        "state_mb": Histograms.empty(NUM_LABELS, 1024).nbytes / 1e6,
        "map_macro": exact.value("map_macro"),
        "error": (found.evaluation.value("map_macro") or 0.0) - (exact.value("map_macro") or 0.0),
        "torchmetrics_error": binned(logits, sets) - float(np.nanmean(np.where(np.isnan(values), 0.0, values)[::STEP])),
        "labels_outside": outside,
        "mean_width": float(np.nanmean(bounds.high - bounds.low)),
        "cpu_s": seconds,
        "ratio_all_figures": median["torchmetrics"] / median["all figures"],
        "ratio_histograms": median["torchmetrics"] / median["histograms"],
    }
    print(json.dumps(result))
    RESULTS.mkdir(exist_ok=True)
    with (Path(RESULTS) / "metrics_histograms.jsonl").open("a") as file:
        file.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
