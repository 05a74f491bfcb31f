"""Figures of multi-label predictions, each with its convention; docs/figures.md is the table. Numba loads at first use."""

from manyhot.metrics.bootstrap import Bootstrap
from manyhot.metrics.comparing import Difference, compare
from manyhot.metrics.curves import mean_average_precision
from manyhot.metrics.evaluation import evaluate
from manyhot.metrics.exchange import Ranks
from manyhot.metrics.figures import Evaluation, Figure, LabelFigures
from manyhot.metrics.histogram_state import BoundedEvaluation, HistogramState
from manyhot.metrics.states import ExactState
from manyhot.metrics.stores import Spill

__all__ = [
    "BoundedEvaluation",
    "Bootstrap",
    "Difference",
    "Evaluation",
    "ExactState",
    "Figure",
    "HistogramState",
    "LabelFigures",
    "Ranks",
    "Spill",
    "compare",
    "evaluate",
    "mean_average_precision",
]
