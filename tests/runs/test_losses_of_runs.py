"""Every loss trains from the command, saves into a bundle and predicts from it; what it needs of the data reaches it."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from manyhot.cli.main import main
from manyhot.config import LossConfig, Recipe
from manyhot.config.losses import (
    AsymmetricConfig,
    BinaryCrossEntropyConfig,
    DistributionBalancedConfig,
    FocalConfig,
    MarginConfig,
    PairwiseConfig,
    ReducedLossConfig,
    SemanticSoftmaxConfig,
    SoftMarginConfig,
    SoftmaxConfig,
    ZLPRConfig,
)
from manyhot.errors import ConfigError, LabelError
from manyhot.labels import LabelSets, LabelSource, LabelSpace, count_cells
from manyhot.losses import (
    AsymmetricLoss,
    BCEWithLogitsLoss,
    EpochAware,
    LargeLossRejection,
    Loss,
    SelectiveUnknown,
    SemanticSoftmaxLoss,
)
from manyhot.losses.cells import CellLoss
from manyhot.recipes import load_recipe
from manyhot.runs.loss_assembly import make_loss
from manyhot.runs.run import Run

KINDS = {
    "binary-cross-entropy": ["--loss.pos_weight", "counts", "--loss.label_weight", "class-balanced"],
    "soft-margin": ["--loss.label-smoothing", "0.1"],
    "focal": ["--loss.gamma", "1.5", "--loss.rejection_rate", "0.01"],
    "asymmetric": ["--loss.gamma-neg", "2", "--loss.unknown", "selective"],
    "distribution-balanced": ["--loss.centre", "0.3", "--loss.source_weight.data", "2"],
    "margin": ["--loss.margin", "0.5"],
    "pairwise": [],
    "zlpr": [],
    "two-way": ["--loss.positive_temperature", "2"],
    "softmax": [],
    "semantic-softmax": ["--loss.level_weight", "1,2"],
}
TRAINING = [
    "--encoder",
    "test_resnet",
    "--pretrained",
    "none",
    "--image-size",
    "32",
    "--epochs",
    "1",
    "--batch-size",
    "8",
]
TRAINING += ["--training.workers", "0", "--images.min_scale", "1"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures with a hierarchy of labels, some without a label."""
    folder = tmp_path_factory.mktemp("losses") / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows = []
    for index in range(32):
        Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(folder / f"{index}.png")
        names = [["animal", "cat"], ["animal"], [], ["animal", "cat", "red"]][index % 4]
        rows.append(f"{index}.png,{'|'.join(names)}\n")
    (folder / "labels.csv").write_text("file,labels\n" + "".join(rows))
    return folder


