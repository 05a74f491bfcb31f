"""Exact evaluation batch by batch: the CPU time and memory of each mode, against all at once.

    python benchmarks/metrics_streaming.py --samples 100000     100,000 × 11,000, scores in a file: 4.4 GB of disk
    python benchmarks/metrics_streaming.py --samples 5000       a quick look

Prints for each precision the nanoseconds of CPU time a cell takes: to keep it (`store`), to judge the rows (`rows`, at the
update), and to compare the samples of every label (`labels`: AP, AUROC, calibration, pooled figures), with the memory at its
highest, and how much of it the system takes (`system`: the file). Logits are random around −4, positives 4 higher; batches hold 512 samples.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from synthetic_labels import zipf_sets

from manyhot.labels import LabelSets
from manyhot.metrics.batches import Settings, read_batch
from manyhot.metrics.column_pass import compare_columns
from manyhot.metrics.exchange import Alone
from manyhot.metrics.held import Held, Segment
from manyhot.metrics.stores import Precision, ScoreStore, Spill, encode, rounded

NUM_LABELS = 11_000
BATCH = 512
RESULTS = Path(__file__).parent / "results"


def batch_logits(sets: LabelSets, seed: int) -> np.ndarray:
    """Return random logits of a batch."""
    logits = np.random.default_rng(seed).standard_normal((sets.num_samples, NUM_LABELS), dtype=np.float32) * 2 - 4
    logits[sets.positives.row_ids(), sets.positives.ids] += 4
    return logits


def measure(precision: Precision, samples: int) -> dict[str, object]:
    """Evaluate batches in this process and return what each step took."""
    settings, sets = Settings(kind="logits"), zipf_sets(samples, NUM_LABELS)
    segment = Segment(store=ScoreStore(NUM_LABELS, precision=precision, spill=Spill()))
    rows_s = 0.0
    warm_up(precision, sets.take(range(300)), settings)
    store_s, system = 0.0, -resource.getrusage(resource.RUSAGE_SELF).ru_stime
    for start in range(0, samples, BATCH):
        own = sets.take(range(start, min(start + BATCH, samples)))
        logits = batch_logits(own, start)
        begin = time.process_time()
        batch = read_batch(logits, own, settings, None, None)
        if precision == "float16":
            batch = replace(batch, scores=rounded(batch.scores))
        segment.store.append(batch.scores, batch.truth)
        stored = time.process_time()
        part = batch.count_rows(settings)
        rows_s += time.process_time() - stored
        store_s += stored - begin
        segment.rows.append(part)
        segment.truths.append(batch.truth)
        segment.positive_keys.append(
            encode(batch.scores[batch.truth.row_ids, batch.truth.label_ids], segment.store.dtype)
        )
    begin = time.process_time()
    held, nothing = Held([segment], segment.store.dtype, settings), np.empty(0, dtype=np.int64)
    positives = held.gather_truth(nothing, Alone())[1]
    found = compare_columns(lambda block: held.columns(block, nothing), samples, positives, Alone(), "logits")
    labels_s = time.process_time() - begin
    system += resource.getrusage(resource.RUSAGE_SELF).ru_stime
    cells = samples * NUM_LABELS
    return {
        "precision": precision,
        "samples": samples,
        "store_ns": store_s / cells * 1e9,
        "rows_ns": rows_s / cells * 1e9,
        "labels_ns": labels_s / cells * 1e9,
        "system_ns": system / cells * 1e9,
        "map_macro": float(np.nanmean(found.average_precision)),
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    }


def warm_up(precision: Precision, sets: LabelSets, settings: Settings) -> None:
    """Compile everything."""
    from manyhot.metrics.states import ExactState

    state = ExactState(kind=settings.kind, precision=precision)
    state.update(batch_logits(sets, 0), sets)
    state.compute()


def main() -> None:
    """Measure each precision in a process of its own, print, and write a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--precision", nargs="+", default=["float16", "float32"])
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(measure(arguments.child, arguments.samples)))
        return
    found = []
    for _ in range(arguments.runs):
        for precision in arguments.precision:
            command = [sys.executable, __file__, "--child", precision, "--samples", str(arguments.samples)]
            found.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
            print(json.dumps(found[-1]), flush=True)
    from labels_store import cpu_model

    RESULTS.mkdir(exist_ok=True)
    with (RESULTS / "metrics_streaming.jsonl").open("a") as file:
        file.write(json.dumps({"benchmark": "metrics_streaming", "cpu": cpu_model(), "runs": found}) + "\n")


if __name__ == "__main__":
    main()
