"""The network of a run: encoder, head, and where it parts. Loads without torch."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """The network that turns a picture into features."""

    name: str = "resnet50"
    """Any encoder of timm, by name."""
    pretrained: str = "auto"
    """auto: timm's published weights (downloads once); none: random weights; or a file, .safetensors or .pt."""
    freeze: bool = False
    """Train the head alone; the encoder's weights and batch statistics stay as they are."""


@dataclass(frozen=True, kw_only=True)
class LinearHeadConfig:
    """One linear layer from features to logits."""

    kind: Literal["linear"] = "linear"
    """Name of the head."""


HeadConfig = LinearHeadConfig
