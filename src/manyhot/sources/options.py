"""How a source is to be read, where its own names and columns do not say so."""

from dataclasses import dataclass
from pathlib import Path

from manyhot.labels import Unlisted


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """What to read differently from the conventions.

    Args:
        labels: The label file, where it is not in the folder under its usual name.
        images: The folder that names start from, where it is not beside the label file.
        separator: What parts the labels in a folder's name: `_` reads `red_dress` as red and dress, and `/` makes
            each folder on the way a label. By default the whole name is one label.
        reference_column: The column of a table that names the picture.
        label_column: The column of a table that holds the labels.
        delimiter: What parts the labels in a column of text; `|` where nothing is given.
        unlisted: What a label means that a sample's list does not name.
    """

    labels: Path | None = None
    images: Path | None = None
    separator: str | None = None
    reference_column: str | None = None
    label_column: str | None = None
    delimiter: str | None = None
    unlisted: Unlisted = "negative"
