"""A training that is killed anywhere, by the system, goes on as if it had never been: to the last bit."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

NUM_POINTS = 25


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_training_killed_anywhere_ends_in_the_same_weights_with_any_workers(tmp_path: Path) -> None:
    script = Path(__file__).with_name("train_until_killed.py")
    command = [sys.executable, "-W", "ignore", str(script), str(tmp_path), str(NUM_POINTS)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    points = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]
    assert len(points) == NUM_POINTS, run.stderr[-2000:]
    # All of them were killed, none came to its end before.
    assert {point["ended"] for point in points} == {-signal.SIGKILL}
    assert len({point["event"] for point in points}) >= 4
    assert {point["order"] for point in points} == {"repeated", "mixed"}
    assert [point for point in points if not point["is_same"]] == []
