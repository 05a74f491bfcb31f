"""A training that was stopped and went on ends where one that was never stopped ends, bit for bit."""

import os
import signal
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback

from manyhot.errors import RunError, StoppedError
from manyhot.training.checkpoints import best_checkpoint, last_checkpoint, load_weights
from manyhot.training.trainer import fit


class Interrupt(Callback):
    """Ends a training at a step of an epoch, by a signal or as a crash would."""

    def __init__(self, epoch: int, batch: int | None, number: int | None) -> None:
        self.when, self.number = (epoch, batch), number

    def _act(self) -> None:
        if self.number is None:
            raise InterruptedError("a crash")
        os.kill(os.getpid(), self.number)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: object, batch: object, batch_idx: int) -> None:
        if self.when == (trainer.current_epoch, batch_idx):
            self._act()

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        if self.when == (trainer.current_epoch, None):
            self._act()


def run(tiny: ModuleType, folder: Path, *, interrupt: Interrupt | None = None, **options: Any) -> Any:
    folder.mkdir(exist_ok=True)
    module, data = tiny.tiny_module(), tiny.tiny_data()
    trainer = tiny.tiny_trainer(folder, callbacks=[] if interrupt is None else [interrupt], **options)
    fit(trainer, module, data, checkpoint=last_checkpoint(folder))
    return module, data.train_dataloader().drawn


def history(folder: Path) -> list[str]:
    """The rows of metrics.csv without the three columns that depend on the clock."""
    return [line.rsplit(",", 3)[0] for line in (folder / "metrics.csv").read_text().splitlines()]


@pytest.mark.parametrize(
    ("epoch", "batch", "number"),
    [
        pytest.param(0, 1, signal.SIGTERM, id="SIGTERM in the first epoch"),
        pytest.param(1, 3, signal.SIGINT, id="SIGINT in the middle of an epoch"),
        pytest.param(1, 5, signal.SIGTERM, id="SIGTERM at the last step of an epoch"),
        pytest.param(1, None, signal.SIGTERM, id="SIGTERM during validation"),
    ],
)
@pytest.mark.parametrize("ema_decay", [None, 0.9])
def test_a_training_stopped_by_a_signal_goes_on_as_if_never_stopped(
    tiny: ModuleType, tmp_path: Path, epoch: int, batch: int | None, number: int, ema_decay: float | None
) -> None:
    whole, whole_order = run(tiny, tmp_path / "whole", ema_decay=ema_decay)
    with pytest.raises(StoppedError, match=r"^SIG(TERM|INT): stopped after step \d+ .*--resume --out") as caught:
        run(tiny, tmp_path / "parts", interrupt=Interrupt(epoch, batch, number), ema_decay=ema_decay)
    assert caught.value.exit_code == 3
    parts, order = run(tiny, tmp_path / "parts", ema_decay=ema_decay)
    assert_equal(tiny, whole, parts)
    assert order == whole_order[-len(order) :]
    assert history(tmp_path / "parts") == history(tmp_path / "whole")
    assert_same_file_weights(tiny, best_checkpoint(tmp_path / "whole"), best_checkpoint(tmp_path / "parts"))


@pytest.mark.parametrize(("epoch", "batch"), [(1, 2), (2, 0), (1, None)])
def test_a_training_that_crashed_goes_on_from_its_last_checkpoint(
    tiny: ModuleType, tmp_path: Path, epoch: int, batch: int | None
) -> None:
    whole, _ = run(tiny, tmp_path / "whole")
    with pytest.raises(InterruptedError):
        run(tiny, tmp_path / "parts", interrupt=Interrupt(epoch, batch, None))
    parts, order = run(tiny, tmp_path / "parts")
    assert order[0][0] == epoch
    assert_equal(tiny, whole, parts)
    assert history(tmp_path / "parts") == history(tmp_path / "whole")


def test_a_crash_loses_no_more_than_the_interval_between_checkpoints(tiny: ModuleType, tmp_path: Path) -> None:
    whole, _ = run(tiny, tmp_path / "whole")
    with pytest.raises(InterruptedError):
        run(tiny, tmp_path / "parts", interrupt=Interrupt(1, 4, None), checkpoint_interval_s=0.0)
    parts, order = run(tiny, tmp_path / "parts")
    assert len(order) == 2 + 6  # what was left of epoch 2, after the checkpoint of its fourth step, and epoch 3
    assert_equal(tiny, whole, parts)


