"""The open files of a label store that is being written, batch by batch."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import UInt16

from manyhot.errors import LabelError
from manyhot.labels import store_files as files
from manyhot.labels.csr import BLOCK_ROWS, Csr
from manyhot.labels.npy import NpyWriter
from manyhot.labels.sets import LabelSets
from manyhot.labels.source import LabelSource
from manyhot.labels.space import LabelSpace
from manyhot.labels.storage import SAMPLES_SCHEMA, StoreBatch

_MAX_SOURCES = 1 << 16
# The least that float16 can hold: a confidence that is rounded to 0 would be none.
_LEAST_CONFIDENCE = np.float16(6e-8)


class StoreWriter:
    """Writes the arrays and samples of a store; exceptions and confidence from the first batch on that has any.

    Args:
        folder: Where to write the files.
        space: The labels of all batches.
        stack: Closes the files.
    """

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
        """Positive cells so far."""
        return self._positives.ids.size

    @property
    def num_exceptions(self) -> int:
        """Exceptional cells so far."""
        return 0 if self._exceptions is None else self._exceptions.ids.size

    def append(self, batch: StoreBatch) -> None:
        """Write a batch behind those that are there.

        Raises:
            LabelError: If it is of another label space, or its samples are not one a row of labels.
        """
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
