"""The products of a chunk: torch's own, or oneDNN's where a probe of this machine finds them much faster and as exact.

MKL, to which torch gives float32 products, takes a slow path on some AMD cores, at half the rate of oneDNN, which is in torch
too. This is found out once a process and size, on numbers of that size, before the first step that needs it. A few percent do not
decide: what is chosen must be the same in the next process, or a run that goes on there has other last digits.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from manyhot.errors import UsageError, did_you_mean

Matmul = Literal["auto", "torch", "onednn"]
# Below it a product takes less time than the probe could tell apart.
MIN_OPERATIONS = 50_000_000
PROBES = 6
# Samples whose products the probe compares with float64.
MAX_CHECKED = 8
# How many times as fast oneDNN must be: 2.1 to 2.5 times where MKL takes its slow path, 0.9 to 1.15 elsewhere.
MIN_GAIN = 1.4
# Samples, labels and features of the product that tells how fast bfloat16 is.
NARROW_PROBE = (256, 1_024, 512)
# How much less exact oneDNN may be than torch's own.
MAX_ERROR_RATIO = 2.0


@dataclass(frozen=True)
class Products:
    """The two products that a chunk's weights take part in.

    Args:
        project: Features and weights to logits.
        spread: Adds the gradient of logits, times weights, to the gradient of features.
    """

    project: Callable[[Float[Tensor, "n d"], Float[Tensor, "c d"]], Float[Tensor, "n c"]]
    spread: Callable[[Float[Tensor, "n d"], Float[Tensor, "n c"], Float[Tensor, "c d"]], object]


def choose_products(
    matmul: Matmul, features: Float[Tensor, "n d"], num_labels: int, dtype: torch.dtype | None = None
) -> Products:
    """Return the products for chunks of so many labels.

    `auto` measures, and takes torch's where torch is asked to be deterministic.

    Raises:
        UsageError: If there is no such choice, or this torch has no oneDNN.

    >>> features = torch.ones(2, 3)
    >>> choose_products("auto", features, 4).project(features, torch.ones(4, 3)).shape
    torch.Size([2, 4])
    """
    if matmul not in get_args(Matmul):
        raise UsageError(f"matmul {matmul!r} is none of auto, torch, onednn{did_you_mean(matmul, get_args(Matmul))}")
    dtype = features.dtype if dtype is None else dtype
    is_open = features.device.type == "cpu" and dtype == torch.float32
    if matmul == "onednn":
        if not (is_open and has_onednn()):
            raise UsageError(
                f"oneDNN has no product for {dtype} on {features.device.type} here; leave matmul at 'auto'"
            )
        return ONEDNN
    num_samples, num_features = features.shape
    if matmul == "torch" or not is_open or 2 * num_samples * num_features * num_labels < MIN_OPERATIONS:
        return TORCH
    if not has_onednn() or torch.are_deterministic_algorithms_enabled():
        return TORCH
    sizes = [_rounded(size) for size in (num_samples, num_labels, num_features)]
    return probe_products(*sizes, torch.get_num_threads())


def products_dtype(weights: torch.dtype, features: Float[Tensor, "n d"]) -> torch.dtype:
    """Return the dtype that products of such weights are made in: their own, or float32 where that is faster.

    >>> products_dtype(torch.float32, torch.ones(2, 3))
    torch.float32
    """
    if weights != torch.bfloat16 or features.device.type != "cpu":
        return weights
    return weights if is_bfloat16_faster(torch.get_num_threads()) else torch.float32


@cache
def is_bfloat16_faster(num_threads: int) -> bool:  # noqa: ARG001 - a key
    """Return whether bfloat16 products are faster here than float32 products of weights that are widened first.

    It depends on the processor far more than on sizes: one size is tried for all, and a few percent do not decide, so that every
    process finds the same.

    >>> is_bfloat16_faster(1) in (True, False)
    True
    """
    num_samples, num_labels, num_features = NARROW_PROBE
    narrow = torch.ones(num_samples, num_features, dtype=torch.bfloat16)
    weights = torch.ones(num_labels, num_features, dtype=torch.bfloat16)
    wide = narrow.float()
    return _speed_of_second(lambda: wide @ weights.float().T, lambda: narrow @ weights.T) > MIN_GAIN


@cache
def has_onednn() -> bool:
    """Return whether this torch can multiply dense float32 matrices by oneDNN.

    >>> isinstance(has_onednn(), bool)
    True
    """
    if not torch.backends.mkldnn.is_available():
        return False
    try:
        found = _project_by_onednn(torch.ones(2, 3), torch.ones(4, 3))
    except (AttributeError, RuntimeError):
        # The operation is torch's own, for what it compiles, and comes without a promise.
        return False
    return bool((found == 3).all())


@cache
def probe_products(num_samples: int, num_labels: int, num_features: int, num_threads: int) -> Products:  # noqa: ARG001 - a key
    """Return for each product of this size oneDNN's if it is much faster and not much less exact, else torch's.

    oneDNN sums over all features (or labels) in one go, MKL in parts of some four hundred, whose rounding errors add up to less:
    at 2,048 features oneDNN's logits are off by 2.2 times as much, and torch's are taken.

    >>> isinstance(probe_products(2, 3, 4, 1), Products)
    True
    """
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(num_samples, num_features, generator=generator)
    weights = torch.randn(num_labels, num_features, generator=generator)
    gradient = torch.randn(num_samples, num_labels, generator=generator)

    def project(products: Products) -> Tensor:
        return products.project(features, weights)

    def spread(products: Products) -> Tensor:
        total = torch.zeros_like(features)
        products.spread(total, gradient, weights)
        return total

    few = min(num_samples, MAX_CHECKED)
    logits = features[:few].double() @ weights.double().T
    of_features = gradient[:few].double() @ weights.double()
    return Products(
        project=ONEDNN.project if _is_onednn_better(project, logits) else TORCH.project,
        spread=ONEDNN.spread if _is_onednn_better(spread, of_features) else TORCH.spread,
    )


def _is_onednn_better(product: Callable[[Products], Tensor], truth: Tensor) -> bool:
    errors = [(product(products)[: len(truth)] - truth).norm() for products in (TORCH, ONEDNN)]
    if errors[1] > MAX_ERROR_RATIO * errors[0]:
        return False
    return _speed_of_second(lambda: product(TORCH), lambda: product(ONEDNN)) > MIN_GAIN


def _speed_of_second(first: Callable[[], object], second: Callable[[], object]) -> float:
    """Return how many times as fast the second of two ways is, in the processor's time, each at its best."""
    times: tuple[list[float], list[float]] = ([], [])
    # In turns, and in the processor's time: what else the machine does shall not decide. The first turn warms up.
    for turn in range(PROBES + 1):
        for way, measured in zip((first, second), times, strict=True):
            started = time.process_time()
            way()
            if turn:
                measured.append(time.process_time() - started)
    return min(times[0]) / max(min(times[1]), 1e-9)


