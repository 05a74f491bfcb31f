"""Converting data to a label store: rows a second and memory at 1M and 4M rows, each in a process of its own.

Five interleaved runs of each; medians with their spread. Memory is what belongs to the process alone, at its peak.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tables import cpu_model

SIZES, RUNS, NUM_NAMES = (1_000_000, 4_000_000), 5, 1_000
KINDS = ("csv", "jsonl", "parquet", "tencent.txt", "extreme.txt")


def write_tables(folder: Path, num_rows: int) -> None:
    """Write rows as CSV, JSON lines, Parquet, Tencent ML-Images and extreme-classification text."""
    rng = np.random.default_rng(0)
    lists = [[f"label{label}" for label in drawn] for drawn in rng.integers(0, NUM_NAMES, (1_000, 2)).tolist()]
    rows = [(f"{row:08}.jpg", lists[row % 1_000]) for row in range(num_rows)]
    with (folder / f"{num_rows}.csv").open("w", encoding="utf-8") as out:
        out.write("file,labels\n")
        out.writelines(f"{name},{labels[0]}|{labels[1]}\n" for name, labels in rows)
    with (folder / f"{num_rows}.jsonl").open("w", encoding="utf-8") as out:
        out.writelines(f'{{"file": "{name}", "labels": ["{a}", "{b}"]}}\n' for name, (a, b) in rows)
    pairs = [f"{a}:0.5 {b}:1" for a, b in rng.integers(0, NUM_NAMES, (1_000, 2)).tolist()]
    with (folder / f"{num_rows}.tencent.txt").open("w", encoding="utf-8") as out:
        out.writelines(f"http://x/{row:08}.jpg\t{pairs[row % 1_000]}\n" for row in range(num_rows))
    with (folder / f"{num_rows}.extreme.txt").open("w", encoding="utf-8") as out:
        out.write(f"{num_rows} 2 {NUM_NAMES}\n")
        out.writelines(f"{row % 1_000},{row % 999} 0:0.5 1:0.25\n" for row in range(num_rows))
    columns = {"file": [name for name, _ in rows], "labels": [labels for _, labels in rows]}
    pq.write_table(pa.table(columns), folder / f"{num_rows}.parquet")


def private_mb() -> float:
    """Return the memory that belongs to this process alone, which no file backs."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))


def measure(path: Path) -> dict[str, float]:
    """Return time and the peak of private memory of one conversion."""
    from manyhot.runs.converting import convert
    from manyhot.sources import SourceOptions

    peaks = [private_mb()]
    is_done = threading.Event()

    def watch() -> None:
        while not is_done.wait(0.01):
            peaks.append(private_mb())

    watcher = threading.Thread(target=watch)
    watcher.start()
    wall, cpu = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        convert([path], Path(folder, "store"), SourceOptions(pictures=False))
        figures = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    is_done.set()
    watcher.join()
    return figures | {"before_mb": peaks[0], "peak_mb": max(peaks)}


def main() -> None:
    """Print the figures, and all of them as a JSON line."""
    if len(sys.argv) > 1:
        print(json.dumps(measure(Path(sys.argv[1]))))
        return
    found: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            write_tables(Path(folder), size)
        for _ in range(RUNS):
            for name in [f"{size}.{kind}" for kind in KINDS for size in SIZES]:
                command = [sys.executable, __file__, str(Path(folder, name))]
                done = subprocess.run(command, capture_output=True, check=True)
                found.setdefault(name, []).append(json.loads(done.stdout))
    figures: dict[str, object] = {"claim": "convert in flat memory", "cpu": cpu_model(), "runs": RUNS}
    for name, runs in found.items():
        for key in runs[0]:
            values = [run[key] for run in runs]
            figures[f"{name}_{key}"] = [round(f(values), 2) for f in (statistics.median, min, max)]
        size = int(name.partition(".")[0])
        rate = size / statistics.median(run["cpu_s"] for run in runs)
        print(f"{name}: {rate:,.0f} rows a CPU second, {figures[f'{name}_peak_mb']} MB at the peak")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
