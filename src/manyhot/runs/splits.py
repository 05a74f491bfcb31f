"""Which sample is in which split: decided once, saved with the run, never guessed again."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Int64

from manyhot.config import SplitConfig
from manyhot.errors import RunError, SourceError
from manyhot.files import write_atomically
from manyhot.labels.splitting import split_samples
from manyhot.sources import Manifest

SPLITS = ("train", "val", "test")
FILE_NAME = "splits.parquet"


@dataclass(frozen=True, kw_only=True, eq=False)
class Splits:
    """The split of every sample of a data set, by row.

    Args:
        names: For each sample `train`, `val` or `test`.
        fingerprint: Fingerprint of the data they belong to.
        origin: One sentence on where the splits come from.
    """

    names: tuple[str, ...]
    fingerprint: str
    origin: str

    def rows(self, split: str) -> Int64[np.ndarray, " k"]:
        """Return the rows of one split, in the data's order."""
        return np.flatnonzero(np.array(self.names, dtype=object) == split).astype(np.int64)


def decide_splits(manifest: Manifest, shares: SplitConfig, *, seed: int) -> Splits:
    """Return the splits that the data bring, or stratified ones by rarest label first.

    Where the data bring some splits but lack val or test, the missing ones are taken out of train, in proportion to
    the recipe's shares. Samples of one group never stand on two sides of a new split.

    Raises:
        SourceError: If there are too few samples, or the data name splits but not for every sample, or no train.
    """
    own = manifest.splits()
    unnamed = [row for row, name in enumerate(own) if name is None]
    is_named = len(unnamed) < manifest.num_samples
    if is_named and unnamed:
        first = manifest.references()[unnamed[0]]
        raise SourceError(
            f"{len(unnamed):,} samples name no split, the first is {first!r}; name one for all or for none"
        )
    if is_named and "train" not in own:
        raise SourceError("the data bring splits, but no sample is in 'train'; there is nothing to learn from")
    names = ["train" if name is None else name for name in own]
    missing = [split for split in SPLITS if split not in names]
    if missing:
        names = _carve(manifest, names, missing, shares, seed)
    return Splits(names=tuple(names), fingerprint=manifest.fingerprint, origin=_origin(missing, seed))


def _carve(manifest: Manifest, names: list[str], missing: list[str], shares: SplitConfig, seed: int) -> list[str]:
    rows = np.array([row for row, name in enumerate(names) if name == "train"], dtype=np.int64)
    parts = ["train", *(split for split in missing if split != "train")]
    weights = np.array([getattr(shares, part) for part in parts])
    groups = _group_ids(manifest.groups(), rows) if manifest.has_groups else None
    chosen = split_samples(manifest.labels.take(rows), (weights / weights.sum()).tolist(), seed=seed, groups=groups)
    names = list(names)
    for row, part in zip(rows.tolist(), chosen.tolist(), strict=True):
        names[row] = parts[part]
    for part in parts:
        if part not in names:
            raise SourceError(f"{_amount(len(rows), groups)} are too few: {part} would be empty")
    return names


def _amount(num_samples: int, groups: Int64[np.ndarray, " k"] | None) -> str:
    num_groups = num_samples if groups is None else len(np.unique(groups))
    # Where each sample is a group of its own, groups are not the reason.
    if num_groups == num_samples:
        return f"{num_samples:,} samples"
    return f"{num_samples:,} samples in {num_groups:,} {'group' if num_groups == 1 else 'groups'}"


def _group_ids(groups: list[str | None], rows: Int64[np.ndarray, " k"]) -> Int64[np.ndarray, " k"]:
    # A sample without a group is a group of its own.
    names = [f"row {row}" if groups[row] is None else f"group {groups[row]}" for row in rows.tolist()]
    return np.unique(names, return_inverse=True)[1].astype(np.int64)


def _origin(missing: list[str], seed: int) -> str:
    if not missing:
        return "the data's own splits"
    if len(missing) < len(SPLITS) - 1:
        return f"the data's own splits; {missing[0]} taken out of train, stratified, seed {seed}"
    return f"stratified by rarest label first, seed {seed}"


def save_splits(splits: Splits, manifest: Manifest, folder: Path) -> None:
    """Write `splits.parquet` into a run folder: reference, split and size in bytes of every sample."""
    sizes = [size_of(manifest.path_of(row)) for row in range(manifest.num_samples)]
    table = pa.table({"reference": manifest.references(), "split": list(splits.names), "size_bytes": sizes})
    metadata = {"fingerprint": splits.fingerprint, "origin": splits.origin, "root": str(manifest.root.resolve())}
    table = table.replace_schema_metadata(metadata)
    write_atomically(folder / FILE_NAME, lambda path: pq.write_table(table, path))


def size_of(path: Path) -> int:
    """Return the size of a file in bytes, -1 where it cannot be had."""
    try:
        return path.stat().st_size
    except OSError:
        return -1


@dataclass(frozen=True, kw_only=True, eq=False)
class SavedSplits:
    """The splits of a run, with what tells its samples from others.

    Args:
        splits: The split of each sample.
        root: The folder that references started from.
        references: The reference of each sample.
        sizes_bytes: The size of each sample's file, -1 where it could not be had.
    """

    splits: Splits
    root: Path
    references: tuple[str, ...]
    sizes_bytes: tuple[int, ...]


def load_splits(folder: Path) -> SavedSplits:
    """Return the splits that a run folder holds.

    Raises:
        RunError: If the file is missing or cannot be read.
    """
    path = folder / FILE_NAME
    try:
        table = pq.read_table(path)
        metadata = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
        names, references, sizes = (table.column(name).to_pylist() for name in ("split", "reference", "size_bytes"))
        splits = Splits(names=tuple(names), fingerprint=metadata["fingerprint"], origin=metadata["origin"])
        return SavedSplits(
            splits=splits, root=Path(metadata["root"]), references=tuple(references), sizes_bytes=tuple(sizes)
        )
    except FileNotFoundError:
        raise RunError(f"{path}: missing; is {folder} a run folder?") from None
    except (pa.ArrowInvalid, OSError, KeyError) as error:
        raise RunError(f"{path}: cannot be read ({error}); train again") from None


def changed_pictures(saved: SavedSplits, manifest: Manifest, rows: Int64[np.ndarray, " k"]) -> list[str]:
    """Return the references of those rows whose files have another size than when the splits were saved, or are gone.

    Sizes alone are compared: reading every picture would take as long as scoring it.

    Args:
        saved: The splits of a run.
        manifest: The same samples now: of the fingerprint that the splits were saved with.
        rows: The rows to look at.
    """
    references = manifest.references()
    return [
        references[row]
        for row in rows.tolist()
        # A size that could not be had then says nothing now.
        if saved.sizes_bytes[row] not in (-1, size_of(manifest.root / references[row]))
    ]


def describe_changed(references: Sequence[str]) -> str:
    """Return the line on changed pictures.

    >>> describe_changed(["a.jpg", "b.jpg"])
    "2 pictures have changed since the run, the first is 'a.jpg'; train again, or name other data"
    """
    counted = "1 picture has" if len(references) == 1 else f"{len(references):,} pictures have"
    return f"{counted} changed since the run, the first is {references[0]!r}; train again, or name other data"
