"""What a state holds of its batches, and what the ranks of an evaluation tell each other of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Int64, UInt, UInt8, UInt64

from manyhot.errors import ScoreError, UsageError
from manyhot.metrics.batches import Identity, ReadBatch, Settings
from manyhot.metrics.exchange import Exchange
from manyhot.metrics.joining import check_labels, join_truths, take_truth
from manyhot.metrics.positive_keys import PositiveKeys
from manyhot.metrics.row_sums import RowSums, add_rows
from manyhot.metrics.rows import RowPart
from manyhot.metrics.stores import NUM_FIRST, ScoreStore, decode, encode
from manyhot.metrics.truth import Truth

Rows = Int64[np.ndarray, " k"]


@dataclass(eq=False)
class Segment:
    """The batches that one state was updated with.

    Args:
        store: Their scores.
        truths: Their labels.
        identities: Who their samples are.
        rows: What their rows gave.
        preds: Their decisions, one bit a cell.
        positive_keys: The keys of their positives.
    """

    store: ScoreStore
    truths: list[Truth] = field(default_factory=list)
    identities: list[Identity] = field(default_factory=list)
    rows: list[RowPart] = field(default_factory=list)
    preds: list[UInt8[np.ndarray, "n bytes"]] = field(default_factory=list)
    positive_keys: list[UInt[np.ndarray, " p"]] = field(default_factory=list)

    def append(self, batch: ReadBatch, own_ids: UInt64[np.ndarray, " n"], settings: Settings) -> None:
        """Add a batch; `own_ids` are taken where it has none.

        Raises:
            ScoreError: If its labels are not those of the batches before, or the disk is full.
            UsageError: If it has a decision and those before have none, or the other way round.
        """
        truth, packed = batch.truth, batch.packed()
        if self.truths:
            check_labels(self.truths[0], truth)
            if bool(self.preds) != (packed is not None):
                raise UsageError("some batches have preds and others not; give all of them preds, or none")
        self.store.append(batch.scores, truth)
        ids = own_ids if batch.ids is None else batch.ids
        self.identities.append(Identity.of(ids, batch.scores, truth))
        self.truths.append(truth)
        self.rows.append(batch.count_rows(settings))
        self.positive_keys.append(encode(batch.scores[truth.row_ids, truth.label_ids], self.store.dtype))
        if packed is not None:
            self.preds.append(packed)


class Held:
    """The batches of some segments, seen as one.

    Args:
        segments: In order.
        dtype: Of the keys.
        settings: What is asked for.
    """

    def __init__(self, segments: Sequence[Segment], dtype: np.dtype, settings: Settings) -> None:
        self._segments = segments
        self._dtype = dtype
        self._settings = settings
        truths = [truth for segment in segments for truth in segment.truths]
        self._truth = join_truths(truths) if truths else None

    def repeated(self, exchange: Exchange) -> Rows:
        """Return the rows of this rank whose samples came before, here or on a lower rank.

        Raises:
            ScoreError: If one of all ranks' samples came twice with different content.
        """
        own = Identity.concatenate([identity for segment in self._segments for identity in segment.identities])
        every = exchange.gather(own)
        is_first = Identity.concatenate(every).first_ones()
        start = sum(len(identity.ids) for identity in every[: exchange.rank])
        return np.flatnonzero(~is_first[start : start + len(own.ids)])

    def gather_truth(self, dropped: Rows, exchange: Exchange) -> tuple[Truth, PositiveKeys]:
        """Return the truth of the samples of all ranks but the dropped ones, and the keys of their positives.

        Raises:
            ScoreError: If there are no samples at all.
        """
        own = None
        if self._truth is not None:
            keys = np.concatenate([keys for segment in self._segments for keys in segment.positive_keys])
            kept = np.ones(self._truth.num_samples, dtype=bool)
            kept[dropped] = False
            # replace(): what was worked out from a truth, and is kept with it, does not travel.
            own = (replace(take_truth(self._truth, np.flatnonzero(kept))), keys[kept[self._truth.row_ids]])
        found = [pair for pair in exchange.gather(own) if pair is not None]
        if not found:
            raise ScoreError("there are no samples to evaluate: no rank was given a batch")
        truth = join_truths([truth for truth, _ in found])
        keys = np.concatenate([keys for _, keys in found])
        return truth, PositiveKeys.of(keys, truth.label_ids, truth.label_known)

    def gather_rows(self, dropped: Rows, exchange: Exchange) -> RowSums:
        """Return what the rows of all ranks give, but for the dropped ones."""
        sums = [RowSums.of(part) for segment in self._segments for part in segment.rows]
        if len(dropped):
            sums.append(-RowSums.of(self._batch(dropped).count_rows(self._settings)))
        return add_rows([part for part in exchange.gather(add_rows(sums) if sums else None) if part is not None])

    def columns(self, labels: slice, dropped: Rows) -> UInt[np.ndarray, "m n"]:
        """Return this rank's keys of some labels, one row a label, 0 for unknown cells and dropped samples."""
        parts = [segment.store.columns(labels) for segment in self._segments]
        if len(parts) == 1:
            keys = parts[0]
        else:
            keys = np.concatenate([np.empty((labels.stop - labels.start, 0), dtype=self._dtype), *parts], axis=1)
        keys[:, dropped] = 0
        return keys

    def first_bits(self, dropped: Rows) -> Int64[np.ndarray, " f"]:
        """Return how many known cells of this rank, but for dropped samples, have each value of the first of 32 bits."""
        counts = np.zeros(NUM_FIRST, dtype=np.int64)
        for segment in self._segments:
            counts += segment.store.first_bits()
        if len(dropped):
            counts -= np.bincount((self._keys(dropped) >> 16).ravel(), minlength=NUM_FIRST)
            # Only unknown cells begin so, and were not counted.
            counts[0] = 0
        return counts

    def _keys(self, rows: Rows) -> UInt[np.ndarray, "l k"]:
        """Return the keys of some rows."""
        assert self._truth is not None
        nothing = np.empty(0, dtype=np.int64)
        starts = range(0, self._truth.num_labels, 64)
        blocks = [slice(start, min(start + 64, self._truth.num_labels)) for start in starts]
        return np.concatenate([self.columns(labels, nothing)[:, rows] for labels in blocks])

    def _batch(self, rows: Rows) -> ReadBatch:
        """Return some rows as a batch once more."""
        assert self._truth is not None
        keys = self._keys(rows).T
        packed = [preds for segment in self._segments for preds in segment.preds]
        preds = None
        if packed:
            preds = np.unpackbits(np.concatenate(packed)[rows], axis=1, count=self._truth.num_labels).astype(bool)
        scores = np.where(keys == 0, np.float32(0), decode(np.ascontiguousarray(keys)))
        return ReadBatch(scores=scores, truth=take_truth(self._truth, rows), ids=None, preds=preds)


class Kept:
    """The cells of some batches but for dropped samples, label by label.

    Args:
        held: The batches.
        dropped: Rows that take no part.
    """

    def __init__(self, held: Held, dropped: Rows) -> None:
        self._held = held
        self._dropped = dropped

    def columns(self, labels: slice) -> UInt[np.ndarray, "m n"]:
        """Return this rank's keys of some labels, one row a label, 0 for cells that take no part."""
        return self._held.columns(labels, self._dropped)

    def first_bits(self) -> Int64[np.ndarray, " f"]:
        """Return how many cells that take part have each value of the first 16 of 32 bits."""
        return self._held.first_bits(self._dropped)
