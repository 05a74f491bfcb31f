import logging
import math
import signal
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from manyhot.errors import ScoreError, StoppedError, TrainingError
from manyhot.labels import LabelSets
from manyhot.models.classifier import Classifier, freeze_encoder
from manyhot.models.heads import LinearHead
from manyhot.models.spec import ModelSpec, Preprocessing
from manyhot.training.checkpoints import best_checkpoint, last_checkpoint, load_weights
from manyhot.training.module import gather_samples
from manyhot.training.trainer import create_trainer, fit


def train(tiny: ModuleType, folder: Path, *, module: Any = None, data: Any = None, **options: Any) -> Any:
    module = tiny.tiny_module() if module is None else module
    fit(tiny.tiny_trainer(folder, **options), module, tiny.tiny_data() if data is None else data)
    return module


def columns(folder: Path) -> dict[str, list[str]]:
    header, *rows = (line.split(",") for line in (folder / "metrics.csv").read_text().splitlines())
    return {name: [row[index] for row in rows] for index, name in enumerate(header)}


def average_precision(scores: np.ndarray, positive: np.ndarray) -> float:
    """FIGURES: mean over positives of TP(s ≥ s_c) / n(s ≥ s_c), pair by pair."""
    return float(np.mean([(positive & (scores >= cut)).sum() / (scores >= cut).sum() for cut in scores[positive]]))


def test_the_validation_figure_is_that_of_the_whole_split_and_not_a_mean_of_batches(
    tiny: ModuleType, tmp_path: Path
) -> None:
    module = train(tiny, tmp_path, epochs=1)
    rows = tiny.val_rows()
    with torch.no_grad():
        logits = module.model.eval()(tiny.all_images()[rows]).double().numpy()
    positive = tiny.truth().take(rows).to_multi_hot() == 1
    expected = np.mean([average_precision(logits[:, label], positive[:, label]) for label in range(2)])
    assert float(columns(tmp_path)["val_map_macro"][0]) == pytest.approx(expected, abs=1e-6)  # logged as float32


def test_the_score_sees_each_validation_sample_once_with_its_own_labels(tiny: ModuleType, tmp_path: Path) -> None:
    seen: list[tuple[np.ndarray, LabelSets]] = []

    def score(logits: np.ndarray, truth: LabelSets) -> float:
        seen.append((logits, truth))
        return 0.5

    train(tiny, tmp_path, epochs=2, module=tiny.tiny_module(score=score))
    assert [logits.shape for logits, _ in seen] == [(7, 3)] * 2
    assert seen[0][0].dtype == np.float32
    expected = tiny.truth().take(tiny.val_rows()).to_multi_hot()
    np.testing.assert_array_equal(seen[1][1].to_multi_hot(), expected)


def test_a_sample_that_two_batches_name_counts_once() -> None:
    first = (np.array([4, 2]), np.array([[4.0], [2.0]], dtype=np.float32))
    second = (np.array([2, 0]), np.array([[2.0], [0.0]], dtype=np.float32))
    rows, logits = gather_samples([first, second], num_labels=1)
    assert rows.tolist() == [0, 2, 4]
    assert logits.tolist() == [[0.0], [2.0], [4.0]]


def test_no_batches_are_no_samples() -> None:
    rows, logits = gather_samples([], num_labels=3)
    assert rows.shape == (0,)
    assert logits.shape == (0, 3)


def test_an_undefined_figure_is_an_empty_cell_and_keeps_the_last_weights(tiny: ModuleType, tmp_path: Path) -> None:
    module = train(tiny, tmp_path, epochs=2, module=tiny.tiny_module(score=lambda logits, truth: None))
    assert columns(tmp_path)["val_map_macro"] == ["", ""]
    kept = tiny.tiny_model()
    load_weights(kept, best_checkpoint(tmp_path))
    assert all(torch.equal(*pair) for pair in zip(kept.parameters(), module.model.parameters(), strict=True))


def test_the_best_weights_are_those_of_the_earliest_best_epoch(tiny: ModuleType, tmp_path: Path) -> None:
    figures = iter([0.2, 0.8, 0.8, 0.5])
    states: list[dict[str, torch.Tensor]] = []

    def score(logits: np.ndarray, truth: LabelSets) -> float:
        states.append(tiny.weights(module))
        return next(figures)

    module = tiny.tiny_module(epochs=4, score=score)
    train(tiny, tmp_path, epochs=4, module=module)
    kept = tiny.tiny_model()
    load_weights(kept, best_checkpoint(tmp_path))
    assert all(torch.equal(value, states[1][key]) for key, value in kept.state_dict().items())


def test_training_ends_when_patience_does(tiny: ModuleType, tmp_path: Path) -> None:
    figures = iter([0.2, 0.8, 0.7, 0.8, 0.9, 0.9])
    train(tiny, tmp_path, epochs=6, patience=2, module=tiny.tiny_module(score=lambda *_: next(figures)))
    assert columns(tmp_path)["epoch"] == ["1", "2", "3", "4"]


