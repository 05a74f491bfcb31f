"""Figures of multi-label predictions, each with its convention; docs/figures.md is the table. Numba loads at first use."""

from manyhot.metrics.best import evaluate_best
from manyhot.metrics.bootstrap import Bootstrap
from manyhot.metrics.comparing import Difference, compare
from manyhot.metrics.curves import (
    auroc,
    average_precision,
    best_f,
    mean_average_precision,
    precision_recall,
    rank_positives,
    roc,
)
from manyhot.metrics.evaluation import evaluate
from manyhot.metrics.exchange import Ranks
from manyhot.metrics.figures import Evaluation, Figure, LabelFigures
from manyhot.metrics.histogram_state import BoundedEvaluation, HistogramState
from manyhot.metrics.propensity import Propensity
from manyhot.metrics.ranks import PositiveRanks
from manyhot.metrics.spilling import Spill
from manyhot.metrics.states import ExactState

__all__ = [
    "Bootstrap",
    "BoundedEvaluation",
    "Difference",
    "Evaluation",
    "ExactState",
    "Figure",
    "HistogramState",
    "LabelFigures",
    "PositiveRanks",
    "Propensity",
    "Ranks",
    "Spill",
    "auroc",
    "average_precision",
    "best_f",
    "compare",
    "evaluate",
    "evaluate_best",
    "mean_average_precision",
    "precision_recall",
    "rank_positives",
    "roc",
]
