"""Brightness, contrast, saturation and hue of a picture of 224 pixels, changed in turn by four ways: milliseconds a picture.

    uv run python benchmarks/colours.py --photos FOLDER

All four changes are on, 0.4, 0.4, 0.4 and 0.1, and the order is another one each time. `pillow` is torchvision's `ColorJitter` on
Pillow's pictures, as forums have it; `torchvision` is the same on uint8 tensors; `opencv` is how manyhot did it before its loops
were compiled: whole planes in float32, OpenCV for hues, tables for the rest. One thread, CPU time.

Where there is a GPU, it changes the same pictures as one batch, in its own time, and levels that differ from ours are counted.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from loading import RESULTS, cpu_model
from PIL import Image
from torchvision.transforms import v2

from manyhot.data.colour import BRIGHTNESS, CONTRAST, HUE, ColourJitter
from manyhot.data.colour_batches import ColourChanges

SIZE, LUMA = 224, (0.299, 0.587, 0.114)
STRENGTHS = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}
JITTER, THEIRS = ColourJitter(**STRENGTHS), v2.ColorJitter(**STRENGTHS)


def by_opencv(planes: np.ndarray, generator: np.random.Generator) -> None:
    """Change a picture as manyhot did before."""
    kinds, amounts = JITTER.steps(generator.random((1, 8)))
    for kind, amount in zip(kinds[0].tolist(), amounts[0], strict=True):
        if kind == HUE:
            hsv = cv2.cvtColor(np.ascontiguousarray(planes.transpose(1, 2, 0), np.float32) / 255, cv2.COLOR_RGB2HSV)
            hsv[..., 0] += 60 * amount
            planes[...] = np.rint(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB) * np.float32(255)).transpose(2, 0, 1)
        elif kind in {BRIGHTNESS, CONTRAST}:
            mean = (
                sum(w * float(plane.mean()) for plane, w in zip(planes, LUMA, strict=True)) if kind == CONTRAST else 0
            )
            table = np.clip(np.rint(np.arange(256) * amount + mean * (1 - amount)), 0, 255).astype(np.uint8)
            planes[...] = cv2.LUT(planes.reshape(-1, SIZE), table).reshape(planes.shape)
        else:
            grey = sum(plane * np.float32(w * (1 - amount)) for plane, w in zip(planes, LUMA, strict=True))
            for plane in planes:
                plane[...] = np.clip(np.rint(plane * amount + grey), 0, 255)


def milliseconds(change: Callable[[int], object], count: int) -> float:
    """Return the CPU time of one of so many calls."""
    start = time.thread_time()
    for index in range(count):
        change(index)
    return 1e3 * (time.thread_time() - start) / count


def on_gpu(planes: list[np.ndarray], runs: int) -> dict[str, object]:
    """Return the GPU's milliseconds a picture in each run, and how many levels are other ones than on the CPU."""
    images = torch.from_numpy(np.stack(planes))
    changes = ColourChanges.drawn(JITTER, np.random.default_rng(0).random((len(planes), 8)))
    there, changes_there = images.to("cuda"), changes.to("cuda")
    # The first call compiles.
    num_other = int((changes_there.change(there).cpu() != changes.change(images)).sum())
    milliseconds = []
    for _ in range(runs):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        for _ in range(20):
            changes_there.change(there)
        end.record()
        end.synchronize()
        milliseconds.append(start.elapsed_time(end) / 20 / len(planes))
    return {"gpu": torch.cuda.get_device_name(), "milliseconds": milliseconds, "other_levels": num_other}


def main() -> None:
    """Measure in turn, print, and write a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=64)
    parser.add_argument("--runs", type=int, default=7)
    flags = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    paths = sorted(flags.photos.rglob("*.jpg"))[: flags.pictures]
    images = [Image.open(path).convert("RGB").resize((SIZE, SIZE)) for path in paths]
    planes = [np.asarray(image).transpose(2, 0, 1).copy() for image in images]
    tensors, generator = [torch.from_numpy(one.copy()) for one in planes], np.random.default_rng(0)
    ways: dict[str, Callable[[int], object]] = {
        "pillow": lambda index: THEIRS(images[index]),
        "torchvision": lambda index: THEIRS(tensors[index]),
        "opencv": lambda index: by_opencv(planes[index].copy(), generator),
        "ours": lambda index: JITTER.change(planes[index].copy(), generator),
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    for run in range(flags.runs + 1):
        for name, change in ways.items():
            taken = milliseconds(change, len(images))
            # The first turn compiles and warms up.
            found[name] += [taken] if run else []
    for name, values in found.items():
        print(f"{name}: {statistics.median(values):.3f} ms a picture ({min(values):.3f} to {max(values):.3f})")
    with (RESULTS / "colours.jsonl").open("a") as file:
        result = {"benchmark": "colours", "cpu": cpu_model(), "size": SIZE, "milliseconds": found}
        if torch.cuda.is_available():
            result["on_gpu"] = on_gpu(planes, flags.runs)
            print(f"on a GPU: {result['on_gpu']}")
        file.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
