"""12 million samples × 11 thousand labels: size, opening, memory, random rows, building, and how all of it grows.

    python benchmarks/labels_store.py                 1M, 4M and 12M rows; 10 minutes, 1.5 GB of disk
    python benchmarks/labels_store.py --rows 100000   a quick look

Labels follow a Zipf law. The baseline is what forums advise: a dictionary from name to a list of ids in a pickle, of which
each sample makes a row of zeros and ones. It is given fewer rows than the store (--baseline-rows), which favours it. Each
figure of ours is measured in a process of its own; baseline and store take turns in one.
"""

import argparse
import json
import os
import pickle
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manyhot.labels import Csr, LabelSets, LabelSpace
from manyhot.labels.arrow_rows import batch_from_arrow
from manyhot.labels.building import write_store
from manyhot.labels.dense_rows import DenseRows
from manyhot.labels.storage import StoreBatch, open_store

NUM_LABELS = 11_000
MEAN_DRAWN = 10.35  # before repeated labels of a row are merged; 9.6 remain
BATCH_ROWS = 250_000
TAKEN = 256
RUNS = 7
REPEATS = 200
RESULTS = Path(__file__).parent / "results"


def label_space() -> LabelSpace:
    """Return 11,000 names."""
    return LabelSpace(names=tuple(f"label {number}" for number in range(NUM_LABELS)))


def draw_rows(start: int, num_rows: int) -> tuple[Csr, pa.Table]:
    """Return labels by Zipf's law, and samples with names as long as real ones."""
    generator = np.random.default_rng(start)
    shares = np.cumsum(1 / np.arange(1, NUM_LABELS + 1))
    lengths = generator.poisson(MEAN_DRAWN, num_rows)
    ids = np.searchsorted(shares, generator.random(int(lengths.sum())) * shares[-1])
    rows = Csr.from_pairs(np.repeat(np.arange(num_rows), lengths), ids, num_rows)
    numbers = pc.utf8_lpad(pa.array(np.arange(start, start + num_rows)).cast(pa.string()), 8, "0")
    references = pc.binary_join_element_wise(pc.utf8_slice_codeunits(numbers, 0, 4), numbers, "/")
    absent = pa.nulls(num_rows, pa.string())
    return rows, pa.table({"reference": references, "split": absent, "group": absent})


class Stopwatch:
    """CPU and wall time of the process, without what happens in `paused`."""

    def __init__(self) -> None:
        self.cpu_s = self.wall_s = 0.0

    def lap(self, sign: int) -> None:
        """Start with -1, stop with 1."""
        self.cpu_s += sign * time.process_time()
        self.wall_s += sign * time.perf_counter()


def batches(num_rows: int, form: str, watch: Stopwatch) -> Iterator[StoreBatch]:
    """Yield batches; drawing them is not timed, checking them is."""
    space = label_space()
    for start in range(0, num_rows, BATCH_ROWS):
        watch.lap(1)
        rows, samples = draw_rows(start, min(BATCH_ROWS, num_rows - start))
        if form == "arrow":
            lists = pa.ListArray.from_arrays(pa.array(rows.indptr.astype(np.int32)), pa.array(rows.ids))
            samples = samples.append_column("labels", lists)
        watch.lap(-1)
        if form == "arrow":
            yield batch_from_arrow(samples, space)
        else:
            yield StoreBatch(labels=LabelSets(space=space, positives=rows), samples=samples)


def build(folder: str, rows: str, form: str) -> dict[str, float]:
    """Write a store; figures are of this process."""
    watch = Stopwatch()
    space = label_space()
    watch.lap(-1)
    write_store(Path(folder), space, batches(int(rows), form, watch))
    watch.lap(1)
    rate = int(rows) / watch.cpu_s
    return {"cpu_s": watch.cpu_s, "wall_s": watch.wall_s, "rows_per_cpu_s": rate, "peak_mb": peak_mb()}


def opening(folder: str) -> dict[str, float]:
    """Open a store several times."""
    times: list[float] = []
    cpu = time.process_time()
    for _ in range(RUNS):
        start = time.perf_counter()
        open_store(Path(folder))
        times.append((time.perf_counter() - start) * 1000)
    cpu_ms = (time.process_time() - cpu) / RUNS * 1000
    return {"first_ms": times[0], "median_ms": statistics.median(times), "max_ms": max(times), "cpu_ms": cpu_ms}


def memory() -> dict[str, float]:
    """Return this process's memory in MiB, by kind."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
    kib = {line.split()[0].rstrip(":"): int(line.split()[1]) for line in lines}
    return {name: kib[name] / 1024 for name in ("Private_Dirty", "Private_Clean", "Anonymous", "Pss", "Rss")}


def peak_mb() -> float:
    """Return the most memory that this process ever had, mapped files included.

    Not getrusage: a child inherits its parent's.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def reader(folder: str, seed: str) -> None:
    """One of several processes that read the same store; private memory beyond what it had after its imports."""
    before = memory()
    generator = np.random.default_rng(int(seed))
    store = open_store(Path(folder))
    dense = DenseRows(store.labels, TAKEN)
    for _ in range(REPEATS):
        rows = generator.integers(0, store.num_samples, TAKEN)
        store.labels.take(rows)
        dense.take(rows)
    print("ready", flush=True)
    sys.stdin.readline()
    after = memory()
    print(json.dumps({name: after[name] - before[name] for name in after}), flush=True)
    sys.stdin.readline()


