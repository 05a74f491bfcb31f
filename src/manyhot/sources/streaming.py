"""Data of any length, read once and in flat memory: rows wait on disk until the labels of all of them are known.

What stays in memory is eight bytes a sample, to find repeated names, nine a file where pictures are looked for, and the
names of the labels. Whatever looks wrong with pictures is left to a reading of the whole, which says what it is.
"""

# pyarrow has no types:
# pyright: reportUnknownParameterType=false

import tempfile
from array import array
from bisect import bisect_right
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Int64

from manyhot.errors import quote
from manyhot.labels import Hierarchy, LabelSource, LabelSpace
from manyhot.labels.arrow_rows import batch_from_arrow
from manyhot.labels.expansion import expand_batches
from manyhot.labels.progress import Advance
from manyhot.labels.storage import StoreBatch
from manyhot.sources.expanding import find_hierarchy
from manyhot.sources.finding import FindingLog
from manyhot.sources.format import NeedsWholeError
from manyhot.sources.formats import find_format
from manyhot.sources.listing import Listing, Places
from manyhot.sources.opening import IMAGE_FOLDER, find_images, find_label_file, settle
from manyhot.sources.options import SourceOptions
from manyhot.sources.scanning import FolderScan, is_picture, walk_folder
from manyhot.sources.unpacking import limit_unpacking

_FIELDS = [
    *((name, pa.string()) for name in ("reference", "split", "group")),
    ("labels", pa.list_(pa.int32())),
    ("confidence", pa.list_(pa.float32())),
]


@dataclass(eq=False)
class StreamedSource:
    """Samples that were read and wait on disk.

    Args:
        path: Where they wait.
        file: The source, as messages name it.
        space: The labels of all of them.
        ids: The label that each number on disk stands for.
        source: What their unlisted cells mean.
        num_samples: Number of samples.
        images: The folder that their names start from; None where they name no pictures.
        hierarchy: By which positives are expanded to their ancestors; None to leave them.
    """

    path: Path
    file: str
    space: LabelSpace
    ids: Int64[np.ndarray, " k"]
    source: LabelSource
    num_samples: int
    images: Path | None
    hierarchy: Hierarchy | None

    def batches(self) -> Iterator[StoreBatch]:
        """Yield samples and labels in order, some rows at a time."""
        with pa.OSFile(str(self.path)) as file, pa.ipc.open_stream(file) as rows:
            for batch in rows:
                lists = batch.column("labels")
                ids = pa.array(self.ids.astype(np.int32)[lists.values.to_numpy()])
                columns = dict(zip(batch.schema.names, batch.columns, strict=True))
                columns["labels"] = pa.ListArray.from_arrays(lists.offsets, ids)
                if columns["confidence"].null_count:
                    del columns["confidence"]
                found = batch_from_arrow(pa.record_batch(columns), self.space, source=self.source)
                yield from [found] if self.hierarchy is None else expand_batches(self.hierarchy, [found])


@contextmanager
def stream_source(
    path: Path, options: SourceOptions, progress: Advance | None = None
) -> Generator[StreamedSource | None]:
    """Give a source that was read in flat memory, or None where it must be read whole.

    Tables with a column of labels are read so, and those formats that have `read_blocks`.

    Raises:
        SourceError: If anything is wrong with it, as `open_source` does.

    >>> with stream_source(Path("nowhere"), SourceOptions()) as source:
    ...     source is None
    True
    """
    findings = FindingLog()
    file = find_label_file(path, options, findings)
    known = None if file is None or findings.has_errors else find_format(file, options.format, findings)
    if file is None or known is None or known.read_blocks is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="manyhot-") as folder:
        rows = _Waiting(file=str(file), path=Path(folder, "rows.arrow"))
        try:
            with limit_unpacking(options.max_unpacked_gb):
                _collect(rows, known.read_blocks(file, options, findings), findings, progress)
            source = _settled(rows, path, options, findings)
        except NeedsWholeError:
            source = None
        yield source


def _collect(rows: "_Waiting", listings: Iterator[Listing], findings: FindingLog, progress: Advance | None) -> None:
    with pa.ipc.new_stream(str(rows.path), pa.schema(_FIELDS)) as writer:
        for listing in listings:
            if listing.references:
                rows.add(listing, writer, findings)
            if progress is not None:
                progress(len(listing.references))


def _settled(rows: "_Waiting", path: Path, options: SourceOptions, findings: FindingLog) -> StreamedSource:
    if not rows.num_rows and not findings.has_errors:
        raise NeedsWholeError
    images = rows.find_pictures(path, options, findings) if options.pictures and rows.has_pictures else None
    rows.check_names(findings)
    if not rows.codes and not findings.has_errors:
        findings.error("empty-data", f"{rows.file}: no sample has a label; list the labels of at least one")
    hierarchy = find_hierarchy(rows.space, str(path), findings) if options.expand == "ancestors" else None
    settle(findings.findings())
    ids = {name: number for number, name in enumerate(rows.space.names)}
    return StreamedSource(
        path=rows.path,
        file=rows.file,
        space=rows.space,
        ids=np.array([ids[name] for name in rows.codes], dtype=np.int64),
        source=LabelSource(unlisted=options.unlisted),
        num_samples=rows.num_rows,
        images=images,
        hierarchy=hierarchy,
    )


