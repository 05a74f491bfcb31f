"""Packs of pictures as data: opened at once, read through a memory map, and checked to the last byte."""

import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Shaped, UInt32

from manyhot.errors import ImageError, SourceError, StoreError, quote
from manyhot.files import sha256_of
from manyhot.labels import store_files
from manyhot.labels.npy import map_npy
from manyhot.labels.progress import Progress
from manyhot.labels.storage import LabelStore, check_store, open_store
from manyhot.sources import pack_files as files
from manyhot.sources.finding import Finding, FindingLog
from manyhot.sources.manifest import SAMPLES_SCHEMA, Manifest
from manyhot.sources.options import SourceOptions
from manyhot.sources.pack_files import MEND, PackManifest, check_size, check_sum, is_pack, read_pack_manifest
from manyhot.sources.tar_pictures import TarPictures


@dataclass(frozen=True, kw_only=True, eq=False)
class PackedImages:
    """An open pack; arrays and pictures are views of its files.

    Args:
        folder: Where it stands.
        manifest: What it says of itself.
        labels: Names, splits, groups and labels of its samples.
        pictures: Their pictures, in the same order.
        checksums: The CRC-32 of each picture's file.
    """

    folder: Path
    manifest: PackManifest
    labels: LabelStore
    pictures: TarPictures
    checksums: UInt32[np.ndarray, " n"]

    @staticmethod
    def open(folder: Path) -> "PackedImages":
        """Return a pack, opened by memory map; sizes and places are checked, and `check_pack` reads everything.

        Raises:
            StoreError: One line with the file, what is wrong with it, and what to do.

        >>> PackedImages.open(Path("nowhere"))
        Traceback (most recent call last):
        manyhot.errors.StoreError: nowhere/manifest.json: is missing, so this is no pack, or not a finished one; ...
        """
        manifest = read_pack_manifest(folder)
        for name, entry in manifest.files.items():
            check_size(folder / name, entry.size_bytes)
        for shard in manifest.shards:
            check_size(folder / shard.name, shard.size_bytes)
        labels = open_store(folder / files.LABELS)
        if labels.num_samples != manifest.num_samples:
            raise StoreError(
                f"{labels.folder}: holds {labels.num_samples:,} samples where {files.MANIFEST} says "
                f"{manifest.num_samples:,}; {MEND}"
            )
        return PackedImages(
            folder=folder,
            manifest=manifest,
            labels=labels,
            pictures=_pictures_of(folder, manifest, labels),
            checksums=_map(folder, files.CHECKSUMS, np.dtype(np.uint32), manifest),
        )

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.pictures)

    @property
    def keys(self) -> list[str]:
        """What each sample was called in the data that were packed."""
        return self.labels.samples["reference"].to_pylist()

    def read(self, index: int) -> memoryview:
        """Return the file of one picture, as a view of its shard; safe from several threads and processes.

        Raises:
            ImageError: If the shard is gone.
        """
        return self.pictures.read(index)


def _pictures_of(folder: Path, manifest: PackManifest, labels: LabelStore) -> TarPictures:
    shard_ids = _map(folder, files.SHARD_IDS, np.dtype(np.uint32), manifest)
    offsets = _map(folder, files.OFFSETS, np.dtype(np.int64), manifest)
    lengths = _map(folder, files.LENGTHS, np.dtype(np.int64), manifest)
    sizes = np.array([shard.size_bytes for shard in manifest.shards], dtype=np.int64)
    if len(shard_ids) and (
        int(shard_ids.max()) >= len(sizes)
        or int(min(offsets.min(), lengths.min())) < 0
        or bool((offsets + lengths > sizes[shard_ids]).any())
    ):
        raise StoreError(f"{folder / files.OFFSETS}: a picture lies outside of its shard; {MEND}")
    return TarPictures(
        folder=folder,
        shards=tuple(shard.name for shard in manifest.shards),
        references=labels.samples["reference"],
        shard_ids=shard_ids,
        offsets=offsets,
        lengths=lengths,
    )


def _map(folder: Path, name: str, dtype: "np.dtype[np.generic]", manifest: PackManifest) -> Shaped[np.ndarray, " n"]:
    try:
        return map_npy(folder / name, dtype, manifest.num_samples)
    except StoreError as error:
        raise StoreError(f"{error}; {MEND}") from None


def read_pack(path: Path, options: SourceOptions, findings: FindingLog) -> Manifest | None:
    """Return the samples of a pack, or None where it cannot be opened; faults go to the findings."""
    try:
        pack = PackedImages.open(path)
        pack.labels.check_samples()
        if not len(pack):
            findings.error("empty-data", f"{path}: the pack holds no samples; it needs at least one")
            return None
        return Manifest(
            root=path,
            samples=pack.labels.samples.select(SAMPLES_SCHEMA.names),
            labels=pack.labels.labels,
            description=f"{len(pack):,} samples with {pack.labels.labels.num_labels:,} labels from the pack {path}",
            has_pictures=options.pictures,
            embedded=pack.pictures,
        )
    except SourceError as error:
        findings.error("damaged-pack", str(error))
        return None


def check_pack(path: Path, *, progress: Progress | None = None) -> tuple[Finding, ...]:
    """Return what is wrong with the files of a pack, with the samples that are damaged; reads every byte.

    Nothing for any other kind of data.

    Args:
        path: The pack.
        progress: Called after each shard.

    >>> check_pack(Path("nowhere"))
    ()
    """
    if not is_pack(path):
        return ()
    findings = FindingLog()
    try:
        manifest = read_pack_manifest(path)
        for name, entry in manifest.files.items():
            check_size(path / name, entry.size_bytes)
            check_sum(path / name, entry.sha256)
        pack = PackedImages.open(path)
        check_sum(pack.labels.folder / store_files.MANIFEST, manifest.labels_sha256)
    except StoreError as error:
        findings.error("damaged-pack", str(error))
        return findings.findings()
    for fault in check_store(pack.labels.folder):
        findings.error("damaged-pack", fault)
    with ThreadPoolExecutor() as pool:
        faults = pool.map(_check_shard_of(pack), range(len(pack.manifest.shards)))
        for done, found in enumerate(faults, 1):
            for message, example in found:
                findings.error("damaged-pack", message, example)
            if progress is not None:
                progress(done, len(pack.manifest.shards))
    return findings.findings()


def _check_shard_of(pack: PackedImages) -> Callable[[int], list[tuple[str, str | None]]]:
    def check(number: int) -> list[tuple[str, str | None]]:
        shard = pack.manifest.shards[number]
        path = pack.folder / shard.name
        try:
            if sha256_of(path) == shard.sha256:
                return []
            rows = np.flatnonzero(pack.pictures.shard_ids == number).tolist()
            damaged = [row for row in rows if zlib.crc32(pack.read(row)) != pack.checksums[row]]
        except (OSError, ImageError) as error:
            return [(f"{path}: cannot be read ({error}); {MEND}", None)]
        if not damaged:
            return [(f"{path}: was changed or damaged, though none of its pictures was; {MEND}", None)]
        message = f"{path}: was changed or damaged, and so were pictures in it; {MEND}"
        return [(message, name) for name in _names_of(pack, damaged)]

    return check


def _names_of(pack: PackedImages, rows: list[int]) -> Iterator[str]:
    references = pack.labels.samples["reference"]
    return (quote(references[row].as_py()) for row in rows)
