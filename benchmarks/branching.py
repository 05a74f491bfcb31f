"""Where the encoder should part between groups of labels, and which head: the same data and seeds, side by side.

    uv run python benchmarks/branching.py --data ../shared/data/apparel

Colours and types are the two groups. One run a line and seed; what a results file holds already is not run again, so a
stopped benchmark goes on. Prints a table over seeds. `--steps` times a step of each model instead, in turns.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COLOURS = ("black", "blue", "brown", "green", "red", "white")
ENCODER = [
    "--encoder",
    "resnet10t",
    "--pretrained",
    "none",
    "--image-size",
    "32",
    "--epochs",
    "5",
    "--batch-size",
    "64",
]
LINES: dict[str, list[str]] = {
    "linear": [],
    **{f"branches at {at}": ["--branch-at", str(at)] for at in range(6)},
    "ml-decoder": ["--head", "ml-decoder"],
}
FIGURES = ("map_macro", "f1_macro", "f1_micro")


def main() -> None:
    """Run what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder of apparel")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results" / "branching.jsonl")
    parser.add_argument("--steps", action="store_true", help="time a step of each line in turns, and train nothing")
    flags = parser.parse_args()
    done = read_results(flags.results)
    if flags.steps:
        print_steps(time_steps(flags.data))
        return
    with tempfile.TemporaryDirectory() as parent:
        labels = write_groups(flags.data, Path(parent))
        for seed in flags.seeds:
            for line in LINES:
                if (line, seed) not in done:
                    result = run_line(line, seed, flags.data, labels, Path(parent) / f"{line}-{seed}")
                    with flags.results.open("a") as file:
                        file.write(json.dumps(result) + "\n")
                    done[line, seed] = result
    print_table(done)


def read_results(path: Path) -> dict[tuple[str, int], dict]:
    """Return the runs that a results file holds."""
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return {(row["line"], row["seed"]): row for row in rows}


def write_groups(data: Path, folder: Path) -> Path:
    """Write the labels with their groups, which the original lists leave out."""
    listed = json.loads((data / "labels.json").read_text())
    grouped = {
        name: {
            "colour": [label for label in labels if label in COLOURS],
            "type": [label for label in labels if label not in COLOURS],
        }
        for name, labels in listed.items()
    }
    path = folder / "labels.json"
    path.write_text(json.dumps(grouped))
    return path


def run_line(line: str, seed: int, data: Path, labels: Path, out: Path) -> dict:
    """Return the figures and the cost of one run."""
    from manyhot.models.cost import count_cost
    from manyhot.runs.run import Run

    started = time.monotonic()
    arguments = ["train", str(labels), "--data.images", str(data / "images"), *ENCODER, *LINES[line]]
    command = [sys.executable, "-m", "manyhot", *arguments, "--seed", str(seed), "--out", str(out)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    run = Run(out)
    cost = count_cost(run.bundle.model)
    result = {
        "benchmark": "branching",
        "line": line,
        "seed": seed,
        "cpu": cpu_model(),
        **{name: run.evaluation.figures[name].value for name in FIGURES},
        "parameters": cost.parameters,
        "gflops": cost.flops / 1e9,
        "seconds": round(time.monotonic() - started, 1),
    }
    print(json.dumps(result), flush=True)
    return result


def time_steps(data: Path, *, rounds: int = 5) -> dict[str, list[float]]:
    """Return the CPU milliseconds of a step of 64 pictures of each line, in turns: forwards, loss, backwards."""
    import torch

    from manyhot.cli.settings import resolve_settings, split_overrides
    from manyhot.cli.train import SHORTCUTS
    from manyhot.losses import binary_cross_entropy_with_logits
    from manyhot.runs.networks import make_model, model_spec
    from manyhot.runs.options import source_options
    from manyhot.sources import open_source
    from manyhot.targets import SparseTargets

    with tempfile.TemporaryDirectory() as parent:
        labels = write_groups(data, Path(parent))
        models = {}
        for line, arguments in LINES.items():
            pairs = [*ENCODER, *arguments]
            given = {
                SHORTCUTS[name.removeprefix("--").replace("-", "_")]: value
                for name, value in zip(pairs[::2], pairs[1::2], strict=True)
            }
            _, overrides = split_overrides(["--data.images", str(data / "images")])
            recipe = resolve_settings(None, given | overrides)
            sets = open_source(labels, source_options(recipe.data)).labels
            models[line] = make_model(recipe, model_spec(recipe, sets))
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (64, 3, 32, 32), dtype=torch.uint8, generator=generator)
    targets = SparseTargets.from_lists([[row % 6, 6 + row % 5] for row in range(64)], num_labels=11)
    times: dict[str, list[float]] = {line: [] for line in models}
    for turn in range(rounds + 1):
        for line, model in models.items():
            started = time.process_time()
            binary_cross_entropy_with_logits(model.train()(images), targets).backward()
            milliseconds = (time.process_time() - started) * 1e3
            model.zero_grad(set_to_none=True)
            # The first of each does not count.
            if turn:
                times[line].append(milliseconds)
    return times


def print_steps(times: dict[str, list[float]]) -> None:
    """Print a line for each model, and one JSON line."""
    plain = statistics.median(times["linear"])
    for line, values in times.items():
        middle = statistics.median(values)
        print(f"{line:15} {middle:7.0f} ms ({min(values):.0f} to {max(values):.0f}), {middle / plain:.2f} × linear")
    print(json.dumps({"benchmark": "branching steps", "cpu": cpu_model(), "milliseconds": times}))


def print_table(done: dict[tuple[str, int], dict]) -> None:
    """Print a line for each model: the mean over seeds with the lowest, and its cost."""
    print("| model | `map_macro`: mean (worst) | `f1_macro`: mean (worst) | parameters | GFLOPs |")
    print("|---|---|---|---|---|")
    for line in LINES:
        rows = [row for (name, _), row in done.items() if name == line]
        if not rows:
            continue
        cells = [
            f"{statistics.mean(row[name] for row in rows):.3f} ({min(row[name] for row in rows):.3f})"
            for name in ("map_macro", "f1_macro")
        ]
        print(f"| {line} | {cells[0]} | {cells[1]} | {rows[0]['parameters'] / 1e6:.2f}M | {rows[0]['gflops']:.2f} |")


def cpu_model() -> str:
    """Return the processor's name."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


if __name__ == "__main__":
    main()
