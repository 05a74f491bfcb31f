"""Transforms of torchvision (`torchvision.transforms.v2`), or any that draw from torch's main generator, made repeatable."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from manyhot.errors import UsageError


@dataclass(frozen=True)
class TorchTransform:
    """A transform of one's own, from pixels `(3, h, w)` to pixels `(3, height, width)`, both uint8 from 0 to 255.

    What it draws from torch's main generator depends on seed, epoch and sample alone, and the generator is put back
    afterwards. That generator belongs to the whole process, so such a transform runs in worker processes, or in the main
    thread without workers.

    Args:
        transform: For example `torchvision.transforms.v2.Compose([...])`; without normalisation, which is the model's.

    >>> transform = TorchTransform(lambda pixels: pixels[:, :2, :2] + torch.randint(9, (1,), dtype=torch.uint8))
    >>> state = torch.get_rng_state()
    >>> changed = transform(np.zeros((3, 5, 3), np.uint8), np.random.default_rng(0))
    >>> changed.shape, torch.equal(state, torch.get_rng_state())
    ((2, 2, 3), True)
    """

    transform: Callable[[Tensor], Tensor]

    def __call__(
        self, image: UInt8[np.ndarray, "h w 3"], generator: np.random.Generator | None
    ) -> UInt8[np.ndarray, "height width 3"]:
        """Return the picture as the transform makes it.

        Raises:
            UsageError: If it runs in a thread other than the main one, there is no generator, or what it gives is no
                uint8 picture.
        """
        if generator is None:
            raise UsageError("a transform that draws random numbers needs a generator")
        if threading.current_thread() is not threading.main_thread():
            raise UsageError(
                "torch's main generator cannot be shared by threads; load with worker processes (worker_kind='processes')"
            )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(generator.integers(2**63)))
            planes = self.transform(torch.from_numpy(image).permute(2, 0, 1))
        if planes.dtype != torch.uint8 or planes.ndim != 3 or planes.shape[0] != 3:
            raise UsageError(
                f"the transform gave {planes.dtype} of shape {tuple(planes.shape)}; expected torch.uint8 of (3, height, "
                f"width): leave out what scales or normalises, the model does it"
            )
        return planes.permute(1, 2, 0).numpy()
