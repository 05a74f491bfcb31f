"""Label stores are built from batches, in one pass and in constant memory, and appear whole or not at all."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import UInt16

from manyhot.errors import LabelError, StoreError
from manyhot.files import current_folder, write_folder_atomically, write_json
from manyhot.labels import store_files as files
from manyhot.labels.aligning import align_sets
from manyhot.labels.csr import Csr
from manyhot.labels.npy import NpyWriter
from manyhot.labels.sets import LabelSets
from manyhot.labels.source import LabelSource
from manyhot.labels.space import LabelSpace
from manyhot.labels.storage import BLOCK_ROWS, SAMPLES_SCHEMA, Progress, StoreBatch, open_store
from manyhot.labels.store_files import StoreManifest

_MAX_SOURCES = 1 << 16
# The least that float16 can hold: a confidence that is rounded to 0 would be none.
_LEAST_CONFIDENCE = np.float16(6e-8)


def write_store(
    folder: Path,
    space: LabelSpace,
    batches: Iterable[StoreBatch],
    *,
    images: Path | None = None,
    description: str = "data",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> None:
    """Write a store from batches of samples, none of which is kept.

    Each batch keeps its own sources: what an unlisted cell means is stored for each row. Batches may differ in having
    exceptions or confidence; a positive without confidence is certain.

    Args:
        folder: Absent or empty; its parent must exist.
        space: The labels of all batches.
        batches: Samples and labels, in order.
        images: The folder that references start from, kept as a path from the store and as an absolute one.
        description: Where the data came from, in words.
        overwrite: Whether `folder` may be a store already; it is replaced once the new one is complete.
        progress: Called after each batch.

    Raises:
        StoreError: If the folder holds anything that is not to be replaced.
        LabelError: If a batch is of another label space, or its samples are not one a row of labels.

    >>> from tempfile import TemporaryDirectory
    >>> sets = LabelSets.from_names([["cat"], []])
    >>> with TemporaryDirectory() as folder:
    ...     write_store(Path(folder, "store"), sets.space, [StoreBatch(labels=sets)] * 3)
    ...     open_store(Path(folder, "store")).num_samples
    6
    """
    folder = Path(folder)
    _check_replaceable(folder, overwrite=overwrite)

    def write(new: Path) -> None:
        with ExitStack() as stack:
            writer = _Writer(new, space, stack)
            for batch in batches:
                writer.append(batch)
                if progress is not None:
                    progress(batch.labels.num_samples)
        sources = [{"name": s.name, "unlisted": s.unlisted, "annotated": s.annotated} for s in writer.sources]
        write_json(new / files.SOURCES, {"sources": sources})
        write_json(new / files.SPACE, space.to_dict())
        manifest = StoreManifest(
            num_samples=writer.num_samples,
            num_labels=len(space),
            num_positives=writer.num_positives,
            num_exceptions=writer.num_exceptions,
            description=description,
            image_roots=() if images is None else _image_roots(folder, images),
            files=files.entries_of(new),
        )
        files.write_manifest(new, manifest)

    try:
        write_folder_atomically(folder, files.FILE_NAMES, write)
    except FileExistsError as error:
        raise StoreError(str(error)) from None


def concatenate_stores(
    folder: Path,
    stores: Sequence[Path],
    *,
    space: LabelSpace | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> None:
    """Write a store that holds the samples of several, one after the other; each row keeps its source.

    Their label spaces must be the same, unless `space` is given: then labels are matched by name, and a label that a
    store lacks was not annotated there, so that its cells are unknown. Apply a mapping for anything else, and write
    the blocks with `write_store`.

    Args:
        folder: Absent or empty; its parent must exist.
        stores: The stores, in order.
        space: The labels of the result.
        overwrite: Whether `folder` may be a store already.
        progress: Called after each block.

    Raises:
        LabelError: If label spaces differ, or a store has a label that `space` lacks.
        StoreError: If a store cannot be opened, or the folder is not to be replaced.

    >>> from tempfile import TemporaryDirectory
    >>> sets = LabelSets.from_names([["cat"], []])
    >>> with TemporaryDirectory() as parent:
    ...     first, both = Path(parent, "first"), Path(parent, "both")
    ...     write_store(first, sets.space, [StoreBatch(labels=sets)])
    ...     concatenate_stores(both, [first, first])
    ...     open_store(both).num_samples
    4
    """
    opened = [open_store(store) for store in stores]
    if not opened:
        raise LabelError("no stores are given; name at least one")
    target = opened[0].labels.space if space is None else space
    for store in opened if space is None else ():
        if store.labels.space.fingerprint != target.fingerprint:
            raise LabelError(
                f"{store.folder}: its label space is not that of {opened[0].folder}; give space= to match labels by "
                "name, or map them"
            )
    roots = [store.image_roots[0].resolve() if store.image_roots else None for store in opened]
    known = [str(root) for root in roots if root is not None]
    common = Path(os.path.commonpath(known)) if known and len(known) == len(roots) else None
    write_store(
        folder,
        target,
        (
            replace(_below(block, root, common), labels=align_sets(block.labels, target))
            for store, root in zip(opened, roots, strict=True)
            for block in store.blocks()
        ),
        images=common,
        description=" and ".join(store.description for store in opened),
        overwrite=overwrite,
        progress=progress,
    )


def _below(block: StoreBatch, root: Path | None, common: Path | None) -> StoreBatch:
    """Return samples whose references start from the common folder instead of their own."""
    prefix = "" if root is None or common is None else root.relative_to(common).as_posix()
    if block.samples is None or prefix in {"", "."}:
        return block
    parts = [pa.scalar(prefix), block.samples["reference"], pa.scalar("/")]
    references = pc.call_function("binary_join_element_wise", parts)
    return replace(block, samples=block.samples.set_column(0, "reference", references))


def _image_roots(folder: Path, images: Path) -> tuple[str, ...]:
    """Return where pictures are as seen from the store, for both to be moved together, and in full, for the store alone."""
    images = images.resolve()
    try:
        relative = Path(os.path.relpath(images, folder.resolve())).as_posix()
    except ValueError:
        # Windows: the two are on different drives.
        return (str(images),)
    return (relative, str(images))


def _check_replaceable(folder: Path, *, overwrite: bool) -> None:
    place = current_folder(folder)
    if not place.parent.is_dir():
        raise StoreError(f"{folder.parent}: there is no such folder to write the store into; make it first")
    if not place.exists() or (place.is_dir() and not any(place.iterdir())):
        return
    if not files.is_store(place):
        raise StoreError(f"{folder}: holds something else than a label store; choose another name, nothing is deleted")
    if not overwrite:
        raise StoreError(f"{folder}: is a label store already; choose another name, or ask to replace it")


class _Writer:
    """The open files of a store that is being written."""

    def __init__(self, folder: Path, space: LabelSpace, stack: ExitStack) -> None:
        self._folder = folder
        self._space = space
        self._stack = stack
        self._id_dtype = files.id_dtype(len(space))
        self._samples = stack.enter_context(pa.ipc.new_file(str(folder / files.SAMPLES), SAMPLES_SCHEMA))
        self._positives = self._rows(files.INDPTR, files.IDS)
        self._exceptions: _RowWriter | None = None
        self._confidence: NpyWriter | None = None
        self._source_ids: dict[LabelSource, int] = {}
        self.num_samples = 0

    @property
    def sources(self) -> list[LabelSource]:
        """The sources of the rows so far, by their number."""
        return list(self._source_ids) or [LabelSource()]

    @property
    def num_positives(self) -> int:
        return self._positives.ids.size

    @property
    def num_exceptions(self) -> int:
        return 0 if self._exceptions is None else self._exceptions.ids.size

    def append(self, batch: StoreBatch) -> None:
        labels = batch.labels
        if labels.space is not self._space and labels.space != self._space:
            raise LabelError("a batch is of another label space than the store; align or map its labels first")
        self._append_samples(batch)
        self._append_confidence(labels)
        self._positives.append(labels.positives)
        if labels.exceptions is not None and self._exceptions is None:
            self._exceptions = self._rows(files.EXCEPTION_INDPTR, files.EXCEPTION_IDS)
            for size in _pieces(self.num_samples):
                self._exceptions.append(Csr.empty(size))
        if self._exceptions is not None:
            self._exceptions.append(labels.exceptions or Csr.empty(labels.num_samples))
        self.num_samples += labels.num_samples

    def _append_samples(self, batch: StoreBatch) -> None:
        num_rows, samples = batch.labels.num_samples, batch.samples
        if samples is None:
            numbers = pa.array(np.arange(self.num_samples, self.num_samples + num_rows)).cast(pa.string())
            absent = pa.nulls(num_rows, pa.string())
            samples = pa.table([numbers, absent, absent], schema=pa.schema(list(SAMPLES_SCHEMA)[:3]))
        expected = SAMPLES_SCHEMA.names[:3]
        if samples.schema.names != expected or samples.num_rows != num_rows:
            raise LabelError(
                f"samples are {samples.num_rows:,} rows of {samples.schema.names} for {num_rows:,} rows of labels; "
                f"give one row of {expected} each"
            )
        columns = [samples[name].cast(pa.string()) for name in expected]
        if columns[0].null_count:
            raise LabelError("a sample has no reference; name each one")
        self._samples.write_table(pa.table([*columns, pa.array(self._sources_of(batch.labels))], schema=SAMPLES_SCHEMA))

    def _sources_of(self, labels: LabelSets) -> UInt16[np.ndarray, " n"]:
        numbers = [self._source_ids.setdefault(source, len(self._source_ids)) for source in labels.sources]
        if len(self._source_ids) > _MAX_SOURCES:
            raise LabelError(f"there are more than {_MAX_SOURCES:,} sources; merge those that mean the same")
        if labels.source_ids is None:
            return np.full(labels.num_samples, numbers[0], dtype=np.uint16)
        return np.array(numbers, dtype=np.uint16)[labels.source_ids]

    def _append_confidence(self, labels: LabelSets) -> None:
        if labels.confidence is not None and self._confidence is None:
            self._confidence = self._stack.enter_context(
                NpyWriter(self._folder / files.CONFIDENCE, np.dtype(np.float16))
            )
            for size in _pieces(self.num_positives):
                self._confidence.append(np.ones(size))
        if self._confidence is not None:
            given = labels.confidence if labels.confidence is not None else np.ones(labels.positives.size)
            self._confidence.append(np.maximum(given.astype(np.float16), _LEAST_CONFIDENCE))

    def _rows(self, indptr: str, ids: str) -> "_RowWriter":
        offsets = self._stack.enter_context(NpyWriter(self._folder / indptr, np.dtype(np.int64)))
        return _RowWriter(offsets, self._stack.enter_context(NpyWriter(self._folder / ids, self._id_dtype)))


class _RowWriter:
    """Row offsets and ids that grow together."""

    def __init__(self, indptr: NpyWriter, ids: NpyWriter) -> None:
        self._indptr = indptr
        self.ids = ids
        indptr.append(np.zeros(1, dtype=np.int64))

    def append(self, rows: Csr) -> None:
        """Write rows behind those that are there."""
        self._indptr.append(rows.indptr[1:] + self.ids.size)
        self.ids.append(rows.ids)


def _pieces(size: int) -> Iterator[int]:
    """Yield sizes that sum to `size`, none of them large."""
    for start in range(0, size, BLOCK_ROWS):
        yield min(BLOCK_ROWS, size - start)
