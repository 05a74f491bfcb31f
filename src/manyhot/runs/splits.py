"""Which sample is in which split: decided once, saved with the run, never guessed again."""

# pyarrow has no types:
# pyright: reportUnknownParameterType=false

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import Int64, UInt8
from tqdm import tqdm

from manyhot.config import SplitConfig
from manyhot.errors import RunError, SourceError
from manyhot.files import write_atomically
from manyhot.labels.splitting import split_samples
from manyhot.sources import Manifest
from manyhot.sources.picture_store import PictureStore

SPLITS = ("train", "val", "test")
FILE_NAME = "splits.parquet"
_SPLIT_BAR = "{desc} {percentage:3.0f}% |{bar}| {remaining} left"

_TRAIN = SPLITS.index("train")
_GROUP_ROWS = 1 << 18
_STAT_ROWS, _STAT_THREADS = 4096, 16
# Fewer are done before a bar could be read.
_SHOWN_FILES = 200_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Splits:
    """The split of every sample of a data set, by row.

    Args:
        codes: For each sample the place of its split in `SPLITS`: one byte a sample.
        fingerprint: Fingerprint of the data they belong to.
        origin: One sentence on where the splits come from.
    """

    codes: UInt8[np.ndarray, " n"]
    fingerprint: str
    origin: str

    @property
    def names(self) -> tuple[str, ...]:
        """For each sample `train`, `val` or `test`."""
        return tuple(SPLITS[code] for code in self.codes.tolist())

    def rows(self, split: str) -> Int64[np.ndarray, " k"]:
        """Return the rows of one split, in the data's order."""
        return np.flatnonzero(self.codes == SPLITS.index(split)).astype(np.int64)


def decide_splits(manifest: Manifest, shares: SplitConfig, *, seed: int) -> Splits:
    """Return the splits that the data bring, or stratified ones by rarest label first.

    Where the data bring some splits but lack val or test, the missing ones are taken out of train, in proportion to
    the recipe's shares. Samples of one group never stand on two sides of a new split.

    Raises:
        SourceError: If there are too few samples, or the data name splits but not for every sample, or no train.
    """
    own = manifest.samples["split"]
    is_named = own.null_count < manifest.num_samples
    if is_named and own.null_count:
        first = manifest.samples["reference"][
            pc.call_function("index", [own.is_null()], pc.IndexOptions(pa.scalar(True))).as_py()
        ]
        raise SourceError(
            f"{own.null_count:,} samples name no split, the first is {first.as_py()!r}; name one for all or for none"
        )
    codes = codes_of(own)
    if is_named and not (codes == _TRAIN).any():
        raise SourceError("the data bring splits, but no sample is in 'train'; there is nothing to learn from")
    missing = [split for code, split in enumerate(SPLITS) if not (codes == code).any()]
    if missing:
        codes = _carve(manifest, codes, missing, shares, seed)
    return Splits(codes=codes, fingerprint=manifest.fingerprint, origin=_origin(missing, seed))


def codes_of(names: pa.ChunkedArray) -> UInt8[np.ndarray, " n"]:
    """Return the split of each sample as a number; one that names none is in train.

    >>> codes_of(pa.chunked_array([["val", None, "test"]])).tolist()
    [1, 0, 2]
    """
    options = pc.SetLookupOptions(pa.array(SPLITS))
    codes = np.empty(len(names), dtype=np.uint8)
    start = 0
    for chunk in names.chunks:
        if pa.types.is_dictionary(chunk.type):
            of_word = pc.call_function("index_in", [chunk.dictionary], options)
            found = of_word.take(chunk.indices)
        else:
            found = pc.call_function("index_in", [chunk], options)
        codes[start : start + len(chunk)] = pc.fill_null(found, _TRAIN).to_numpy()
        start += len(chunk)
    return codes


