"""Colours change on the device where that gives the same pictures, and the log says where."""

import logging

import pytest
import torch

from manyhot.config import AugmentationConfig, ImagesConfig
from manyhot.data.augmentation import AugmentedTransform, TrainingTransform
from manyhot.data.colour import ColourJitter
from manyhot.data.erasing import RandomErasing
from manyhot.data.rand_augment import RandAugment
from manyhot.runs.augmenting import make_augmentation

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


@pytest.mark.usefixtures("fake_gpus")
@pytest.mark.parametrize(
    ("settings", "device", "on_host", "message"),
    [
        ({"hue": 0.1}, CPU, (ColourJitter,), "colours are changed while pictures are loaded"),
        ({"hue": 0.1}, GPU, (), "colours are changed on cuda:0, a batch at a time"),
        ({"hue": 0.1, "randaugment": 2}, GPU, (RandAugment,), "colours are changed on cuda:0, a batch at a time"),
        ({"hue": 0.1, "randaugment": 2}, CPU, (RandAugment, ColourJitter), "colours are changed while pictures are loaded"),
        ({"hue": 0.1, "erasing": 0.5}, GPU, (ColourJitter, RandomErasing), "not on cuda:0: erasing comes after them"),
        ({"hue": 0.1, "mixup": 0.2}, GPU, (ColourJitter,), "not on cuda:0: mixing comes after them"),
        ({"randaugment": 1, "erasing": 0.5}, GPU, (RandAugment, RandomErasing), ""),
        ({}, GPU, (), ""),
    ],
)  # fmt: skip
def test_colours_change_where_nothing_comes_after_them(settings, device, on_host, message, caplog) -> None:
    with caplog.at_level(logging.INFO, "manyhot"):
        made = make_augmentation(ImagesConfig(), AugmentationConfig(**settings), device)
    changes = made.transform.changes if isinstance(made.transform, AugmentedTransform) else ()
    assert tuple(type(change) for change in changes) == on_host
    assert isinstance(made.transform, AugmentedTransform if on_host else TrainingTransform)
    assert (made.colours is not None) == ("hue" in settings and ColourJitter not in on_host)
    assert (made.mixing is not None) == ("mixup" in settings)
    assert [record.message.endswith(message) for record in caplog.records] == [True] * bool(message)
