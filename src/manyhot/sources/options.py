"""How a source is to be read, where its own names and columns do not say so."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from manyhot.labels import Unlisted
from manyhot.sources.unpacking import MAX_UNPACKED_GB

Uncertain = Literal["unknown", "positive", "negative"]
Expand = Literal["none", "ancestors"]


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
        format: The name of the format, where the file does not show it: one of `FORMATS`.
        names: The file that names the labels, for formats that keep them apart, where it is not beside the data.
        hierarchy: The file that says which label is a kind of which, for formats that keep it apart.
        label_columns: The columns of a 0/1 table that are labels; all that have no other role where nothing is given.
        uncertain: What -1 means in a table of 1, 0 and -1; without it -1 is an error.
        expand: `ancestors` makes every label positive that a positive one is a kind of, as the hierarchy says.
        pictures: Whether pictures are looked for. Without, samples keep the names that the source gives them.
        max_unpacked_gb: What one `.gz` file may unpack to, in units of 10^9 bytes.
        trust_pickle: Whether a pickle may be read, which then holds plain containers and NumPy arrays only.
    """

    labels: Path | None = None
    images: Path | None = None
    separator: str | None = None
    reference_column: str | None = None
    label_column: str | None = None
    delimiter: str | None = None
    unlisted: Unlisted = "negative"
    format: str | None = None
    names: Path | None = None
    hierarchy: Path | None = None
    label_columns: tuple[str, ...] | None = None
    uncertain: Uncertain | None = None
    expand: Expand = "none"
    pictures: bool = True
    max_unpacked_gb: float = MAX_UNPACKED_GB
    trust_pickle: bool = False