def _carve(
    manifest: Manifest, codes: UInt8[np.ndarray, " n"], missing: list[str], shares: SplitConfig, seed: int
) -> UInt8[np.ndarray, " n"]:
    rows = np.flatnonzero(codes == _TRAIN).astype(np.int64)
    parts = ["train", *(split for split in missing if split != "train")]
    weights = np.array([getattr(shares, part) for part in parts])
    groups = _group_ids(manifest.samples["group"].take(pa.array(rows))) if manifest.has_groups else None
    labels = manifest.labels if len(rows) == manifest.num_samples else manifest.labels.take(rows)
    # It moves by passes over the samples, so it counts none; nothing is shown where it takes less than a moment.
    with tqdm(desc="splitting", bar_format=_SPLIT_BAR, disable=None, delay=0.5, leave=False) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        chosen = split_samples(labels, (weights / weights.sum()).tolist(), seed=seed, groups=groups, progress=show)
    codes = codes.copy()
    codes[rows] = np.array([SPLITS.index(part) for part in parts], dtype=np.uint8)[chosen]
    for part in parts:
        if not (codes == SPLITS.index(part)).any():
            raise SourceError(f"{_amount(len(rows), groups)} are too few: {part} would be empty")
    return codes


def _amount(num_samples: int, groups: Int64[np.ndarray, " k"] | None) -> str:
    num_groups = num_samples if groups is None else len(np.unique(groups))
    # Where each sample is a group of its own, groups are not the reason.
    if num_groups == num_samples:
        return f"{num_samples:,} samples"
    return f"{num_samples:,} samples in {num_groups:,} {'group' if num_groups == 1 else 'groups'}"


def _group_ids(groups: pa.ChunkedArray) -> Int64[np.ndarray, " k"]:
    encoded = groups.combine_chunks().dictionary_encode()
    ids = pc.fill_null(encoded.indices, -1).to_numpy().astype(np.int64)
    alone = np.flatnonzero(ids < 0)
    # A sample without a group is a group of its own.
    ids[alone] = len(encoded.dictionary) + np.arange(len(alone))
    return ids


def _origin(missing: list[str], seed: int) -> str:
    if not missing:
        return "the data's own splits"
    if len(missing) < len(SPLITS) - 1:
        return f"the data's own splits; {missing[0]} taken out of train, stratified, seed {seed}"
    return f"stratified by rarest label first, seed {seed}"


def save_splits(splits: Splits, manifest: Manifest, folder: Path) -> None:
    """Write `splits.parquet` into a run folder: reference, split and size in bytes of every sample."""
    references = manifest.samples["reference"]
    sizes = sizes_of(manifest.pictures) if manifest.has_pictures else np.full(manifest.num_samples, -1)
    metadata = {"fingerprint": splits.fingerprint, "origin": splits.origin, "root": str(manifest.root.resolve())}
    schema = pa.schema([("reference", pa.string()), ("split", pa.string()), ("size_bytes", pa.int64())], metadata)

    def write(path: Path) -> None:
        with pq.ParquetWriter(path, schema) as writer:
            # At least once, so that no samples are a file too.
            for start in range(0, max(len(references), 1), _GROUP_ROWS):
                rows = slice(start, start + _GROUP_ROWS)
                codes = pa.array(splits.codes[rows].astype(np.int8))
                names = pa.DictionaryArray.from_arrays(codes, pa.array(SPLITS)).cast(pa.string())
                columns = [references.slice(start, _GROUP_ROWS), names, pa.array(sizes[rows])]
                writer.write_table(pa.table(columns, schema=schema))

    write_atomically(folder / FILE_NAME, write)


