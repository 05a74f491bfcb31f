"""Runs in which each usual mistake was made, and what `check --run` says of them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from manyhot.cli.main import main
from manyhot.config import AdamWConfig, DataConfig, EncoderConfig, ImagesConfig, LossConfig, Recipe, TrainingConfig
from manyhot.config.losses import BinaryCrossEntropyConfig, SoftmaxConfig
from manyhot.errors import TrainingError
from manyhot.models.classifier import Classifier
from manyhot.runs import fitting
from manyhot.runs.checking import check_run
from manyhot.runs.fitting import train
from manyhot.sources.finding import Finding
from manyhot.training import module as training_module

MISTAKES = {
    "sigmoid-twice", "softmax-for-multi-label", "missing-prevalence-bias", "constant-logits", "all-negative",
    "loss-not-finite", "logits-not-finite", "loss-not-falling", "val-not-moving", "train-val-gap", "no-negative-logits",
}  # fmt: skip


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures whose colour is their label; half have none."""
    folder = tmp_path_factory.mktemp("diagnosing") / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows = []
    for index in range(240):
        colour = index % 8
        pixels = rng.integers(0, 90, (32, 32, 3), dtype=np.uint8)
        if colour < 3:
            pixels[..., colour] += 160
        Image.fromarray(pixels).save(folder / f"{index}.png")
        names = [*(["red", "green", "blue"][colour : colour + 1])] + (["shown"] if colour == 0 else [])
        rows.append(f"{index}.png,{'|'.join(names)}\n")
    (folder / "labels.csv").write_text("file,labels\n" + "".join(rows))
    return folder


def run_of(pictures: Path, out: Path, *, epochs: int = 1, lr: float = 3e-3, loss: LossConfig | None = None) -> Path:
    recipe = Recipe(
        data=DataConfig(path=str(pictures)),
        images=ImagesConfig(size=32, min_scale=1.0),
        encoder=EncoderConfig(name="test_resnet", pretrained="none"),
        loss=loss or BinaryCrossEntropyConfig(),
        optimiser=AdamWConfig(lr=lr),
        training=TrainingConfig(epochs=epochs, batch_size=16, workers=0),
    )
    train(recipe, out)
    return out


def mistakes(run: Path) -> dict[str, Finding]:
    return {finding.name: finding for finding in check_run(run).findings if finding.name in MISTAKES}


def test_a_bias_that_starts_at_zero_is_found_in_a_run_and_the_usual_start_is_not(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    sound = mistakes(run_of(pictures, tmp_path / "sound", lr=1e-4))
    assert "missing-prevalence-bias" not in sound
    monkeypatch.setattr(fitting, "starting_logits", lambda loss, counts, num_samples: torch.zeros(len(counts.known)))
    found = mistakes(run_of(pictures, tmp_path / "run", lr=1e-4))["missing-prevalence-bias"]
    assert found.severity == "warning"
    assert "which is reached in no epoch" in found.message


def test_a_model_with_a_sigmoid_of_its_own_is_an_error_of_the_run(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    forward = Classifier.forward
    monkeypatch.setattr(Classifier, "forward", lambda self, images: torch.sigmoid(forward(self, images)))
    with pytest.raises(TrainingError, match="the model ends in a sigmoid"):
        run_of(pictures, tmp_path / "refused")
    # As in a training loop that does not look.
    monkeypatch.setattr(training_module, "final_activation", lambda logits: None)
    run = run_of(pictures, tmp_path / "run", epochs=1)
    assert mistakes(run)["sigmoid-twice"].severity == "error"
    assert main(["check", "--run", str(run)]) == 1
    assert "val: all 144 logits lie between 0" in " ".join(capsys.readouterr().out.split())


@pytest.mark.slow
def test_features_that_never_reach_the_head_are_a_collapse(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    features = Classifier.features
    monkeypatch.setattr(Classifier, "features", lambda self, images: 0 * features(self, images))
    found = mistakes(run_of(pictures, tmp_path / "run", epochs=3))
    assert found["constant-logits"].severity == "error"
    assert found["val-not-moving"].severity == "warning"


@pytest.mark.slow
def test_a_training_that_ended_without_a_finite_loss_says_so_afterwards(pictures: Path, tmp_path: Path):
    with pytest.raises(TrainingError):
        run_of(pictures, tmp_path / "run", epochs=3, lr=1e30)
    found = mistakes(tmp_path / "run")
    assert "loss-not-finite" in found
    assert check_run(tmp_path / "run").has_errors


@pytest.mark.slow
def test_a_softmax_over_samples_with_several_labels_or_none_is_a_warning(pictures: Path, tmp_path: Path):
    found = mistakes(run_of(pictures, tmp_path / "run", loss=SoftmaxConfig()))["softmax-for-multi-label"]
    assert found.severity == "warning"
    assert "have no label and teach nothing" in found.message


@pytest.mark.slow
def test_a_sound_run_that_learnt_its_labels_has_no_mistake(pictures: Path, tmp_path: Path):
    # By heart too, some seeds: so few pictures allow it.
    assert set(mistakes(run_of(pictures, tmp_path / "run", epochs=4))) <= {"train-val-gap"}


def test_a_run_without_its_data_is_judged_by_its_own_files(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    run = tmp_path / "run"
    run.mkdir()
    from manyhot.recipes import save_recipe

    save_recipe(Recipe(data=DataConfig(path=str(tmp_path / "gone"))), run / "recipe.toml")
    (run / "metrics.csv").write_text("epoch,step,train_loss,val_map_macro\n1,4,0.5,0.1\n2,8,,\n")
    assert set(mistakes(run)) == {"loss-not-finite"}
    (run / "metrics.csv").write_text("no,history\n1,2\n")
    assert mistakes(run) == {}
