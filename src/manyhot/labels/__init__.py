"""Label spaces, label sets, their statistics and splits. NumPy only: loads without torch."""

from manyhot.labels.csr import Csr
from manyhot.labels.sets import LabelSets
from manyhot.labels.source import LabelSource, Unlisted
from manyhot.labels.space import LabelSpace
from manyhot.labels.splitting import split_samples
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
    "LabelCounts",
    "LabelSets",
    "LabelSource",
    "LabelSpace",
    "Unlisted",
    "cardinality",
    "constant_labels",
    "count_cells",
    "density",
    "empty_labels",
    "log_odds",
    "split_samples",
]
