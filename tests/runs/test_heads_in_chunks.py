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
from manyhot.labels import count_cells
from manyhot.runs.fitting import train
from manyhot.runs.loss_assembly import head_loss_obstacle, make_head_loss, make_loss
from manyhot.runs.networks import make_model, model_spec, trains_in_chunks
from manyhot.runs.options import source_options
from manyhot.sources import open_source
from manyhot.targets import SparseTargets

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
def test_loss_and_gradients_are_those_of_head_and_loss_apart(data: Path, loss: LossConfig) -> None:
    recipe = recipe_of(data, in_chunks=True, loss=loss)
    labels = open_source(data, source_options(recipe.data)).labels
    model = make_model(recipe, model_spec(recipe, labels)).eval()
    targets, counts = SparseTargets.from_label_sets(labels), count_cells(labels)
    images = torch.randint(0, 256, (NUM_SAMPLES, 3, 32, 32), generator=torch.Generator().manual_seed(0)).byte()
    together = make_head_loss(loss, labels, counts).of_features(model.head, model.features(images), targets)
    ours = torch.autograd.grad(together, list(model.parameters()))
    apart = make_loss(loss, labels, counts)(model(images), targets)
    torch.testing.assert_close(together, apart, rtol=1e-5, atol=1e-6)
    for (name, _), one, other in zip(
        model.named_parameters(), ours, torch.autograd.grad(apart, list(model.parameters())), strict=True
    ):
        size = max(1.0, float(other.abs().max()))
        # Sums of float32 in another order, through the whole encoder.
        torch.testing.assert_close(one / size, other / size, rtol=0, atol=1e-5, msg=name)


def test_a_run_is_trained_and_judged_with_head_and_loss_in_one(data: Path, tmp_path: Path) -> None:
    run = train(recipe_of(data, in_chunks=True, loss=FocalConfig()), tmp_path / "run")
    assert run.is_finished
    assert run.recipe.head == LinearHeadConfig(in_chunks=True)


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
