"""Label stores: the labels of millions of samples in a folder, opened at once by memory map and shared by processes.

12 million samples with 116 million positives take 0.33 GB and open in milliseconds, however many processes do so; what
the system read once for one of them is there for all. `building` writes stores.
"""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Shaped, UInt16

from manyhot.errors import LabelError, StoreError
from manyhot.files import current_folder
from manyhot.labels import store_files as files
from manyhot.labels.csr import BLOCK_ROWS, Csr
from manyhot.labels.npy import map_npy
from manyhot.labels.progress import Advance
from manyhot.labels.sets import LabelSets
from manyhot.labels.source import LabelSource
from manyhot.labels.space import LabelSpace
from manyhot.labels.store_files import MEND, StoreManifest

SAMPLES_SCHEMA = pa.schema(
    [("reference", pa.string()), ("split", pa.string()), ("group", pa.string()), ("source", pa.uint16())]
)


@dataclass(frozen=True, kw_only=True, eq=False)
class StoreBatch:
    """Some samples and their labels, in the same order.

    Args:
        labels: The labels.
        samples: `reference`, `split` and `group` of each sample, as text; the last two may be null. None numbers the
            samples instead.
    """

    labels: LabelSets
    samples: pa.Table | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelStore:
    """An open store. Arrays and samples are views of its files.

    Args:
        folder: Where it stands.
        labels: The labels of all samples; their ids are checked when rows are taken, not before.
        samples: `reference`, `split`, `group` and `source` of each sample.
        description: Where the data came from, in words.
        image_roots: Folders that references may start from, the likeliest first.
    """

    folder: Path
    labels: LabelSets
    samples: pa.Table
    description: str
    image_roots: tuple[Path, ...]

    @property
    def num_samples(self) -> int:
        """Number of samples."""
        return self.labels.num_samples

    def find_images(self) -> Path | None:
        """Return the folder that references start from; None where they name no pictures.

        The store remembers where pictures stood as seen from it, and in full: the first folder that holds the first
        sample's picture is taken, else the first that exists, else the likeliest. Raises a StoreError as `check_samples`.
        """
        self.check_samples()
        first = self.samples["reference"][0].as_py() if self.num_samples else ""
        folders = [root for root in self.image_roots if root.is_dir()]
        return next(
            (root for root in folders if (root / first).is_file()), next(iter((*folders, *self.image_roots)), None)
        )

    def check_samples(self) -> None:
        """Check that all texts of the samples can be read, 0.07 s for 12 million; do it before you use any.

        After a flipped byte they may lie outside of the file, where pyarrow would read them. Raises a StoreError then.
        """
        try:
            self.samples.validate(full=True)
        except pa.ArrowInvalid as error:
            path, fault = self.folder / files.SAMPLES, " ".join(str(error).split())
            raise StoreError(f"{path}: is damaged ({fault}); {MEND}") from None

    def blocks(self, num_rows: int = BLOCK_ROWS) -> Iterator[StoreBatch]:
        """Yield all samples in order, some rows at a time, as fully checked label sets.

        Raises:
            LabelError: If the labels of a block are not what label sets must be; rows count from the block's first.
            StoreError: As of `check_samples`.
        """
        self.check_samples()
        return batches_of(self.labels, self.samples, num_rows)


def batches_of(
    labels: LabelSets,
    samples: pa.Table,  # pyright: ignore[reportUnknownParameterType] - pyarrow has no types
    num_rows: int = BLOCK_ROWS,
) -> Iterator[StoreBatch]:
    """Yield labels and samples in order, some rows at a time.

    >>> sets = LabelSets.from_names([["cat"], [], ["dog"]])
    >>> samples = pa.table({"reference": ["a", "b", "c"], "split": [None] * 3, "group": [None] * 3})
    >>> [batch.labels.num_samples for batch in batches_of(sets, samples, 2)]
    [2, 1]
    """
    for start in range(0, labels.num_samples, num_rows):
        stop = min(start + num_rows, labels.num_samples)
        some = samples.slice(start, stop - start).select(SAMPLES_SCHEMA.names[:3])
        yield StoreBatch(labels=_slice(labels, start, stop), samples=some)


