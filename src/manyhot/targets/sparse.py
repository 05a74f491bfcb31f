"""The labels of a batch on a device: sparse, with the three states of `LabelSets`."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Int32, Int64
from torch import Tensor

from manyhot.errors import TargetError
from manyhot.labels import Csr, LabelSets
from manyhot.targets.mistakes import refuse_multi_hot, refuse_padding
from manyhot.targets.row_lists import kept_offsets, lists_of, row_of_each


@dataclass(frozen=True, kw_only=True, eq=False)
class SparseTargets:
    """The labels of a batch of `n` samples, as positives and exceptions, without a dense matrix.

    Args:
        row_offsets: Row `i` owns `label_ids[row_offsets[i]:row_offsets[i + 1]]`.
        label_ids: Positive label ids, sorted and unique in a row.
        num_labels: Number of labels.
        unlisted_known: For each source and label whether an unlisted cell is known, and so negative; None when every
            unlisted cell is negative. One byte a source and label.
        exception_offsets: Offsets of the exceptions, where there are any.
        exception_ids: Cells whose state is the opposite of their source's unlisted cells: unknown where unlisted
            is negative, verified negatives where it is unknown.
        exception_known: For each source whether an exception is known.
        source_ids: For each row the index of its source; None when there is one.
        values: Confidence of each positive; None when all are certain.

    >>> targets = SparseTargets.from_lists([[0, 2], []], num_labels=3)
    >>> targets.to_multi_hot()
    tensor([[1., 0., 1.],
            [0., 0., 0.]])
    """

    row_offsets: Int64[Tensor, " offsets"]
    label_ids: Int32[Tensor, " p"]
    num_labels: int
    unlisted_known: Bool[Tensor, "s l"] | None = None
    exception_offsets: Int64[Tensor, " offsets"] | None = None
    exception_ids: Int32[Tensor, " e"] | None = None
    exception_known: Bool[Tensor, " s"] | None = None
    source_ids: Int64[Tensor, " n"] | None = None
    values: Float[Tensor, " p"] | None = None

    @staticmethod
    def from_label_sets(sets: LabelSets) -> "SparseTargets":
        """Return the targets of all rows of `sets`, on the CPU: `from_label_sets(sets.take(rows))` makes a batch.

        >>> SparseTargets.from_label_sets(LabelSets.from_names([["cat"], []], unlisted="unknown")).to_multi_hot()
        tensor([[1.],
                [nan]])
        """
        complete = all(source.unlisted == "negative" and source.annotated is None for source in sets.sources)
        exceptions = sets.exceptions
        return SparseTargets(
            row_offsets=torch.from_numpy(np.array(sets.positives.indptr, dtype=np.int64)),
            label_ids=torch.from_numpy(sets.positives.ids.astype(np.int32)),
            num_labels=sets.num_labels,
            unlisted_known=None if complete else torch.from_numpy(sets.unlisted_known()),
            exception_offsets=None if exceptions is None else torch.from_numpy(np.array(exceptions.indptr)),
            exception_ids=None if exceptions is None else torch.from_numpy(exceptions.ids.astype(np.int32)),
            exception_known=None
            if exceptions is None
            else torch.tensor([source.unlisted == "unknown" for source in sets.sources]),
            source_ids=None if sets.source_ids is None else torch.from_numpy(sets.source_ids.astype(np.int64)),
            values=None if sets.confidence is None else torch.from_numpy(sets.confidence.astype(np.float32)),
        )

    @staticmethod
    def from_lists(rows: list[list[int]], num_labels: int) -> "SparseTargets":
        """Return targets from the positive label ids of each row; every other cell is negative.

        Raises:
            LabelError: If an id is out of range.
            TargetError: If the rows are 0s and 1s, one a label: a dense matrix, in which no id can be read; or padded by -1.

        >>> SparseTargets.from_lists([[2, 0], []], num_labels=3).label_ids
        tensor([0, 2], dtype=torch.int32)
        """
        refuse_multi_hot(rows, num_labels)
        refuse_padding(rows)
        csr = Csr.from_lists(rows)
        csr.check(num_labels, "targets")
        return SparseTargets(
            row_offsets=torch.from_numpy(csr.indptr),
            label_ids=torch.from_numpy(csr.ids.astype(np.int32)),
            num_labels=num_labels,
        )

    @staticmethod
    def from_dense(matrix: Float[Tensor, "n l"] | Int[Tensor, "n l"] | Bool[Tensor, "n l"]) -> "SparseTargets":
        """Return targets from a dense matrix: 1 is positive, 0 negative, NaN unknown, between 0 and 1 a confidence.

        Raises:
            TargetError: If a value is none of these, or there are not two dimensions.

        >>> SparseTargets.from_dense(torch.tensor([[1.0, float("nan")], [0.0, 0.0]])).known_mask()
        tensor([[ True, False],
                [ True,  True]])
        >>> SparseTargets.from_dense(torch.tensor([[0.75, 0.0, 1.0]])).values
        tensor([0.7500, 1.0000])
        """
        if matrix.ndim != 2:
            raise TargetError(f"dense targets have shape {tuple(matrix.shape)}; expected (samples, labels)")
        unknown = torch.isnan(matrix)
        if not bool(((matrix >= 0) & (matrix <= 1) | unknown).all()):
            raise TargetError(
                "dense targets may hold 1 (positive), 0 (negative), NaN (unknown) and confidences between 0 and 1 only; "
                "these look like label ids or logits: for ids there is SparseTargets.from_lists"
            )
        offsets, ids = lists_of(matrix > 0)
        values = matrix[matrix > 0].float()
        exceptions = lists_of(unknown) if bool(unknown.any()) else None
        return SparseTargets(
            row_offsets=offsets,
            label_ids=ids,
            num_labels=matrix.shape[1],
            exception_offsets=None if exceptions is None else exceptions[0],
            exception_ids=None if exceptions is None else exceptions[1],
            exception_known=None if exceptions is None else torch.zeros(1, dtype=torch.bool, device=matrix.device),
            values=values if bool((values < 1).any()) else None,
        )

    @property
    def num_samples(self) -> int:
        """Number of rows."""
        return self.row_offsets.shape[0] - 1

    @property
    def device(self) -> torch.device:
        """Where the tensors live."""
        return self.label_ids.device

    @property
    def is_complete(self) -> bool:
        """Whether every cell is known."""
        return self.unlisted_known is None and self.exception_ids is None

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> "SparseTargets":
        """Return the same targets on a device."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "SparseTargets":
        """Return the same targets in pinned memory, for copies that do not wait."""
        return self._map(lambda tensor: tensor.pin_memory())

    def _map(self, function: Callable[[Tensor], Tensor]) -> "SparseTargets":
        tensors = {field.name: getattr(self, field.name) for field in fields(self)}
        moved = {name: function(value) for name, value in tensors.items() if isinstance(value, Tensor)}
        return replace(self, **moved)

    def take_labels(self, labels: slice) -> "SparseTargets":
        """Return the same samples with some labels that stand together, counted from the first of them.

        >>> SparseTargets.from_lists([[0, 2], [1]], num_labels=3).take_labels(slice(1, 3)).to_multi_hot()
        tensor([[0., 1.],
                [1., 0.]])
        """
        start, stop, _ = labels.indices(self.num_labels)
        kept = (self.label_ids >= start) & (self.label_ids < stop)
        taken = replace(
            self,
            num_labels=max(stop - start, 0),
            row_offsets=kept_offsets(self.row_ids(), kept, self.num_samples),
            label_ids=self.label_ids[kept] - start,
            values=None if self.values is None else self.values[kept],
            unlisted_known=None if self.unlisted_known is None else self.unlisted_known[:, start:stop],
        )
        if self.exception_ids is None or self.exception_offsets is None:
            return taken
        kept = (self.exception_ids >= start) & (self.exception_ids < stop)
        rows = row_of_each(self.exception_offsets, self.exception_ids.shape[0])
        return replace(
            taken,
            exception_offsets=kept_offsets(rows, kept, self.num_samples),
            exception_ids=self.exception_ids[kept] - start,
        )

    def row_ids(self) -> Int64[Tensor, " p"]:
        """Return the row of each positive.

        >>> SparseTargets.from_lists([[1, 0], [], [1]], num_labels=2).row_ids()
        tensor([0, 0, 2])
        """
        return row_of_each(self.row_offsets, self.label_ids.shape[0])

    def to_multi_hot(self) -> Float[Tensor, "n l"]:
        """Return a dense float32 matrix: 1 positive (of any confidence), 0 negative, NaN unknown. Takes 4 bytes a cell.

        >>> SparseTargets.from_lists([[1]], num_labels=2).to_multi_hot()
        tensor([[0., 1.]])
        """
        dense = torch.zeros(self.num_samples, self.num_labels, device=self.device)
        known = self.known_mask()
        if known is not None:
            dense.masked_fill_(~known, float("nan"))
        dense[self.row_ids(), self.label_ids.long()] = 1.0
        return dense

    def known_mask(self) -> Bool[Tensor, "n l"] | None:
        """Return which cells are known, or None when all are. Takes one byte a cell."""
        if self.is_complete:
            return None
        if self.unlisted_known is None:
            known = torch.ones(self.num_samples, self.num_labels, dtype=torch.bool, device=self.device)
        elif self.source_ids is None:
            known = self.unlisted_known[0].expand(self.num_samples, -1).clone()
        else:
            known = self.unlisted_known[self.source_ids]
        if self.exception_ids is not None and self.exception_offsets is not None and self.exception_known is not None:
            rows = row_of_each(self.exception_offsets, self.exception_ids.shape[0])
            sources = torch.zeros_like(rows) if self.source_ids is None else self.source_ids[rows]
            known[rows, self.exception_ids.long()] = self.exception_known[sources]
        known[self.row_ids(), self.label_ids.long()] = True
        return known

    def num_known(self) -> Int64[Tensor, ""] | int:
        """Return how many cells are known, from lists and sources alone: nothing of the size of all cells is built.

        >>> SparseTargets.from_dense(torch.tensor([[1.0, float("nan")], [0.0, 0.0]])).num_known()
        tensor(3)
        >>> SparseTargets.from_lists([[1]], num_labels=5).num_known()
        5
        """
        if self.is_complete:
            return self.num_samples * self.num_labels
        if self.unlisted_known is None:
            known = torch.full((), self.num_samples * self.num_labels, device=self.device)
        elif self.source_ids is None:
            known = self.num_samples * self.unlisted_known[0].sum()
        else:
            known = self.unlisted_known.sum(dim=1)[self.source_ids].sum()
        # No cell is in two lists: each changes the count by what it is and what it would be if it were not listed.
        known = known + (~self._unlisted_at(self.row_ids(), self.label_ids)).sum()
        if self.exception_ids is not None and self.exception_offsets is not None and self.exception_known is not None:
            rows = row_of_each(self.exception_offsets, self.exception_ids.shape[0])
            sources = torch.zeros_like(rows) if self.source_ids is None else self.source_ids[rows]
            unlisted = self._unlisted_at(rows, self.exception_ids)
            known = known + self.exception_known[sources].sum() - unlisted.sum()
        return known

    def _unlisted_at(self, rows: Int64[Tensor, " k"], ids: Int32[Tensor, " k"]) -> Bool[Tensor, " k"]:
        """Return whether cells would be known if they were not listed."""
        if self.unlisted_known is None:
            return torch.ones_like(ids, dtype=torch.bool)
        sources = torch.zeros_like(rows) if self.source_ids is None else self.source_ids[rows]
        return self.unlisted_known[sources, ids.long()]

    def check_matches(self, logits: Float[Tensor, "n l"]) -> None:
        """Check that the logits have a row a sample and a column a label.

        Raises:
            TargetError: Saying both shapes.

        >>> SparseTargets.from_lists([[1]], num_labels=2).check_matches(torch.zeros(1, 2))
        """
        expected = (self.num_samples, self.num_labels)
        if tuple(logits.shape) != expected:
            raise TargetError(
                f"logits have shape {tuple(logits.shape)}, but the targets describe {expected[0]:,} samples × "
                f"{expected[1]:,} labels; is the head's width the number of labels?"
            )
        if logits.device != self.device:
            raise TargetError(
                f"logits are on {logits.device}, targets on {self.device}; call targets.to(logits.device)"
            )
