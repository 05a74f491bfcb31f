"""Binary cross-entropy from sparse targets beside torch's dense loss: CPU time forward and back, and memory beside the logits.

Nine runs in turns of torch on a dense target that is there already, of torch with the dense target made from the sparse one,
and of ours; one thread. Memory is what a step allocates at its peak, by torch's profiler. Prints medians with their spread,
ratios, and a JSON line.
"""

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from main_job import cpu_model
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from manyhot.losses import BCEWithLogitsLoss
from manyhot.targets import SparseTargets

RESULTS = Path(__file__).parent / "results" / "losses_speed.jsonl"
SHAPES = ((64, 80, 0.036, 200), (64, 1_000, 0.01, 50), (256, 1_000, 0.01, 20), (256, 11_000, 0.0009, 4))
RUNS = 9


def steps_of(num_samples: int, num_labels: int, density: float) -> dict[str, Callable[[], Tensor]]:
    """Return a step forward and back of each way, on the same logits and labels."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(num_samples, num_labels, generator=generator) - 3
    dense = (torch.rand(num_samples, num_labels, generator=generator) < density).float()
    targets = SparseTargets.from_dense(dense)
    ours, theirs = BCEWithLogitsLoss(), torch.nn.BCEWithLogitsLoss()

    def step(make: Callable[[Tensor], Tensor]) -> Tensor:
        leaf = logits.detach().requires_grad_()
        make(leaf).backward()
        assert leaf.grad is not None
        return leaf.grad

    return {
        "torch": lambda: step(lambda leaf: theirs(leaf, dense)),
        "torch and its target": lambda: step(lambda leaf: theirs(leaf, targets.to_multi_hot())),
        "manyhot": lambda: step(lambda leaf: ours(leaf, targets)),
    }


def peak_bytes(step: Callable[[], Tensor]) -> int:
    """Return the most memory that a step holds at once."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step()
    events = profiler.profiler.kineto_results.events()
    held = peak = 0
    for event in sorted((e for e in events if e.name() == "[memory]"), key=lambda e: e.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak


def main() -> None:
    """Measure each shape."""
    torch.set_num_threads(1)
    for num_samples, num_labels, density, repeats in SHAPES:
        steps = steps_of(num_samples, num_labels, density)
        times: dict[str, list[float]] = {name: [] for name in steps}
        for _ in range(RUNS):
            for name, step in steps.items():
                started = time.process_time()
                for _ in range(repeats):
                    step()
                times[name].append((time.process_time() - started) / repeats * 1e3)
        medians = {name: statistics.median(values) for name, values in times.items()}
        line = {
            "benchmark": "losses_speed", "samples": num_samples, "labels": num_labels, "cpu": cpu_model(),
            "cpu_ms": {name: [round(x, 3) for x in (medians[name], min(values), max(values))] for name, values in times.items()},
            "peak_mb": {name: round(peak_bytes(step) / 1e6, 2) for name, step in steps.items()},
            "ratio": {name: round(medians[name] / medians["manyhot"], 2) for name in steps},
        }  # fmt: skip
        print(json.dumps(line))
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
