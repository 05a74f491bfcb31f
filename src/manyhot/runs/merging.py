"""Merge: the parts of a pack become one, by their index; no picture is copied."""

import csv
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from manyhot.data.folder_lock import lock_folder
from manyhot.data.pack_work import PackWork, find_works
from manyhot.data.shards import RefusedPicture, ShardRecord
from manyhot.errors import SourceError, UsageError
from manyhot.files import TEMPORARY_PREFIX, remove_files, sha256_of, write_atomically
from manyhot.labels import store_files
from manyhot.labels.building import write_store
from manyhot.labels.npy import NpyWriter
from manyhot.labels.storage import LabelStore, open_store
from manyhot.labels.store_files import FileEntry
from manyhot.sources import pack_files as files
from manyhot.sources.pack_files import PackManifest, is_finished, read_pack_manifest, write_pack_manifest


@dataclass(frozen=True, kw_only=True)
class Packing:
    """How far a pack is.

    Args:
        folder: Where it stands.
        num_samples: Samples that are packed so far.
        num_refused: Samples that were left out so far.
        num_shards: Shards so far.
        size_bytes: Their size.
        missing: The parts that are not done, as `3/16`; none once the pack is finished.
    """

    folder: Path
    num_samples: int
    num_refused: int
    num_shards: int
    size_bytes: int
    missing: tuple[str, ...]

    @property
    def is_whole(self) -> bool:
        """Whether the pack can be used."""
        return not self.missing


@contextmanager
def told_if_unwritable(out: Path) -> Generator[None]:
    """Say in one line that a pack could not be written to its end, and how to go on.

    Raises:
        SourceError: Where the block raises an `OSError`: the disk is full, say, or may not be written to.

    >>> with told_if_unwritable(Path("pack")):
    ...     raise OSError(28, "No space left on device")
    Traceback (most recent call last):
    manyhot.errors.SourceError: pack: cannot be written: No space left on device; 0 shards are whole, and the same ...
    """
    try:
        yield
    except OSError as error:
        whole = sum(len(work.records()) for work in find_works(out))
        shards = "1 shard is whole" if whole == 1 else f"{whole:,} shards are whole"
        reason = error.strerror or str(error)
        raise SourceError(f"{out}: cannot be written: {reason}; {shards}, and the same command goes on") from None


def packing_of(out: Path) -> Packing:
    """Return how far a pack is.

    Raises:
        UsageError: If there is none.

    >>> packing_of(Path("nowhere"))
    Traceback (most recent call last):
    manyhot.errors.UsageError: nowhere: there is no pack, nor parts of one; check the path
    """
    if is_finished(out):
        manifest = read_pack_manifest(out)
        return Packing(
            folder=out,
            num_samples=manifest.num_samples,
            num_refused=manifest.num_refused,
            num_shards=len(manifest.shards),
            size_bytes=sum(shard.size_bytes for shard in manifest.shards),
            missing=(),
        )
    works = find_works(out)
    if not works:
        raise UsageError(f"{out}: there is no pack, nor parts of one; check the path")
    records = [record for work in works for record in work.records()]
    total = works[0].part.total
    done = {work.part.number for work in works if work.is_done}
    return Packing(
        folder=out,
        num_samples=sum(len(record.rows) for record in records),
        num_refused=sum(len(record.refused) for record in records),
        num_shards=len(records),
        size_bytes=sum(record.entry.size_bytes for record in records),
        missing=tuple(f"{number}/{total}" for number in range(1, total + 1) if number not in done),
    )


def merge_parts(out: Path) -> Packing:
    """Return the finished pack that all parts in a folder make, once each of them is done.

    Raises:
        UsageError: If parts are missing, or do not belong together.
        SourceError: If a shard or a record is missing, nothing was packed, or the index cannot be written.
    """
    works = find_works(out)
    if is_finished(out):
        # A merge that was killed while it tidied up.
        for work in works:
            work.remove()
        return packing_of(out)
    state = packing_of(out)
    _check_together(out, works)
    if state.missing:
        raise UsageError(f"{out}: the parts {', '.join(state.missing)} are missing; pack them, or copy them here")
    with told_if_unwritable(out), lock_folder(works[0].folder, "another manyhot pack"):
        if not is_finished(out):
            _sweep(out)
            _merge(out, works)
    for work in works:
        work.remove()
    return packing_of(out)