def test_a_finished_training_resumes_to_nothing(tiny: ModuleType, tmp_path: Path) -> None:
    whole, _ = run(tiny, tmp_path)
    again, order = run(tiny, tmp_path)
    assert order == []
    assert_equal(tiny, whole, again)


def test_a_stop_in_the_last_epoch_leaves_a_finished_training(tiny: ModuleType, tmp_path: Path) -> None:
    whole, _ = run(tiny, tmp_path / "whole")
    with pytest.raises(StoppedError, match="epoch 3 of 3"):
        run(tiny, tmp_path / "parts", interrupt=Interrupt(2, None, signal.SIGTERM))
    assert len(history(tmp_path / "parts")) == 1 + 3
    parts, order = run(tiny, tmp_path / "parts")
    assert order == []
    assert_equal(tiny, whole, parts)


def test_a_second_signal_stops_at_once(tiny: ModuleType, tmp_path: Path) -> None:
    class Twice(Interrupt):
        def _act(self) -> None:
            super()._act()
            super()._act()

    with pytest.raises(SystemExit):  # Lightning's answer to KeyboardInterrupt
        run(tiny, tmp_path, interrupt=Twice(1, 2, signal.SIGINT))


def test_signal_handlers_are_put_back(tiny: ModuleType, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(StoppedError):
        run(tiny, tmp_path, interrupt=Interrupt(0, 0, signal.SIGTERM))
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_patience_that_ran_out_before_a_stop_is_not_regained(tiny: ModuleType, tmp_path: Path) -> None:
    def train() -> list[Any]:
        module, data = tiny.tiny_module(epochs=9, score=lambda logits, truth: 0.5), tiny.tiny_data()
        trainer = tiny.tiny_trainer(tmp_path, epochs=9, patience=2)
        fit(trainer, module, data, checkpoint=last_checkpoint(tmp_path))
        return data.train_dataloader().drawn

    assert {epoch for epoch, _ in train()} == {0, 1, 2}
    assert train() == []


def test_a_checkpoint_is_replaced_whole_or_not_at_all(
    tiny: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tiny, tmp_path)
    path = last_checkpoint(tmp_path)
    assert path is not None
    before = path.read_bytes()

    def killed(checkpoint: object, temporary: Path) -> None:
        temporary.write_bytes(b"half a checkpoint")
        raise InterruptedError("a crash")

    monkeypatch.setattr(torch, "save", killed)
    path.rename(tmp_path / "kept")
    with pytest.raises(InterruptedError):
        run(tiny, tmp_path)
    (tmp_path / "kept").rename(path)
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir() if entry.name.startswith(".")] == []


@pytest.mark.parametrize("content", [b"", b"half a checkpoint", b"PK\x03\x04"])
def test_a_damaged_checkpoint_is_one_line(tiny: ModuleType, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").write_bytes(content)
    with pytest.raises(RunError, match=r"last\.ckpt: is damaged") as caught:
        run(tiny, tmp_path)
    assert "\n" not in str(caught.value)


def test_a_run_without_an_epoch_has_no_best_weights(tmp_path: Path) -> None:
    assert last_checkpoint(tmp_path) is None
    with pytest.raises(RunError, match="no epoch"):
        best_checkpoint(tmp_path)


def test_weights_of_another_model_are_refused(tiny: ModuleType, tmp_path: Path) -> None:
    run(tiny, tmp_path)
    with pytest.raises(RunError, match="does not hold this model's weights") as caught:
        load_weights(torch.nn.Linear(2, 2), best_checkpoint(tmp_path))
    assert "\n" not in str(caught.value)


def assert_equal(tiny: ModuleType, first: Any, second: Any) -> None:
    expected, found = tiny.weights(first), tiny.weights(second)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[key], found[key]) for key in expected)


def assert_same_file_weights(tiny: ModuleType, first: Path, second: Path) -> None:
    models = tiny.tiny_model(), tiny.tiny_model()
    load_weights(models[0], first)
    load_weights(models[1], second)
    assert all(torch.equal(*pair) for pair in zip(models[0].parameters(), models[1].parameters(), strict=True))
