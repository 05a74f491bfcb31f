"""Counts in at most 1 s, and co-occurrence in at most 10 s and 1 GB, at 12M × 11K labels; with growth.

    python benchmarks/labels_statistics.py [--rows 1000000 4000000 12000000] [--out FILE.jsonl]

Labels are memory-mapped, as those of a store are, and counted in a process of its own, five times each in turns. Memory of
its own is what no file backs (anonymous, sampled after each block); the peak of all counts the mapped pages, Python and
the imports too. The baseline of co-occurrence is SciPy's sparse product of the transposed labels with themselves, given the
first rows, in turns with ours.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.sparse
from labels_store import cpu_model, memory, peak_mb
from synthetic_labels import zipf_sets

from manyhot.labels import Csr, LabelSets, LabelSource, LabelSpace, count_cells
from manyhot.labels.cooccurrence import count_pairs

NUM_LABELS, RUNS, COMPARED_ROWS = 11_000, 5, 250_000


def mapped(folder: Path) -> LabelSets:
    """Return the labels of a folder, by memory map."""
    rows = Csr(*(np.load(folder / name, mmap_mode="r") for name in ("indptr.npy", "ids.npy")), unread=folder)
    return LabelSets.unchecked(
        space=LabelSpace(names=tuple(f"label {label}" for label in range(NUM_LABELS))),
        positives=rows,
        exceptions=None,
        sources=(LabelSource(),),
        source_ids=None,
        confidence=None,
    )


def in_child(script: str, rows: int, *, seed: int = 0) -> dict[str, object]:
    """Return what a script's process of its own measures with `--child FOLDER`, where the labels of random rows lie."""
    with tempfile.TemporaryDirectory(prefix="manyhot-benchmark-") as folder:
        positives = zipf_sets(rows, NUM_LABELS, seed=seed).positives
        np.save(Path(folder, "indptr.npy"), positives.indptr)
        np.save(Path(folder, "ids.npy"), positives.ids)
        command = [sys.executable, script, "--seeds", str(seed), "--child", folder]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def in_turns(works: dict[str, Callable[[], object]]) -> dict[str, dict[str, float]]:
    """Return median, least and most wall and CPU seconds of each."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for _ in range(RUNS):
        for name, work in works.items():
            wall, cpu = time.perf_counter(), time.process_time()
            work()
            times[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    figures: dict[str, dict[str, float]] = {}
    for name, pairs in times.items():
        wall, cpu = (sorted(pair[kind] for pair in pairs) for kind in (0, 1))
        figures[name] = {"wall_s": statistics.median(wall), "cpu_s": statistics.median(cpu)}
        figures[name] |= {"least_wall_s": wall[0], "most_wall_s": wall[-1]}
    return {name: {key: round(value, 4) for key, value in entry.items()} for name, entry in figures.items()}


def measured(folder: Path) -> dict[str, object]:
    """Return the seconds of both, and the memory of the pairs."""
    sets = mapped(folder)
    # The first call reads what was compiled.
    count_pairs(sets.take([0]))
    before = memory()["Anonymous"]
    highest = 0.0

    def look(done: int, total: int) -> None:
        del done, total
        nonlocal highest
        highest = max(highest, memory()["Anonymous"])

    count_pairs(sets, progress=look)
    figures = in_turns({"counts": lambda: count_cells(sets), "pairs": lambda: count_pairs(sets)})
    return {
        "positives": sets.positives.size,
        **figures,
        "pairs_own_mb": round(highest - before),
        "peak_with_mapped_mb": round(peak_mb()),
    }


def against_scipy(sets: LabelSets) -> dict[str, object]:
    """Return the seconds of ours and of SciPy's product on the same rows, in turns."""
    rows = sets.positives
    shape = (sets.num_samples, sets.num_labels)
    matrix = scipy.sparse.csr_array((np.ones(rows.size, np.int32), rows.ids.astype(np.int32), rows.indptr), shape=shape)
    figures = in_turns({"pairs": lambda: count_pairs(sets), "scipy": lambda: matrix.T.tocsr() @ matrix})
    product = (matrix.T.tocsr() @ matrix).toarray()
    assert np.array_equal(count_pairs(sets).to_dense(), product)
    ratio = round(figures["scipy"]["cpu_s"] / figures["pairs"]["cpu_s"], 1)
    return {"rows": sets.num_samples, "ratio_cpu": ratio, **figures}


def main() -> None:
    """Measure, print and append a JSON line for each number of rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="*", default=[1_000_000, 4_000_000, 12_000_000])
    parser.add_argument("--compared-rows", type=int, default=COMPARED_ROWS, help="0 leaves SciPy out")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--seeds", help=argparse.SUPPRESS)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        print(json.dumps(measured(options.child)))
        return
    lines: list[dict[str, object]] = []
    for rows in options.rows:
        figures = in_child(__file__, rows)
        lines.append({"what": "counts and co-occurrence", "rows": rows, "labels": NUM_LABELS, **figures})
    if options.compared_rows:
        compared = against_scipy(zipf_sets(options.compared_rows, NUM_LABELS))
        lines.append({"what": "co-occurrence against scipy.sparse", "labels": NUM_LABELS, **compared})
    for figures in lines:
        line = json.dumps({"cpu": cpu_model(), **figures})
        print(line, flush=True)
        if options.out is not None:
            with options.out.open("a", encoding="utf-8") as file:
                file.write(line + "\n")


if __name__ == "__main__":
    main()
