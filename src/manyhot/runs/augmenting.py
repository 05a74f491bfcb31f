"""From settings to how training pictures are changed, and where their colours are."""

import logging
from dataclasses import dataclass

import torch

from manyhot.config import AugmentationConfig, ImagesConfig
from manyhot.data.augmentation import AugmentedTransform, CropTransform, PictureChange, TrainingTransform
from manyhot.data.colour import ColourJitter
from manyhot.data.erasing import RandomErasing
from manyhot.data.mixing import Mixing
from manyhot.data.rand_augment import RandAugment
from manyhot.gpus import runs_triton

log = logging.getLogger("manyhot")


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How training pictures are changed.

    Args:
        transform: What is done to each while it is loaded.
        mixing: How those of a batch are mixed then, if they are.
        colours: What is done to the colours of a batch on its device, if anything is.
    """

    transform: CropTransform
    mixing: Mixing | None
    colours: ColourJitter | None


def make_augmentation(images: ImagesConfig, config: AugmentationConfig, device: torch.device) -> Augmentation:
    """Return how training pictures are changed, and log where their colours are. What is drawn does not depend on it.

    Args:
        images: Size and crop.
        config: What else is done.
        device: What the model trains on.

    >>> make_augmentation(ImagesConfig(), AugmentationConfig(hue=0.1), torch.device("cpu")).colours is None
    True
    """
    crop = TrainingTransform(images.size, min_scale=images.min_scale, flip=images.flip)
    mixing = Mixing(mixup=config.mixup, cutmix=config.cutmix) if config.mixup or config.cutmix else None
    colours, changes = _make_colours(config), list[PictureChange]()
    if config.randaugment:
        changes.append(RandAugment(num_changes=config.randaugment, magnitude=config.magnitude))
    is_left, where = _place_of_colours(config, device)
    if colours is not None:
        log.info("colours are changed %s", where)
        changes += [] if is_left else [colours]
    # Last: what is erased stays so.
    if config.erasing:
        changes.append(RandomErasing(probability=config.erasing))
    transform = AugmentedTransform(crop, tuple(changes)) if changes else crop
    return Augmentation(transform=transform, mixing=mixing, colours=colours if is_left else None)


def _make_colours(config: AugmentationConfig) -> ColourJitter | None:
    if not max(config.brightness, config.contrast, config.saturation, config.hue):
        return None
    return ColourJitter(
        brightness=config.brightness, contrast=config.contrast, saturation=config.saturation, hue=config.hue
    )


def _place_of_colours(config: AugmentationConfig, device: torch.device) -> tuple[bool, str]:
    """Return whether colours are left to the device, and in words where they change."""
    if not runs_triton(device):
        return False, "while pictures are loaded"
    # What is done on the host to pictures whose colours have changed.
    later = {"mixing": config.mixup or config.cutmix, "erasing": config.erasing}
    for name, strength in later.items():
        if strength:
            return False, f"while pictures are loaded, not on {device}: {name} comes after them"
    return True, f"on {device}, a batch at a time"