def open_store(folder: Path) -> LabelStore:
    """Return a store, opened by memory map.

    Sizes, types and the ends of the row offsets are checked, and the checksums of the small files; `check_store` reads
    everything.

    Raises:
        StoreError: One line with the file, what is wrong with it, and what to do.

    >>> from tempfile import TemporaryDirectory
    >>> from manyhot.labels.building import write_store
    >>> sets = LabelSets.from_names([["cat"], [], ["cat", "dog"]])
    >>> with TemporaryDirectory() as folder:
    ...     write_store(Path(folder, "store"), sets.space, [StoreBatch(labels=sets)])
    ...     open_store(Path(folder, "store")).labels.take([2, 0]).to_multi_hot().tolist()
    [[1.0, 1.0], [1.0, 0.0]]
    """
    folder = current_folder(Path(folder))
    manifest = files.read_manifest(folder)
    for name, entry in manifest.files.items():
        files.check_size(folder, name, entry)
    space, sources = _read_space(folder, manifest), _read_sources(folder, manifest)
    samples = _map_samples(folder, manifest)
    labels = LabelSets.unchecked(
        space=space,
        positives=_map_rows(folder, manifest, (files.INDPTR, files.IDS), manifest.num_positives),
        exceptions=_map_rows(folder, manifest, (files.EXCEPTION_INDPTR, files.EXCEPTION_IDS), manifest.num_exceptions)
        if files.EXCEPTION_IDS in manifest.files
        else None,
        sources=sources,
        source_ids=_source_ids(folder / files.SAMPLES, samples["source"].to_numpy(), len(sources))
        if len(sources) > 1
        else None,
        confidence=_map(folder / files.CONFIDENCE, np.dtype(np.float16), manifest.num_positives)
        if files.CONFIDENCE in manifest.files
        else None,
    )
    return LabelStore(
        folder=folder,
        labels=labels,
        samples=samples,
        description=manifest.description,
        image_roots=tuple(folder / root for root in manifest.image_roots),
    )


def check_store(folder: Path, *, progress: Advance | None = None) -> list[str]:
    """Return what is wrong with a store, a line each; reads every byte of it.

    >>> check_store(Path("nowhere"))
    ['nowhere: there is no such label store; check the path']
    """
    folder = current_folder(Path(folder))
    try:
        manifest = files.read_manifest(folder)
        store = open_store(folder)
    except StoreError as error:
        return [str(error)]
    faults: list[str] = []
    for name, entry in manifest.files.items():
        try:
            files.check_sum(folder, name, entry)
        except StoreError as error:
            faults.append(str(error))
    # What is wrong in a file that has changed needs no second line.
    return faults or list(_content_faults(store, progress))


def _content_faults(store: LabelStore, progress: Advance | None) -> Iterator[str]:
    start = 0
    try:
        for batch in store.blocks():
            start += batch.labels.num_samples
            if progress is not None:
                progress(batch.labels.num_samples)
    except StoreError as error:
        yield str(error)
    except LabelError as error:
        yield f"{store.folder}: in the block of rows from row {start:,} on: {error}; {MEND}"


def _slice(sets: LabelSets, start: int, stop: int) -> LabelSets:
    first, last = sets.positives.indptr[start], sets.positives.indptr[stop]
    return LabelSets(
        space=sets.space,
        positives=sets.positives.slice(start, stop),
        exceptions=None if sets.exceptions is None else sets.exceptions.slice(start, stop),
        sources=sets.sources,
        source_ids=None if sets.source_ids is None else sets.source_ids[start:stop],
        confidence=None if sets.confidence is None else sets.confidence[first:last],
    )


