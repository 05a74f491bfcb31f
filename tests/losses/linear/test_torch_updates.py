"""The moves of 16-bit weights that any device can make are those of the compiled loops, bit by bit."""

import numpy as np
import pytest
import torch
from torch import Tensor

from manyhot.losses.linear import torch_updates, update_kernels

every_width = pytest.mark.parametrize("width", [1, 2, 17, 64])
every_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)


def gradient_of(width: int, dtype: torch.dtype) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    gradient = torch.randn(41, width, generator=generator) * 10.0 ** torch.randint(-9, 4, (41, 1), generator=generator)
    gradient[:6, 0] = torch.tensor([0.0, 1e-45, 1e-40, 3e38, torch.inf, torch.nan])
    return gradient.to(dtype)


def weights_of(width: int) -> Tensor:
    weights = torch.randn(41, width, generator=torch.Generator().manual_seed(2))
    weights[6:12, 0] = torch.tensor([1e-45, 1.2e-38, -3.4e38, -torch.inf, torch.nan, -0.0])
    return weights


def numbers_of(gradient: Tensor) -> tuple[np.ndarray, bool | None]:
    return (gradient.view(torch.int16).numpy(), True) if gradient.dtype == torch.bfloat16 else (gradient.numpy(), None)


def assert_equal_bits(found: Tensor, expected: Tensor) -> None:
    # Which of the many NaNs it is differs between processors.
    is_number = ~expected.isnan()
    assert torch.equal(found.isnan(), expected.isnan())
    assert torch.equal(found.view(torch.int16)[is_number], expected.view(torch.int16)[is_number])


@every_width
@every_dtype
def test_numbers_in_halves_move_as_in_the_compiled_loop(width, dtype):
    high, low = torch_updates.split_halves(weights_of(width))
    other_high, other_low = high.clone(), low.clone()
    steps = torch.linspace(1e-3, 3.0, 41)
    for _ in range(3):
        gradient = gradient_of(width, dtype)
        torch_updates.descend_split(high, low, gradient, steps)
        numbers, widen = numbers_of(gradient)
        update_kernels.descend_split(
            other_high.view(torch.int16).numpy(), other_low.numpy(), numbers, steps.numpy(), widen
        )
    assert_equal_bits(high, other_high)
    is_number = ~high.isnan()
    assert torch.equal(low[is_number], other_low[is_number])


@every_width
@every_dtype
@pytest.mark.parametrize(("seed", "step"), [(0, 1), (3, 2**31), (2**40 + 5, 2**33 + 1)])
def test_numbers_rounded_by_chance_move_as_in_the_compiled_loop(width, dtype, seed, step):
    weights = weights_of(width).bfloat16()
    other, steps, gradient = weights.clone(), torch.linspace(1e-3, 3.0, 41), gradient_of(width, dtype)
    key = torch_updates.key_of(torch.tensor(seed), torch.tensor(step))
    compiled_key = np.uint32(update_kernels.key_of(seed, step))
    assert key.item() == compiled_key.astype(np.int32)
    torch_updates.descend_rounded(weights, gradient, steps, key, 1_000)
    numbers, widen = numbers_of(gradient)
    update_kernels.descend_rounded(other.view(torch.int16).numpy(), numbers, steps.numpy(), widen, compiled_key, 1_000)
    assert_equal_bits(weights, other)
