"""What an encoder knows of each place of a picture, before it pools the places into one vector."""

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from manyhot.errors import ModelError


def encoder_tokens(encoder: nn.Module, images: Float[Tensor, "n *input"]) -> Float[Tensor, "n t d"]:
    """Return the features of each place of each picture.

    Maps of features `(n, d, h, w)` and `(n, h, w, d)` are flattened by rows; tokens that stand for the whole picture
    are left out.

    Args:
        encoder: An encoder of timm, or the rest of one that was cut.
        images: Normalised pictures `(n, 3, h, w)`; for a rest, what its trunk gave.

    Raises:
        ModelError: If the encoder gives no features of places.

    >>> import torch
    >>> from manyhot.models.encoders import create_encoder
    >>> encoder_tokens(create_encoder("test_resnet", image_size=64), torch.zeros(2, 3, 64, 64)).shape
    torch.Size([2, 4, 96])
    """
    forward_features: Any = getattr(encoder, "forward_features", None)
    features = forward_features(images) if forward_features is not None else None
    if not isinstance(features, Tensor) or features.ndim not in (3, 4):
        raise ModelError("this encoder gives no features of places, which this head reads; take the linear head")
    if features.ndim == 3:
        return features[:, int(getattr(encoder, "num_prefix_tokens", 0)) :]
    return features.flatten(1, 2) if _ends_in_channels(encoder, features) else features.flatten(2).transpose(1, 2)


def _ends_in_channels(encoder: nn.Module, features: Tensor) -> bool:
    # timm's own word where there is one: a map as high as it has channels tells nothing.
    stated = getattr(encoder, "output_fmt", None)
    if isinstance(stated, str):
        return stated.upper() == "NHWC"
    width = getattr(encoder, "num_features", None)
    return features.shape[3] == width and features.shape[1] != width
