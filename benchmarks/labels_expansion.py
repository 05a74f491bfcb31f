"""17.6 million rows over the 11,166 labels of a real hierarchy: positives expanded to ancestors, from store to store.

    python benchmarks/labels_expansion.py --data ../shared/data                a minute, 2 GB of disk
    python benchmarks/labels_expansion.py --data ../shared/data --rows 100000  a quick look

The labels and their parents are those of Tencent ML-Images; which of them a row has is drawn by Zipf's law, four a row.
The store is read by memory map and written in a stream, in a process of its own. Memory of its own is what no file backs
(anonymous, sampled after each block); the peak of all counts the mapped pages too. The baseline expands the first rows with
Python's sets, in turns with ours.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from labels_store import cpu_model, memory, peak_mb

from manyhot.labels import Csr, Hierarchy, LabelSets, LabelSpace, expand_positives
from manyhot.labels.building import write_store
from manyhot.labels.expansion import expand_batches
from manyhot.labels.storage import StoreBatch, open_store
from manyhot.sources.tencent_dictionary import read_dictionary

NUM_ROWS, BATCH_ROWS, MEAN_DRAWN = 17_600_000, 250_000, 4
COMPARED_ROWS, RUNS = 100_000, 5
RESULTS = Path(__file__).parent / "results"


def drawn(space: LabelSpace, num_rows: int) -> Iterator[StoreBatch]:
    """Yield rows of labels by Zipf's law, whose order has nothing to do with that of the hierarchy."""
    shares = np.cumsum(1 / np.arange(1, len(space) + 1))
    by_rank = np.random.default_rng(0).permutation(len(space))
    for start in range(0, num_rows, BATCH_ROWS):
        generator = np.random.default_rng(start + 1)
        lengths = generator.poisson(MEAN_DRAWN, min(BATCH_ROWS, num_rows - start))
        ids = by_rank[np.searchsorted(shares, generator.random(int(lengths.sum())) * shares[-1])]
        rows = Csr.from_pairs(np.repeat(np.arange(len(lengths)), lengths), ids, len(lengths))
        yield StoreBatch(labels=LabelSets(space=space, positives=rows))


def expand(source: str, target: str) -> dict[str, float]:
    """Expand a store into another; figures are of this process."""
    before = memory()["Anonymous"]
    highest = before
    store = open_store(Path(source))
    hierarchy = Hierarchy.of(store.labels.space)
    # The first call reads what was compiled.
    expand_positives(hierarchy, store.labels.take([0]))

    def look(rows: int) -> None:
        del rows
        nonlocal highest
        highest = max(highest, memory()["Anonymous"])

    wall, cpu = time.perf_counter(), time.process_time()
    write_store(Path(target), store.labels.space, expand_batches(hierarchy, store.blocks()), progress=look)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {
        "wall_s": round(wall, 2),
        "cpu_s": round(cpu, 2),
        "own_mb": round(highest - before),
        "peak_with_mapped_mb": round(peak_mb()),
        "positives_before": store.labels.positives.size,
        "positives_after": open_store(Path(target)).labels.positives.size,
    }


def comparison(sets: LabelSets, hierarchy: Hierarchy) -> dict[str, object]:
    """Return CPU seconds of Python's sets and of ours, in turns, on the same rows."""
    above = [{label, *hierarchy.ancestors.row(label).tolist()} for label in range(len(hierarchy.space))]
    rows = [sets.positives.row(row).tolist() for row in range(sets.num_samples)]
    times: dict[str, list[float]] = {"sets": [], "ours": []}
    for _ in range(RUNS):
        start = time.process_time()
        expected = [sorted(set().union(*(above[label] for label in row))) for row in rows]
        times["sets"].append(time.process_time() - start)
        start = time.process_time()
        found = expand_positives(hierarchy, sets)
        times["ours"].append(time.process_time() - start)
    assert [found.positives.row(row).tolist() for row in range(sets.num_samples)] == expected
    median = {name: statistics.median(values) for name, values in times.items()}
    return {
        "rows": sets.num_samples,
        "median_cpu_s": median,
        "spread_cpu_s": {name: [min(values), max(values)] for name, values in times.items()},
        "ratio": round(median["sets"] / median["ours"], 1),
    }


def main() -> None:
    """Measure, print and append a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the folder of the real data")
    parser.add_argument("--rows", type=int, default=NUM_ROWS)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(expand(*options.child)))
        return
    space = read_dictionary(options.data / "label_spaces" / "dictionary_and_semantic_hierarchy.txt").space
    parent = Path(tempfile.mkdtemp(prefix="manyhot-benchmark-"))
    try:
        write_store(parent / "drawn", space, drawn(space, options.rows))
        command = [sys.executable, __file__, "--child", str(parent / "drawn"), str(parent / "expanded")]
        figures = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        some = open_store(parent / "drawn").labels.take(np.arange(min(COMPARED_ROWS, options.rows)))
        compared = comparison(some, Hierarchy.of(space))
    finally:
        shutil.rmtree(parent)
    result = {"benchmark": "labels_expansion", "cpu": cpu_model(), "rows": options.rows, "labels": len(space)}
    line = json.dumps(result | figures | {"against_sets": compared})
    print(line)
    with (RESULTS / "labels_expansion.jsonl").open("a", encoding="utf-8") as file:
        file.write(line + "\n")


if __name__ == "__main__":
    main()