def _check_together(out: Path, works: list[PackWork]) -> None:
    first = works[0]
    for work in works[1:]:
        if (work.part.total, work.fingerprint, work.settings) != (first.part.total, first.fingerprint, first.settings):
            names = f"{first.folder.name} and {work.folder.name}"
            raise UsageError(f"{out}: {names} are parts of different packs; merge each in a folder of its own")


def _sweep(out: Path) -> None:
    """Delete what a merge that was killed has left half done."""
    for left in out.glob(f"{TEMPORARY_PREFIX}*"):
        if left.is_dir():
            remove_files(left, store_files.FILE_NAMES)
        else:
            left.unlink()


def _merge(out: Path, works: list[PackWork]) -> None:
    of_works = [work.records() for work in works]
    stores = [open_store(work.labels) for work in works]
    for work, found, store in zip(works, of_works, stores, strict=True):
        _check_complete(work, found, store)
    records = [record for found in of_works for record in found]
    if not any(len(record.rows) for record in records):
        raise SourceError(f"{out}: none of the pictures could be decoded, so there is nothing to merge")
    for record in records:
        files.check_size(out / record.entry.name, record.entry.size_bytes)
    _write_index(out, records)
    refused = [picture for record in records for picture in record.refused]
    write_atomically(out / files.REFUSED, lambda path: _write_refused(path, refused))
    write_store(
        out / files.LABELS,
        stores[0].labels.space,
        chain.from_iterable(store.blocks() for store in stores),
        # No image folder: its full path would make equal packs differ.
        description=works[0].description,
        overwrite=True,
    )
    manifest = PackManifest(
        fingerprint=works[0].fingerprint,
        description=works[0].description,
        settings=works[0].settings,
        num_refused=len(refused),
        shards=tuple(record.entry for record in records),
        files={name: _entry_of(out / name) for name in files.INDEX_FILES},
        labels_sha256=sha256_of(out / files.LABELS / store_files.MANIFEST),
    )
    write_pack_manifest(out, manifest)


def _check_complete(work: PackWork, records: list[ShardRecord], store: LabelStore) -> None:
    num_rows = sum(len(record.rows) for record in records)
    if num_rows != store.num_samples:
        raise SourceError(
            f"{work.folder}: has records of {num_rows:,} samples and labels of {store.num_samples:,}: "
            f"{work.record_path(len(records)).name} is damaged or missing; pack this part again, or copy it here anew"
        )


def _entry_of(path: Path) -> FileEntry:
    return FileEntry(sha256=sha256_of(path), size_bytes=path.stat().st_size)


def _write_index(out: Path, records: list[ShardRecord]) -> None:
    columns = {
        files.OFFSETS: ([record.offsets for record in records], np.int64),
        files.LENGTHS: ([record.lengths for record in records], np.int64),
        files.CHECKSUMS: ([record.checksums for record in records], np.uint32),
        files.SHARD_IDS: ([np.full(len(record.rows), number) for number, record in enumerate(records)], np.uint32),
    }
    for name, (arrays, dtype) in columns.items():

        def write(path: Path, arrays: list[np.ndarray] = arrays, dtype: type[np.generic] = dtype) -> None:
            with ExitStack() as stack:
                writer = stack.enter_context(NpyWriter(path, np.dtype(dtype)))
                for array in arrays:
                    writer.append(array)

        write_atomically(out / name, write)


def _write_refused(path: Path, refused: list[RefusedPicture]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["row", "reference", "reason"])
        writer.writerows([picture.row, picture.reference, picture.reason] for picture in refused)
