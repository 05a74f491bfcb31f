"""Data of any length, read once and in flat memory: rows wait on disk until the labels of all of them are known.

What stays in memory is eight bytes a sample, to find repeated names, and the names of the labels.
"""

# pyarrow has no types:
# pyright: reportUnknownParameterType=false

import tempfile
from bisect import bisect_right
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Int64

from manyhot.labels import LabelSource, LabelSpace
from manyhot.labels.arrow_rows import batch_from_arrow
from manyhot.labels.storage import Progress, StoreBatch
from manyhot.sources.finding import FindingLog, quote
from manyhot.sources.formats import find_format
from manyhot.sources.listing import Listing, Places
from manyhot.sources.opening import find_label_file, settle
from manyhot.sources.options import SourceOptions
from manyhot.sources.table_blocks import NeedsWholeError, read_table_blocks
from manyhot.sources.unpacking import limit_unpacking

_FIELDS = [("reference", pa.string()), ("split", pa.string()), ("group", pa.string()), ("labels", pa.list_(pa.int32()))]


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
    """

    path: Path
    file: str
    space: LabelSpace
    ids: Int64[np.ndarray, " k"]
    source: LabelSource
    num_samples: int

    def batches(self) -> Iterator[StoreBatch]:
        """Yield samples and labels in order, some rows at a time."""
        with pa.OSFile(str(self.path)) as file, pa.ipc.open_stream(file) as rows:
            for batch in rows:
                lists = batch.column("labels")
                ids = pa.array(self.ids.astype(np.int32)[lists.values.to_numpy()])
                columns = [*batch.columns[:3], pa.ListArray.from_arrays(lists.offsets, ids)]
                yield batch_from_arrow(
                    pa.record_batch(columns, names=batch.schema.names), self.space, source=self.source
                )


@contextmanager
def stream_source(
    path: Path, options: SourceOptions, progress: Progress | None = None
) -> Generator[StreamedSource | None]:
    """Give a source that was read in flat memory, or None where it must be read whole.

    Tables with a column of labels whose pictures are not looked for are read so.

    Raises:
        SourceError: If anything is wrong with it, as `open_source` does.

    >>> with stream_source(Path("nowhere"), SourceOptions()) as source:
    ...     source is None
    True
    """
    findings = FindingLog()
    file = find_label_file(path, options, findings)
    known = None if file is None or findings.has_errors else find_format(file, options.format, findings)
    if file is None or known is None or known.name != "table" or options.pictures:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="manyhot-") as folder:
        waiting = Path(folder, "rows.arrow")
        try:
            with limit_unpacking(options.max_unpacked_gb):
                source = _read(file, waiting, options, findings, progress)
        except NeedsWholeError:
            source = None
        yield source


def _read(
    file: Path, waiting: Path, options: SourceOptions, findings: FindingLog, progress: Progress | None
) -> StreamedSource | None:
    rows = _Waiting(file=str(file), path=waiting)
    with pa.ipc.new_stream(str(waiting), pa.schema(_FIELDS)) as writer:
        for listing in read_table_blocks(file, options, findings):
            rows.add(listing, writer, findings)
            if progress is not None:
                progress(len(listing.references))
    if not rows.num_rows and not findings.has_errors:
        raise NeedsWholeError
    rows.check_names(findings)
    if not rows.codes and not findings.has_errors:
        findings.error("empty-data", f"{file}: no sample has a label; list the labels of at least one")
    settle(findings.findings())
    space = rows.space()
    ids = {name: number for number, name in enumerate(space.names)}
    return StreamedSource(
        path=waiting,
        file=str(file),
        space=space,
        ids=np.array([ids[name] for name in rows.codes], dtype=np.int64),
        source=LabelSource(unlisted=options.unlisted),
        num_samples=rows.num_rows,
    )


@dataclass(eq=False)
class _Waiting:
    """What is known of the rows so far."""

    file: str
    path: Path
    num_rows: int = 0
    codes: dict[str, int] = field(default_factory=dict[str, int])
    spaces: list[LabelSpace] = field(default_factory=list[LabelSpace])
    hashes: list[Int64[np.ndarray, " n"]] = field(default_factory=list[Int64[np.ndarray, " n"]])
    places: list[tuple[int, Places]] = field(default_factory=list[tuple[int, Places]])

    def add(self, listing: Listing, writer: pa.ipc.RecordBatchStreamWriter, findings: FindingLog) -> None:
        """Write the rows of a block."""
        labels = listing.labels
        if labels.exceptions is not None or labels.confidence is not None:
            raise NeedsWholeError
        if labels.space not in self.spaces[:1]:
            # The first two are enough to know that blocks differ.
            self.spaces = [*self.spaces[:1], labels.space]
        codes = np.array([self.codes.setdefault(name, len(self.codes)) for name in labels.space.names], dtype=np.int32)
        for row, reference in enumerate(listing.references):
            if not reference and row not in listing.faulty:
                message = f"{self.file}: a row has no name; write it or delete the row"
                findings.error("empty-reference", message, listing.place(row))
        absent = [None] * len(listing.references)
        columns = [listing.references, listing.splits or absent, listing.groups or absent]
        lists = pa.ListArray.from_arrays(
            pa.array(labels.positives.indptr.astype(np.int32)), pa.array(codes[labels.positives.ids])
        )
        arrays = [*(pa.array(column, pa.string()) for column in columns), lists]
        writer.write_batch(pa.record_batch(arrays, schema=pa.schema(_FIELDS)))
        # Python's hash has 64 bits and a secret of its own: names that meet by chance are compared in full.
        self.hashes.append(np.fromiter(map(hash, listing.references), np.int64, len(listing.references)))
        self.places.append((self.num_rows, listing.place))
        self.num_rows += len(listing.references)

    def space(self) -> LabelSpace:
        """Return the labels of all blocks: as they were declared, or else sorted."""
        return self.spaces[0] if len(self.spaces) == 1 else LabelSpace(names=tuple(sorted(self.codes)))

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
