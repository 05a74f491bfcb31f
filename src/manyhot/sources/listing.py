"""What a label file says, before it is compared with the pictures: the common ground of all formats."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from manyhot.errors import quote
from manyhot.labels import LabelSets
from manyhot.sources.features import Features
from manyhot.sources.finding import FindingLog
from manyhot.sources.manifest import Split
from manyhot.sources.picture_store import PictureStore
from manyhot.sources.scanning import FolderScan

Places: TypeAlias = Callable[[int], str]

SPLIT_NAMES: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Listing:
    """The samples that a source lists, whether or not their pictures exist.

    Args:
        file: The source, as messages name it.
        references: The name of each sample's picture, as written.
        place: Where a row stands, in words: its line, key or folder.
        labels: The labels of each row.
        splits: The split of each row, or None.
        groups: The group of each row, or None.
        faulty: Rows with an error of their own; they do not enter a manifest.
        scan: The image folder, where the format had to look into it already.
        unlisted_mend: What to do about a picture that no row names.
        root: The folder that references start from, where the format says so.
        has_pictures: Whether references name pictures; otherwise samples are rows, or pictures that are elsewhere.
        features: The features of each row, where the source holds any.
        embedded: The pictures of the rows, where they are no files of their own.
        by_stem: Whether references lack the suffix of their picture, and the folder it lies in.
    """

    file: str
    references: Sequence[str]
    place: Places
    labels: LabelSets
    splits: Sequence[str | None] | None = None
    groups: Sequence[str | None] | None = None
    faulty: frozenset[int] = frozenset()
    scan: FolderScan | None = None
    unlisted_mend: str = "list it, with an empty list if it has no label"
    root: Path | None = None
    has_pictures: bool = True
    features: Features | None = None
    embedded: PictureStore | None = None
    by_stem: bool = False


@dataclass(frozen=True, eq=False)
class Reader:
    """What every step of reading one file shares: its name, its findings, the place of its rows, and its faulty rows."""

    file: str
    findings: FindingLog
    place: Places
    faulty: set[int] = field(default_factory=set[int])

    def fault(self, row: int, name: str, message: str, found: str | None = None) -> None:
        """Report an error of one row, and mark the row as faulty."""
        place = self.place(row)
        self.findings.error(name, f"{self.file}: {message}", place if found is None else f"{place}: {found}")
        self.faulty.add(row)


def read_splits(values: Sequence[str | None], reader: Reader) -> list[str | None] | None:
    """Return each row's split under its usual name, or None where no row has one.

    Blank is no split. Usual other names are understood (`validation`, `dev`); a split for some rows only is an error.
    """
    splits: list[str | None] = []
    for row, value in enumerate(values):
        text = (value or "").strip()
        split = SPLIT_NAMES.get(text.casefold())
        if text and split is None:
            reader.fault(row, "unknown-split", "a split is none of train, val, test; write one of them", quote(text))
        splits.append(split)
    if all(split is None for split in splits):
        return None
    for row, (value, split) in enumerate(zip(values, splits, strict=True)):
        if split is None and not (value or "").strip():
            reader.fault(row, "partial-split", "a row has no split though others have; fill in all of them or none")
    return splits
