"""What a source was read into: its samples and their labels."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Integer

from manyhot.errors import SourceError
from manyhot.labels import Csr, LabelSets
from manyhot.sources.features import Features

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

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
        )

    @property
    def num_samples(self) -> int:
        """Number of samples."""
        return self.samples.num_rows

    def references(self) -> list[str]:
        """Return the reference of each sample: its path under `root`."""
        return self.samples["reference"].to_pylist()

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
        return replace(self, samples=self.samples.take(pa.array(rows)), labels=labels, features=features)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of references, splits, groups, labels and features, in order; the same wherever the folder stands."""
        digest = hashlib.sha256()
        for name in SAMPLES_SCHEMA.names:
            column = self.samples[name]
            lengths = pc.fill_null(pc.call_function("binary_length", [column]), -1).to_numpy().astype("<i8")
            digest.update(lengths.tobytes())
            digest.update("".join(pc.fill_null(column, "").to_pylist()).encode())
        digest.update(_bytes_of_labels(self.labels))
        if self.features is not None:
            rows = self.features.rows
            for values in (rows.indptr.astype("<i8"), rows.ids.astype("<u4"), self.features.values.astype("<f4")):
                digest.update(values.tobytes())
        return digest.hexdigest()


def _bytes_of_labels(labels: LabelSets) -> bytes:
    sources = [[source.name, source.unlisted, source.annotated] for source in labels.sources]
    parts = [labels.space.fingerprint.encode(), json.dumps(sources).encode()]
    # One fixed width for ids, so that equal labels are equal bytes whatever type holds them.
    for rows in (labels.positives, labels.exceptions or Csr.empty(labels.num_samples)):
        parts += [rows.indptr.astype("<i8").tobytes(), rows.ids.astype("<u4").tobytes()]
    for values, dtype in ((labels.source_ids, "<u2"), (labels.confidence, "<f4")):
        parts.append(b"" if values is None else values.astype(dtype).tobytes())
    return b"".join(len(part).to_bytes(8, "little") + part for part in parts)
