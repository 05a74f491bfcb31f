"""Label spaces, label sets, their statistics and splits. NumPy only: loads without torch."""

from manyhot.labels.csr import Csr
from manyhot.labels.expansion import expand_negatives, expand_positives
from manyhot.labels.hierarchy import Hierarchy, consistent_decisions, with_parents
from manyhot.labels.mapping import LabelMapping
from manyhot.labels.sets import LabelSets
from manyhot.labels.source import LabelSource, Unlisted
from manyhot.labels.space import LabelSpace
from manyhot.labels.splitting import fold_samples, split_samples
from manyhot.labels.statistics import (
    LabelCounts,
    cardinality,
    constant_labels,
    count_cells,
    density,
    empty_labels,
    log_odds,
)

__all__ = [
    "Csr",
    "Hierarchy",
    "LabelCounts",
    "LabelMapping",
    "LabelSets",
    "LabelSource",
    "LabelSpace",
    "Unlisted",
    "cardinality",
    "consistent_decisions",
    "constant_labels",
    "count_cells",
    "density",
    "empty_labels",
    "expand_negatives",
    "expand_positives",
    "fold_samples",
    "log_odds",
    "split_samples",
    "with_parents",
]