def _rounded(size: int) -> int:
    """Return a size of the same class: the nearest power of two, or one and a half of it."""
    power = 1 << max(size.bit_length() - 1, 0)
    return min((power, power * 3 // 2, power * 2), key=lambda candidate: abs(candidate - size))


def _project_by_torch(features: Tensor, weights: Tensor) -> Tensor:
    return features @ weights.T


def _spread_by_torch(total: Tensor, gradient: Tensor, weights: Tensor) -> None:
    if total.dtype == gradient.dtype:
        total.addmm_(gradient, weights)
    else:
        total += gradient @ weights


def _multiply_by_onednn(left: Tensor, right: Tensor) -> Tensor:
    """Return left times the transpose of right."""
    return torch.ops.mkldnn._linear_pointwise(left, right, None, "none", [], "")  # noqa: SLF001 - torch has no public name for it


def _project_by_onednn(features: Tensor, weights: Tensor) -> Tensor:
    # Of rows with gaps oneDNN has no fast product but a plain loop, a hundred times slower.
    is_dense = features.is_contiguous() and weights.is_contiguous()
    return _multiply_by_onednn(features, weights) if is_dense else _project_by_torch(features, weights)


def _spread_by_onednn(total: Tensor, gradient: Tensor, weights: Tensor) -> None:
    if gradient.is_contiguous() and weights.is_contiguous():
        total += _multiply_by_onednn(gradient, weights.T)
    else:
        _spread_by_torch(total, gradient, weights)


TORCH = Products(_project_by_torch, _spread_by_torch)
ONEDNN = Products(_project_by_onednn, _spread_by_onednn)
