"""Features of samples that are rows of a table instead of pictures."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64, Integer

from manyhot.errors import SourceError
from manyhot.labels import Csr


@dataclass(frozen=True, kw_only=True, eq=False)
class Features:
    """The features of each sample, those that are not 0: most feature tables of many labels are sparse.

    Args:
        rows: The features of each sample that are not 0.
        values: Their values, in the order of `rows.ids`; NaN where a value is missing.
        num_features: Number of features.
        names: Their names, where the source has any.

    Raises:
        SourceError: If ids are out of range, or lengths disagree.

    >>> features = Features(rows=Csr.from_lists([[1], []]), values=np.array([2.5], np.float32), num_features=2)
    >>> features.num_samples, features.to_dense().tolist()
    (2, [[0.0, 2.5], [0.0, 0.0]])
    """

    rows: Csr
    values: Float32[np.ndarray, " p"]
    num_features: int
    names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        self.rows.check(self.num_features, "features")
        if self.values.shape != self.rows.ids.shape:
            raise SourceError(f"{len(self.values):,} values for {self.rows.size:,} features; give one each")
        if self.names is not None and len(self.names) != self.num_features:
            raise SourceError(f"{len(self.names):,} names for {self.num_features:,} features; give one each")

    @staticmethod
    def from_pairs(
        row_ids: Int64[np.ndarray, " p"],
        ids: Int64[np.ndarray, " p"],
        values: Float32[np.ndarray, " p"],
        *,
        num_rows: int,
        num_features: int,
        names: tuple[str, ...] | None = None,
    ) -> "Features":
        """Return the features of (row, feature, value) in any order; of a feature that stands twice the last counts.

        >>> row_ids, ids = np.array([0, 0]), np.array([1, 0])
        >>> values = np.array([5, 4], np.float32)
        >>> Features.from_pairs(row_ids, ids, values, num_rows=1, num_features=2).to_dense().tolist()
        [[4.0, 5.0]]
        """
        keys = row_ids * max(num_features, 1) + ids
        order = np.argsort(keys, kind="stable")
        last = np.flatnonzero(np.diff(keys[order], append=-1))
        rows = Csr.from_pairs(row_ids, ids, num_rows)
        return Features(rows=rows, values=values[order][last], num_features=num_features, names=names)

    @property
    def num_samples(self) -> int:
        """Number of samples."""
        return self.rows.num_rows

    def take(self, rows: Integer[np.ndarray, " k"]) -> "Features":
        """Return the features of some samples, in the order given."""
        return Features(
            rows=self.rows.take(rows),
            values=self.values[self.rows.positions(rows)],
            num_features=self.num_features,
            names=self.names,
        )

    def to_dense(self) -> Float32[np.ndarray, "n d"]:
        """Return a dense matrix: 4 bytes a cell."""
        dense = np.zeros((self.num_samples, self.num_features), dtype=np.float32)
        dense[self.rows.row_ids(), self.rows.ids] = self.values
        return dense
