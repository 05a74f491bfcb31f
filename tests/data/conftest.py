"""Small pictures and manifests; and the generated corpus, which tests and scripts of this folder import by name."""

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest
from PIL import Image

from manyhot.labels import LabelSets
from manyhot.sources import Manifest

# The folder is no package.
sys.path.append(str(Path(__file__).parent))


class ManifestOf(Protocol):
    def __call__(
        self,
        pictures: dict[str, bytes],
        *,
        splits: list[str | None] | None = None,
        groups: list[str | None] | None = None,
    ) -> Manifest: ...


@pytest.fixture
def jpeg() -> Callable[[int], bytes]:
    """Bytes of a small picture, another one for each shade."""

    def make(shade: int = 0) -> bytes:
        stream = io.BytesIO()
        pixels = np.random.default_rng(shade).integers(0, 256, (17, 41, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(stream, "JPEG")
        return stream.getvalue()

    return make


@pytest.fixture
def manifest_of(tmp_path: Path) -> ManifestOf:
    """Files of these bytes, written and read into a manifest in which each sample is a cat."""

    def write(
        pictures: dict[str, bytes],
        *,
        splits: list[str | None] | None = None,
        groups: list[str | None] | None = None,
    ) -> Manifest:
        for name, content in pictures.items():
            (tmp_path / name).write_bytes(content)
        labels = LabelSets.from_names([["cat"]] * len(pictures))
        return Manifest.from_lists(tmp_path, list(pictures), labels, splits=splits, groups=groups)

    return write
