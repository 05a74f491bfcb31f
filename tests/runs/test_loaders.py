"""What the loaders of a run take of the machine."""

import logging
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from manyhot.config import LoadingConfig
from manyhot.data.augmentation import TrainingTransform
from manyhot.runs import loaders
from manyhot.runs.loaders import default_workers, picture_cache
from manyhot.sources.picture_store import PictureFiles
from manyhot.training.launched import processes_here

CROP = TrainingTransform(224)


@pytest.fixture
def four_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What torchrun tells each of eight processes on two machines."""
    for name, value in {"TORCHELASTIC_RUN_ID": "a", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4"}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def pictures(tmp_path: Path) -> PictureFiles:
    """Pictures that take a good 3 MB, decoded."""
    Image.new("RGB", (1000, 1000)).save(tmp_path / "a.png")
    return PictureFiles.from_paths([tmp_path / "a.png"])


@pytest.mark.parametrize(("has_gpu", "alone", "shared"), [(True, 16, 10), (False, 20, 5)])
def test_processes_share_the_cores_of_their_machine(request, monkeypatch, has_gpu, alone, shared) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 40)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    assert default_workers() == alone
    request.getfixturevalue("four_processes")
    assert default_workers() == alone
    assert default_workers(processes_here()) == shared


@pytest.mark.parametrize("free_bytes", [11e6, 14e6])
def test_a_cache_alone_takes_a_quarter_of_the_memory_at_most(pictures, monkeypatch, free_bytes) -> None:
    monkeypatch.setattr(loaders, "available_bytes", lambda: free_bytes)
    assert (picture_cache(LoadingConfig(), pictures, np.array([0]), CROP, folder=Path()) is not None) == (
        free_bytes == 14e6
    )


@pytest.mark.usefixtures("four_processes")
@pytest.mark.parametrize("free_bytes", [40e6, 60e6])
def test_caches_of_several_processes_take_a_quarter_together(pictures, monkeypatch, caplog, free_bytes) -> None:
    monkeypatch.setattr(loaders, "available_bytes", lambda: free_bytes)
    with caplog.at_level(logging.INFO, "manyhot"):
        assert (picture_cache(LoadingConfig(), pictures, np.array([0]), CROP, folder=Path()) is not None) == (
            free_bytes == 60e6
        )
    assert "GB in each of 4 processes" in caplog.text
