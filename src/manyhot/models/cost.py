"""What a model costs: parameters, operations and time for a picture."""

import time
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from manyhot.models.branching import BranchedEncoder
from manyhot.models.classifier import Classifier

_TIMED_PICTURES = 8


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The cost of a model.

    Args:
        shared: Parameters of the encoder that all labels share.
        parted: Parameters of all branches of the encoder together; 0 where it does not part.
        head: Parameters of the head or heads.
        flops: Floating-point operations of one picture's logits; a multiplication and its addition are two.
        head_flops: Those of the head or heads among them.
    """

    shared: int
    parted: int
    head: int
    flops: int
    head_flops: int

    @property
    def parameters(self) -> int:
        """All parameters."""
        return self.shared + self.parted + self.head

    def __str__(self) -> str:
        """Return one line for a log."""
        parts = f"encoder {self.shared / 1e6:.2f}M"
        if self.parted:
            parts = f"shared {self.shared / 1e6:.2f}M, branches {self.parted / 1e6:.2f}M"
        return (
            f"{self.parameters / 1e6:.2f}M parameters ({parts}, head {self.head / 1e6:.2f}M), "
            f"{self.flops / 1e9:.2f} GFLOPs a picture (head {self.head_flops / 1e9:.2f})"
        )


def count_cost(model: Classifier) -> Cost:
    """Return what a model costs, counted while one picture goes through it; the model is left as it was.

    >>> from manyhot.models.build import build_model
    >>> from manyhot.models.spec import ModelSpec, Preprocessing
    >>> plain = Preprocessing(image_size=32, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    >>> print(count_cost(build_model(ModelSpec(encoder="test_resnet", num_labels=4, preprocessing=plain))))
    0.37M parameters (encoder 0.37M, head 0.00M), 0.01 GFLOPs a picture (head 0.00)
    """
    size = model.spec.preprocessing.image_size
    image = torch.zeros(1, 3, size, size, dtype=torch.uint8, device=model.mean.device)
    training = model.training
    model.eval()
    try:
        # With gradients on: the counter cannot follow views of parameters without them.
        with FlopCounterMode(display=False) as counter:
            model(image)
    finally:
        model.train(training)
    encoder = model.encoder
    parted = _count(encoder.branches) if isinstance(encoder, BranchedEncoder) else 0
    of_head = counter.get_flop_counts().get(f"{type(model).__name__}.head", {})
    return Cost(
        shared=_count(encoder) - parted,
        parted=parted,
        head=_count(model.head),
        flops=counter.get_total_flops(),
        head_flops=sum(of_head.values()),
    )


def time_step(model: Classifier, *, repeats: int = 3) -> float:
    """Return the seconds that a picture takes forwards and backwards, the median of a few batches of eight.

    Gradients are thrown away; batch statistics and random numbers are left as they were.

    Args:
        model: On the device that is to be timed.
        repeats: How many batches are timed, after one that is not.

    >>> from manyhot.models.build import build_model
    >>> from manyhot.models.spec import ModelSpec, Preprocessing
    >>> plain = Preprocessing(image_size=32, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    >>> time_step(build_model(ModelSpec(encoder="test_resnet", num_labels=4, preprocessing=plain))) > 0
    True
    """
    size, device = model.spec.preprocessing.image_size, model.mean.device
    images = torch.zeros(_TIMED_PICTURES, 3, size, size, dtype=torch.uint8, device=device)
    training = model.training
    # In evaluation mode, whose cost is within a few per cent of training's, batch statistics stay as they are.
    model.eval()
    seconds: list[float] = []
    try:
        for _ in range(repeats + 1):
            started = time.perf_counter()
            model(images).sum().backward()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            seconds.append(time.perf_counter() - started)
            model.zero_grad(set_to_none=True)
    finally:
        model.train(training)
    return sorted(seconds[1:])[repeats // 2] / _TIMED_PICTURES


def _count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
