"""The main job on real images, by the command a newcomer types: time and test figures, over seeds.

    uv run python benchmarks/main_job.py demo
    uv run python benchmarks/main_job.py apparel --data ../shared/data/apparel
    uv run python benchmarks/main_job.py posters --data ../shared/data/posters

Prints a line a seed and the worst of them, and one JSON line. Rates and seconds are of the machine as it was: nothing else
should run beside it.
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SMALL = ["--encoder", "resnet18", "--pretrained", "none", "--image-size", "64"]
TRAINING = {"apparel": [*SMALL, "--epochs", "12"], "posters": [*SMALL, "--epochs", "8"]}
FIGURES = {
    "demo": ("map_macro",),
    "apparel": ("map_macro", "f1_macro", "f1_macro_at_half"),
    "posters": ("map_macro_min5", "f1_macro_min5", "f1_macro_min5_at_half"),
}


def main() -> None:
    """Run one job for each seed and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("job", choices=FIGURES)
    parser.add_argument("--data", type=Path, help="the data of apparel and posters")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    flags = parser.parse_args()
    if flags.job != "demo" and flags.data is None:
        parser.error(f"{flags.job} needs --data")
    results = [run_seed(flags.job, flags.data, seed) for seed in flags.seeds]
    worst = {name: min(result[name] for result in results) for name in FIGURES[flags.job]}
    print("worst", json.dumps(worst))
    print(json.dumps({"benchmark": f"main_job {flags.job}", "cpu": cpu_model(), "results": results, "worst": worst}))


def run_seed(job: str, data: Path | None, seed: int) -> dict[str, float]:
    """Return the test figures of one seed, and the seconds that the whole command took."""
    with tempfile.TemporaryDirectory() as parent:
        out = Path(parent) / job
        arguments = ["demo"] if job == "demo" else ["train", str(data), *TRAINING[job]]
        started = time.monotonic()
        manyhot(*arguments, "--seed", str(seed), "--out", str(out))
        seconds = time.monotonic() - started
        run, file = (out / "run" if job == "demo" else out), Path(parent) / "figures.json"
        manyhot("evaluate", str(run), "--min-positives", "5", "--json", str(file))
        evaluation = json.loads(file.read_text())
    figures = {name: evaluation["figures"][name]["value"] for name in FIGURES[job]}
    if job == "posters":
        figures["predict_all_f1_macro_min5"] = evaluation["baselines"]["predict all"]["f1_macro_min5"]
    result = {"seed": seed, "seconds": round(seconds, 1), **figures}
    print(" ".join(f"{name} {value:.4g}" for name, value in result.items()), flush=True)
    return result


def manyhot(*arguments: str) -> None:
    """Run the command in a process of its own, quietly."""
    subprocess.run([sys.executable, "-m", "manyhot", *arguments], check=True, capture_output=True)


def cpu_model() -> str:
    """Return the processor's name, and the number of cores it lends us."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, {len(names)} cores" if names else platform.processor()


if __name__ == "__main__":
    main()
