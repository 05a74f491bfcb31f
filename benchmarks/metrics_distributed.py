"""Bytes that ranks send each other for an exact evaluation, against gathering the scores.

    python benchmarks/metrics_distributed.py

Two real ranks on this machine evaluate a few thousand samples × 11,000 labels; `Ranks` counts what the first one is sent.
`sent_bytes` adds up the same from the sizes of what travels, which the two runs confirm, and then gives it for 1,000,000
samples, where nothing is run.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from labels_store import cpu_model
from metrics_bootstrap import NUM_LABELS, RESULTS, model_logits
from synthetic_labels import zipf_sets
from torch import distributed

from manyhot.labels import LabelSets
from manyhot.metrics import ExactState, Ranks
from manyhot.metrics.calibration import MIN_POSITIVES

BATCH = 500
GOAL = 1_000_000


def sent_bytes(sets: LabelSets, samples: int, ranks: int, *, is_large: bool) -> float:
    """Return the bytes that each rank is sent at so many samples, in the proportions of `sets`; none of the scores tie.

    Args:
        sets: Gives the positives of a sample and the bytes of an id.
        samples: Of all ranks.
        ranks: How many.
        is_large: Whether more than 127 cells have the same score, whose counts travel as 32 bits then.
    """
    positives = len(sets.positives.ids) / sets.num_samples * samples
    identity, offset, source, key = 24, 8, 8, 4
    gathered = samples * (identity + offset + source) + positives * (sets.positives.ids.dtype.itemsize + key)
    # Of each label three times four counts, and its name; sums of all rows.
    whole = ranks * (NUM_LABELS * 12 * 8 + sum(len(name) + 3 for name in sets.space.names) + 20_000)
    counts = np.bincount(sets.positives.ids, minlength=NUM_LABELS)
    # Bins are sought for labels with so many positives: 33 rounds of halving, then their sums.
    judged = int((counts / sets.num_samples * samples >= MIN_POSITIVES).sum())
    edges = judged * (33 * 14 * 4 + 15 * 8)
    ranked = positives * (4 + 1) + positives * (4 + (4 if is_large else 1))
    pooled = (1 << 16) * (4 + 8 + 14 * (4 if is_large else 1))
    return (gathered + whole) * (ranks - 1) / ranks + (edges + ranked + pooled) * 2 * (ranks - 1) / ranks


def gathered_scores(samples: int, ranks: int) -> float:
    """Return the bytes that each rank is sent when scores are gathered as float32, without the labels."""
    return samples * NUM_LABELS * 4 * (ranks - 1) / ranks


def run_rank(folder: str, rank: int, ranks: int, samples: int) -> None:
    """Evaluate this rank's part, and print what it was sent."""
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=ranks)
    sets = zipf_sets(samples, NUM_LABELS)
    state, exchange = ExactState(kind="logits"), Ranks()
    own = np.arange(samples)[rank::ranks]
    for rows in np.array_split(own, -(-len(own) // BATCH)):
        batch = sets.take(rows)
        state.update(model_logits(batch, int(rows[0]), 4.0), batch, sample_ids=rows)
    state.compute(exchange)
    if rank == 0:
        print(exchange.bytes_received)
    distributed.destroy_process_group()


def counted(samples: int, ranks: int) -> int:
    """Return what the first of real ranks was sent."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--samples", str(samples), "--child", folder]
        environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
        running = [
            subprocess.Popen([*command, str(rank), str(ranks)], stdout=subprocess.PIPE, text=True, env=environment)
            for rank in range(ranks)
        ]
        outputs = [process.communicate()[0] for process in running]
    return int(outputs[0].split()[-1])


def main() -> None:
    """Count, add up, print and write a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, nargs="+", default=[1000, 2000])
    parser.add_argument("--child", nargs=3, metavar=("FOLDER", "RANK", "RANKS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        run_rank(arguments.child[0], int(arguments.child[1]), int(arguments.child[2]), arguments.samples[0])
        return
    small, found = [], []
    for samples in arguments.samples:
        expected = sent_bytes(zipf_sets(samples, NUM_LABELS), samples, 2, is_large=False)
        small.append({"samples": samples, "ranks": 2, "counted": counted(samples, 2), "added_up": expected})
        print(json.dumps(small[-1]), flush=True)
    sets = zipf_sets(20_000, NUM_LABELS)
    for ranks in (2, 4, 8):
        sent, scores = sent_bytes(sets, GOAL, ranks, is_large=True), gathered_scores(GOAL, ranks)
        found.append({"ranks": ranks, "sent_mb": sent / 1e6, "scores_mb": scores / 1e6, "ratio": scores / sent})
        print(json.dumps(found[-1]), flush=True)
    result = {"benchmark": "metrics_distributed", "cpu": cpu_model(), "counted": small, "at_1m": found}
    with (Path(RESULTS) / "metrics_distributed.jsonl").open("a") as file:
        file.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
