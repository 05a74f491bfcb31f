"""Calibration and thresholds: logits to probabilities to predictions. NumPy and SciPy only: loads without torch."""

from manyhot.decisions.calibration import Calibration, fit_calibration
from manyhot.decisions.decision import Decision, Rule
from manyhot.decisions.fitting import fit_decision
from manyhot.decisions.thresholds import best_thresholds, plug_in_thresholds

__all__ = [
    "Calibration",
    "Decision",
    "Rule",
    "best_thresholds",
    "fit_calibration",
    "fit_decision",
    "plug_in_thresholds",
]
