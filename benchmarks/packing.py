"""Packing against its ceiling: decode, resize and encode the same pictures in as many threads, and write nothing.

python benchmarks/packing.py [--data DATA] [--threads 2] [--runs 5]

Without data, 500 × 375 JPEGs of random smooth shapes are made. Runs alternate; medians and the ratio are printed, and a
JSON line goes into benchmarks/results/packing.jsonl.
"""

import argparse
import json
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import simplejpeg
from labels_store import cpu_model

from manyhot.data.packing import pack_picture
from manyhot.runs.packing import pack
from manyhot.sources import open_source
from manyhot.sources.pack_files import PackSettings

RESULTS = Path(__file__).parent / "results" / "packing.jsonl"
SETTINGS = PackSettings(short_side=256, shard_bytes=64 * 2**20)


def make_pictures(folder: Path, count: int) -> None:
    """Write smooth random pictures of 500 × 375, of about 50 kB each, and their labels."""
    rows = ["image,labels"]
    for number in range(count):
        generator = np.random.default_rng(number)
        small = generator.integers(0, 256, (38, 50, 3), dtype=np.uint8)
        pixels = cv2.resize(small, (500, 375), interpolation=cv2.INTER_CUBIC)
        noise = generator.integers(0, 16, pixels.shape, dtype=np.uint8)
        noisy = np.clip(pixels, 0, 239) + noise
        content = simplejpeg.encode_jpeg(noisy, quality=90, colorsubsampling="420")
        (folder / f"{number}.jpg").write_bytes(content)
        rows.append(f"{number}.jpg,{'cat' if number % 3 else 'dog'}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")


def ceiling(paths: list[Path], threads: int) -> tuple[float, float]:
    """Return the seconds, and those of the CPU, that decoding, resizing and encoding take without writing."""
    start, cpu = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(threads) as pool:
        shares = [paths[index::threads] for index in range(threads)]
        list(pool.map(lambda share: [pack_picture(path.read_bytes(), SETTINGS) for path in share], shares))
    return time.perf_counter() - start, time.process_time() - cpu


def packing(data: Path, threads: int) -> tuple[float, float]:
    """Return the seconds, and those of the CPU, of a whole pack: labels, index and flushing to the disk included."""
    with tempfile.TemporaryDirectory(dir=data.parent) as folder:
        start, cpu = time.perf_counter(), time.process_time()
        pack(data, Path(folder, "pack"), SETTINGS, workers=threads)
        return time.perf_counter() - start, time.process_time() - cpu


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path)
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=5)
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = flags.data or Path(folder, "data")
        if flags.data is None:
            data.mkdir()
            make_pictures(data, flags.pictures)
        manifest = open_source(data)
        paths = [manifest.path_of(row) for row in range(manifest.num_samples)]
        ceiling(paths[:64], flags.threads)
        runs: dict[str, list[tuple[float, float]]] = {"ceiling": [], "pack": []}
        for _ in range(flags.runs):
            runs["ceiling"].append(ceiling(paths, flags.threads))
            runs["pack"].append(packing(data, flags.threads))
    seconds = {name: [wall for wall, _ in values] for name, values in runs.items()}
    cpu_seconds = {name: [cpu for _, cpu in values] for name, values in runs.items()}
    shares = [
        statistics.median(times["ceiling"]) / statistics.median(times["pack"]) for times in (seconds, cpu_seconds)
    ]
    report = {
        "benchmark": "packing",
        "cpu": cpu_model(),
        "threads": flags.threads,
        "pictures": len(paths),
        "wall_s": seconds,
        "cpu_s": cpu_seconds,
        "share_of_ceiling": shares[0],
        "share_of_ceiling_cpu": shares[1],
    }
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(report) + "\n")
    for name, values in seconds.items():
        median = statistics.median(values)
        cpu = statistics.median(cpu_seconds[name])
        print(
            f"{name:8} {median:.2f} s ({min(values):.2f}–{max(values):.2f}), {len(paths) / median:,.0f} images/s, CPU {cpu:.2f} s"
        )
    print(f"share of the ceiling: {shares[0]:.3f}, in CPU time {shares[1]:.3f}")


if __name__ == "__main__":
    main()
