"""Which files make a pack of pictures, and what its `manifest.json` says of them."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from manyhot.errors import StoreError
from manyhot.files import sha256_of, write_json
from manyhot.labels.store_files import FileEntry, read_object

FORMAT = "manyhot-pack"
FORMAT_VERSION = 1
MEND = "copy the pack again from where it came from, or pack its data again"

MANIFEST = "manifest.json"
OFFSETS, LENGTHS, SHARD_IDS, CHECKSUMS = "offsets.npy", "lengths.npy", "shard_ids.npy", "checksums.npy"
REFUSED = "refused.csv"
LABELS = "labels"
"""The folder of the label store that holds names, splits, groups and labels of the samples, in the pack's order."""

WORK = "manyhot-packing"
"""The folder that is there while a pack is being made, with a folder for each part."""

INDEX_FILES = (OFFSETS, LENGTHS, SHARD_IDS, CHECKSUMS, REFUSED)


@dataclass(frozen=True, kw_only=True)
class PackSettings:
    """What becomes of pictures when they are packed.

    Args:
        short_side: Larger pictures are made smaller until their shorter side has so many pixels; None copies every file
            as it is.
        quality: JPEG quality of pictures that are made smaller, 1 to 100.
        shard_bytes: No shard is larger, unless a single sample is.
    """

    short_side: int | None = None
    quality: int = 90
    shard_bytes: int = 1024 * 2**20

    def in_words(self) -> str:
        """Return the settings as messages say them.

        >>> PackSettings(short_side=256).in_words()
        'short side 256, quality 90, shards of 1,024 MB'
        """
        size = "as they are" if self.short_side is None else f"short side {self.short_side}, quality {self.quality}"
        return f"{size}, shards of {self.shard_bytes / 2**20:,.4g} MB"


@dataclass(frozen=True, kw_only=True)
class ShardEntry:
    """What a pack says of one of its shards."""

    name: str
    size_bytes: int
    sha256: str
    num_samples: int


@dataclass(frozen=True, kw_only=True)
class PackManifest:
    """What a pack says of itself.

    Args:
        fingerprint: The fingerprint of the data that were packed.
        description: Where they came from, in words.
        settings: What became of the pictures.
        num_refused: Samples that are not in the pack, since their pictures could not be read.
        shards: The shards, in order.
        files: The files of the index.
        labels_sha256: The SHA-256 of the label store's own manifest, which holds those of its files.
    """

    fingerprint: str
    description: str
    settings: PackSettings
    num_refused: int
    shards: tuple[ShardEntry, ...]
    files: Mapping[str, FileEntry]
    labels_sha256: str

    @property
    def num_samples(self) -> int:
        """Samples in the pack."""
        return sum(shard.num_samples for shard in self.shards)


def is_pack(folder: Path) -> bool:
    """Return whether a folder is a pack, finished or not, or what is left of one.

    >>> is_pack(Path("nowhere"))
    False
    """
    try:
        data = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError):
        # Its manifest is gone or damaged: the arrays beside it tell it from anything else.
        return (folder / WORK).is_dir() or ((folder / OFFSETS).is_file() and (folder / SHARD_IDS).is_file())
    return isinstance(data, dict) and data.get("format") == FORMAT


def is_finished(folder: Path) -> bool:
    """Return whether a pack has its manifest, which is written last.

    >>> is_finished(Path("nowhere"))
    False
    """
    return (folder / MANIFEST).is_file()


def write_pack_manifest(folder: Path, manifest: PackManifest) -> None:
    """Write `manifest.json`: a pack is finished once it is there."""
    counts = {"num_samples": manifest.num_samples, "num_refused": manifest.num_refused}
    write_json(folder / MANIFEST, {"format": FORMAT, "version": FORMAT_VERSION, "counts": counts} | asdict(manifest))


def read_pack_manifest(folder: Path) -> PackManifest:
    """Return what `manifest.json` says.

    Raises:
        StoreError: If it is missing, no manifest of a pack, or of another version.

    >>> read_pack_manifest(Path("nowhere"))
    Traceback (most recent call last):
    manyhot.errors.StoreError: nowhere/manifest.json: is missing, so this is no pack, or not a finished one; ...
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise StoreError(f"{path}: is missing, so this is no pack, or not a finished one; {MEND}")
    data = read_object(path)
    if data.get("format") != FORMAT:
        raise StoreError(f"{path}: is not the manifest of a pack; {MEND}")
    if data.get("version") != FORMAT_VERSION:
        raise StoreError(
            f"{path}: the pack has format version {data.get('version')!r}, and this manyhot reads version "
            f"{FORMAT_VERSION}; install the version of manyhot that wrote it, or pack its data again"
        )
    try:
        return _manifest_of(data)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StoreError(f"{path}: does not describe a pack ({error!r}); {MEND}") from None


def check_size(path: Path, size_bytes: int) -> None:
    """Check that a file of a pack is there and as long as it was.

    Raises:
        StoreError: If not.

    >>> check_size(Path("nowhere.tar"), 3)
    Traceback (most recent call last):
    manyhot.errors.StoreError: nowhere.tar: is missing; ...
    """
    if not path.is_file():
        raise StoreError(f"{path}: is missing; {MEND}")
    size = path.stat().st_size
    if size != size_bytes:
        raise StoreError(f"{path}: has {size:,} bytes where {MANIFEST} says {size_bytes:,}; {MEND}")


def check_sum(path: Path, sha256: str) -> None:
    """Check that a file of a pack is what it was; reads all of it.

    Raises:
        StoreError: If not.
    """
    if sha256_of(path) != sha256:
        raise StoreError(f"{path}: was changed or damaged, its SHA-256 is not the one in {MANIFEST}; {MEND}")


def _manifest_of(data: Mapping[str, object]) -> PackManifest:
    settings, shards, files = data["settings"], data["shards"], data["files"]
    if not isinstance(settings, dict) or not isinstance(shards, list) or not isinstance(files, dict):
        raise TypeError("settings, shards or files are of another kind")
    entries = tuple(ShardEntry(**shard) for shard in shards)
    manifest = PackManifest(
        fingerprint=str(data["fingerprint"]),
        description=str(data["description"]),
        settings=PackSettings(**settings),
        num_refused=_count_of(data["num_refused"]),
        shards=entries,
        files={str(name): FileEntry(**entry) for name, entry in files.items()},
        labels_sha256=str(data["labels_sha256"]),
    )
    for shard in entries:
        if _count_of(shard.size_bytes) < _count_of(shard.num_samples) or Path(shard.name).name != shard.name:
            raise ValueError(f"shard {shard.name!r}")
    if set(manifest.files) != set(INDEX_FILES):
        raise ValueError(f"files are {sorted(manifest.files)}")
    return manifest


def _count_of(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is no count")
    return value
