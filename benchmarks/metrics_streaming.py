"""Exact evaluation batch by batch: the CPU time and memory of each mode, against all at once.

    python benchmarks/metrics_streaming.py --samples 100000     100,000 × 11,000, scores in a file: 4.4 GB of disk
    python benchmarks/metrics_streaming.py --samples 5000       a quick look

Prints for each precision the nanoseconds of CPU time a cell takes: to keep it (`store`), to judge the rows (`rows`, at the
update), and to compare the samples of every label (`labels`: AP, AUROC, calibration, pooled figures), with the memory at its
highest, and how much of all this the system takes (`system`: the file). `alone` reads the file once more for average
precision and AUROC of each label and nothing else; it is no part of the others. Logits are random around −4, positives 4
higher; batches hold 512 samples.
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
from manyhot.metrics.coarse_tally import CountedBlock
from manyhot.metrics.column_pass import compare_columns, label_blocks, rank_block
from manyhot.metrics.curves import auroc, average_precision
from manyhot.metrics.exchange import Alone
from manyhot.metrics.held import Held, Kept, Segment
from manyhot.metrics.parted_block import FirstBits, PartedBlock
from manyhot.metrics.positive_keys import PositiveKeys, ranks_of_counts
from manyhot.metrics.spilling import Spill
from manyhot.metrics.stores import Precision, ScoreStore, encode, rounded

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
    found = compare_columns(Kept(held, nothing), samples, positives, Alone(), "logits")
    labels_s = time.process_time() - begin
    system += resource.getrusage(resource.RUSAGE_SELF).ru_stime
    begin = time.process_time()
    alone = rank_alone(Kept(held, nothing), samples, positives)
    alone_s = time.process_time() - begin
    assert np.array_equal(alone, found.average_precision, equal_nan=True)
    cells = samples * NUM_LABELS
    return {
        "precision": precision,
        "samples": samples,
        "store_ns": store_s / cells * 1e9,
        "rows_ns": rows_s / cells * 1e9,
        "labels_ns": labels_s / cells * 1e9,
        "alone_ns": alone_s / cells * 1e9,
        "system_ns": system / cells * 1e9,
        "map_macro": float(np.nanmean(found.average_precision)),
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    }


def rank_alone(source: Kept, samples: int, positives: PositiveKeys) -> np.ndarray:
    """Return the average precision of each label; its AUROC is worked out as well."""
    distinct = positives.distinct()
    counts = np.zeros((2, len(distinct.keys)), dtype=np.int64)
    bits, lasts = (
        FirstBits(np.union1d([0], np.flatnonzero(source.first_bits())), "logits"),
        np.empty(0, dtype=np.uint16),
    )
    room, pooled = np.empty((64, 1 << 16), dtype=np.uint32), np.zeros(1 << 16, dtype=np.int64)
    for labels in label_blocks(NUM_LABELS, samples):
        keys = source.columns(labels)
        if keys.dtype == np.uint32:
            lasts = lasts if len(lasts) >= keys.size else np.empty(keys.size, dtype=np.uint16)
            block = PartedBlock(keys, bits, lasts[: keys.size])
        else:
            block = CountedBlock(keys, room[: len(keys)], pooled, pooled)
        counts[:, distinct.offsets[labels.start] : distinct.offsets[labels.stop]] = rank_block(block, distinct, labels)
    ranks = ranks_of_counts(positives, distinct, counts[0], counts[1])
    auroc(ranks)
    return average_precision(ranks)


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