@dataclass(eq=False)
class _Waiting:
    """What is known of the rows so far."""

    file: str
    path: Path
    num_rows: int = 0
    codes: dict[str, int] = field(default_factory=dict[str, int])
    space: LabelSpace = field(default_factory=lambda: LabelSpace(names=()))
    own_codes: Int64[np.ndarray, " l"] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    hashes: list[Int64[np.ndarray, " n"]] = field(default_factory=list[Int64[np.ndarray, " n"]])
    places: list[tuple[int, Places]] = field(default_factory=list[tuple[int, Places]])
    last_space: LabelSpace | None = None
    has_pictures: bool = False
    start_there: bool = True

    def add(self, listing: Listing, writer: pa.ipc.RecordBatchStreamWriter, findings: FindingLog) -> None:
        """Write the rows of a block."""
        labels = listing.labels
        if labels.exceptions is not None or listing.by_stem or listing.root is not None:
            raise NeedsWholeError
        if not self.num_rows:
            self.has_pictures = listing.has_pictures
        own_codes = self._codes_of(labels.space)
        for row, reference in enumerate(listing.references):
            if not reference and row not in listing.faulty:
                message = f"{self.file}: a row has no name; write it or delete the row"
                findings.error("empty-reference", message, listing.place(row))
        inside = f"{IMAGE_FOLDER}/"
        self.start_there = self.start_there and all(name.startswith(inside) for name in listing.references)
        absent = [None] * len(listing.references)
        columns = [listing.references, listing.splits or absent, listing.groups or absent]
        offsets = pa.array(labels.positives.indptr.astype(np.int32))
        lists = pa.ListArray.from_arrays(offsets, pa.array(own_codes[labels.positives.ids].astype(np.int32)))
        confidence = pa.nulls(len(absent), _FIELDS[-1][1])
        if labels.confidence is not None:
            confidence = pa.ListArray.from_arrays(offsets, pa.array(labels.confidence))
        arrays = [*(pa.array(column, pa.string()) for column in columns), lists, confidence]
        writer.write_batch(pa.record_batch(arrays, schema=pa.schema(_FIELDS)))
        # Python's hash has 64 bits and a secret of its own: names that meet by chance are compared in full.
        self.hashes.append(np.fromiter(map(hash, listing.references), np.int64, len(listing.references)))
        self.places.append((self.num_rows, listing.place))
        self.num_rows += len(listing.references)

    def _codes_of(self, space: LabelSpace) -> Int64[np.ndarray, " l"]:
        """Return the number on disk of each label of a block, and widen the space by those that it adds.

        Labels keep the order in which they were declared; where blocks list labels of their own, all are sorted.
        """
        if space is self.last_space:
            return self.own_codes
        known = self.space.names
        self.own_codes = np.array(
            [self.codes.setdefault(name, len(self.codes)) for name in space.names], dtype=np.int64
        )
        self.last_space = space
        if space.names[: len(known)] == known:
            self.space = space
        elif known[: len(space)] != space.names:
            self.space = LabelSpace(names=tuple(sorted(self.codes)))
        return self.own_codes

    def find_pictures(self, path: Path, options: SourceOptions, findings: FindingLog) -> Path:
        """Return the folder of the pictures, once every row names one of its own and every one has a row.

        Raises:
            NeedsWholeError: If that is not so, for whatever reason.
        """
        root = options.images or find_images(path, Path(self.file), start_there=self.start_there)
        if findings.has_errors or not root.is_dir():
            raise NeedsWholeError
        scan, files, pictures = FolderScan(root), array("q"), array("q")
        for name in walk_folder(scan):
            (pictures if is_picture(name) else files).append(hash(name))
        rows = np.sort(np.concatenate(self.hashes))
        listed, others = np.sort(np.frombuffer(pictures, np.int64)), np.frombuffer(files, np.int64)
        is_sound = len(rows) >= len(listed) and not scan.unreadable and not (rows[1:] == rows[:-1]).any()
        if not is_sound or not np.isin(listed, rows).all() or not np.isin(rows, np.concatenate([listed, others])).all():
            raise NeedsWholeError
        return root

    def check_names(self, findings: FindingLog) -> None:
        """Report the rows that repeat the name of an earlier row."""
        hashes = np.concatenate([*self.hashes, np.zeros(0, dtype=np.int64)])
        ordered = np.sort(hashes)
        repeated = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
        if not repeated.size:
            return
        suspects = np.flatnonzero(np.isin(hashes, repeated))
        first: dict[str, int] = {}
        for row, written in self._names_of(suspects):
            earlier = first.setdefault(written, row)
            if earlier != row and written:
                message = f"{self.file}: a row repeats the name of an earlier row; keep one and delete the other"
                place = f"{self._place(row)}: {quote(written)} as in {self._place(earlier)}"
                findings.error("duplicate-row", message, place)

    def _names_of(self, rows: Int64[np.ndarray, " k"]) -> Iterator[tuple[int, str]]:
        start = 0
        with pa.OSFile(str(self.path)) as file, pa.ipc.open_stream(file) as batches:
            for batch in batches:
                inside = rows[(rows >= start) & (rows < start + batch.num_rows)]
                names = batch.column("reference").take(pa.array(inside - start)).to_pylist()
                yield from zip(inside.tolist(), names, strict=True)
                start += batch.num_rows

    def _place(self, row: int) -> str:
        number = bisect_right(self.places, row, key=lambda place: place[0]) - 1
        start, place = self.places[number]
        return place(row - start)