def reading_processes(folder: Path, count: int) -> list[dict[str, float]]:
    """Return what each of several processes that read at the same time holds for itself."""
    command = [sys.executable, __file__, "--child", "reader", str(folder)]
    children = [
        subprocess.Popen([*command, str(seed)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for seed in range(count)
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    # All of them have the store open until each has measured itself.
    for child in children:
        assert child.stdin is not None
        child.stdin.write("measure\n")
        child.stdin.flush()
    measured = [json.loads(child.stdout.readline()) for child in children if child.stdout is not None]
    for child in children:
        child.communicate("end\n")
    return measured


def timed(work: Callable[[np.ndarray], object], rows: list[np.ndarray]) -> tuple[float, float]:
    """Return wall and CPU milliseconds a call."""
    wall, cpu = time.perf_counter(), time.thread_time()
    for some in rows:
        work(some)
    return (time.perf_counter() - wall) / len(rows) * 1000, (time.thread_time() - cpu) / len(rows) * 1000


def random_rows(folder: str, baseline_rows: str) -> dict[str, object]:
    """Time the dictionary and the store in turns, on random rows of each."""
    store = open_store(Path(folder))
    num_kept = min(int(baseline_rows), store.num_samples)
    before = memory()["Anonymous"]
    names = store.samples["reference"][:num_kept].to_pylist()
    labels = store.labels.positives
    table = {name: labels.row(row).tolist() for row, name in enumerate(names)}
    pickled = Path(folder).with_suffix(".pickle")
    pickled.write_bytes(pickle.dumps(table))
    del table
    start = time.perf_counter()
    table = pickle.loads(pickled.read_bytes())
    load_s = time.perf_counter() - start
    held = memory()["Anonymous"] - before
    pickled.unlink()

    def dictionary_csr(rows: np.ndarray) -> object:
        lists = [table[names[row]] for row in rows.tolist()]
        offsets = np.cumsum([0, *map(len, lists)])
        return offsets, np.fromiter(chain.from_iterable(lists), np.int64, int(offsets[-1]))

    def dictionary_dense(rows: np.ndarray) -> object:
        dense = []
        for row in rows.tolist():
            one = np.zeros(NUM_LABELS, dtype=np.float32)
            one[table[names[row]]] = 1
            dense.append(one)
        return np.stack(dense)

    buffer = DenseRows(store.labels, TAKEN)
    ways = {
        "dictionary_csr": (dictionary_csr, num_kept),
        "store_csr": (store.labels.take, store.num_samples),
        "dictionary_dense": (dictionary_dense, num_kept),
        "store_dense": (buffer.take, store.num_samples),
    }
    generator = np.random.default_rng(0)
    times: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    for run in range(RUNS + 1):
        for way, (work, num_rows) in ways.items():
            taken = timed(work, list(generator.integers(0, num_rows, (REPEATS, TAKEN))))
            # The first run reads pages from the disk for both.
            if run:
                times[way].append(taken)
    wall, cpu = ({way: sorted(pair[kind] for pair in pairs) for way, pairs in times.items()} for kind in (0, 1))
    median = {way: statistics.median(values) for way, values in cpu.items()}
    return {
        "cpu_ms": median,
        "cpu_spread_ms": {way: [values[0], values[-1]] for way, values in cpu.items()},
        "wall_ms": {way: statistics.median(values) for way, values in wall.items()},
        "csr_ratio": median["dictionary_csr"] / median["store_csr"],
        "dense_ratio": median["dictionary_dense"] / median["store_dense"],
        "baseline_rows": num_kept,
        "pickle_load_s": load_s,
        "pickle_private_mb": held,
    }


def in_child(name: str, *arguments: object) -> dict[str, object]:
    """Return the figures of a process of its own."""
    command = [sys.executable, __file__, "--child", name, *map(str, arguments)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def labels_mb(folder: Path) -> float:
    """Return the size of the labels on disk."""
    return sum((folder / name).stat().st_size for name in ("indptr.npy", "ids.npy")) / 1e6


def cpu_model() -> str:
    """Return the name of the CPU."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())


def report(sizes: list[int], baseline_rows: int, parent: Path) -> dict[str, object]:
    """Measure everything at each size."""
    growth = []
    for rows in sizes:
        folder = parent / f"store-{rows}"
        entry: dict[str, object] = {"rows": rows, "build": in_child("build", folder, rows, "csr")}
        entry |= {"labels_mb": labels_mb(folder), "positives": len(np.load(folder / "ids.npy", mmap_mode="r"))}
        entry |= {"samples_mb": (folder / "samples.arrow").stat().st_size / 1e6, "opening": in_child("opening", folder)}
        entry["random_rows"] = in_child("random_rows", folder, min(rows, baseline_rows))
        growth.append(entry)
        print(json.dumps(entry, indent=2), flush=True)
    largest = parent / f"store-{sizes[-1]}"
    arrow = in_child("build", parent / "arrow", sizes[0], "arrow")
    return {
        "benchmark": "labels_store",
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "num_labels": NUM_LABELS,
        "growth": growth,
        "build_from_arrow": {"rows": sizes[0]} | arrow,
        "four_processes_mb": reading_processes(largest, 4),
    }


CHILDREN: dict[str, Callable[..., object]] = {
    "build": build,
    "opening": opening,
    "reader": reader,
    "random_rows": random_rows,
}


def main() -> None:
    """Measure, print and write a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 4_000_000, 12_000_000])
    parser.add_argument("--baseline-rows", type=int, default=2_000_000)
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        name, *rest = arguments.child
        figures = CHILDREN[name](*rest)
        if figures is not None:
            print(json.dumps(figures))
        return
    parent = Path(tempfile.mkdtemp(prefix="manyhot-benchmark-"))
    try:
        result = report(arguments.rows, arguments.baseline_rows, parent)
    finally:
        shutil.rmtree(parent)
    print(json.dumps(result, indent=2))
    RESULTS.mkdir(exist_ok=True)
    with (RESULTS / "labels_store.jsonl").open("a") as file:
        file.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
