"""A folder of pictures and label files for each test; reading a source never opens a picture."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

Write = Callable[[Mapping[str, str | bytes]], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes files, by their path in a new folder, and returns that folder."""

    def write_files(files: Mapping[str, str | bytes]) -> Path:
        root = tmp_path / "data"
        for name, content in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return root

    return write_files
