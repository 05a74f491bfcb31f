"""Plain-Python figures, written from the definitions alone, and tables to compare them on."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from manyhot.labels import LabelSets, LabelSpace

Table = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="session")
def oracle() -> ModuleType:
    """The module of plain definitions beside this file."""
    spec = importlib.util.spec_from_file_location("metrics_oracle", Path(__file__).parent / "oracle.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def as_sets() -> Callable[[np.ndarray], LabelSets]:
    """Turn a matrix of 1, 0 and NaN into label sets."""

    def convert(matrix: np.ndarray) -> LabelSets:
        return LabelSets.from_dense(matrix, LabelSpace(names=tuple(f"label {i}" for i in range(matrix.shape[1]))))

    return convert


def make_table(num_samples: int, num_labels: int, seed: int, *, unknown: float = 0.0, levels: int = 0) -> Table:
    """Return float32 logits and a truth with labels that never or always occur, and rows without labels.

    Args:
        num_samples: Rows.
        num_labels: Columns.
        seed: Of the generator.
        unknown: Share of unknown cells.
        levels: Number of different scores, so that many tie; 0 for all different.
    """
    generator = np.random.default_rng(seed)
    prevalence = generator.choice([0.0, 0.1, 0.4, 0.7, 1.0], size=num_labels)
    truth = (generator.random((num_samples, num_labels)) < prevalence).astype(np.float32)
    truth[generator.random(num_samples) < 0.15] = 0.0
    logits = generator.normal(size=truth.shape) + 1.5 * truth - 0.5
    if levels:
        logits = np.round(logits * levels / 4) * 4 / levels
    truth[generator.random(truth.shape) < unknown] = np.nan
    return logits.astype(np.float32), truth


TABLES = {
    "17 x 41": make_table(17, 41, 0),
    "17 x 41 with ties": make_table(17, 41, 1, levels=6),
    "17 x 41 with unknown cells": make_table(17, 41, 2, unknown=0.3),
    "17 x 41 with ties, mostly unknown": make_table(17, 41, 3, unknown=0.8, levels=6),
    "60 x 5 with unknown cells and ties": make_table(60, 5, 4, unknown=0.1, levels=20),
    "7 x 90": make_table(7, 90, 5, levels=12),
    "one sample": make_table(1, 9, 6),
    "one label": make_table(23, 1, 7, levels=8),
    "one cell": (np.array([[0.0]], dtype=np.float32), np.array([[1.0]], dtype=np.float32)),
    "no sample": (np.zeros((0, 3), dtype=np.float32), np.zeros((0, 3), dtype=np.float32)),
    "constant scores": (np.zeros((9, 4), dtype=np.float32), make_table(9, 4, 8)[1]),
    "nothing known": (make_table(4, 3, 9)[0], np.full((4, 3), np.nan, dtype=np.float32)),
    "saturated": (make_table(19, 6, 10)[0] * np.float32(50.0), make_table(19, 6, 10)[1]),
}


@pytest.fixture(scope="session")
def random_table() -> Callable[..., Table]:
    """Make float32 logits and a truth: see `make_table`."""
    return make_table


@pytest.fixture(params=TABLES.values(), ids=TABLES.keys(), scope="session")
def table(request: pytest.FixtureRequest) -> Table:
    """Float32 logits and a truth of 1, 0 and NaN."""
    return request.param
