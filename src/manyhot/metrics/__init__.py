"""Figures of multi-label predictions, each with its convention; docs/figures.md is the table. Numba loads at first use."""

from manyhot.metrics.bootstrap import Bootstrap
from manyhot.metrics.comparing import Difference, compare
from manyhot.metrics.curves import mean_average_precision
from manyhot.metrics.evaluation import evaluate
from manyhot.metrics.figures import Evaluation, Figure, LabelFigures

__all__ = [
    "Bootstrap",
    "Difference",
    "Evaluation",
    "Figure",
    "LabelFigures",
    "compare",
    "evaluate",
    "mean_average_precision",
]
