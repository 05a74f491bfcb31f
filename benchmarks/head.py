"""Head and loss in one beside `nn.Linear`, dense targets and `BCEWithLogitsLoss`: seconds a step, memory, growth to a million labels.

Each command measures one shape: the baseline, the baseline on the fastest products of this machine, and ours in turns, at least five
times. Prints medians with their spread and ratios, and appends a JSON line to `results/head.jsonl`.

    python benchmarks/head.py autograd 256 2048 11000
    python benchmarks/head.py update 256 2048 11000
    python benchmarks/head.py curves 256 512 11000
    python benchmarks/head.py growth
    python benchmarks/head.py million
"""

import argparse
import json
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from main_job import cpu_model
from product_rates import RUNS, Steps, best_rate, fastest_products, timed
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from manyhot.losses import AsymmetricLoss, BCEWithLogitsLoss, FocalLoss
from manyhot.losses.linear import FusedLinearHead, GradientBuffer, LinearOptions, linear_bce_with_logits
from manyhot.losses.linear.chunks import cut_labels
from manyhot.losses.linear.products import choose_products, has_onednn
from manyhot.targets import SparseTargets

RESULTS = Path(__file__).parent / "results" / "head.jsonl"
POSITIVES = 10
LR = 0.01


def batch_of(num_samples: int, num_features: int, num_labels: int) -> tuple[Tensor, SparseTargets]:
    """Return random features and ten random labels a sample, fewer where there are fewer than a hundred."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(num_samples, num_features, generator=generator)
    count = min(POSITIVES, num_labels // 10)
    rows = [torch.randint(0, num_labels, (count,), generator=generator).unique().tolist() for _ in range(num_samples)]
    return features, SparseTargets.from_lists(rows, num_labels)


class FastestLinear(torch.autograd.Function):
    """`nn.functional.linear` on whichever products are fastest here."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:  # noqa: ANN401 - torch's signature
        """Return the logits."""
        ctx.save_for_backward(features, weight)
        return fastest_products(*features.shape, len(weight)).project(features, weight).add_(bias)

    @staticmethod
    def backward(ctx: Any, *received: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # noqa: ANN401 - torch's signature
        """Return the gradients."""
        features, weight = ctx.saved_tensors
        of_features = torch.zeros_like(features)
        fastest_products(*features.shape, len(weight)).spread(of_features, received[0], weight)
        return of_features, received[0].T @ features, received[0].sum(dim=0)


def dense_step(layer: nn.Linear, features: Tensor, targets: SparseTargets, *, fastest: bool, lr: float | None) -> None:
    """Train an ordinary head on one batch; without a learning rate the gradients are left to an optimiser."""
    layer.zero_grad(set_to_none=True)
    leaf = features.detach().requires_grad_()
    logits = FastestLinear.apply(leaf, layer.weight, layer.bias) if fastest else layer(leaf)
    nn.functional.binary_cross_entropy_with_logits(logits, targets.to_multi_hot()).backward()
    if lr is not None:
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.sub_(parameter.grad, alpha=lr)


def linear_step(layer: nn.Linear, features: Tensor, targets: SparseTargets, options: LinearOptions) -> None:
    """Form the same gradients by head and loss in one."""
    layer.zero_grad(set_to_none=True)
    leaf = features.detach().requires_grad_()
    linear_bce_with_logits(leaf, layer.weight, targets, bias=layer.bias, options=options).backward()


def fused_step(head: FusedLinearHead, features: Tensor, targets: SparseTargets) -> None:
    """Train a head that updates itself."""
    head(features.detach().requires_grad_(), targets).backward()


def dense_steps(num_samples: int, num_features: int, num_labels: int, *, lr: float | None) -> Steps:
    """Return the two baselines."""
    features, targets = batch_of(num_samples, num_features, num_labels)
    step = partial(dense_step, nn.Linear(num_features, num_labels), features, targets, lr=lr)
    return {"dense": partial(step, fastest=False), "dense, fastest products": partial(step, fastest=True)}


def autograd_steps(num_samples: int, num_features: int, num_labels: int) -> Steps:
    """Return steps that leave the gradients to an optimiser."""
    features, targets = batch_of(num_samples, num_features, num_labels)
    layer = nn.Linear(num_features, num_labels)
    options = LinearOptions(buffer=GradientBuffer())
    by_onednn = replace(options, matmul="onednn")
    return (
        dense_steps(num_samples, num_features, num_labels, lr=None)
        | {
            "manyhot": partial(linear_step, layer, features, targets, options),
            "manyhot, fresh memory": partial(linear_step, layer, features, targets, LinearOptions()),
        }
        | ({"manyhot, oneDNN": partial(linear_step, layer, features, targets, by_onednn)} if has_onednn() else {})
    )


def heads_of(num_features: int, num_labels: int, formats: tuple[str, ...]) -> dict[str, FusedLinearHead]:
    """Return heads that update themselves, in the given formats."""
    heads = {}
    for name in formats:
        heads[name] = FusedLinearHead(num_features, num_labels, loss=BCEWithLogitsLoss(), lr=LR, weights=name)  # pyright: ignore[reportArgumentType] - a format
        generator = torch.Generator().manual_seed(1)
        for labels in cut_labels(num_labels):
            start = torch.randn(labels.stop - labels.start, num_features, generator=generator) / num_features**0.5
            heads[name].weights.write(labels, start)
    return heads


def update_steps(num_samples: int, num_features: int, num_labels: int) -> Steps:
    """Return steps with an update by gradient descent."""
    features, targets = batch_of(num_samples, num_features, num_labels)
    heads = heads_of(num_features, num_labels, ("float32", "split", "bfloat16"))
    if has_onednn():
        loss, options = BCEWithLogitsLoss(), LinearOptions(matmul="onednn")
        heads["float32, oneDNN"] = FusedLinearHead(num_features, num_labels, loss=loss, lr=LR, options=options)
    return dense_steps(num_samples, num_features, num_labels, lr=LR) | {
        f"manyhot, {name}": partial(fused_step, head, features, targets) for name, head in heads.items()
    }


def curve_steps(num_samples: int, num_features: int, num_labels: int) -> Steps:
    """Return fused steps of three losses."""
    features, targets = batch_of(num_samples, num_features, num_labels)
    losses = {"bce": BCEWithLogitsLoss(), "focal": FocalLoss(), "asymmetric": AsymmetricLoss()}
    return {
        name: partial(fused_step, FusedLinearHead(num_features, num_labels, loss=loss, lr=LR), features, targets)
        for name, loss in losses.items()
    }


def peak_mb(step: Callable[[], object]) -> float:
    """Return the most memory that a step holds at once beside what it found, in MB."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step()
    held = peak = 0
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return round(peak / 1e6, 1)


def report(
    mode: str, shape: tuple[int, int, int], steps: Steps, *, runs: int = RUNS, cpu: bool = False
) -> dict[str, object]:
    """Measure the steps, print a line each, and return all of it."""
    times = timed(steps, runs, time.process_time if cpu else time.perf_counter)
    medians = {name: statistics.median(values) for name, values in times.items()}
    operations = 6 * shape[0] * shape[1] * shape[2] / 1e9
    peaks = {name: peak_mb(step) for name, step in steps.items()}
    base = next(iter(medians.values()))
    for name, median in medians.items():
        spread = f"{min(times[name]) * 1e3:.1f}–{max(times[name]) * 1e3:.1f}"
        print(
            f"{mode} {shape} {name}: {median * 1e3:.1f} ms ({spread}), {base / median:.2f}×, "
            f"{operations / median:.0f} GFLOP/s, {peaks.get(name, 0):.1f} MB"
        )
    return {
        "benchmark": "head", "mode": mode, "samples": shape[0], "features": shape[1], "labels": shape[2], "cpu": cpu_model(),
        "threads": torch.get_num_threads(), "clock": "cpu" if cpu else "wall", "torch": torch.__version__, "best_gflops": round(best_rate(*shape), 1),
        "ms": {name: [round(x * 1e3, 2) for x in (medians[name], min(v), max(v))] for name, v in times.items()},
        "gflops": {name: round(operations / median, 1) for name, median in medians.items()}, "peak_mb": peaks,
    }  # fmt: skip


def growth() -> dict[str, object]:
    """Measure fused steps from a thousand labels to a million, on 256 samples of 128 features, in CPU time of one thread."""
    torch.set_num_threads(1)
    line: dict[str, object] = {
        "benchmark": "head",
        "mode": "growth",
        "samples": 256,
        "features": 128,
        "cpu": cpu_model(),
    }
    ms = {}
    for num_labels in (1_000, 10_000, 100_000, 1_000_000):
        features, targets = batch_of(256, 128, num_labels)
        step = partial(fused_step, FusedLinearHead(128, num_labels, loss=BCEWithLogitsLoss(), lr=LR), features, targets)
        times = timed({"step": step}, 5, time.process_time)["step"]
        ms[num_labels] = [round(x * 1e3, 2) for x in (statistics.median(times), min(times), max(times))]
        print(
            f"growth {num_labels:,} labels: {ms[num_labels]} ms, {ms[num_labels][0] * 1e3 / num_labels:.3f} µs a label"
        )
    return line | {"ms": ms}


def million() -> dict[str, object]:
    """Measure a million labels on 512 features: the step beside its three products, and the memory of the process."""
    shape = (256, 512, 1_000_000)
    features, targets = batch_of(*shape)
    head = heads_of(512, 1_000_000, ("float32",))["float32"]
    chunks, read = cut_labels(shape[2]), head.weights.read
    products = choose_products("auto", features, chunks[0].stop)
    gradient, total = torch.randn(256, chunks[0].stop), torch.zeros(256, 512)
    out = torch.empty(chunks[0].stop, 512)

    def three_products() -> None:
        for labels in chunks:
            weight, width = read(labels), labels.stop - labels.start
            products.project(features, weight)
            products.spread(total, gradient[:, :width], weight)
            torch.mm(gradient[:, :width].T, features, out=out[:width])

    step = partial(fused_step, head, features, targets)
    step()
    # Before anything is profiled: the records of a thousand chunks are as large as half of the head.
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    line = report("million", shape, {"three products": three_products, "manyhot": step})
    print(f"peak of the process: {peak_gb:.2f} GB")
    return line | {"process_gb": round(peak_gb, 2)}


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", choices=["autograd", "update", "curves", "growth", "million"])
    parser.add_argument("shape", type=int, nargs="*", help="samples, features, labels")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument(
        "--cpu", action="store_true", help="time of the processor on one thread, where other work runs beside it"
    )
    arguments = parser.parse_args()
    if arguments.cpu:
        torch.set_num_threads(1)
    if arguments.mode == "growth":
        line = growth()
    elif arguments.mode == "million":
        line = million()
    else:
        makers = {"autograd": autograd_steps, "update": update_steps, "curves": curve_steps}
        shape = tuple(arguments.shape)
        line = report(arguments.mode, shape, makers[arguments.mode](*shape), runs=arguments.runs, cpu=arguments.cpu)
    print(json.dumps(line))
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