def test_the_history_s_loss_is_the_mean_over_samples(tiny: ModuleType, tmp_path: Path) -> None:
    """Five batches of four and one of two: a mean of batch means would be another number."""
    module = tiny.tiny_module()
    sums: list[float] = []
    plain = module.loss

    class Recorded(nn.Module):
        def forward(self, logits: torch.Tensor, targets: Any) -> torch.Tensor:
            loss = plain(logits, targets)
            sums.append(float(loss.detach()) * logits.shape[0])
            return loss

    module.loss = Recorded()
    train(tiny, tmp_path, epochs=1, module=module)
    assert len(sums) == 6
    assert float(columns(tmp_path)["train_loss"][0]) == pytest.approx(sum(sums) / 22, rel=1e-9)


def test_the_history_tells_epoch_step_and_rate(tiny: ModuleType, tmp_path: Path) -> None:
    train(tiny, tmp_path)
    table = columns(tmp_path)
    assert table["epoch"] == ["1", "2", "3"]
    assert table["step"] == ["6", "12", "18"]
    settings = tiny.tiny_module().optimisation
    angle = math.pi * (17 - settings.warmup_steps) / (settings.total_steps - settings.warmup_steps)
    assert float(table["lr"][2]) == pytest.approx(settings.lr * 0.5 * (1 + math.cos(angle)))
    assert all(float(rate) > 0 for rate in table["images_per_s"])


def test_a_training_learns(tiny: ModuleType, tmp_path: Path) -> None:
    train(tiny, tmp_path, epochs=20, module=tiny.tiny_module(epochs=20))
    table = columns(tmp_path)
    assert float(table["train_loss"][-1]) < 0.6 * float(table["train_loss"][0])
    assert float(table["val_map_macro"][-1]) > 0.9


def test_the_average_of_the_weights_is_what_is_validated_and_kept(tiny: ModuleType, tmp_path: Path) -> None:
    validated: list[dict[str, torch.Tensor]] = []
    module = tiny.tiny_module(epochs=1)
    history = [tiny.weights(module)]
    module.on_train_batch_end = lambda *_: history.append(tiny.weights(module))
    module.on_validation_epoch_start = lambda: validated.append(tiny.weights(module))
    train(tiny, tmp_path, epochs=1, module=module, ema_decay=0.5)

    expected = {key: value.double() for key, value in history[0].items() if value.is_floating_point()}
    for step, state in enumerate(history[1:], start=1):
        decay = min(0.5, (1 + step) / (10 + step))
        expected = {key: decay * value + (1 - decay) * state[key].double() for key, value in expected.items()}
    kept = tiny.tiny_model()
    load_weights(kept, best_checkpoint(tmp_path))
    for key, value in expected.items():
        torch.testing.assert_close(validated[0][key].double(), value, rtol=1e-5, atol=1e-6)  # float32 averages
        assert torch.equal(kept.state_dict()[key], validated[0][key])
    # The step's own weights are back after validation.
    assert all(torch.equal(value, history[-1][key]) for key, value in tiny.weights(module).items())


@pytest.mark.parametrize(("epoch", "position", "step"), [(0, 1, 1), (1, 3, 9), (1, 6, 12)])
def test_a_loss_that_is_no_number_names_its_step(
    tiny: ModuleType, tmp_path: Path, epoch: int, position: int, step: int
) -> None:
    data = tiny.tiny_data()
    data.train_dataloader().poisoned = (epoch, position)
    with pytest.raises(
        TrainingError, match=rf"^step {step} \(epoch {epoch + 1}\): the loss is not.*lower --lr"
    ) as caught:
        train(tiny, tmp_path, data=data)
    assert "\n" not in str(caught.value)


def test_weights_that_are_lost_are_never_saved(tiny: ModuleType, tmp_path: Path) -> None:
    """The last step's loss is finite and its gradient is not: only weights and logits tell."""
    module = tiny.tiny_module(epochs=1)

    def poison() -> None:
        if module.global_step == 5:
            next(module.model.parameters()).grad.fill_(torch.inf)

    module.on_after_backward = poison
    with pytest.raises(TrainingError, match="no longer finite"):
        train(tiny, tmp_path, epochs=1, module=module)
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_a_loss_that_ends_a_training_is_in_its_history(tiny: ModuleType, tmp_path: Path) -> None:
    data = tiny.tiny_data()
    data.train_dataloader().poisoned = (1, 3)
    with pytest.raises(TrainingError, match="not a finite number"):
        train(tiny, tmp_path, data=data)
    table = columns(tmp_path)
    assert table["epoch"] == ["1", "2"]
    assert float(table["train_loss"][0]) > 0
    assert (table["train_loss"][1], table["val_map_macro"][1]) == ("", "")


