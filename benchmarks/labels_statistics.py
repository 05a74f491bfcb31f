"""Counts in at most 1 s, and co-occurrence in at most 10 s and 1 GB, at 12M × 11K labels; run once, with growth.

python benchmarks/labels_statistics.py [--rows 1000000 4000000 12000000] [--out FILE.jsonl]
"""

import argparse
import json
import resource
import time
from pathlib import Path

from labels_splits import cpu_model
from synthetic_labels import zipf_sets

from manyhot.labels import count_cells
from manyhot.labels.cooccurrence import count_pairs

NUM_LABELS = 11_000


def measured(rows: int) -> dict[str, object]:
    """Return wall and CPU seconds of both, and the memory of the pairs beyond the data."""
    sets = zipf_sets(rows, NUM_LABELS)
    figures: dict[str, object] = {"rows": rows, "labels": NUM_LABELS, "positives": sets.positives.size}
    for name, function in (("counts", count_cells), ("pairs", count_pairs)):
        wall, cpu = time.perf_counter(), time.process_time()
        result = function(sets)
        figures |= {f"{name}_wall_s": time.perf_counter() - wall, f"{name}_cpu_s": time.process_time() - cpu}
        if name == "pairs":
            figures["pairs_mb"] = result.triangle.nbytes // 10**6
    figures["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return figures


def main() -> None:
    """Measure, print and append a JSON line for each number of rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 4_000_000, 12_000_000])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    # The first call compiles, or reads what was compiled.
    count_pairs(zipf_sets(1_000, NUM_LABELS))
    for rows in options.rows:
        line = json.dumps({"cpu": cpu_model(), **measured(rows)})
        print(line, flush=True)
        if options.out is not None:
            with options.out.open("a", encoding="utf-8") as file:
                file.write(line + "\n")


if __name__ == "__main__":
    main()
