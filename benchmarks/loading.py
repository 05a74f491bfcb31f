"""Loading pictures: images a CPU-second, beside the forum's way and beside other loaders, in turn in one process tree.

    uv run python benchmarks/loading.py --photos FOLDER
    uv run python benchmarks/loading.py --photos FOLDER --files 10000 --ways baseline:training,ours:training
    python benchmarks/loading.py --photos FOLDER --ways ours:training,webdataset:training,litdata:training,spdl:training

The last line needs an environment that has the other loaders too (see `other_loaders.py`).

The photos are brought to 500 x 375 pixels at most, saved as JPEG of quality 90, and repeated up to the number of files.
The baseline is what forums recommend: torchvision's `ImageFolder`, Pillow, and `DataLoader` with two workers. Each way
runs in a process of its own, and the ways take turns. CPU-seconds are those of the whole process tree; the first epoch is
not measured, it warms up imports, compiled code and the page cache. `packed` are the same photos with a short side of 256;
`ours-pack` reads the same files from a pack that `manyhot pack` has made of them.
"""

import argparse
import contextlib
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from other_loaders import OTHERS

if TYPE_CHECKING:
    from manyhot.sources.manifest import Manifest

RESULTS = Path(__file__).parent / "results"
SIZE, BATCH, WORKERS = 224, 64, 2
DEFAULT_WAYS = (
    "decode-only:none", "decode-and-resize:training", "baseline:training", "ours:training", "baseline:evaluation",
    "ours:evaluation",
    "decode-only:none:packed", "baseline:training:packed", "ours:training:packed", "ours-pack:training:packed",
)  # fmt: skip


def baseline(pictures: Path, transform: str) -> Iterable[object]:
    """Return the forum's loader."""
    import torch
    from torchvision import transforms
    from torchvision.datasets import ImageFolder

    torch.set_num_threads(1)
    steps = {
        "evaluation": [transforms.Resize((SIZE, SIZE))],
        "training": [
            transforms.RandomResizedCrop(SIZE, scale=(0.6, 1.0)),
            transforms.RandomHorizontalFlip(),
        ],
    }
    dataset = ImageFolder(str(pictures), transforms.Compose([*steps[transform], transforms.ToTensor()]))
    return torch.utils.data.DataLoader(
        dataset, batch_size=BATCH, shuffle=True, num_workers=WORKERS, persistent_workers=True
    )


def ours(pictures: Path, transform: str, *, num_workers: int = WORKERS, kind: str = "threads") -> Iterable[object]:
    """Return manyhot's loader."""
    from manyhot.labels import LabelSets
    from manyhot.sources.manifest import Manifest

    names = sorted(str(path.relative_to(pictures)) for path in pictures.rglob("*.jpg"))
    manifest = Manifest.from_lists(pictures, names, LabelSets.from_names([["label"]] * len(names)))
    return loader_of(manifest, transform, num_workers=num_workers, kind=kind)


def ours_pack(pictures: Path, transform: str) -> Iterable[object]:
    """Return manyhot's loader over the pack of the same pictures."""
    from manyhot.sources import open_source

    return loader_of(open_source(pack_of(pictures)), transform)


def loader_of(
    manifest: "Manifest", transform: str, *, num_workers: int = WORKERS, kind: str = "threads"
) -> Iterable[object]:
    """Return manyhot's loader over all samples, shuffled."""
    from manyhot.data.augmentation import EvaluationTransform, TrainingTransform
    from manyhot.data.loading import ImageLoader
    from manyhot.data.sampling import Shuffled

    return ImageLoader(
        manifest,
        range(manifest.num_samples),
        EvaluationTransform(SIZE) if transform == "evaluation" else TrainingTransform(SIZE),
        batch_size=BATCH,
        seed=0,
        order=Shuffled(manifest.num_samples, seed=0),
        num_workers=num_workers,
        worker_kind=kind,
    )


def with_workers(num_workers: int, kind: str = "threads") -> Callable[[Path, str], Iterable[object]]:
    """Return manyhot's loader with another number or kind of workers."""
    return lambda pictures, transform: ours(pictures, transform, num_workers=num_workers, kind=kind)


def decode_only(pictures: Path, transform: str) -> Iterable[object]:
    """Return what does nothing but decode, from memory, in two threads."""
    del transform
    from concurrent.futures import ThreadPoolExecutor

    import simplejpeg

    contents = [path.read_bytes() for path in sorted(pictures.rglob("*.jpg"))]

    class Decoding:
        def __iter__(self) -> Iterator[object]:
            with ThreadPoolExecutor(WORKERS) as pool:
                yield from pool.map(lambda content: simplejpeg.decode_jpeg(content, "RGB").shape, contents)

    return Decoding()


def decode_and_resize(pictures: Path, transform: str) -> Iterable[object]:
    """Return what decodes and resizes as manyhot does, from memory, in two threads: no reading, no checks, no batches."""
    from concurrent.futures import ThreadPoolExecutor

    import numpy as np
    import simplejpeg

    from manyhot.data.augmentation import EvaluationTransform, TrainingTransform
    from manyhot.data.resizing import ScaledPixels, write_crop

    contents = [path.read_bytes() for path in sorted(pictures.rglob("*.jpg"))]
    crop = EvaluationTransform(SIZE) if transform == "evaluation" else TrainingTransform(SIZE)
    generator, out = np.random.default_rng(0), np.empty((BATCH, 3, SIZE, SIZE), dtype=np.uint8)
    plans = [crop.plan(*simplejpeg.decode_jpeg_header(content)[:2], generator) for content in contents]

    def render(index: int) -> int:
        pixels = simplejpeg.decode_jpeg(contents[index], "RGB")
        write_crop(ScaledPixels(pixels=pixels), plans[index], out[index % BATCH])
        return index

    class Rendering:
        def __iter__(self) -> Iterator[object]:
            with ThreadPoolExecutor(WORKERS) as pool:
                yield from pool.map(render, range(len(contents)))

    return Rendering()


