"""Every example runs, as its own process in an empty folder, and is short enough to read at once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
# These train, if only for an epoch or two.
SLOW = {"train_from_python.py", "lightning_pieces.py", "predict_from_a_bundle.py"}


def marked(path: Path) -> object:
    return pytest.param(path, id=path.stem, marks=[pytest.mark.slow] if path.name in SLOW else [])


@pytest.mark.parametrize("path", [marked(path) for path in EXAMPLES])
def test_example_runs(path: Path, tmp_path: Path):
    environment = {**os.environ, "PYTHONWARNINGS": "default"}
    done = subprocess.run(
        [sys.executable, str(path)],
        check=False,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip(), "an example shows what it did"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_is_short(path: Path):
    assert len(path.read_text(encoding="utf-8").splitlines()) < 80
