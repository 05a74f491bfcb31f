"""What a source was read into: its samples and their labels."""

# pyarrow has no types:
# pyright: reportUnknownParameterType=false

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Integer, Shaped

from manyhot.errors import SourceError
from manyhot.labels import Csr, LabelSets
from manyhot.sources.features import Features
from manyhot.sources.picture_store import PictureFiles, PictureStore

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

_BLOCK = 1 << 20
"""Entries that are hashed at a time."""

SAMPLES_SCHEMA = pa.schema([("reference", pa.string()), ("split", pa.string()), ("group", pa.string())])


@dataclass(frozen=True, kw_only=True, eq=False)
class Manifest:
    """Samples in the order of their source, and the labels of each.

    Args:
        root: The folder that references start from.
        samples: A row a sample. `reference` is the path of its file under `root`, with `/` between folders; `split`
            is train, val or test, or null where the source says nothing; `group` is what must not be parted by a
            split (a patient, a film), or null.
        labels: The labels of each sample, in the same order.
        description: Where it came from, in words.
        has_pictures: Whether references name pictures; otherwise they are names of rows, or addresses.
        features: The features of each sample, where the source holds any.
        embedded: The pictures, where they are no files of their own under `root`.

    Raises:
        SourceError: If columns, types or lengths are not these.

    >>> manifest = Manifest.from_lists(Path("data"), ["a.jpg", "b.jpg"], LabelSets.from_names([["cat"], []]))
    >>> manifest.num_samples, manifest.path_of(1).as_posix(), manifest.has_splits
    (2, 'data/b.jpg', False)
    """

    root: Path
    samples: pa.Table
    labels: LabelSets
    description: str = "data"
    has_pictures: bool = True
    features: Features | None = None
    embedded: PictureStore | None = None

    def __post_init__(self) -> None:
        if not self.samples.schema.equals(SAMPLES_SCHEMA):
            raise SourceError(f"samples have the columns {self.samples.schema.names}; expected {SAMPLES_SCHEMA.names}")
        if self.samples.num_rows != self.labels.num_samples:
            raise SourceError(
                f"{self.samples.num_rows:,} samples have {self.labels.num_samples:,} rows of labels; give one row each"
            )
        if self.samples["reference"].null_count:
            raise SourceError("a sample has no reference; name the file of each sample")
        if self.features is not None and self.features.num_samples != self.num_samples:
            raise SourceError(f"{self.num_samples:,} samples have {self.features.num_samples:,} rows of features")
        if self.embedded is not None and len(self.embedded) != self.num_samples:
            raise SourceError(f"{self.num_samples:,} samples have {len(self.embedded):,} pictures; give one each")
        strange = set(self.samples["split"].unique().to_pylist()) - {*SPLITS, None}
        if strange:
            raise SourceError(f"split {min(map(str, strange))!r} is none of {', '.join(SPLITS)}")

    @staticmethod
    def from_lists(
        root: Path,
        references: Sequence[str],
        labels: LabelSets,
        *,
        splits: Sequence[str | None] | None = None,
        groups: Sequence[str | None] | None = None,
        description: str = "data",
        has_pictures: bool = True,
        features: Features | None = None,
        embedded: PictureStore | None = None,
    ) -> "Manifest":
        """Return a manifest from plain lists, one entry a sample."""
        absent = [None] * len(references)
        columns = [list(references), absent if splits is None else splits, absent if groups is None else groups]
        samples = pa.table([pa.array(column, pa.string()) for column in columns], schema=SAMPLES_SCHEMA)
        return Manifest(
            root=root,
            samples=samples,
            labels=labels,
            description=description,
            has_pictures=has_pictures,
            features=features,
            embedded=embedded,
        )

    @property
    def num_samples(self) -> int:
        """Number of samples."""
        return self.samples.num_rows

    def references(self) -> list[str]:
        """Return the reference of each sample: its path under `root`."""
        return self.samples["reference"].to_pylist()

    @cached_property
    def pictures(self) -> PictureStore:
        """The pictures of the samples: one way to read them, wherever they are. Holds no labels."""
        return PictureFiles(self.root, self.samples["reference"]) if self.embedded is None else self.embedded

    def path_of(self, row: int) -> Path:
        """Return the file of one sample."""
        return self.root / self.samples["reference"][row].as_py()

    def splits(self) -> list[str | None]:
        """Return the split of each sample that the source states, or None."""
        return self.samples["split"].to_pylist()

    def groups(self) -> list[str | None]:
        """Return the group of each sample, or None."""
        return self.samples["group"].to_pylist()

    @property
    def has_splits(self) -> bool:
        """Whether the source states the split of every sample; False without samples."""
        return self.num_samples > 0 and self.samples["split"].null_count == 0

    @property
    def has_groups(self) -> bool:
        """Whether the source states the group of at least one sample."""
        return self.samples["group"].null_count < self.num_samples

    def take(self, rows: Integer[np.ndarray, " k"] | Sequence[int]) -> "Manifest":
        """Return some samples, in the order given; rows may repeat.

        Raises:
            LabelError: If a row is out of range.
        """
        rows = np.asarray(rows, dtype=np.int64)
        labels = self.labels.take(rows)
        features = None if self.features is None else self.features.take(rows)
        embedded = None if self.embedded is None else self.embedded.take(rows)
        samples = self.samples.take(pa.array(rows))
        return replace(self, samples=samples, labels=labels, features=features, embedded=embedded)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of references, splits, groups, labels and features, in order; the same wherever the folder stands."""
        digest = hashlib.sha256()
        for name in SAMPLES_SCHEMA.names:
            for part in _text_parts(self.samples[name]):
                digest.update(part)
        for part in _label_parts(self.labels):
            digest.update(part)
        if self.features is not None:
            rows = self.features.rows
            for values, dtype in ((rows.indptr, "<i8"), (rows.ids, "<u4"), (self.features.values, "<f4")):
                for part in _array_parts(values, dtype):
                    digest.update(part)
        return digest.hexdigest()


def _text_parts(column: pa.ChunkedArray) -> Iterator[bytes | memoryview]:
    """Yield the lengths of all texts, -1 for null, then the texts themselves: views, never a Python object a text."""
    blocks = [chunk.slice(start, _BLOCK) for chunk in column.chunks for start in range(0, len(chunk), _BLOCK)]
    for block in blocks:
        lengths = pc.fill_null(pc.call_function("binary_length", [block]), -1)
        yield lengths.to_numpy(zero_copy_only=False).astype("<i8").data
    for block in blocks:
        if block.null_count == len(block):
            continue
        filled = pc.fill_null(block, "") if block.null_count else block
        _, offsets, content = filled.buffers()
        ends = np.frombuffer(offsets, dtype=np.int32)[[filled.offset, filled.offset + len(filled)]]
        yield memoryview(content)[ends[0] : ends[1]] if content is not None else b""


def _label_parts(labels: LabelSets) -> Iterator[bytes | memoryview]:
    """Yield everything that makes up label sets, each piece behind its length."""
    sources = [[source.name, source.unlisted, source.annotated] for source in labels.sources]
    for text in (labels.space.fingerprint, json.dumps(sources)):
        yield len(text.encode()).to_bytes(8, "little") + text.encode()
    exceptions = labels.exceptions or Csr.empty(labels.num_samples)
    arrays = [
        (rows, dtype)
        for csr in (labels.positives, exceptions)
        for rows, dtype in zip((csr.indptr, csr.ids), ("<i8", "<u4"), strict=True)
    ]
    # One fixed width for ids, so that equal labels are equal bytes whatever type holds them.
    for values, dtype in (*arrays, (labels.source_ids, "<u2"), (labels.confidence, "<f4")):
        size = 0 if values is None else len(values) * np.dtype(dtype).itemsize
        yield size.to_bytes(8, "little")
        if values is not None:
            yield from _array_parts(values, dtype)


def _array_parts(values: Shaped[np.ndarray, " k"], dtype: str) -> Iterator[memoryview]:
    for start in range(0, len(values), _BLOCK):
        yield np.ascontiguousarray(values[start : start + _BLOCK], dtype=dtype).data
