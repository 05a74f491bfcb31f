"""Changes of colour of a whole batch at once, where the batch is."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64, UInt8
from torch import Tensor

from manyhot.data.colour import ColourJitter, change_colours
from manyhot.gpus import runs_triton

BLOCK = 1024
"""Pixels that a program on a GPU changes."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ColourChanges:
    """What is to be done to the colours of each picture of a batch.

    Args:
        kinds: Which changes, in the order of each picture.
        amounts: By how much each: see `change_colours`.

    >>> changes = ColourChanges.drawn(ColourJitter(brightness=0.5), np.array([[0.0] * 8, [1.0] * 8]))
    >>> changes.change(torch.full((2, 3, 1, 1), 100, dtype=torch.uint8))[:, 0, 0, 0]
    tensor([ 50, 150], dtype=torch.uint8)
    """

    kinds: Int64[Tensor, "n k"]
    amounts: Float32[Tensor, "n k"]

    @staticmethod
    def drawn(jitter: ColourJitter, draws: Float64[np.ndarray, "n 8"]) -> "ColourChanges":
        """Return the changes that random numbers decide: what `ColourJitter.change` does with the same numbers."""
        kinds, amounts = jitter.steps(draws)
        return ColourChanges(kinds=torch.from_numpy(kinds), amounts=torch.from_numpy(amounts))

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> "ColourChanges":
        """Return the same changes on a device."""
        return replace(
            self,
            kinds=self.kinds.to(device, non_blocking=non_blocking),
            amounts=self.amounts.to(device, non_blocking=non_blocking),
        )

    def pin_memory(self) -> "ColourChanges":
        """Return the same changes in pinned memory."""
        return replace(self, kinds=self.kinds.pin_memory(), amounts=self.amounts.pin_memory())

    def change(self, images: UInt8[Tensor, "n 3 h w"]) -> UInt8[Tensor, "n 3 h w"]:
        """Return the pictures changed, on their device.

        Where that runs no kernels in Triton, the CPU changes copies, and the device is waited for; otherwise it is not.
        """
        if runs_triton(images.device):
            return self._change_on_gpu(images.contiguous())
        return self._change_on_host(images)

    def _change_on_host(self, images: UInt8[Tensor, "n 3 h w"]) -> UInt8[Tensor, "n 3 h w"]:
        changed, here = images.to("cpu", copy=True), self.to("cpu")
        for planes, kinds, amounts in zip(changed.numpy(), here.kinds.numpy(), here.amounts.numpy(), strict=True):
            change_colours(planes, kinds, amounts)
        return changed.to(images.device)

    def _change_on_gpu(self, images: UInt8[Tensor, "n 3 h w"]) -> UInt8[Tensor, "n 3 h w"]:
        from manyhot.data import colour_triton_kernels

        changed, num_images = torch.empty_like(images), images.shape[0]
        num_pixels = images.shape[2] * images.shape[3]
        if not num_images or not num_pixels:
            return changed
        sums = torch.zeros((num_images, 3), dtype=torch.int64, device=images.device)
        grid = (-(-num_pixels // BLOCK), num_images)
        rest = (self.kinds, self.amounts, sums, num_pixels)
        options = {"NUM_STEPS": self.kinds.shape[1], "BLOCK": BLOCK, "enable_fp_fusion": False}
        # Triton starts a kernel on the current GPU, wherever its tensors are.
        with torch.cuda.device_of(images):
            colour_triton_kernels.change_before_contrast[grid](images, changed, *rest, **options)
            colour_triton_kernels.change_from_contrast[grid](changed, *rest, float(num_pixels), **options)
        return changed