# One of each family runs at once; the rest, a second and a half each, with the slow tests.
QUICK = ("asymmetric", "semantic-softmax")


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=() if kind in QUICK else pytest.mark.slow) for kind in KINDS]
)
def test_a_loss_trains_from_the_command_and_its_bundle_predicts(
    kind: str, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    run = tmp_path / "run"
    if kind == "semantic-softmax":
        with_parents(monkeypatch)
    assert main(["train", str(pictures), "--out", str(run), *TRAINING, "--loss.kind", kind, *KINDS[kind]]) == 0
    saved = load_recipe(run / "recipe.toml").loss
    assert saved.kind == kind
    assert main(["predict", str(run / "bundle"), str(pictures / "0.png")]) == 0
    assert "0.png" in capfd.readouterr().out
    assert np.isfinite(Run(run).predict(pictures / "0.png").probs).all()


def with_parents(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the labels of the table parents, as formats with a hierarchy do."""
    from dataclasses import replace

    from manyhot.runs import data_sets

    read = data_sets.open_source

    def with_hierarchy(path, options=None):
        manifest = read(path, options)
        names = manifest.labels.space.names
        parents = tuple((names.index("animal"),) if name == "cat" else () for name in names)
        space = replace(manifest.labels.space, parents=parents)
        return replace(manifest, labels=replace(manifest.labels, space=space))

    monkeypatch.setattr(data_sets, "open_source", with_hierarchy)


SPACE = LabelSpace(names=("animal", "cat", "red"), parents=((), (0,), ()))
LABELS = LabelSets.from_lists([[0, 1], [0], [], [2], [0, 1, 2]], SPACE)


def loss_of(config: LossConfig, labels: LabelSets = LABELS) -> Loss:
    return make_loss(config, labels, count_cells(labels))


def test_weights_by_name_reach_their_labels_and_the_rest_weighs_one():
    config = BinaryCrossEntropyConfig(pos_weight={"cat": 3.0}, label_weight={"red": 2.0})
    loss = loss_of(config)
    assert isinstance(loss, BCEWithLogitsLoss)
    assert loss.pos_weight is not None
    assert loss.pos_weight.tolist() == [1.0, 3.0, 1.0]
    assert loss.label_weight is not None
    assert loss.label_weight.tolist() == [1.0, 1.0, 2.0]


def test_a_label_that_the_data_lack_is_named():
    with pytest.raises(LabelError, match=r"'cut'.*did you mean 'cat'"):
        loss_of(FocalConfig(label_weight={"cut": 2.0}))


def test_settings_of_cells_reach_every_loss_of_cells():
    for config in (BinaryCrossEntropyConfig, FocalConfig, AsymmetricConfig, DistributionBalancedConfig):
        loss = loss_of(config(label_smoothing=0.1, unknown="selective", selective_keep_out=1, rejection_rate=0.5))
        assert isinstance(loss, LargeLossRejection)
        assert isinstance(loss, EpochAware)
        assert (loss.rate, loss.loss.label_smoothing) == (0.5, 0.1)
        assert isinstance(loss.loss.unknown, SelectiveUnknown)
        assert loss.loss.unknown.keep_out == 1


@pytest.mark.parametrize(
    "config",
    [
        BinaryCrossEntropyConfig, SoftMarginConfig, FocalConfig, AsymmetricConfig, DistributionBalancedConfig,
        MarginConfig, PairwiseConfig, ZLPRConfig, SoftmaxConfig,
    ],
)  # fmt: skip
def test_a_loss_divides_by_what_the_recipe_says(config: type[ReducedLossConfig]):
    losses = loss_of(config()), loss_of(config(reduction="sample_mean"))
    assert [loss.reduction for loss in losses] == ["mean", "sample_mean"]


def test_sources_weigh_as_the_recipe_says():
    sources = (LabelSource(name="clean"), LabelSource(name="web"))
    mixed = LabelSets(
        space=SPACE, positives=LABELS.positives, sources=sources, source_ids=np.array([0, 0, 1, 1, 0], dtype=np.uint16)
    )
    loss = loss_of(AsymmetricConfig(source_weight={"web": 0.25}), mixed)
    assert isinstance(loss, CellLoss)
    from manyhot.targets import SparseTargets

    targets, logits = SparseTargets.from_label_sets(mixed), torch.zeros(5, 3)
    loss.reduction = "none"
    plain = AsymmetricLoss(reduction="none")(logits, targets)
    weights = torch.tensor([1.0, 1.0, 0.25, 0.25, 1.0])[:, None]
    torch.testing.assert_close(loss(logits, targets), plain * weights)
    with pytest.raises(ConfigError, match=r"loss\.source_weight\.wep: .*did you mean 'web'"):
        loss_of(AsymmetricConfig(source_weight={"wep": 0.25}), mixed)


def test_semantic_softmax_takes_its_levels_from_the_hierarchy(caplog: pytest.LogCaptureFixture):
    loss = loss_of(SemanticSoftmaxConfig())
    assert isinstance(loss, SemanticSoftmaxLoss)
    assert loss.levels.tolist() == [0, 1, 0]
    with pytest.raises(ConfigError, match="there are 2 levels; give one level_weight for each"):
        loss_of(SemanticSoftmaxConfig(level_weight=(1.0, 2.0, 3.0)))
    with pytest.raises(ConfigError, match="the data name none"):
        loss_of(SemanticSoftmaxConfig(), LabelSets.from_names([["cat"], []]))
    with caplog.at_level(logging.WARNING, "manyhot"):
        loss_of(SemanticSoftmaxConfig(), LabelSets.from_lists([[1], [0, 1]], SPACE))
    assert "1 positives stand without one of their parents" in caplog.text


def test_the_default_recipe_has_plain_binary_cross_entropy():
    loss = loss_of(Recipe().loss)
    assert isinstance(loss, BCEWithLogitsLoss)
    assert loss.pos_weight is None
    assert loss_of(SoftmaxConfig()) is not None
