"""How fast the products of a head are here, in every way there is: what a step is measured against."""

import time
from collections.abc import Callable
from functools import cache, partial

import torch

from manyhot.losses.linear.chunks import cut_labels
from manyhot.losses.linear.products import ONEDNN, TORCH, Products, has_onednn

RUNS = 7
Steps = dict[str, Callable[[], object]]


def timed(steps: Steps, runs: int = RUNS, clock: Callable[[], float] = time.perf_counter) -> dict[str, list[float]]:
    """Return the seconds of each step, run in turns, without the first."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(runs + 1):
        for name, step in steps.items():
            started = clock()
            step()
            if turn:
                times[name].append(clock() - started)
    return times


@cache
def fastest_products(num_samples: int, num_features: int, num_labels: int) -> Products:
    """Return for each product of an ordinary head the way that is fastest here, however little, and however exact."""
    if not has_onednn():
        return TORCH
    features, weight = torch.randn(num_samples, num_features), torch.randn(num_labels, num_features)
    gradient, total = torch.randn(num_samples, num_labels), torch.zeros(num_samples, num_features)
    ways: Steps = {
        "torch project": partial(TORCH.project, features, weight),
        "onednn project": partial(ONEDNN.project, features, weight),
        "torch spread": partial(TORCH.spread, total, gradient, weight),
        "onednn spread": partial(ONEDNN.spread, total, gradient, weight),
    }
    best = {name: min(times) for name, times in timed(ways, clock=time.process_time).items()}
    return Products(
        project=(ONEDNN if best["onednn project"] < best["torch project"] else TORCH).project,
        spread=(ONEDNN if best["onednn spread"] < best["torch spread"] else TORCH).spread,
    )


def best_rate(num_samples: int, num_features: int, num_labels: int) -> float:
    """Return the highest rate at which a chunk's product was seen to run, in GFLOP/s, of all ways there are."""
    size = cut_labels(num_labels)[0].stop
    features, weight = torch.randn(num_samples, num_features), torch.randn(size, num_features)
    gradient, total, out = (
        torch.randn(num_samples, size),
        torch.zeros(num_samples, num_features),
        torch.empty(size, num_features),
    )
    ways: Steps = {"outer": lambda: torch.mm(gradient.T, features, out=out)}
    kinds = {"torch": TORCH} | ({"onednn": ONEDNN} if has_onednn() else {})
    for name, products in kinds.items():
        ways[f"{name} project"] = partial(products.project, features, weight)
        ways[f"{name} spread"] = partial(products.spread, total, gradient, weight)
    fastest = min(min(times) for times in timed(ways).values())
    return 2 * num_samples * num_features * size / fastest / 1e9
