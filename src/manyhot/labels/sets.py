"""The labels of every sample, with three states a cell: positive, negative, unknown."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, Integer, Num, UInt16

from manyhot.errors import LabelError, quote
from manyhot.labels.csr import Csr, check_rows, common_cells, narrow_ids, offsets_of
from manyhot.labels.source import LabelSource, Unlisted
from manyhot.labels.space import LabelSpace

if TYPE_CHECKING:
    import scipy.sparse


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelSets:
    """The labels of `num_samples` samples over one label space.

    A cell is positive if its id is listed in `positives`. If it is listed in `exceptions` it is the opposite of what
    its source says of unlisted cells: a verified negative where unlisted means unknown, unknown where unlisted means
    negative. Any other cell of an annotated label is what its source says; of a label that the source did not
    annotate, it is unknown. A row without positives is a sample like any other.

    Args:
        space: The labels.
        positives: Positive label ids of each row.
        exceptions: Exceptional label ids of each row; none unless given.
        sources: The sources that rows come from.
        source_ids: For each row the index of its source; None when there is a single source.
        confidence: For each entry of `positives` how sure it is, in (0, 1]; None when all are certain.

    Raises:
        LabelError: If ids are out of range or unsorted, a cell stands in two lists, or lengths disagree.

    >>> sets = LabelSets.from_names([["cat", "dog"], [], ["dog"]])
    >>> sets.num_samples, sets.num_labels, sets.to_multi_hot().tolist()
    (3, 2, [[1.0, 1.0], [0.0, 0.0], [0.0, 1.0]])
    """

    space: LabelSpace
    positives: Csr
    exceptions: Csr | None = None
    sources: tuple[LabelSource, ...] = (LabelSource(),)
    source_ids: UInt16[np.ndarray, " n"] | None = None
    confidence: Float[np.ndarray, " p"] | None = None

    def __post_init__(self) -> None:
        self.positives.check(self.num_labels, "positives")
        self._check_exceptions()
        self._check_sources()
        if self.confidence is not None:
            if self.confidence.shape != self.positives.ids.shape:
                raise LabelError(
                    f"{len(self.confidence):,} confidences for {self.positives.size:,} positives; give one each"
                )
            if not ((self.confidence > 0) & (self.confidence <= 1)).all():
                raise LabelError("a confidence is not in (0, 1]; positives only, and NaN is none")

    def _check_exceptions(self) -> None:
        if self.exceptions is None:
            return
        self.exceptions.check(self.num_labels, "exceptions")
        if self.exceptions.num_rows != self.num_samples:
            raise LabelError(f"exceptions have {self.exceptions.num_rows:,} rows, positives {self.num_samples:,}")
        both = common_cells(self.positives, self.exceptions, self.num_labels)
        if both.size:
            row, label = divmod(int(both[0]), self.num_labels)
            raise LabelError(
                f"{both.size:,} cells are both positive and in the exceptions; the first is label "
                f"{self.space.names[label]!r} of row {row}; list each cell once"
            )

    def _check_sources(self) -> None:
        if self.source_ids is None:
            if len(self.sources) != 1:
                raise LabelError(f"there are {len(self.sources)} sources; give source_ids, one index a row")
        elif len(self.source_ids) != self.num_samples or not _in_range(self.source_ids, len(self.sources)):
            raise LabelError(
                f"source_ids must hold one index below {len(self.sources)} for each of {self.num_samples:,} rows"
            )
        for source in self.sources:
            if source.annotated and not 0 <= min(source.annotated) <= max(source.annotated) < self.num_labels:
                raise LabelError(f"source {source.name!r} annotates a label id outside 0..{self.num_labels - 1}")

    @staticmethod
    def unchecked(
        *,
        space: LabelSpace,
        positives: Csr,
        exceptions: Csr | None,
        sources: tuple[LabelSource, ...],
        source_ids: UInt16[np.ndarray, " n"] | None,
        confidence: Float[np.ndarray, " p"] | None,
    ) -> "LabelSets":
        """Return label sets without reading their ids, which the caller has checked or `take` will."""
        sets = object.__new__(LabelSets)
        fields = {"space": space, "positives": positives, "exceptions": exceptions, "sources": sources}
        for name, value in (fields | {"source_ids": source_ids, "confidence": confidence}).items():
            object.__setattr__(sets, name, value)
        return sets

    def check_unread(self) -> None:
        """Check what was not read when a store was opened, before a loop over all of it: `Csr.check_unread`."""
        for rows in filter(None, (self.positives, self.exceptions)):
            rows.check_unread(self.num_labels)

    @staticmethod
    def from_names(
        rows: Sequence[Iterable[str]], space: LabelSpace | None = None, *, unlisted: Unlisted = "negative"
    ) -> "LabelSets":
        """Return label sets from the names of each row's positives.

        Args:
            rows: Names of each sample's positive labels.
            space: The label space; the sorted distinct names if not given.
            unlisted: What a label that a row does not name means.

        Raises:
            LabelError: If a row names a label that the space lacks, or is one string instead of a list of names.

        >>> sets = LabelSets.from_names([["dog", "cat"], []])
        >>> sets.space.names, sets.positives.row(0)
        (('cat', 'dog'), array([0, 1], dtype=uint16))
        """
        rows = [_names_of(row) for row in rows]
        if space is None:
            space = LabelSpace(names=tuple(sorted({name for row in rows for name in row})))
        return LabelSets.from_lists([space.ids_of(row) for row in rows], space, unlisted=unlisted)

    @staticmethod
    def from_lists(
        rows: Sequence[Sequence[int]],
        space: LabelSpace,
        *,
        exceptions: Sequence[Sequence[int]] | None = None,
        unlisted: Unlisted = "negative",
    ) -> "LabelSets":
        """Return label sets from the ids of each row's positives (and exceptions, if any); a repeated id counts once.

        >>> space = LabelSpace(names=("cat", "dog"))
        >>> LabelSets.from_lists([[0], []], space, exceptions=[[], [1]]).to_multi_hot().tolist()
        [[1.0, 0.0], [0.0, nan]]
        """
        return LabelSets(
            space=space,
            positives=Csr.from_lists(rows),
            exceptions=None if exceptions is None else Csr.from_lists(exceptions),
            sources=(LabelSource(unlisted=unlisted),),
        )

    @staticmethod
    def from_dense(matrix: Num[np.ndarray, "n l"] | Bool[np.ndarray, "n l"], space: LabelSpace) -> "LabelSets":
        """Return label sets from a dense matrix: 1 is positive, 0 negative, NaN unknown.

        Whichever of negative and unknown is rarer is stored as the exceptions.

        Raises:
            LabelError: If a value is none of the three; the message names the cell.

        >>> sets = LabelSets.from_dense(np.array([[1.0, np.nan], [0.0, np.nan]]), LabelSpace(names=("cat", "dog")))
        >>> sets.known_mask().tolist()
        [[True, False], [True, False]]
        """
        if matrix.ndim != 2 or matrix.shape[1] != len(space):
            raise LabelError(f"the matrix has shape {matrix.shape}; expected (samples, {len(space):,})")
        positive, unknown = matrix == 1, np.isnan(matrix)
        negative = matrix == 0
        strange = np.argwhere(~(positive | unknown | negative))
        if strange.size:
            row, label = strange[0]
            raise LabelError(
                f"{len(strange):,} cells are neither 1, 0 nor NaN; the first is {matrix[row, label]} "
                f"for label {space.names[label]!r} of row {row}"
            )
        unlisted: Unlisted = "unknown" if unknown.sum() > negative.sum() else "negative"
        rare = negative if unlisted == "unknown" else unknown
        return LabelSets(
            space=space,
            positives=_csr_of(positive),
            exceptions=_csr_of(rare) if rare.any() else None,
            sources=(LabelSource(unlisted=unlisted),),
        )

    @staticmethod
    def from_scipy(
        matrix: "scipy.sparse.sparray | scipy.sparse.spmatrix", space: LabelSpace, *, unlisted: Unlisted = "negative"
    ) -> "LabelSets":
        """Return label sets from a sparse matrix whose entries are 1 for positives.

        A stored 0 is a verified negative where unlisted cells are unknown, and adds nothing where they are negative.

        Raises:
            LabelError: If a stored value is neither 1 nor 0.

        >>> import scipy.sparse
        >>> matrix = scipy.sparse.csr_array(np.array([[0, 1], [0, 0]]))
        >>> LabelSets.from_scipy(matrix, LabelSpace(names=("cat", "dog"))).positives.indptr
        array([0, 1, 1])
        """
        import scipy.sparse

        coo = scipy.sparse.coo_array(matrix)
        shape: tuple[int, ...] = coo.shape or ()
        if len(shape) != 2 or shape[1] != len(space):
            raise LabelError(f"the matrix has shape {shape}; expected (samples, {len(space):,})")
        rows, ids, values = coo.row, coo.col, coo.data
        strange = np.flatnonzero((values != 1) & (values != 0))
        if strange.size:
            raise LabelError(f"{strange.size:,} stored values are neither 1 nor 0; the first is {values[strange[0]]}")
        verified = values == 0
        exceptions = Csr.from_pairs(rows[verified], ids[verified], shape[0]) if unlisted == "unknown" else None
        return LabelSets(
            space=space,
            positives=Csr.from_pairs(rows[~verified], ids[~verified], shape[0]),
            exceptions=exceptions if exceptions is not None and exceptions.size else None,
            sources=(LabelSource(unlisted=unlisted),),
        )

    @property
    def num_samples(self) -> int:
        """Number of rows."""
        return self.positives.num_rows

    @property
    def num_labels(self) -> int:
        """Number of labels of the space."""
        return len(self.space)

    @property
    def is_complete(self) -> bool:
        """Whether every cell is known: unlisted means negative everywhere, without exceptions."""
        listed = all(source.unlisted == "negative" and source.annotated is None for source in self.sources)
        return listed and self.exceptions is None

    def take(self, rows: Integer[np.ndarray, " k"] | Sequence[int]) -> "LabelSets":
        """Return the label sets of some rows, in the order given.

        Raises:
            LabelError: If a row is out of range, or no whole number.

        >>> LabelSets.from_names([["cat"], [], ["dog"]]).take([2, 1]).to_multi_hot().tolist()
        [[0.0, 1.0], [0.0, 0.0]]
        """
        rows = check_rows(rows, self.num_samples)
        return LabelSets.unchecked(
            space=self.space,
            positives=self.positives.take(rows, num_labels=self.num_labels),
            exceptions=None if self.exceptions is None else self.exceptions.take(rows, num_labels=self.num_labels),
            sources=self.sources,
            source_ids=None if self.source_ids is None else self.source_ids[rows],
            confidence=None if self.confidence is None else self.confidence[self.positives.positions(rows)],
        )

    def to_multi_hot(self) -> Float[np.ndarray, "n l"]:
        """Return a dense float32 matrix: 1 positive, 0 negative, NaN unknown. For small data: it takes 4 bytes a cell.

        A positive is 1 whatever its confidence.
        """
        dense = np.where(self.known_mask(), np.float32(0), np.float32(np.nan))
        self.positives.fill(dense, 1.0)
        return dense

    def known_mask(self) -> Bool[np.ndarray, "n l"]:
        """Return which cells are known, as a dense matrix of one byte a cell."""
        sources = np.zeros(self.num_samples, dtype=np.int64) if self.source_ids is None else self.source_ids
        known = self.unlisted_known()[sources]
        if self.exceptions is not None:
            rows = self.exceptions.row_ids()
            verified = np.array([source.unlisted == "unknown" for source in self.sources])
            known[rows, self.exceptions.ids] = verified[sources[rows]]
        known[self.positives.row_ids(), self.positives.ids] = True
        return known

    def unlisted_known(self) -> Bool[np.ndarray, "s l"]:
        """Return for each source and label whether a cell that no list mentions is known, and so negative."""
        known = np.zeros((len(self.sources), self.num_labels), dtype=bool)
        for row, source in zip(known, self.sources, strict=True):
            if source.unlisted == "negative":
                row[slice(None) if source.annotated is None else list(source.annotated)] = True
        return known


def _csr_of(mask: Bool[np.ndarray, "n l"]) -> Csr:
    _, ids = np.nonzero(mask)
    return Csr(offsets_of(mask.sum(axis=1)), narrow_ids(ids))


def _in_range(ids: Integer[np.ndarray, " n"], end: int) -> bool:
    return not ids.size or (ids.dtype.kind in "iu" and 0 <= int(ids.min()) <= int(ids.max()) < end)


def _names_of(row: Iterable[str]) -> tuple[str, ...]:
    if isinstance(row, str):
        raise LabelError(f"a row is the string {quote(row)}, not a list of names; write [{quote(row)}]")
    return tuple(row)
