"""Encoders: any of timm's image networks by name, without its classifier."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from manyhot.errors import ModelError, did_you_mean
from manyhot.models.hub import published_weights
from manyhot.models.spec import Preprocessing
from manyhot.models.tokens import encoder_tokens
from manyhot.models.weights import fit_to_encoder, read_weights

if TYPE_CHECKING:
    from timm.models import PretrainedCfg

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Pretrained = Literal["auto", "none"] | Path


def preprocessing_of(name: str, *, image_size: int) -> Preprocessing:
    """Return how the encoder's published weights expect pictures, at an image size of your choice.

    Raises:
        ModelError: If timm has no such encoder; the message names the nearest one.

    >>> preprocessing_of("resnet18", image_size=64).mean
    (0.485, 0.456, 0.406)
    """
    published = _published_config(name)
    return Preprocessing(
        image_size=image_size,
        mean=_one_a_channel(published.mean, IMAGENET_MEAN),
        std=_one_a_channel(published.std, IMAGENET_STD),
    )


def create_encoder(name: str, *, image_size: int) -> nn.Module:
    """Return a timm encoder with random weights: images `(n, 3, h, w)` to features `(n, d)`.

    Encoders whose position embedding or windows are cut for one image size (ViT, Swin and their kin) are built for
    `image_size`.

    Raises:
        ModelError: If timm has no such encoder, or cannot build it for this image size.

    >>> create_encoder("test_resnet", image_size=32)(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 96])
    """
    import timm

    published = _published_config(name)
    # timm's own rule: an encoder with a fixed input size takes the size as an argument, the others do not know it.
    sized: dict[str, Any] = {"img_size": image_size} if published.fixed_input_size else {}
    try:
        return timm.create_model(name, num_classes=0, **sized)
    except (AssertionError, RuntimeError, TypeError, ValueError) as error:
        raise ModelError(_does_not_fit(name, image_size, error)) from error


def count_features(encoder: nn.Module, name: str, *, image_size: int) -> int:
    """Return the number of features that the encoder gives a picture, found by running one black picture through it.

    Raises:
        ModelError: If the encoder cannot take pictures of this size, or gives more than one vector a picture.
    """
    features = _try(encoder, encoder, name, image_size)
    if not isinstance(features, torch.Tensor) or features.ndim != 2:
        shape = tuple(features.shape) if isinstance(features, torch.Tensor) else type(features).__name__
        raise ModelError(f"encoder {name!r} gives {shape}, not one vector a picture; choose another encoder")
    return features.shape[1]


def count_token_features(encoder: nn.Module, name: str, *, image_size: int) -> int:
    """Return the number of features that the encoder gives a place of a picture, found as in `count_features`.

    Raises:
        ModelError: If the encoder cannot take pictures of this size, or gives no features of places.
    """
    tokens = _try(lambda images: encoder_tokens(encoder, images), encoder, name, image_size)
    assert isinstance(tokens, torch.Tensor), type(tokens)
    return tokens.shape[2]


def _try(run: Callable[[Tensor], object], encoder: nn.Module, name: str, image_size: int) -> object:
    """Return what one black picture gives; the encoder is left as it was."""
    was_training = encoder.training
    # In eval mode: batch statistics stay as they are, and nothing is drawn from the random generator. Not in inference
    # mode: some encoders keep tensors of their first pass, which could not be trained with later.
    encoder.eval()
    device = next(encoder.parameters()).device
    try:
        with torch.no_grad():
            return run(torch.zeros(1, 3, image_size, image_size, device=device))
    except (AssertionError, IndexError, RuntimeError, TypeError, ValueError) as error:
        raise ModelError(_does_not_fit(name, image_size, error)) from error
    finally:
        encoder.train(was_training)


def load_encoder_weights(encoder: nn.Module, name: str, pretrained: Pretrained) -> None:
    """Load weights into an encoder that `create_encoder` made; `none` leaves it as it is.

    A classifier in the file is left out. Position embeddings made for another image size are resampled as timm does.

    Args:
        encoder: The encoder, changed in place.
        name: Its name.
        pretrained: `auto` for the weights that timm publishes (host and size are logged before a download), `none`, or
            a file: `.safetensors`, or `.pt`, `.pth`, `.bin` that hold tensors only.

    Raises:
        ModelError: If the weights cannot be had, or do not fit; the message names what is missing and how to go on.
    """
    if pretrained == "none":
        return
    path = published_weights(name, _published_config(name)) if pretrained == "auto" else pretrained
    weights = read_weights(path)
    try:
        fitting = fit_to_encoder(weights, encoder, classifiers=_classifiers_of(name))
    except ModelError as error:
        raise ModelError(f"{path}: does not fit encoder {name!r}: {error}") from error
    encoder.load_state_dict(fitting, strict=False)


def _published_config(name: str) -> "PretrainedCfg":
    import timm

    architecture, _, tag = name.partition(".")
    known = timm.list_models()
    # Checked by us first: timm itself would go to the network for "hf-hub:…".
    if architecture not in known:
        raise ModelError(f"there is no encoder {name!r} in timm{did_you_mean(architecture, known)}")
    tags = [entry.partition(".")[2] for entry in timm.list_models(f"{architecture}.*", pretrained=True)]
    if tag and tag not in tags:
        raise ModelError(f"encoder {architecture!r} has no weights called {tag!r}{did_you_mean(tag, tags)}")
    published = timm.get_pretrained_cfg(name)
    assert published is not None, name
    return published


def _classifiers_of(name: str) -> tuple[str, ...]:
    classifier: Any = _published_config(name).classifier
    if classifier is None:
        return ()
    return (classifier,) if isinstance(classifier, str) else tuple(classifier)


def _one_a_channel(values: tuple[float, ...], default: tuple[float, float, float]) -> tuple[float, float, float]:
    if len(values) != 3:
        return default
    return (values[0], values[1], values[2])


def _does_not_fit(name: str, image_size: int, error: Exception) -> str:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return (
        f"encoder {name!r} does not take pictures of {image_size} × {image_size} pixels ({reason}); "
        "try --image-size 224, or a resnet, which takes any size"
    )
