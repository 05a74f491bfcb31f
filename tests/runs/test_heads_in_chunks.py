"""Head and loss in one give the training that they give apart, and are taken where they can be."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from manyhot.config import (
    BranchingConfig,
    DataConfig,
    DistributedConfig,
    EncoderConfig,
    ImagesConfig,
    LinearHeadConfig,
    LowRankHeadConfig,
    OptimiserConfig,
    Recipe,
    TrainingConfig,
)
from manyhot.config.losses import AsymmetricConfig, BinaryCrossEntropyConfig, FocalConfig, LossConfig, ZLPRConfig
from manyhot.errors import ConfigError
from manyhot.runs.fitting import train
from manyhot.runs.loss_assembly import head_loss_obstacle
from manyhot.runs.networks import trains_in_chunks

NUM_SAMPLES = 24


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chunks") / "data"
    folder.mkdir()
    rng = np.random.default_rng(0)
    lines = ["file,labels"]
    for row in range(NUM_SAMPLES):
        Image.fromarray(rng.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(folder / f"{row}.png")
        names = [name for name, base in (("red", 2), ("blue", 3), ("rare", 8)) if row % base == 0]
        lines.append(f"{row}.png,{'|'.join(names)}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder


def recipe_of(data: Path, *, in_chunks: bool | None, loss: LossConfig) -> Recipe:
    return Recipe(
        data=DataConfig(path=str(data)),
        images=ImagesConfig(size=32),
        encoder=EncoderConfig(name="test_resnet", pretrained="none"),
        head=LinearHeadConfig(in_chunks=in_chunks),
        loss=loss,
        training=TrainingConfig(epochs=1, batch_size=8, workers=0),
    )


@pytest.mark.parametrize(
    "loss",
    [
        BinaryCrossEntropyConfig(pos_weight="counts", label_weight="class-balanced"),
        AsymmetricConfig(reduction="sample_mean"),
    ],
    ids=["bce", "asymmetric"],
)
def test_weights_are_those_of_head_and_loss_apart(data: Path, tmp_path: Path, loss: LossConfig) -> None:
    states = []
    for in_chunks in (False, True):
        run = train(recipe_of(data, in_chunks=in_chunks, loss=loss), tmp_path / str(in_chunks))
        states.append(run.bundle.model.state_dict())
    for name, value in states[0].items():
        # AdamW makes steps of equal size of gradients that differ in their last digits.
        torch.testing.assert_close(value, states[1][name], rtol=1e-3, atol=1e-4, msg=name)


def test_they_are_one_above_a_thousand_labels_unless_the_recipe_says_otherwise() -> None:
    recipe = Recipe()
    assert not trains_in_chunks(recipe, 1_000, None)
    assert trains_in_chunks(recipe, 1_001, None)
    assert not trains_in_chunks(recipe, 1_001, "loss.kind is 'zlpr'")
    assert trains_in_chunks(replace(recipe, head=LinearHeadConfig(in_chunks=True)), 3, None)
    assert not trains_in_chunks(replace(recipe, head=LinearHeadConfig(in_chunks=False)), 11_000, None)
    assert not trains_in_chunks(replace(recipe, head=LowRankHeadConfig()), 11_000, None)
    assert not trains_in_chunks(replace(recipe, branching=BranchingConfig(at=1)), 11_000, None)


@pytest.mark.parametrize(
    ("loss", "named"),
    [
        (ZLPRConfig(), "loss.kind is 'zlpr'"),
        (FocalConfig(label_smoothing=0.1), "loss.label_smoothing"),
        (BinaryCrossEntropyConfig(unknown="negative"), "loss.unknown"),
        (BinaryCrossEntropyConfig(rejection_rate=0.01), "loss.rejection_rate"),
    ],
)
def test_a_loss_that_cannot_is_named(data: Path, tmp_path: Path, loss: LossConfig, named: str) -> None:
    assert named in (head_loss_obstacle(loss) or "")
    with pytest.raises(ConfigError, match=named):
        train(recipe_of(data, in_chunks=True, loss=loss), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"head": LowRankHeadConfig()}, "a linear head"),
        ({"branching": BranchingConfig(at=1)}, "without branches"),
        ({"optimiser": OptimiserConfig(ema_decay=0.9)}, "no average"),
    ],
)
def test_what_a_sharded_head_cannot_take_is_named(settings: dict, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        Recipe(distributed=DistributedConfig(head="sharded"), **settings)
