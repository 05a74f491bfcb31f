"""Samples gathered one by one from files of any shape, before their labels are known."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from manyhot.labels import Unlisted
from manyhot.sources.cell_lists import POSITIVE
from manyhot.sources.finding import FindingLog
from manyhot.sources.listing import Listing, Reader
from manyhot.sources.naming import DeclaredNames, LabelKey, LabelPairs, assemble_labels
from manyhot.sources.picture_store import PictureStore


@dataclass(eq=False)
class Gathering:
    """Rows with a reference, a place, a split, a group, and labels by their names.

    >>> rows = Gathering("shapes", FindingLog())
    >>> row = rows.add("a.jpg", "file 'a.xml'")
    >>> rows.mark(row, "square")
    >>> listing = rows.listing(None, unlisted="negative")
    >>> listing.references, listing.labels.space.names
    (['a.jpg'], ('square',))
    """

    file: str
    findings: FindingLog
    references: list[str] = field(default_factory=list[str])
    places: list[str] = field(default_factory=list[str])
    splits: list[str | None] = field(default_factory=list[str | None])
    groups: list[str | None] = field(default_factory=list[str | None])
    _row_ids: list[int] = field(default_factory=list[int])
    _codes: list[int] = field(default_factory=list[int])
    _states: list[int] = field(default_factory=list[int])
    _known: dict[LabelKey, int] = field(default_factory=dict[LabelKey, int])

    def __post_init__(self) -> None:
        self.reader = Reader(self.file, self.findings, lambda row: self.places[row])

    def add(self, reference: str, place: str, *, split: str | None = None, group: str | None = None) -> int:
        """Add a sample and return its row."""
        self.references.append(reference)
        self.places.append(place)
        self.splits.append(split)
        self.groups.append(group)
        return len(self.references) - 1

    def mark(self, row: int, name: str, state: int = POSITIVE, *, group: str | None = None) -> None:
        """Say of a sample and a label that it is positive, negative or unknown."""
        self._row_ids.append(row)
        self._codes.append(self._known.setdefault((group, name), len(self._known)))
        self._states.append(state)

    def marks(self, is_wanted: Callable[[str], bool]) -> bool:
        """Return whether a label was marked whose name is of a certain kind."""
        return any(is_wanted(name) for _, name in self._known)

    def listing(
        self,
        declared: DeclaredNames | None,
        *,
        unlisted: Unlisted,
        has_pictures: bool = True,
        root: Path | None = None,
        unlisted_mend: str | None = None,
        embedded: PictureStore | None = None,
    ) -> Listing | None:
        """Return the samples, or None with an error where there are none."""
        if not self.references:
            # Samples that were there and could not be read are errors already.
            if not self.findings.has_errors:
                self.findings.error("empty-data", f"{self.file}: holds no sample; it needs at least one")
            return None
        if None in self.splits and any(self.splits):
            row = self.splits.index(None)
            self.reader.fault(row, "partial-split", "a sample has no split though others have; give it one")
        pairs = LabelPairs(
            num_rows=len(self.references),
            row_ids=np.array(self._row_ids, dtype=np.int64),
            codes=np.array(self._codes, dtype=np.int64),
            keys=list(self._known),
            states=np.array(self._states, dtype=np.uint8),
        )
        labels = assemble_labels(pairs, declared, self.reader, unlisted=unlisted)
        return Listing(
            file=self.file,
            references=self.references,
            place=self.reader.place,
            labels=labels,
            splits=self.splits if any(self.splits) else None,
            groups=self.groups if any(self.groups) else None,
            faulty=frozenset(self.reader.faulty),
            has_pictures=has_pictures,
            root=root,
            unlisted_mend=unlisted_mend or Listing.unlisted_mend,
            embedded=embedded,
        )


def declared_of(names: Sequence[str], file: Path) -> DeclaredNames:
    """Return names as the labels that a file declares."""
    return DeclaredNames(file=str(file), keys=tuple((None, name) for name in names))
