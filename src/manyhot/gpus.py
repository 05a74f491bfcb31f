"""Which devices run kernels that are written in Triton."""

from importlib.util import find_spec

import torch

LEAST_CAPABILITY = (7, 0)
"""The oldest GPUs that Triton compiles for: Volta. `torch.compile` asks for the same."""


def runs_triton(device: torch.device) -> bool:
    """Return whether kernels in Triton run on a device: a GPU that is not too old, where torch has brought Triton.

    >>> runs_triton(torch.device("cpu"))
    False
    """
    if device.type != "cuda" or find_spec("triton") is None:
        return False
    return torch.cuda.get_device_capability(device) >= LEAST_CAPABILITY
