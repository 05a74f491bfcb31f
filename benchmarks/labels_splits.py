"""Stratified folds: 5 folds of 12M × 11K in at most 30 s, and against iterative stratification at 5,000 rows.

The comparison needs the package `iterative-stratification`; without it, only growth is measured.

    python benchmarks/labels_splits.py [--rows 1000000 4000000 12000000] [--seeds 0 1 2] [--runs 5] [--out FILE.jsonl]
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from labels_statistics import in_child, mapped
from labels_store import cpu_model, memory, peak_mb
from synthetic_labels import zipf_sets

from manyhot.labels import LabelSets
from manyhot.labels.split_report import report_split
from manyhot.labels.splitting import fold_samples

NUM_FOLDS = 5
NUM_LABELS = 11_000


def timed(function: Callable[[], np.ndarray]) -> tuple[np.ndarray, float, float]:
    """Return the result, the wall seconds and the CPU seconds of a call."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = function()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def deviation(sets: LabelSets, fold_of: np.ndarray) -> tuple[float, float, list[int]]:
    """Return the mean and the largest deviation of a label in its worst fold, and the sizes of the folds."""
    report = report_split(sets, fold_of, (1 / NUM_FOLDS,) * NUM_FOLDS)
    return report.mean_worst_deviation, float(report.worst_deviations.max()), report.sizes.tolist()


def growth(folder: Path, seed: int) -> dict[str, object]:
    """Return time, memory and deviation of one split of many rows; the seed is that of the data and of the split."""
    sets = mapped(folder)
    # The first call compiles, or reads what was compiled.
    fold_samples(sets.take(np.arange(1_000)), NUM_FOLDS, seed=0)
    before = highest = memory()["Anonymous"]

    def look(done: int, total: int) -> None:
        del done, total
        nonlocal highest
        highest = max(highest, memory()["Anonymous"])

    fold_of, wall, cpu = timed(lambda: fold_samples(sets, NUM_FOLDS, seed=seed, progress=look))
    peak = peak_mb()
    mean, largest, sizes = deviation(sets, fold_of)
    return {
        "positives": sets.positives.size,
        "wall_s": round(wall, 2),
        "cpu_s": round(cpu, 2),
        "own_mb": round(highest - before),
        "peak_with_mapped_mb": round(peak),
        "mean_worst_fold_deviation": round(mean, 3),
        "largest_deviation": round(largest, 2),
        "sizes": sizes,
    }


def iterative(sets: LabelSets) -> np.ndarray:
    """Return folds by iterative stratification as published."""
    from iterstrat.ml_stratifiers import MultilabelStratifiedKFold

    dense = sets.positives.contains(sets.num_labels).astype(np.int8)
    fold_of = np.empty(sets.num_samples, dtype=np.int64)
    stratifier = MultilabelStratifiedKFold(n_splits=NUM_FOLDS, shuffle=True, random_state=0)
    for fold, (_, held_out) in enumerate(stratifier.split(np.zeros(len(dense)), dense)):
        fold_of[held_out] = fold
    return fold_of


def comparison(rows: int, labels: int, runs: int) -> dict[str, object]:
    """Return the times of both, in turn, and their deviations over three seeds of data."""
    sets = zipf_sets(rows, labels)
    times: dict[str, list[float]] = {"ours": [], "iterative": []}
    for _ in range(runs):
        for name, function in (
            ("ours", lambda: fold_samples(sets, NUM_FOLDS, seed=0)),
            ("iterative", lambda: iterative(sets)),
        ):
            times[name].append(timed(function)[2])
    quality = {"ours": [], "iterative": []}
    for seed in range(3):
        other = zipf_sets(rows, labels, seed=seed)
        quality["ours"].append(deviation(other, fold_samples(other, NUM_FOLDS, seed=seed))[:2])
        quality["iterative"].append(deviation(other, iterative(other))[:2])
    median = {name: statistics.median(values) for name, values in times.items()}
    return {
        "what": "against iterative-stratification, CPU seconds",
        "rows": rows,
        "labels": labels,
        "median_s": median,
        "spread_s": {name: [min(values), max(values)] for name, values in times.items()},
        "ratio": round(median["iterative"] / median["ours"], 1),
        "mean_and_largest_deviation_by_seed": quality,
    }


def main() -> None:
    """Measure, print and append a JSON line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="*", default=[1_000_000, 4_000_000, 12_000_000])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--compared-rows", type=int, default=5_000)
    parser.add_argument("--compared-labels", type=int, nargs="*", default=[80, 1_000])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        print(json.dumps(growth(options.child, options.seeds[0])))
        return
    measured = [
        {"what": "5 folds", "rows": rows, "labels": NUM_LABELS, "seed": seed, **in_child(__file__, rows, seed=seed)}
        for rows in options.rows
        for seed in options.seeds
    ]
    fold_samples(zipf_sets(1_000, NUM_LABELS), NUM_FOLDS, seed=0)
    try:
        import iterstrat.ml_stratifiers  # noqa: F401 - is it there?
    except ImportError:
        print("iterative-stratification is not installed: no comparison")
    else:
        measured += [comparison(options.compared_rows, labels, options.runs) for labels in options.compared_labels]
    for figure in measured:
        line = json.dumps({"cpu": cpu_model(), **figure})
        print(line)
        if options.out is not None:
            with options.out.open("a", encoding="utf-8") as file:
                file.write(line + "\n")


if __name__ == "__main__":
    main()