@pytest.mark.parametrize(
    ("end", "name"), [(nn.Sigmoid(), "a sigmoid"), (nn.Softmax(dim=1), "a softmax")], ids=["sigmoid", "softmax"]
)
def test_a_model_that_ends_in_an_activation_is_refused_in_the_first_step(
    tiny: ModuleType, tmp_path: Path, end: nn.Module, name: str
) -> None:
    module = tiny.tiny_module()
    module.model.append(end)
    with pytest.raises(TrainingError, match=f"the model ends in {name}, and the loss takes logits"):
        train(tiny, tmp_path, module=module)


class Told(nn.Module):
    """A loss that remembers which epochs it was told, and which steps it took in them."""

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss, self.epoch, self.steps = loss, -1, []

    def start_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def forward(self, logits: torch.Tensor, targets: Any) -> torch.Tensor:
        self.steps.append(self.epoch)
        return self.loss(logits, targets)


def test_a_loss_is_told_the_epoch_also_where_a_training_goes_on_within_one(tiny: ModuleType, tmp_path: Path) -> None:
    module = tiny.tiny_module()
    module.loss = Told(module.loss)
    stop_at = {"step": 8}

    def stop(*_: Any) -> None:
        if module.global_step == stop_at["step"]:
            signal.raise_signal(signal.SIGTERM)

    module.on_train_batch_end = stop
    with pytest.raises(StoppedError):
        train(tiny, tmp_path, module=module)
    again = tiny.tiny_module()
    again.loss = Told(again.loss)
    fit(tiny.tiny_trainer(tmp_path), again, tiny.tiny_data(), checkpoint=last_checkpoint(tmp_path))
    assert module.loss.steps == [0] * 6 + [1] * 2 or module.loss.steps == [0] * 6 + [1] * 3
    assert module.loss.steps + again.loss.steps == [0] * 6 + [1] * 6 + [2] * 6


def test_a_score_that_refuses_says_so_itself(tiny: ModuleType, tmp_path: Path) -> None:
    def refuse(logits: np.ndarray, truth: LabelSets) -> float:
        raise ScoreError("no such score")

    with pytest.raises(ScoreError, match="no such score"):
        train(tiny, tmp_path, module=tiny.tiny_module(score=refuse))


def test_gradients_are_clipped_to_the_norm_given(tiny: ModuleType, tmp_path: Path) -> None:
    norms: list[float] = []
    module = tiny.tiny_module(epochs=1)

    def record(optimizer: torch.optim.Optimizer) -> None:
        gradients = [parameter.grad.flatten() for parameter in module.model.parameters()]
        norms.append(float(torch.cat(gradients).norm()))

    optimiser_step = module.optimizer_step

    def step(epoch: int, batch: int, optimizer: Any, closure: Any) -> None:
        optimiser_step(epoch, batch, optimizer, closure)
        record(optimizer)

    module.optimizer_step = step
    train(tiny, tmp_path, epochs=1, module=module, gradient_clip=0.05)
    assert len(norms) == 6
    assert max(norms) == pytest.approx(0.05, rel=1e-3)


def test_nothing_of_lightning_reaches_the_user(
    tiny: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    levels = [logging.getLogger(name).level for name in ("lightning.pytorch", "lightning.fabric")]
    with warnings.catch_warnings(record=True) as caught, caplog.at_level(logging.INFO):
        warnings.simplefilter("always")
        train(tiny, tmp_path)
    assert [str(warning.message) for warning in caught] == []
    assert {record.name for record in caplog.records} == {"manyhot"}
    assert capfd.readouterr().out == ""
    assert [logging.getLogger(name).level for name in ("lightning.pytorch", "lightning.fabric")] == levels


def test_the_run_folder_holds_history_events_and_checkpoints_and_nothing_else(tiny: ModuleType, tmp_path: Path) -> None:
    train(tiny, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoints", "events", "metrics.csv"]
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["best.safetensors", "last.ckpt"]
    assert [path.name.split(".")[0] for path in (tmp_path / "events").iterdir()] == ["events"]


def test_more_devices_than_there_are_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"^99 devices asked for"):
        create_trainer(folder=tmp_path, epochs=1, devices=99)


def test_a_frozen_encoder_stays_as_it_was_while_its_head_learns(tiny: ModuleType, tmp_path: Path) -> None:
    spec = ModelSpec(
        encoder="tiny", num_labels=3, preprocessing=Preprocessing(image_size=4, mean=(0.5,) * 3, std=(0.3,) * 3)
    )
    encoder = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.Dropout(0.5), nn.Flatten())
    module = tiny.tiny_module()
    module.model = Classifier(spec, encoder, LinearHead(24, 3))
    freeze_encoder(module.model)
    before = tiny.weights(module)
    train(tiny, tmp_path, module=module)
    changed = {key for key, value in tiny.weights(module).items() if not torch.equal(value, before[key])}
    assert changed == {"head.weight", "head.bias"}
