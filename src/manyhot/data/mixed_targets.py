"""Labels of mixed pictures: the share of a picture that carries a label is the confidence in it."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64

from manyhot.labels.csr import Csr, offsets_of
from manyhot.targets import SparseTargets


def mix_targets(
    targets: SparseTargets, partners: Int64[np.ndarray, " n"], shares: Float64[np.ndarray, " n"]
) -> SparseTargets:
    """Return the labels of samples of which each was mixed with another: λ of itself, 1 − λ of its partner.

    A label of both stays as positive as it was; a label of one has its share as confidence, as in mixup for several
    labels a sample (Kong et al. 2020, "PANNs", section IV C). A cell that is unknown in either is unknown in the mixture:
    neither a positive nor a negative was seen in all of it. No dense matrix is built; on the CPU.

    Losses of cells take confidences as soft targets; losses of samples take a positive of any confidence for one.

    Args:
        targets: Labels of the batch, on the CPU.
        partners: For each sample which one it was mixed with; itself leaves it as it is.
        shares: For each sample what it kept of itself, from 0 to 1.

    >>> targets = SparseTargets.from_lists([[0, 1], [1], [2]], num_labels=3)
    >>> mixed = mix_targets(targets, np.array([1, 0, 2]), np.array([0.75, 0.75, 1.0]))
    >>> [mixed.label_ids.tolist(), mixed.values.tolist(), mixed.row_offsets.tolist()]
    [[0, 1, 0, 1, 2], [0.75, 1.0, 0.25, 1.0, 1.0], [0, 2, 4, 5]]
    """
    width = targets.num_labels
    cells = _Cells.of(targets)
    rows, ids = np.divmod(_listed_in_either(cells, partners), width)
    own, other = cells.states(rows, ids), cells.states(partners[rows], ids)
    is_known = own.is_known & other.is_known
    values = shares[rows] * own.values + (1 - shares[rows]) * other.values
    is_positive = is_known & (values > 0)
    sources = _pair_sources(cells, partners)
    is_listed = ~is_positive & (is_known != sources.unlisted_known[sources.ids[rows], ids])
    return SparseTargets(
        row_offsets=_offsets(rows[is_positive], len(partners)),
        label_ids=torch.from_numpy(ids[is_positive].astype(np.int32)),
        num_labels=width,
        unlisted_known=None if targets.unlisted_known is None else torch.from_numpy(sources.unlisted_known),
        exception_offsets=None if targets.is_complete else _offsets(rows[is_listed], len(partners)),
        exception_ids=None if targets.is_complete else torch.from_numpy(ids[is_listed].astype(np.int32)),
        exception_known=None if targets.is_complete else torch.from_numpy(sources.exception_known),
        source_ids=None if targets.is_complete else torch.from_numpy(sources.ids),
        values=torch.from_numpy(values[is_positive].astype(np.float32)),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _States:
    values: Float64[np.ndarray, " c"]
    is_known: Bool[np.ndarray, " c"]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Cells:
    """The labels of a batch as sorted numbers `row · labels + label`, in which cells are looked up."""

    width: int
    positives: Int64[np.ndarray, " p"]
    values: Float64[np.ndarray, " p"]
    exceptions: Int64[np.ndarray, " e"]
    source_ids: Int64[np.ndarray, " n"]
    unlisted_known: Bool[np.ndarray, "s l"]
    exception_known: Bool[np.ndarray, " s"]

    @staticmethod
    def of(targets: SparseTargets) -> "_Cells":
        """Return the cells of targets; where there is no source, of one that knows every cell."""
        width, num_samples = targets.num_labels, targets.num_samples
        positives = _keys(targets.row_offsets.numpy(), targets.label_ids.numpy(), width)
        exceptions, exception_known = np.zeros(0, dtype=np.int64), np.zeros(1, dtype=bool)
        if targets.exception_offsets is not None and targets.exception_ids is not None:
            exceptions = _keys(targets.exception_offsets.numpy(), targets.exception_ids.numpy(), width)
        if targets.exception_known is not None:
            exception_known = targets.exception_known.numpy()
        unlisted = targets.unlisted_known
        num_sources = len(exception_known) if unlisted is None else len(unlisted)
        return _Cells(
            width=width,
            positives=positives,
            values=np.ones(len(positives)) if targets.values is None else targets.values.numpy().astype(np.float64),
            exceptions=exceptions,
            source_ids=np.zeros(num_samples, dtype=np.int64)
            if targets.source_ids is None
            else targets.source_ids.numpy(),
            unlisted_known=np.ones((num_sources, width), dtype=bool) if unlisted is None else unlisted.numpy(),
            exception_known=np.broadcast_to(exception_known, num_sources),
        )

    def states(self, rows: Int64[np.ndarray, " c"], ids: Int64[np.ndarray, " c"]) -> _States:
        """Return the confidence of each cell, 0 where it is no positive, and whether it is known."""
        keys, sources = rows * self.width + ids, self.source_ids[rows]
        is_positive, places = _find(keys, self.positives)
        is_exception, _ = _find(keys, self.exceptions)
        values = np.zeros(len(keys))
        values[is_positive] = self.values[places[is_positive]]
        unlisted = np.where(is_exception, self.exception_known[sources], self.unlisted_known[sources, ids])
        return _States(values=values, is_known=is_positive | unlisted)


@dataclass(frozen=True, kw_only=True, eq=False)
class _PairSources:
    ids: Int64[np.ndarray, " n"]
    unlisted_known: Bool[np.ndarray, "s l"]
    exception_known: Bool[np.ndarray, " s"]


def _pair_sources(cells: _Cells, partners: Int64[np.ndarray, " n"]) -> _PairSources:
    """Return a source for each pair of sources that was mixed: it knows what both know.

    A source whose exceptions are known (verified negatives) knows no unlisted cell, and nor does its pair with any other:
    what is left to list there are negatives that both know.
    """
    num_sources = len(cells.exception_known)
    pairs, ids = np.unique(cells.source_ids * num_sources + cells.source_ids[partners], return_inverse=True)
    first, second = np.divmod(pairs, num_sources)
    return _PairSources(
        ids=ids.astype(np.int64),
        unlisted_known=cells.unlisted_known[first] & cells.unlisted_known[second],
        exception_known=cells.exception_known[first] | cells.exception_known[second],
    )


def _listed_in_either(cells: _Cells, partners: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " c"]:
    listed = np.concatenate((cells.positives, cells.exceptions))
    rows, ids = np.divmod(listed, cells.width)
    # Sorted by the partner, so that each cell of a row is found by every row that is mixed with it.
    num_samples = len(partners)
    order = np.argsort(rows, kind="stable")
    by_row = Csr(offsets_of(np.bincount(rows, minlength=num_samples)), ids[order])
    taken = by_row.take(partners)
    moved = np.repeat(np.arange(num_samples), taken.lengths()) * cells.width + taken.ids
    return np.unique(np.concatenate((listed, moved)))


def _find(
    keys: Int64[np.ndarray, " c"], among: Int64[np.ndarray, " p"]
) -> tuple[Bool[np.ndarray, " c"], Int64[np.ndarray, " c"]]:
    places = np.searchsorted(among, keys)
    is_there = places < len(among)
    is_there[is_there] = among[places[is_there]] == keys[is_there]
    return is_there, places


def _keys(offsets: Int64[np.ndarray, " offsets"], ids: np.ndarray, width: int) -> Int64[np.ndarray, " p"]:
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets)) * width + ids.astype(np.int64)


def _offsets(rows: Int64[np.ndarray, " c"], num_samples: int) -> torch.Tensor:
    return torch.from_numpy(offsets_of(np.bincount(rows, minlength=num_samples)))
