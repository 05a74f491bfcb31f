"""What a format is: a name, how it is recognised, and how it is read."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from manyhot.sources.finding import FindingLog
from manyhot.sources.listing import Listing
from manyhot.sources.manifest import Manifest
from manyhot.sources.options import SourceOptions
from manyhot.sources.unpacking import COMPRESSED

Read: TypeAlias = Callable[[Path, SourceOptions, FindingLog], Listing | Manifest | None]
ReadBlocks: TypeAlias = Callable[[Path, SourceOptions, FindingLog], Iterator[Listing]]


class NeedsWholeError(Exception):
    """Data that only a reading of the whole can understand, or say what is wrong with."""


@dataclass(frozen=True, kw_only=True)
class Format:
    """One way in which samples and labels are written down.

    Args:
        name: Its name, as `SourceOptions.format` gives it.
        looks_like: What it looks like, in a few words.
        matches: Whether a file or folder is of this format, by its name or its first bytes; never raises.
        read: Returns the samples, or None with an error in the findings.
        read_blocks: Yields the same some rows at a time, where that can be; may raise `NeedsWholeError`.
    """

    name: str
    looks_like: str
    matches: Callable[[Path], bool]
    read: Read
    read_blocks: ReadBlocks | None = None


def suffix_of(path: Path) -> str:
    """Return the suffix that tells the kind of a file, in lower case and without that of its compression.

    >>> suffix_of(Path("Labels.CSV.gz"))
    '.csv'
    """
    suffix = path.suffix.lower()
    return path.with_suffix("").suffix.lower() if suffix == COMPRESSED else suffix


def stem_of(path: Path) -> str:
    """Return a file's name without its suffix and that of its compression.

    >>> stem_of(Path("yeast-train.arff.gz"))
    'yeast-train'
    """
    return path.with_suffix("").stem if path.suffix.lower() == COMPRESSED else path.stem