def _read_space(folder: Path, manifest: StoreManifest) -> LabelSpace:
    files.check_sum(folder, files.SPACE, manifest.files[files.SPACE])
    try:
        space = LabelSpace.from_dict(files.read_object(folder / files.SPACE))
    except (LabelError, TypeError) as error:
        raise StoreError(f"{folder / files.SPACE}: is no label space ({error}); {MEND}") from None
    if len(space) != manifest.num_labels:
        raise StoreError(
            f"{folder / files.SPACE}: names {len(space):,} labels where {files.MANIFEST} says "
            f"{manifest.num_labels:,}; {MEND}"
        )
    return space


def _read_sources(folder: Path, manifest: StoreManifest) -> tuple[LabelSource, ...]:
    path = folder / files.SOURCES
    files.check_sum(folder, files.SOURCES, manifest.files[files.SOURCES])
    entries = files.read_object(path).get("sources")
    if not isinstance(entries, list) or not entries:
        raise StoreError(f"{path}: lists no source of the rows; {MEND}")
    try:
        return tuple(_source_of(entry, manifest.num_labels) for entry in entries)
    except (LabelError, TypeError, KeyError) as error:
        raise StoreError(f"{path}: does not describe the sources of the rows ({error}); {MEND}") from None


def _source_of(entry: dict[str, Any], num_labels: int) -> LabelSource:
    annotated = entry["annotated"]
    if annotated is not None and not (isinstance(annotated, list) and all(type(label) is int for label in annotated)):
        raise LabelError("'annotated' is neither null nor a list of label ids")
    source = LabelSource(
        name=str(entry["name"]),
        unlisted=entry["unlisted"],
        annotated=None if annotated is None else tuple(annotated),
    )
    if source.annotated and not 0 <= min(source.annotated) <= max(source.annotated) < num_labels:
        raise LabelError(f"{source.name!r} annotates a label id outside 0..{num_labels - 1}")
    return source


def _map_rows(folder: Path, manifest: StoreManifest, names: tuple[str, str], size: int) -> Csr:
    indptr = _map(folder / names[0], np.dtype(np.int64), manifest.num_samples + 1)
    if indptr[0] != 0 or indptr[-1] != size:
        raise StoreError(
            f"{folder / names[0]}: row offsets run from {indptr[0]:,} to {indptr[-1]:,}; expected 0 to {size:,}; {MEND}"
        )
    ids = folder / names[1]
    return Csr(indptr, _map(ids, files.id_dtype(manifest.num_labels), size), unread=ids)


def _map(path: Path, dtype: "np.dtype[np.generic]", size: int) -> Shaped[np.ndarray, " size"]:
    try:
        return map_npy(path, dtype, size)
    except StoreError as error:
        raise StoreError(f"{error}; {MEND}") from None


def _map_samples(folder: Path, manifest: StoreManifest) -> pa.Table:  # pyright: ignore[reportUnknownParameterType] - pyarrow has no types
    path = folder / files.SAMPLES
    try:
        with path.open("rb") as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        # Not pa.memory_map: it asks the system to read ahead whatever is touched, here 300 MB, and opening takes 150 ms.
        samples = pa.ipc.open_file(pa.BufferReader(pa.py_buffer(content))).read_all()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise StoreError(f"{path}: is no Arrow file ({' '.join(str(error).split())}); {MEND}") from None
    if not samples.schema.equals(SAMPLES_SCHEMA):
        raise StoreError(f"{path}: has the columns {samples.schema.names}; expected {SAMPLES_SCHEMA.names}; {MEND}")
    if samples.num_rows != manifest.num_samples:
        raise StoreError(
            f"{path}: has {samples.num_rows:,} rows where {files.MANIFEST} says {manifest.num_samples:,}; {MEND}"
        )
    if samples["reference"].null_count or samples["source"].null_count:
        raise StoreError(f"{path}: a sample has no reference or no source; {MEND}")
    return samples


def _source_ids(path: Path, ids: UInt16[np.ndarray, " n"], num_sources: int) -> UInt16[np.ndarray, " n"]:
    if ids.size and int(ids.max()) >= num_sources:
        raise StoreError(
            f"{path}: row {int(ids.argmax()):,} is of source {int(ids.max())}, and there are {num_sources}; {MEND}"
        )
    return ids
