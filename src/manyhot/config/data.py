"""Which data a run reads, how it splits them, and how pictures reach the encoder. Loads without torch."""

import math
from dataclasses import dataclass, fields
from typing import Literal

from manyhot.config.checks import require
from manyhot.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which data to read, and how."""

    path: str | tuple[str, ...] | None = None
    """Folder or label file to read; several are trained on together, labels of one name being one label."""
    mapping: dict[str, str] | None = None
    """Of several data: by name, files of links between the labels of one and those of the data without such a file."""
    labels: str | None = None
    """Label file, if it is not in the folder under its usual name."""
    images: str | None = None
    """Folder that image names start from, if it is not beside the label file."""
    separator: str | None = None
    """What parts the labels in a folder's name: "_" reads red_dress as red and dress."""
    reference_column: str | None = None
    """Column of a table that names the image."""
    label_column: str | None = None
    """Column of a table that holds the labels."""
    delimiter: str | None = None
    """What parts the labels in a column of text, as in "red|dress"."""
    unlisted: Literal["negative", "unknown"] = "negative"
    """What a label that a sample does not list means."""
    format: str | None = None
    """Name of the format, where the files do not show it: docs/data.md lists them."""
    names: str | None = None
    """File that names the labels, for formats that keep them apart, if it is not beside the data."""
    hierarchy: str | None = None
    """File that says which label is a kind of which, for formats that keep it apart."""
    label_columns: tuple[str, ...] | None = None
    """Columns of a 0/1 table that are labels; all without another role, if not given."""
    uncertain: Literal["unknown", "positive", "negative"] | None = None
    """What -1 means in a table of 1, 0 and -1; without it, -1 is an error."""
    expand: Literal["none", "ancestors"] = "none"
    """Which labels positives bring with them: "ancestors" adds all that a label is a kind of, as the hierarchy says."""
    pictures: bool = True
    """Look for the pictures; false reads labels alone, for check and convert."""
    max_unpacked_gb: float = 16.0
    """What one .gz file may unpack to, in units of 10^9 bytes; more is refused."""

    def __post_init__(self) -> None:
        for setting in fields(self):
            value = getattr(self, setting.name)
            require(value != "", f"data.{setting.name}", value, "at least one character; leave it out for the default")
        require(self.path != () and "" not in self.paths, "data.path", self.path, "one path or several, none empty")
        twice = [path for path in self.paths if self.paths.count(path) > 1]
        require(not twice, "data.path", self.path, f"each path once, and {twice[0] if twice else None!r} stands twice")
        names = self.label_columns
        require(names is None or (len(names) > 0 and "" not in names), "data.label_columns", names, "names of columns")
        require(0 < self.max_unpacked_gb < math.inf, "data.max_unpacked_gb", self.max_unpacked_gb, "above 0 and finite")

    @property
    def paths(self) -> tuple[str, ...]:
        """All folders and files to read."""
        if self.path is None:
            return ()
        return (self.path,) if isinstance(self.path, str) else self.path


@dataclass(frozen=True, kw_only=True)
class SplitConfig:
    """Shares of the samples, used where the data bring no split of their own."""

    train: float = 0.7
    """Share of samples to learn from."""
    val: float = 0.15
    """Share of samples to choose the checkpoint and the thresholds on."""
    test: float = 0.15
    """Share of samples to report on, touched once."""

    def __post_init__(self) -> None:
        shares = (self.train, self.val, self.test)
        if min(shares) <= 0 or not math.isclose(sum(shares), 1.0, abs_tol=1e-6):
            raise ConfigError(f"split: shares {shares} must each be above 0 and sum to 1")


@dataclass(frozen=True, kw_only=True)
class ImagesConfig:
    """How pictures reach the encoder."""

    size: int = 224
    """Height and width in pixels; the whole picture is resized to it, so that no label is cropped away."""
    min_scale: float = 0.6
    """Smallest share of a picture's area that a random training crop keeps; 1 turns cropping off."""
    flip: bool = True
    """Mirror half of the training pictures; turn it off where left and right differ, as in text."""

    def __post_init__(self) -> None:
        require(8 <= self.size <= 8192, "images.size", self.size, "at least 8 pixels and at most 8,192")
        require(0 < self.min_scale <= 1, "images.min_scale", self.min_scale, "above 0 and at most 1")
