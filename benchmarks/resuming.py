"""How soon a loader of 12 million samples gives its first batch after a resume, in each order of an epoch.

    uv run python benchmarks/resuming.py --photos FOLDER

The samples name the same photos over and over. A fresh loader, made as for any run, is given the state that stood in the middle of
an epoch; the clock runs from there to the first batch of 256 pictures at 224 pixels, decoded by two threads.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
from loading import RESULTS, cpu_model

from manyhot.data.augmentation import TrainingTransform
from manyhot.data.loading import ImageLoader
from manyhot.data.sampling import Order, Repeated, Shuffled, Windowed
from manyhot.labels import Csr, LabelSets, LabelSpace
from manyhot.sources.manifest import SAMPLES_SCHEMA, Manifest

NUM_LABELS, BATCH = 11_000, 256


def manifest_of(photos: Path, num_samples: int) -> Manifest:
    """Return a manifest of so many samples, ten labels each."""
    names = pa.array(sorted(str(path.relative_to(photos)) for path in photos.rglob("*.jpg")))
    absent = pa.nulls(num_samples, pa.string())
    references = names.take(pa.array(np.arange(num_samples) % len(names)))
    samples = pa.table([references, absent, absent], schema=SAMPLES_SCHEMA)
    starts = np.random.default_rng(0).integers(0, NUM_LABELS - 10, num_samples)
    ids = (starts[:, None] + np.arange(10)).astype(np.uint16).ravel()
    positives = Csr(indptr=np.arange(0, 10 * num_samples + 1, 10), ids=ids)
    space = LabelSpace(names=tuple(f"label {number}" for number in range(NUM_LABELS)))
    return Manifest(root=photos, samples=samples, labels=LabelSets(space=space, positives=positives))


def first_batch_s(manifest: Manifest, make_order: Callable[[], Order]) -> float:
    """Return the seconds from the saved state to the first batch, with a fresh loader."""
    rows = np.arange(manifest.num_samples)
    loader = ImageLoader(
        manifest, rows, TrainingTransform(224), batch_size=BATCH, seed=0, order=make_order(), num_workers=2
    )
    state = {**loader.state_dict(), "epoch": 3, "position": manifest.num_samples // 2 // BATCH * BATCH}
    start = time.perf_counter()
    loader.load_state_dict(state)
    batches = iter(loader)
    next(batches)
    taken_s = time.perf_counter() - start
    batches.close()
    return taken_s


def main() -> None:
    """Measure in turn, print, and write a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=12_000_000)
    parser.add_argument("--runs", type=int, default=5)
    flags = parser.parse_args()
    manifest = manifest_of(flags.photos, flags.samples)
    repeats = np.random.default_rng(0).uniform(0.5, 2, flags.samples)
    orders: dict[str, Callable[[], Order]] = {
        "Shuffled": lambda: Shuffled(flags.samples, seed=0),
        "Windowed": lambda: Windowed(flags.samples, seed=0),
        "Repeated": lambda: Repeated(repeats, seed=0),
    }
    seconds: dict[str, list[float]] = {name: [] for name in orders}
    for run in range(flags.runs + 1):
        for name, make_order in orders.items():
            taken_s = first_batch_s(manifest, make_order)
            # The first turn compiles and warms up.
            seconds[name] += [taken_s] if run else []
    for name, values in seconds.items():
        print(f"{name}: {statistics.median(values):.2f} s ({min(values):.2f} to {max(values):.2f})")
    with (RESULTS / "resuming.jsonl").open("a") as file:
        result = {"benchmark": "resuming", "cpu": cpu_model(), "samples": flags.samples, "seconds": seconds}
        file.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
