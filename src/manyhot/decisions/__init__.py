"""Calibration and thresholds: logits to probabilities to predictions. NumPy and SciPy only: loads without torch."""

from manyhot.decisions.calibration import Calibration, Method, fit_calibration
from manyhot.decisions.constraints import Constraints, Group, constraints_of
from manyhot.decisions.crossfitting import CrossFitted, cross_fit
from manyhot.decisions.decision import Decision
from manyhot.decisions.fitting import fit_decision
from manyhot.decisions.reliability import Reliability, reliability
from manyhot.decisions.rules import (
    BestF,
    FalseDiscoveryRate,
    FalseNegativeRate,
    Global,
    Half,
    LeastCost,
    MatchPrevalence,
    PlugIn,
    PrecisionAtLeast,
    RecallAtLeast,
    Rule,
    RuleName,
    TopK,
)
from manyhot.decisions.thresholds import best_thresholds, plug_in_thresholds

__all__ = [
    "BestF",
    "Calibration",
    "Constraints",
    "CrossFitted",
    "Decision",
    "FalseDiscoveryRate",
    "FalseNegativeRate",
    "Global",
    "Group",
    "Half",
    "LeastCost",
    "MatchPrevalence",
    "Method",
    "PlugIn",
    "PrecisionAtLeast",
    "RecallAtLeast",
    "Reliability",
    "Rule",
    "RuleName",
    "TopK",
    "best_thresholds",
    "constraints_of",
    "cross_fit",
    "fit_calibration",
    "fit_decision",
    "plug_in_thresholds",
    "reliability",
]
