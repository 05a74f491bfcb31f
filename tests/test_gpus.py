"""Kernels in Triton run on GPUs that are not too old, where there is Triton."""

import pytest
import torch

from manyhot.gpus import runs_triton


@pytest.mark.usefixtures("fake_gpus")
def test_only_gpus_run_triton() -> None:
    assert [runs_triton(torch.device(kind)) for kind in ("cuda", "cuda:1", "cpu", "mps")] == [True, True, False, False]


@pytest.mark.usefixtures("fake_gpus")
@pytest.mark.parametrize(("capability", "expected"), [((6, 1), False), ((7, 0), True), ((7, 5), True), ((10, 0), True)])
def test_triton_does_not_compile_for_old_gpus(monkeypatch, capability: tuple[int, int], expected: bool) -> None:
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda device: capability)
    assert runs_triton(torch.device("cuda")) == expected


@pytest.mark.usefixtures("fake_gpus")
def test_without_triton_no_gpu_runs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("manyhot.gpus.find_spec", lambda name: None)
    assert not runs_triton(torch.device("cuda"))
