"""The whole network: pictures in, logits out."""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from manyhot.models.branching import BranchedEncoder
from manyhot.models.heads import Head
from manyhot.models.spec import ModelSpec
from manyhot.models.tokens import encoder_tokens


class Classifier(nn.Module):
    """Pictures to logits: normalisation, encoder, head. No sigmoid: losses, metrics and decisions take logits.

    Args:
        spec: What the model is; mean and std are taken from it, so the weights file holds none.
        encoder: Normalised pictures `(n, 3, h, w)` to features `(n, d)`.
        head: Features to logits, of each picture or of each of its places.
    """

    def __init__(self, spec: ModelSpec, encoder: nn.Module, head: Head) -> None:
        super().__init__()
        self.spec = spec
        self.encoder = encoder
        self.head = head
        self.encoder_is_frozen = False
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(spec.preprocessing.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(spec.preprocessing.std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: UInt8[Tensor, "n 3 h w"] | Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n l"]:
        """Return float32 logits.

        Args:
            images: RGB, uint8 from 0 to 255 or float from 0 to 1, already resized; normalised here, on the device.
        """
        features = self.features(images) if self.head.reads == "features" else self.tokens(images)
        # Outside of autocast: logits rank samples, and bf16 has 256 values between 1 and 2.
        with torch.autocast(features.device.type, enabled=False):
            return self.head(features.float())

    def features(self, images: UInt8[Tensor, "n 3 h w"] | Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n *d"]:
        """Return the encoder's features of each picture `(n, d)`, or those of each branch `(n, g, d)`."""
        # Of a frozen encoder nothing learns, so nothing is kept for a backward pass.
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.encoder_is_frozen):
            return self.encoder(self._normalised(images))

    def tokens(self, images: UInt8[Tensor, "n 3 h w"] | Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n *t d"]:
        """Return the encoder's features of each place of each picture, before they are pooled; or of each branch."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.encoder_is_frozen):
            normalised = self._normalised(images)
            if isinstance(self.encoder, BranchedEncoder):
                return self.encoder.tokens(normalised)
            return encoder_tokens(self.encoder, normalised)

    def _normalised(self, images: Tensor) -> Tensor:
        scaled = images if images.is_floating_point() else images.float() / 255
        return (scaled - self.mean) / self.std

    def train(self, mode: bool = True) -> "Classifier":
        """Set training mode; a frozen encoder stays in evaluation mode, so that its batch statistics do not move."""
        super().train(mode)
        if self.encoder_is_frozen:
            self.encoder.eval()
        return self


def freeze_encoder(model: Classifier) -> None:
    """Train the head alone from now on: the encoder's weights and batch statistics stay as they are."""
    model.encoder_is_frozen = True
    model.encoder.requires_grad_(False)
    model.train(model.training)
