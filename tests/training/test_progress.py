import logging
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from manyhot.training.datamodule import MultiLabelData
from manyhot.training.history import EpochRecord
from manyhot.training.progress import duration, epoch_line
from manyhot.training.trainer import fit


def test_without_a_terminal_there_is_one_line_an_epoch(
    tiny: ModuleType, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A busy machine may wait for these pictures; what is then advised is another test's.
    monkeypatch.setattr("manyhot.training.progress.WAITING_SHARE", 2.0)
    with caplog.at_level(logging.INFO, "manyhot"):
        fit(tiny.tiny_trainer(tmp_path), tiny.tiny_module(), tiny.tiny_data())
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 3
    pattern = (
        r"epoch {}/3: train loss \d\.\d{{4}}, val map_macro \d\.\d{{4}}, [\d,]+ images/s \(\d+ % waiting for them\), {}"
    )
    assert re.fullmatch(pattern.format(1, r"\d+ s left"), lines[0])
    assert re.fullmatch(pattern.format(3, "done"), lines[2])


def test_on_a_terminal_there_is_one_bar_for_the_whole_training(
    tiny: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr("manyhot.training.progress.WAITING_SHARE", 2.0)
    monkeypatch.setenv("COLUMNS", "80")
    fit(tiny.tiny_trainer(tmp_path), tiny.tiny_module(), tiny.tiny_data())
    written = capsys.readouterr().err
    assert written.count("\n") == 1  # the bar stays in its line until it is closed
    last = written.rstrip("\n").split("\r")[-1]
    pattern = r"epoch 3/3 100% \|.*\| 00:00 left, [\d,]+ images/s, loss \d\.\d{3}, val map_macro \d\.\d{3}"
    assert re.fullmatch(pattern, last)
    assert len(last) == 80


def test_an_undefined_figure_is_called_so() -> None:
    record = EpochRecord(
        epoch=2,
        step=9,
        train_loss=0.5,
        val_map_macro=float("nan"),
        lr=0.1,
        images_per_s=1.0,
        waiting_share=0.5,
        seconds=3.0,
    )
    assert "val map_macro undefined" in epoch_line(record, num_epochs=2, left_s=0.0)


@pytest.mark.parametrize(("seconds", "text"), [(0.0, "0 s"), (89.5, "90 s"), (90.0, "2 min"), (3_600.0, "1 h 0 min")])
def test_durations_are_said_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


class SlowLoader:
    """Batches of another loader, each after a while."""

    def __init__(self, loader: Any, seconds: float) -> None:
        self._loader, self._seconds = loader, seconds

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[Any]:
        for batch in self._loader:
            time.sleep(self._seconds)
            yield batch


def test_a_training_that_waits_for_its_pictures_says_so_and_what_to_do(
    tiny: ModuleType, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = tiny.tiny_data()
    slow = MultiLabelData(SlowLoader(data.train_dataloader(), 0.2), data.val_dataloader())
    with caplog.at_level("INFO", logger="manyhot"):
        fit(tiny.tiny_trainer(tmp_path), tiny.tiny_module(), slow)
    advice = [line for line in caplog.messages if line.startswith("training waits for pictures")]
    assert len(advice) == 1
    assert "--training.workers" in advice[0]
    header, *rows = (line.split(",") for line in (tmp_path / "metrics.csv").read_text().splitlines())
    shares = [float(row[header.index("waiting_share")]) for row in rows]
    assert all(0.3 < share <= 1 for share in shares)
