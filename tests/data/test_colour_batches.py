"""Colours of a whole batch change as those of each picture would, to the level, also by the kernels of GPUs.

Those kernels are run by Triton's interpreter, which is chosen by the environment when they are defined: hence a process
of its own.
"""

import sys
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import permutations
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch._subclasses import FakeTensorMode

from manyhot import data
from manyhot.data.colour import ColourJitter
from manyhot.data.colour_batches import ColourChanges

ORDERS = np.array(list(permutations(range(4))))
STRENGTHS = {"brightness": 0.4, "contrast": 0.5, "saturation": 0.6, "hue": 0.3}
SHAPES = ((24, 17, 41), (24, 33, 64), (24, 1, 1), (1, 5, 500), (0, 17, 41), (0, 0, 0))
OFF = (None, *STRENGTHS, "all")
needs_triton = pytest.mark.skipif(find_spec("triton") is None, reason="torch brings Triton on Linux only")


def jitter_without(off: str | None) -> ColourJitter:
    return ColourJitter(**{name: 0.0 if off in {name, "all"} else value for name, value in STRENGTHS.items()})


def batch_of(num_images: int, height: int, width: int) -> tuple[torch.Tensor, np.ndarray]:
    """Return pictures, and numbers that give each another order of changes."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (num_images, 3, height, width), dtype=np.uint8)
    # A grey one, whose hue is not defined.
    images[1:2] = images[1:2, :1]
    draws = np.concatenate([random.random((num_images, 4)), np.argsort(ORDERS[:num_images], axis=1) / 4], axis=1)
    return torch.from_numpy(images), draws


class Drawn(np.random.Generator):
    """A generator that has drawn already."""

    def __init__(self, draws: np.ndarray) -> None:
        super().__init__(np.random.PCG64())
        self.draws = draws

    def random(self, size: tuple[int, int], **options: object) -> np.ndarray:
        return self.draws.reshape(size)


def changed_one_by_one(jitter: ColourJitter, images: torch.Tensor, draws: np.ndarray) -> torch.Tensor:
    changed = images.clone()
    for planes, numbers in zip(changed.numpy(), draws, strict=True):
        jitter.change(planes, Drawn(numbers))
    return changed


@pytest.mark.parametrize("off", OFF)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_batch_changes_as_its_pictures_do(shape: tuple[int, int, int], off: str | None) -> None:
    images, draws = batch_of(*shape)
    before, jitter = images.clone(), jitter_without(off)
    changed = ColourChanges.drawn(jitter, draws).change(images)
    assert torch.equal(changed, changed_one_by_one(jitter, images, draws))
    assert torch.equal(images, before)
    assert off == "all" or shape[0] == 0 or not torch.equal(changed, before)


@pytest.fixture
def on_a_gpu(monkeypatch: pytest.MonkeyPatch, fake_gpus: Any) -> Iterator[None]:
    """Tensors without data, said to be on a GPU, raise an error where a number of theirs is asked for."""
    kernels = SimpleNamespace(change_before_contrast=fake_gpus, change_from_contrast=fake_gpus)
    # In both places that an import looks into.
    monkeypatch.setitem(sys.modules, "manyhot.data.colour_triton_kernels", kernels)
    monkeypatch.setattr(data, "colour_triton_kernels", kernels, raising=False)
    with FakeTensorMode():
        yield


def without_data(device: str) -> tuple[torch.Tensor, ColourChanges]:
    with torch.device(device):
        changes = ColourChanges(kinds=torch.zeros(5, 4, dtype=torch.int64), amounts=torch.zeros(5, 4))
        return torch.zeros(5, 3, 17, 41, dtype=torch.uint8), changes


@pytest.mark.usefixtures("on_a_gpu", "without_shape_checks")
def test_a_gpu_is_not_waited_for_and_need_not_be_the_current_one(fake_gpus: Any) -> None:
    images, changes = without_data("cuda:1")
    changed = changes.change(images)
    assert (changed.device, changed.dtype, changed.shape) == (torch.device("cuda:1"), torch.uint8, (5, 3, 17, 41))
    assert fake_gpus.launches == [torch.device("cuda:1")] * 2


@pytest.mark.usefixtures("on_a_gpu", "without_shape_checks")
@pytest.mark.parametrize("device", ["mps:0", "cuda:1"])
def test_the_host_changes_the_colours_of_a_device_without_triton(monkeypatch, fake_gpus, device: str) -> None:
    monkeypatch.setattr("manyhot.gpus.find_spec", lambda name: None)
    read: list[str] = []

    def numbers_of(tensor: torch.Tensor) -> np.ndarray:
        read.append(tensor.device.type)
        return np.zeros(tensor.shape, str(tensor.dtype).removeprefix("torch."))

    # Tensors without data have no numbers to give.
    monkeypatch.setattr(torch.Tensor, "numpy", numbers_of)
    images, changes = without_data(device)
    assert changes.change(images).device == torch.device(device)
    assert read == ["cpu"] * 3
    assert fake_gpus.launches == []


@needs_triton
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_kernels_of_gpus_change_a_batch_to_the_same_levels(run_triton) -> None:
    assert run_triton(__file__, is_interpreted=True).count("equal") == len(SHAPES) * len(OFF)


COMPILING = """
from itertools import product
from triton import compile
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from manyhot.data import colour_triton_kernels

TYPES = {"kinds": "*i64", "amounts": "*fp32", "sums": "*i64", "num_pixels": "i32", "count": "fp32"}
for name, num_steps, capability in product(("change_before_contrast", "change_from_contrast"), (0, 1, 4), (75, 90)):
    kernel = getattr(colour_triton_kernels, name)
    constants = {"NUM_STEPS": num_steps, "BLOCK": 1024}
    kinds = {key: "constexpr" if key in constants else TYPES.get(key, "*u8") for key in kernel.arg_names}
    source = ASTSource(fn=kernel, signature=kinds, constexprs=constants)
    made = compile(source, target=GPUTarget("cuda", capability, 32), options={"enable_fp_fusion": False})
    # One rounding in the place of two, or a quotient that is not the nearest, would be another level now and then.
    exact = "fma." not in made.asm["ptx"] and "div.full" not in made.asm["ptx"]
    print(name, num_steps, capability, "compiled" if made.asm["cubin"] and exact else "inexact")
"""


@needs_triton
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_kernels_compile_for_a_gpu_that_is_not_there_and_round_each_operation(run_triton) -> None:
    assert run_triton("-c", COMPILING, is_interpreted=False).count("compiled") == 12


def compare(shape: tuple[int, int, int], off: str | None) -> None:
    """Compare the kernels of GPUs, in the interpreter, with the pictures one by one."""
    images, draws = batch_of(*shape)
    jitter = jitter_without(off)
    changed = ColourChanges.drawn(jitter, draws)._change_on_gpu(images)
    assert torch.equal(changed, changed_one_by_one(jitter, images, draws)), (shape, off)


if __name__ == "__main__":
    for shape in SHAPES:
        for off in OFF:
            compare(shape, off)
            print(shape, off, "equal")
