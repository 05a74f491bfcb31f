"""Where the scores of all batches are kept until every figure can be counted: in memory, or in a file without a name.

Scores are kept label by label, as whole numbers that sort like them (16 or 32 bits), with 0 for unknown cells. The file is
created without a name, so the system removes it whenever the process ends, even if it is killed.
"""

import errno
import os
import tempfile
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

import numpy as np
from jaxtyping import Float, Float32, UInt, UInt16, UInt32

from manyhot.errors import ScoreError, UsageError
from manyhot.metrics.keys import scores_of_bits, sortable_bits
from manyhot.metrics.truth import Truth

Precision = Literal["float32", "float16"]
CHUNK_BYTES = 1 << 25
HALF_SIGN = np.uint16(1 << 15)


@dataclass(frozen=True, kw_only=True)
class Spill:
    """Keep scores in a file rather than in memory.

    Args:
        folder: Where; the system's folder for temporary files unless given. Room for samples × labels × 4 or 2 bytes.

    >>> Spill().folder is None
    True
    """

    folder: Path | None = None


class ScoreStore:
    """Scores of batches, label by label; give every batch to `append`, then read `columns`.

    Args:
        num_labels: Columns.
        precision: "float32" keeps scores as they are; "float16" halves the space and rounds them: relative error at most
            2⁻¹¹ for magnitudes from 6e-5 to 65,504, beyond which they are infinite.
        spill: Where the file goes; None keeps all in memory.

    >>> store = ScoreStore(2, precision="float32", spill=None)
    >>> from manyhot.metrics.truth import read_truth
    >>> from manyhot.labels import LabelSets
    >>> store.append(np.array([[1.0, -2.0]], dtype=np.float32), read_truth(LabelSets.from_names([["a", "b"]])))
    >>> store.columns(slice(1, 2))
    array([[1073741823]], dtype=uint32)
    """

    def __init__(self, num_labels: int, *, precision: Precision, spill: Spill | None) -> None:
        self.num_labels = num_labels
        self.dtype = np.dtype(np.uint32 if precision == "float32" else np.uint16)
        self.num_rows = 0
        self._chunks: list[UInt[np.ndarray, "l k"] | tuple[int, int]] = []
        self._pending: list[UInt[np.ndarray, "l k"]] = []
        self._spill = spill
        self._size = 0
        self._file = None if spill is None else _nameless_file(spill)
        if self._file is not None:
            weakref.finalize(self, self._file.close)

    def append(self, scores: Float32[np.ndarray, "k l"], truth: Truth) -> None:
        """Add the scores of a batch.

        Raises:
            ScoreError: If the disk is full; the message says where and how much was written.
        """
        from manyhot.metrics.column_kernels import turn_bits

        keys = np.empty((self.num_labels, len(scores)), dtype=self.dtype)
        width = np.float32 if self.dtype == np.uint32 else np.float16
        sign = self.dtype.type(1 << (8 * self.dtype.itemsize - 1))
        for rows in truth.row_blocks():
            with np.errstate(over="ignore"):
                bits = np.ascontiguousarray(scores[rows], dtype=width).view(self.dtype)
            own = np.empty((self.num_labels, len(bits)), dtype=self.dtype)
            turn_bits(bits, truth.known_rows(rows), sign, own)
            keys[:, rows] = own
        self._pending.append(keys)
        self.num_rows += len(scores)
        if sum(block.nbytes for block in self._pending) >= CHUNK_BYTES:
            self._flush()

    def columns(self, labels: slice) -> UInt[np.ndarray, "k n"]:
        """Return the keys of some labels, one row a label, samples in the order they were given in."""
        self._flush()
        parts = [self._read(chunk, labels) for chunk in self._chunks]
        return np.concatenate([np.empty((labels.stop - labels.start, 0), dtype=self.dtype), *parts], axis=1)

    def _flush(self) -> None:
        if not self._pending:
            return
        chunk = np.concatenate(self._pending, axis=1)
        self._pending = []
        if self._file is None:
            self._chunks.append(chunk)
            return
        start = self._size
        try:
            self._size += _write_all(self._file.fileno(), chunk, start)
        except OSError as error:
            reason = "is full" if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else f"failed ({error})"
            raise ScoreError(
                f"{_folder_of(self._spill)}: the disk {reason} after {start / 1e9:.1f} GB of spilled scores; name a folder "
                "with more room, or keep them as float16"
            ) from None
        self._chunks.append((start, chunk.shape[1]))

    def _read(self, chunk: UInt[np.ndarray, "l k"] | tuple[int, int], labels: slice) -> UInt[np.ndarray, "m k"]:
        if not isinstance(chunk, tuple):
            return chunk[labels]
        start, width = chunk
        assert self._file is not None
        size = (labels.stop - labels.start) * width * self.dtype.itemsize
        place = start + labels.start * width * self.dtype.itemsize
        return np.frombuffer(os.pread(self._file.fileno(), size, place), dtype=self.dtype).reshape(
            -1 if width else labels.stop - labels.start, width
        )


def encode(scores: Float[np.ndarray, "*shape"], dtype: np.dtype) -> UInt[np.ndarray, "*shape"]:
    """Return keys that sort like the scores, of 16 or 32 bits; none of them is 0.

    >>> encode(np.array([-np.inf, 0.0, 1.0]), np.dtype(np.uint16))
    array([ 1023, 32768, 48128], dtype=uint16)
    """
    if dtype == np.uint32:
        return sortable_bits(scores)
    with np.errstate(over="ignore"):
        bits = (scores.astype(np.float16) + np.float16(0)).view(np.uint16)
    return np.where(bits >= HALF_SIGN, ~bits, bits | HALF_SIGN)


def decode(keys: UInt16[np.ndarray, "*shape"] | UInt32[np.ndarray, "*shape"]) -> Float32[np.ndarray, "*shape"]:
    """Return the scores of keys.

    >>> decode(encode(np.array([-np.inf, -1.5, 0.1]), np.dtype(np.uint16)))
    array([       -inf, -1.5       ,  0.09997559], dtype=float32)
    """
    if keys.dtype == np.uint32:
        return scores_of_bits(keys)
    return np.where(keys >= HALF_SIGN, keys ^ HALF_SIGN, ~keys).view(np.float16).astype(np.float32)


def _write_all(descriptor: int, chunk: UInt[np.ndarray, "l k"], place: int) -> int:
    # The system may write less than it was given, and says that the disk is full at the next call.
    left = chunk.reshape(-1).view(np.uint8).data
    while left:
        written = os.pwrite(descriptor, left, place)
        left, place = left[written:], place + written
    return chunk.nbytes


def _nameless_file(spill: Spill) -> IO[bytes]:
    try:
        return tempfile.TemporaryFile(dir=spill.folder)
    except OSError as error:
        raise UsageError(
            f"{_folder_of(spill)}: no file for spilled scores can be made there ({error.strerror})"
        ) from None


def _folder_of(spill: Spill | None) -> Path:
    return Path(tempfile.gettempdir()) if spill is None or spill.folder is None else spill.folder
