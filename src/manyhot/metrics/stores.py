"""Where the scores of all batches are kept until every figure can be counted: in memory, or in a file without a name.

Scores are kept label by label, as whole numbers that sort like them (16 or 32 bits), with 0 for unknown cells.
"""

from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Float16, Float32, Int64, UInt, UInt8, UInt16, UInt32

from manyhot.metrics.keys import scores_of_bits, sortable_bits
from manyhot.metrics.spilling import Spill, SpillFile, empty_pages
from manyhot.metrics.truth import BLOCK_CELLS, Truth

Precision = Literal["float32", "float16"]
CHUNK_BYTES = 1 << 25
LINE_BYTES = 64
NUM_FIRST = 1 << 16
HALF_SIGN = np.uint16(1 << 15)


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
        self._buffer: UInt[np.ndarray, "l room"] | None = None
        self._pages = empty_pages(0)
        self._room = _chunk_rows(num_labels, self.dtype.itemsize)
        self._filled = 0
        self._file = None if spill is None else SpillFile(spill)
        self._first_bits = np.zeros(NUM_FIRST, dtype=np.int64)

    def append(self, scores: Float32[np.ndarray, "k l"], truth: Truth) -> None:
        """Add the scores of a batch.

        Raises:
            ScoreError: If the disk is full; the message says where and how much was written.
        """
        done = 0
        while done < len(scores):
            if self._buffer is None:
                self._buffer, self._pages = self._empty(self._room)
            taken = slice(done, min(len(scores), done + self._room - self._filled))
            self._write(scores, truth, taken, self._buffer[:, self._filled :])
            done = taken.stop
            self._filled += taken.stop - taken.start
            if self._filled == self._room:
                self._flush()
        self.num_rows += len(scores)

    def columns(self, labels: slice) -> UInt[np.ndarray, "k n"]:
        """Return the keys of some labels, one row a label, samples in the order they were given in; the caller owns them."""
        self._flush()
        keys = np.empty((labels.stop - labels.start, self.num_rows), dtype=self.dtype)
        start = 0
        for chunk in self._chunks:
            part = self._read(chunk, labels)
            keys[:, start : start + part.shape[1]] = part
            start += part.shape[1]
        return keys

    def first_bits(self) -> Int64[np.ndarray, " f"]:
        """Return how many known cells of all labels have each value of the first 16 of 32 bits; of 16 none are counted."""
        return self._first_bits

    def _write(
        self, scores: Float32[np.ndarray, "n l"], truth: Truth, taken: slice, keys: UInt[np.ndarray, "l room"]
    ) -> None:
        from manyhot.metrics.store_kernels import clear_unknown, count_first_bits, turn_bits

        sign = self.dtype.type(1 << (8 * self.dtype.itemsize - 1))
        # Whole tiles of rows, about 2¹⁸ cells at once.
        step = max(32, BLOCK_CELLS // max(1, self.num_labels) // 32 * 32)
        for start in range(taken.start, taken.stop, step):
            rows = slice(start, min(start + step, taken.stop))
            own = keys[:, start - taken.start : rows.stop - taken.start]
            bits = np.ascontiguousarray(scores[rows] if self.dtype == np.uint32 else halves(scores[rows]))
            turn_bits(bits.view(self.dtype), sign, own)
            known = truth.known_rows(rows)
            if known.shape[1]:
                clear_unknown(known, own)
            if self.dtype == np.uint32:
                count_first_bits(own, self._first_bits)

    def _flush(self) -> None:
        if not self._filled or self._buffer is None:
            return
        chunk, is_full = self._buffer[:, : self._filled], self._filled == self._room
        self._filled = 0
        if self._file is None:
            self._chunks.append(chunk if is_full else chunk.copy())
            self._buffer = None if is_full else self._buffer
            return
        pages = self._pages
        if not is_full:
            written, pages = self._empty(chunk.shape[1])
            written[:] = chunk
        self._chunks.append((self._file.append(pages), chunk.shape[1]))

    def _empty(self, num_rows: int) -> tuple[UInt[np.ndarray, "l room"], UInt8[np.ndarray, " b"]]:
        """Return room for so many rows, and the pages that it lies in."""
        size = self.num_labels * num_rows * self.dtype.itemsize
        pages = empty_pages(size)
        return pages[:size].view(self.dtype).reshape(self.num_labels, num_rows), pages

    def _read(self, chunk: UInt[np.ndarray, "l k"] | tuple[int, int], labels: slice) -> UInt[np.ndarray, "m k"]:
        if not isinstance(chunk, tuple):
            return chunk[labels]
        assert self._file is not None
        start, width = chunk
        row_bytes = width * self.dtype.itemsize
        read = self._file.read(start + labels.start * row_bytes, (labels.stop - labels.start) * row_bytes)
        return read.view(self.dtype).reshape(labels.stop - labels.start, width)


def halves(scores: Float32[np.ndarray, "n l"]) -> Float16[np.ndarray, "n l"]:
    """Return the scores as float16; beyond 65,504 they are infinite.

    PyTorch turns them in vectors, in a sixth of the time that NumPy takes.

    >>> halves(np.array([[0.1, -7e4]], dtype=np.float32))
    array([[ 0.1, -inf]], dtype=float16)
    """
    # Only what can be written to is taken without a copy.
    return torch.from_numpy(np.require(scores, requirements="W")).half().numpy()


def rounded(scores: Float32[np.ndarray, "n l"]) -> Float32[np.ndarray, "n l"]:
    """Return the scores as float16 holds them.

    >>> rounded(np.array([[0.1]], dtype=np.float32))
    array([[0.09997559]], dtype=float32)
    """
    found = np.empty(scores.shape, dtype=np.float32)
    # Blocks that stay in the cache, and whose halves are no fresh pages each time: a third of the time of all at once.
    step = max(1, BLOCK_CELLS // max(1, scores.shape[1]))
    for start in range(0, len(scores), step):
        torch.from_numpy(found[start : start + step]).copy_(torch.from_numpy(halves(scores[start : start + step])))
    return found


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


def _chunk_rows(num_labels: int, size_bytes: int) -> int:
    """Return how many rows make a chunk of about 32 MiB.

    An odd number of cache lines where it can be: with a power of two, the same cell of all labels would share one place in
    the cache, and be written half as fast.
    """
    lines = CHUNK_BYTES // max(1, num_labels * LINE_BYTES)
    if lines < 1:
        return max(1, CHUNK_BYTES // max(1, num_labels * size_bytes))
    return (lines - 1 + lines % 2) * LINE_BYTES // size_bytes