def sizes_of(pictures: PictureStore) -> Int64[np.ndarray, " k"]:
    """Return the sizes of pictures in bytes, -1 where one cannot be had; asked for in threads, with progress."""
    num_pictures = len(pictures)
    starts = range(0, num_pictures, _STAT_ROWS)

    def sizes_from(start: int) -> list[int]:
        return [pictures.size_of(row) for row in range(start, min(start + _STAT_ROWS, num_pictures))]

    sizes = np.zeros(num_pictures, dtype=np.int64)
    # Waiting for a disk or a server, not for a core: more threads than cores.
    with (
        ThreadPoolExecutor(_STAT_THREADS) as threads,
        tqdm(
            total=num_pictures,
            desc="file sizes",
            unit=" files",
            disable=True if num_pictures < _SHOWN_FILES else None,
        ) as bar,
    ):
        for start, found in zip(starts, threads.map(sizes_from, starts), strict=True):
            sizes[start : start + len(found)] = found
            bar.update(len(found))
    return sizes


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
    references: pa.ChunkedArray
    sizes_bytes: Int64[np.ndarray, " n"]

    def files(self, rows: Int64[np.ndarray, " k"]) -> Iterator[tuple[str, int]]:
        """Yield reference and size of some samples."""
        return zip(self.references.take(pa.array(rows)).to_pylist(), self.sizes_bytes[rows].tolist(), strict=True)


def load_splits(folder: Path) -> SavedSplits:
    """Return the splits that a run folder holds.

    Raises:
        RunError: If the file is missing or cannot be read.
    """
    path = folder / FILE_NAME
    try:
        # Splits as numbers, not three words for every sample.
        with pq.ParquetFile(path, read_dictionary=["split"], pre_buffer=False) as file:
            return _read_splits(file)
    except FileNotFoundError:
        raise RunError(f"{path}: missing; is {folder} a run folder?") from None
    except (pa.ArrowInvalid, OSError, KeyError) as error:
        raise RunError(f"{path}: cannot be read ({error}); train again") from None


def _read_splits(file: pq.ParquetFile) -> SavedSplits:
    """Return the splits of an open file, a block of rows at a time: all of them twice would be hundreds of megabytes."""
    metadata = {key.decode(): value.decode() for key, value in (file.schema_arrow.metadata or {}).items()}
    num_samples = file.metadata.num_rows
    codes, sizes = np.empty(num_samples, dtype=np.uint8), np.empty(num_samples, dtype=np.int64)
    references: list[pa.Array] = []
    start = 0
    for batch in file.iter_batches(_GROUP_ROWS, columns=["reference", "split", "size_bytes"], use_threads=False):
        rows = slice(start, start + batch.num_rows)
        codes[rows] = codes_of(pa.chunked_array([batch.column("split")]))
        sizes[rows] = batch.column("size_bytes").to_numpy()
        references.append(batch.column("reference"))
        start += batch.num_rows
    return SavedSplits(
        splits=Splits(codes=codes, fingerprint=metadata["fingerprint"], origin=metadata["origin"]),
        root=Path(metadata["root"]),
        references=pa.chunked_array(references, pa.string()),
        sizes_bytes=sizes,
    )


def changed_pictures(saved: SavedSplits, manifest: Manifest, rows: Int64[np.ndarray, " k"]) -> list[str]:
    """Return the references of those rows whose files have another size than when the splits were saved, or are gone.

    Sizes alone are compared: reading every picture would take as long as scoring it.

    Args:
        saved: The splits of a run.
        manifest: The same samples now: of the fingerprint that the splits were saved with.
        rows: The rows to look at.
    """
    if not manifest.has_pictures:
        return []
    references = manifest.samples["reference"].take(pa.array(rows))
    then = saved.sizes_bytes[rows]
    # A size that could not be had then says nothing now.
    changed = (then != -1) & (then != sizes_of(manifest.pictures.take(rows)))
    return references.filter(pa.array(changed)).to_pylist()


def describe_changed(references: Sequence[str]) -> str:
    """Return the line on changed pictures.

    >>> describe_changed(["a.jpg", "b.jpg"])
    "2 pictures have changed since the run, the first is 'a.jpg'; train again, or name other data"
    """
    counted = "1 picture has" if len(references) == 1 else f"{len(references):,} pictures have"
    return f"{counted} changed since the run, the first is {references[0]!r}; train again, or name other data"
