"""200 paired bootstrap replicates of every figure of two models, on 5,000 samples × 11,000 labels; CPU time of one thread.

    python benchmarks/metrics_bootstrap.py                 the claim
    python benchmarks/metrics_bootstrap.py --samples 500   a quick look

There is no library to compare with that resamples these figures; the bound is 10 s.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np
from labels_store import cpu_model
from synthetic_labels import zipf_sets

from manyhot.labels import LabelSets
from manyhot.metrics import Bootstrap, compare

NUM_LABELS = 11_000
RESULTS = Path(__file__).parent / "results"


def model_logits(sets: LabelSets, seed: int, gain: float) -> np.ndarray:
    """Return random logits around −4, positives higher by `gain`."""
    logits = np.random.default_rng(seed).standard_normal((sets.num_samples, NUM_LABELS), dtype=np.float32) * 2 - 4
    logits[sets.positives.row_ids(), sets.positives.ids] += gain
    return logits


def main() -> None:
    """Measure, print and write a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=5000)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    sets = zipf_sets(arguments.samples, NUM_LABELS)
    first, second = model_logits(sets, 0, 4.0), model_logits(sets, 1, 3.8)
    few = range(300)
    compare(first[:300], second[:300], sets.take(few), kind="logits", intervals=Bootstrap(replicates=4))
    seconds: list[float] = []
    for _ in range(arguments.runs):
        start = time.process_time()
        found = compare(first, second, sets, kind="logits")
        seconds.append(time.process_time() - start)
        print(f"{seconds[-1]:.2f} s", found["map_macro"], found["map_micro"], flush=True)
    result = {
        "benchmark": "metrics_bootstrap",
        "cpu": cpu_model(),
        "samples": arguments.samples,
        "num_labels": NUM_LABELS,
        "figures": len(found),
        "cpu_s": sorted(seconds),
        "median_cpu_s": statistics.median(seconds),
        "map_macro": str(found["map_macro"]),
    }
    print(json.dumps(result))
    RESULTS.mkdir(exist_ok=True)
    with (RESULTS / "metrics_bootstrap.jsonl").open("a") as file:
        file.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
