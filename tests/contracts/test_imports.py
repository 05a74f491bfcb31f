"""What loads what: the price of an import is part of the contract."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "numba", "lightning", "timm", "cv2", "scipy", "sklearn", "tensorboard")
TRAINING_STACK = ("lightning", "timm", "tensorboard", "sklearn")


def loaded_by(modules: tuple[str, ...], candidates: tuple[str, ...]) -> list[str]:
    code = f"import sys, {', '.join(modules)}; print(*[name for name in {candidates!r} if name in sys.modules])"
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()


@pytest.mark.parametrize(
    "modules",
    [
        ("manyhot",),
        ("manyhot.errors", "manyhot.files", "manyhot.labels"),
        ("manyhot.config", "manyhot.recipes"),
        ("manyhot.sources",),
        ("manyhot.cli", "manyhot.cli.main"),
    ],
    ids=lambda modules: modules[0],
)
def test_light_parts_load_without_torch(modules: tuple[str, ...]):
    assert loaded_by(modules, HEAVY) == []


def test_parts_for_other_loops_load_without_the_training_stack():
    modules = ("manyhot.targets", "manyhot.losses", "manyhot.metrics", "manyhot.decisions")
    assert loaded_by(modules, TRAINING_STACK) == []


def test_bundle_loads_without_the_training_stack():
    assert loaded_by(("manyhot.bundle",), ("lightning", "tensorboard", "manyhot.training")) == []
