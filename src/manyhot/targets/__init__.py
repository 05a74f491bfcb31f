"""A batch's labels on a device: sparse, or a dense matrix that becomes sparse where it enters."""

from manyhot.targets.reading import DenseTargets, as_targets
from manyhot.targets.sparse import SparseTargets

__all__ = ["DenseTargets", "SparseTargets", "as_targets"]
