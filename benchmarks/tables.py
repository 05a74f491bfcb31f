"""Reading tables: rows a second of lists of labels in CSV, Parquet and JSON lines; 20 rows of 100,000 label columns.

Five interleaved runs of each; medians with their spread, in wall and CPU time. The pictures are not looked for.
"""

import json
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from manyhot.sources import SourceOptions, open_source

NUM_ROWS, NUM_NAMES, RUNS = 1_000_000, 1_000, 5
WIDE_ROWS, WIDE_LABELS = 20, 100_000
OPTIONS = SourceOptions(pictures=False)


def cpu_model() -> str:
    """Return the processor's name."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


def write_tables(folder: Path) -> dict[str, Path]:
    """Write the same rows in every format, and one wide table."""
    random.seed(0)
    names = [f"label{number}" for number in range(NUM_NAMES)]
    files = [f"{number:07}.jpg" for number in range(NUM_ROWS)]
    rows = [random.sample(names, number % 5) for number in range(NUM_ROWS)]
    paths = {kind: folder / f"table.{kind}" for kind in ("csv", "parquet", "jsonl")}
    with paths["csv"].open("w", encoding="utf-8") as out:
        out.write("file,labels\n")
        out.writelines(f"{file},{'|'.join(labels)}\n" for file, labels in zip(files, rows, strict=True))
    with paths["jsonl"].open("w", encoding="utf-8") as out:
        out.writelines(
            json.dumps({"file": file, "labels": labels}) + "\n" for file, labels in zip(files, rows, strict=True)
        )
    pq.write_table(pa.table({"file": files, "labels": rows}), paths["parquet"])
    paths["wide"] = folder / "wide.csv"
    with paths["wide"].open("w", encoding="utf-8") as out:
        out.write(f"file,{','.join(f'label{number}' for number in range(WIDE_LABELS))}\n")
        for row in range(WIDE_ROWS):
            out.write(f"{row}.jpg,{','.join(random.choices('01', k=WIDE_LABELS))}\n")
    return paths


def timed(call: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds of a call, by the clock and of the CPU."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    """Print the figures, and all of them as a JSON line."""
    found: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        paths = write_tables(Path(folder))
        for _ in range(RUNS):
            for kind, path in paths.items():
                found.setdefault(kind, []).append(timed(lambda path=path: open_source(path, OPTIONS)))
    figures: dict[str, object] = {"cpu": cpu_model(), "rows": NUM_ROWS, "runs": RUNS}
    for kind, times in found.items():
        for clock, seconds in zip(("wall_s", "cpu_s"), zip(*times, strict=True), strict=True):
            figures[f"{kind}_{clock}"] = [
                round(statistics.median(seconds), 3),
                round(min(seconds), 3),
                round(max(seconds), 3),
            ]
        median = statistics.median(cpu for _, cpu in times)
        rate = "" if kind == "wide" else f", {NUM_ROWS / median:,.0f} rows a CPU second"
        print(f"{kind}: median {median:.2f} s of CPU{rate}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
