"""Which files make a label store, and what its `manifest.json` says of them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from manyhot.errors import StoreError
from manyhot.files import sha256_of, write_json

FORMAT = "manyhot-label-store"
FORMAT_VERSION = 1
MEND = "copy the store again from where it came from, or convert its data again"

MANIFEST = "manifest.json"
SPACE, SOURCES, SAMPLES = "space.json", "sources.json", "samples.arrow"
INDPTR, IDS = "indptr.npy", "ids.npy"
EXCEPTION_INDPTR, EXCEPTION_IDS, CONFIDENCE = "exception_indptr.npy", "exception_ids.npy", "confidence.npy"
REQUIRED = (SPACE, SOURCES, SAMPLES, INDPTR, IDS)
FILE_NAMES = (*REQUIRED, EXCEPTION_INDPTR, EXCEPTION_IDS, CONFIDENCE, MANIFEST)
"""Every file that a store may consist of."""

_LARGEST_NARROW = 1 << 16
_COUNTS = ("num_samples", "num_labels", "num_positives", "num_exceptions")


@dataclass(frozen=True, kw_only=True)
class FileEntry:
    """What the manifest says of one file."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class StoreManifest:
    """What a store says of itself.

    Args:
        num_samples: Samples.
        num_labels: Labels of the space.
        num_positives: Positive cells.
        num_exceptions: Exceptional cells.
        description: Where the data came from, in words.
        image_roots: Folders that references start from, the likeliest first; relative ones start from the store.
        files: The other files of the store.
    """

    num_samples: int
    num_labels: int
    num_positives: int
    num_exceptions: int
    description: str
    image_roots: tuple[str, ...]
    files: Mapping[str, FileEntry]


def id_dtype(num_labels: int) -> "np.dtype[np.generic]":
    """Return the type of ids in a store.

    >>> id_dtype(65_536), id_dtype(65_537)
    (dtype('uint16'), dtype('uint32'))
    """
    return np.dtype(np.uint16 if num_labels <= _LARGEST_NARROW else np.uint32)


def entries_of(folder: Path) -> dict[str, FileEntry]:
    """Return size and checksum of the files of a store that are there; reads all of them."""
    paths = [folder / name for name in FILE_NAMES if name != MANIFEST and (folder / name).is_file()]
    return {path.name: FileEntry(sha256=sha256_of(path), size_bytes=path.stat().st_size) for path in paths}


def write_manifest(folder: Path, manifest: StoreManifest) -> None:
    """Write `manifest.json`."""
    files = {name: {"sha256": entry.sha256, "size_bytes": entry.size_bytes} for name, entry in manifest.files.items()}
    counts = {name: getattr(manifest, name) for name in _COUNTS}
    data = {"format": FORMAT, "version": FORMAT_VERSION, "description": manifest.description}
    write_json(folder / MANIFEST, data | {"counts": counts, "image_roots": list(manifest.image_roots), "files": files})


def is_store(folder: Path) -> bool:
    """Return whether a folder is a label store, or what is left of one.

    >>> is_store(Path("nowhere"))
    False
    """
    try:
        data = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError):
        # Its manifest is gone or damaged: the arrays beside it tell it from anything else.
        return (folder / INDPTR).is_file() or (folder / IDS).is_file()
    return isinstance(data, dict) and data.get("format") == FORMAT


def read_manifest(folder: Path) -> StoreManifest:
    """Return what `manifest.json` says.

    Raises:
        StoreError: If it is missing, no manifest of a store, or of another version.
    """
    path = folder / MANIFEST
    if not folder.is_dir():
        raise StoreError(f"{folder}: there is no such label store; check the path")
    if not path.is_file():
        raise StoreError(f"{path}: is missing, so this is no label store, or not a whole one; {MEND}")
    data = read_object(path)
    if data.get("format") != FORMAT:
        raise StoreError(f"{path}: is not the manifest of a label store; {MEND}")
    if data.get("version") != FORMAT_VERSION:
        raise StoreError(
            f"{path}: the store has format version {data.get('version')!r}, and this manyhot reads version "
            f"{FORMAT_VERSION}; install the version of manyhot that wrote it, or convert its data again"
        )
    counts, files, roots = data.get("counts"), data.get("files"), data.get("image_roots")
    if not isinstance(counts, dict) or not all(_is_count(counts.get(name)) for name in _COUNTS):
        raise StoreError(f"{path}: 'counts' lacks whole numbers for {', '.join(_COUNTS)}; {MEND}")
    if not isinstance(roots, list) or not all(isinstance(root, str) for root in roots):
        raise StoreError(f"{path}: 'image_roots' is no list of folders; {MEND}")
    return StoreManifest(
        num_samples=counts["num_samples"],
        num_labels=counts["num_labels"],
        num_positives=counts["num_positives"],
        num_exceptions=counts["num_exceptions"],
        description=str(data.get("description", "data")),
        image_roots=tuple(roots),
        files=_read_entries(path, files if isinstance(files, dict) else {}),
    )


def _read_entries(path: Path, files: Mapping[str, object]) -> dict[str, FileEntry]:
    entries: dict[str, FileEntry] = {}
    for name in FILE_NAMES:
        entry = files.get(name)
        if isinstance(entry, dict) and isinstance(entry.get("sha256"), str) and _is_count(entry.get("size_bytes")):
            entries[name] = FileEntry(sha256=entry["sha256"], size_bytes=entry["size_bytes"])
        elif entry is not None or name in REQUIRED:
            raise StoreError(f"{path}: does not say size and checksum of {name}; {MEND}")
    if (EXCEPTION_INDPTR in entries) != (EXCEPTION_IDS in entries):
        raise StoreError(f"{path}: lists only one of {EXCEPTION_INDPTR} and {EXCEPTION_IDS}; {MEND}")
    return entries


def read_object(path: Path) -> dict[str, object]:
    """Return the object that a JSON file holds.

    Raises:
        StoreError: If the file cannot be read or holds something else.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError) as error:
        raise StoreError(f"{path}: cannot be read as JSON ({error}); {MEND}") from None
    if not isinstance(data, dict):
        raise StoreError(f"{path}: holds no JSON object; {MEND}")
    return data


def check_size(folder: Path, name: str, entry: FileEntry) -> None:
    """Check that a file is there and as long as it was.

    Raises:
        StoreError: If not.
    """
    path = folder / name
    if not path.is_file():
        raise StoreError(f"{path}: is missing; {MEND}")
    size = path.stat().st_size
    if size != entry.size_bytes:
        raise StoreError(f"{path}: has {size:,} bytes where {MANIFEST} says {entry.size_bytes:,}; {MEND}")


def check_sum(folder: Path, name: str, entry: FileEntry) -> None:
    """Check that a file's content is what it was; reads all of it.

    Raises:
        StoreError: If not.
    """
    if sha256_of(folder / name) != entry.sha256:
        raise StoreError(f"{folder / name}: was changed or damaged, its SHA-256 is not the one in {MANIFEST}; {MEND}")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
