"""What a run asks of a label store of any size: fingerprint, splits, and writing them; growth from 1M to 12M samples.

Time of the CPU and by the clock, and the memory that is this process's own, each size in a process of its own.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from synthetic_labels import zipf_sets

from manyhot.config import SplitConfig
from manyhot.labels.building import write_store
from manyhot.labels.storage import batches_of
from manyhot.runs.splits import decide_splits, load_splits, save_splits
from manyhot.sources import SourceOptions, open_source

SIZES = (1_000_000, 4_000_000, 12_000_000)
NUM_LABELS = 11_166


def private_mb() -> float:
    """Return the memory that belongs to this process alone, which no file backs."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))


def write(folder: Path, num_samples: int) -> None:
    """Write a store of synthetic labels with references like those of a web collection."""
    labels = zipf_sets(num_samples, NUM_LABELS)
    numbers = pa.array(np.arange(num_samples)).cast(pa.string())
    absent = pa.nulls(num_samples, pa.string())
    samples = pa.table({"reference": numbers, "split": absent, "group": absent})
    write_store(folder, labels.space, batches_of(labels, samples))


def measure(folder: Path) -> dict[str, float]:
    """Return seconds of each step and the private memory after it."""
    figures: dict[str, float] = {}

    def step(name: str, wall: float, cpu: float) -> None:
        figures[f"{name}_wall_s"] = round(time.perf_counter() - wall, 3)
        figures[f"{name}_cpu_s"] = round(time.process_time() - cpu, 3)
        figures[f"{name}_mb"] = round(private_mb(), 1)

    clocks = time.perf_counter(), time.process_time()
    manifest = open_source(folder / "store", SourceOptions(pictures=False))
    step("open", *clocks)
    clocks = time.perf_counter(), time.process_time()
    _ = manifest.fingerprint
    step("fingerprint", *clocks)
    clocks = time.perf_counter(), time.process_time()
    splits = decide_splits(manifest, SplitConfig(), seed=0)
    step("splits", *clocks)
    clocks = time.perf_counter(), time.process_time()
    save_splits(splits, manifest, folder)
    _ = load_splits(folder).splits.rows("train")
    step("saving", *clocks)
    return figures


def main() -> None:
    """Print the figures of each size, and all of them as JSON lines."""
    if len(sys.argv) > 2:
        print(json.dumps(measure(Path(sys.argv[2]))))
        return
    sizes = [int(sys.argv[1])] if len(sys.argv) > 1 else SIZES
    for num_samples in sizes:
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder, "store"), num_samples)
            command = [sys.executable, __file__, "measure", folder]
            figures = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        print(json.dumps({"samples": num_samples, **figures}))


if __name__ == "__main__":
    main()