WAYS: dict[str, Callable[[Path, str], Iterable[object]]] = {
    "baseline": baseline,
    "ours": ours,
    "ours-pack": ours_pack,
    "ours-1-thread": with_workers(1),
    "ours-4-threads": with_workers(4),
    "ours-2-processes": with_workers(2, "processes"),
    "decode-only": decode_only,
    "decode-and-resize": decode_and_resize,
    **OTHERS,
}


def tree_cpu_s() -> float:
    """Return the CPU-seconds of this process, to the nanosecond, and of all that it has started, to a tick."""
    reaped = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = time.process_time() + reaped.ru_utime + reaped.ru_stime
    waiting = _children_of(os.getpid())
    while waiting:
        process = waiting.pop()
        try:
            ticks = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()[11:15]
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
        waiting += _children_of(process)
    return total


def _children_of(process: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found += map(int, task.read_text().split())
    return found


def measure(name: str, transform: str, pictures: Path, num_epochs: int) -> dict[str, float]:
    """Return images, CPU-seconds and seconds of some epochs of one way, after one that is not measured."""
    num_images = sum(1 for _ in pictures.rglob("*.jpg"))
    loader = WAYS[name](pictures, transform)
    for _ in loader:
        pass
    cpu_s, wall_s = tree_cpu_s(), time.perf_counter()
    for _ in range(num_epochs):
        num_batches = sum(1 for _ in loader)
        if num_batches * BATCH < num_images:
            raise SystemExit(f"{name} gave {num_batches} batches for {num_images} images")
    images = num_epochs * num_images
    return {"images": images, "cpu_s": tree_cpu_s() - cpu_s, "wall_s": time.perf_counter() - wall_s}


def write_files(photos: Path, folder: Path, num_files: int, short_side: int | None) -> None:
    """Write JPEG files of about 500 x 375 pixels, or with the given short side, into a folder of one class."""
    from PIL import Image

    originals = sorted(photos.rglob("*.jpg"))
    (folder / "label").mkdir(parents=True)
    contents = []
    for path in originals[:num_files]:
        with Image.open(path) as image:
            photo = image.convert("RGB")
        landscape = (500, 375) if photo.width >= photo.height else (375, 500)
        photo.thumbnail(landscape)
        if short_side is not None:
            scale = short_side / min(photo.size)
            photo = photo.resize((round(photo.width * scale), round(photo.height * scale)), Image.Resampling.LANCZOS)
        written = folder / "label" / "photo.jpg"
        photo.save(written, quality=90)
        contents.append(written.read_bytes())
        written.unlink()
    for number in range(num_files):
        (folder / "label" / f"{number:06}.jpg").write_bytes(contents[number % len(contents)])


def write_pack(pictures: Path) -> None:
    """Pack files as they are."""
    from manyhot.runs.packing import pack
    from manyhot.sources.pack_files import PackSettings

    pack(pictures, pack_of(pictures), PackSettings())


def pack_of(pictures: Path) -> Path:
    """Return where the pack of a folder is."""
    return pictures.with_name(f"{pictures.name}-pack")


def measure_in_turn(flags: argparse.Namespace, parent: Path) -> dict[str, list[dict[str, float]]]:
    """Return the figures of every run of every way."""
    folders = {"": parent / "files", "packed": parent / "packed"}
    write_files(flags.photos, folders[""], flags.files, None)
    write_files(flags.photos, folders["packed"], flags.files, 256)
    if "ours-pack" in flags.ways:
        write_pack(folders["packed"])
    found: dict[str, list[dict[str, float]]] = {}
    for _ in range(flags.runs):
        for way in flags.ways.split(","):
            name, transform, *packed = way.split(":")
            command = [sys.executable, __file__, "--photos", str(folders["".join(packed)])]
            command += ["--epochs", str(flags.epochs), "--child", name, transform]
            run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            found.setdefault(way, []).append(json.loads(run.stdout.splitlines()[-1]))
    return found


def cpu_model() -> str:
    """Return the name of the CPU."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())


def main() -> None:
    """Measure, print and write a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--files", type=int, default=512)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--ways", default=",".join(DEFAULT_WAYS))
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.child:
        name, transform = flags.child
        print(json.dumps(measure(name, transform, flags.photos, flags.epochs)))
        return
    with tempfile.TemporaryDirectory() as parent:
        found = measure_in_turn(flags, Path(parent))
    result: dict[str, object] = {"benchmark": "loading", "cpu": cpu_model(), "files": flags.files, "runs": flags.runs}
    for way, runs in found.items():
        rates = sorted(run["images"] / run["cpu_s"] for run in runs)
        wall = statistics.median(run["images"] / run["wall_s"] for run in runs)
        median = statistics.median(rates)
        result[way] = {"per_cpu_s": [round(rate, 1) for rate in (median, rates[0], rates[-1])], "per_s": round(wall, 1)}
        print(f"{way}: {median:,.0f} images a CPU-second ({rates[0]:,.0f} to {rates[-1]:,.0f}), {wall:,.0f} a second")
    print(json.dumps(result))
    with (RESULTS / "loading.jsonl").open("a") as file:
        file.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
