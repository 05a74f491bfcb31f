"""The figures that most questions ask for, in the order in which they are shown."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from manyhot.metrics import Evaluation, Figure

HEADLINE = {
    "map_macro": "mean average precision: how well each label's positives are ranked first",
    "map_micro": "average precision of all cells pooled",
    "auroc_macro": "chance that a positive is ranked above a negative of the same label",
    "f1_macro": "F1 of each label with the bundle's thresholds, averaged",
    "f1_micro": "F1 of all cells pooled",
    "f1_samples": "F1 of each sample, averaged",
    "f1_macro_at_half": "F1 of each label at threshold 0.5, averaged",
    "precision_macro": "share of predicted labels that are right",
    "recall_macro": "share of true labels that are found",
    "subset_accuracy": "samples whose labels are all right",
    "cell_accuracy": "cells that are right; flatters where labels are rare",
    "lrap": "label ranking average precision",
    "precision_at_1": "samples whose best label is right",
    "ece_macro": "calibration error: how far probabilities are from frequencies; 0 is best",
}
SIDE_BY_SIDE = (
    ("map_macro", "map_weighted", "map_micro"),
    (
        *("auroc_macro", "auroc_micro"),
        *("f1_macro", "f1_micro", "f1_weighted", "f1_samples", "subset_accuracy", "hamming_loss"),
        *("f1_macro_at_half", "f1_micro_at_half", "f1_samples_at_half", "subset_accuracy_at_half"),
        *("lrap", "coverage_error", "ranking_loss"),
    ),
    (
        *("precision_at_1", "precision_at_3", "precision_at_5", "recall_at_5", "ndcg_at_1", "ndcg_at_3", "ndcg_at_5"),
        *("psp_at_1", "psp_at_3", "psp_at_5", "psndcg_at_1", "psndcg_at_3", "psndcg_at_5"),
    ),
)
"""The figures to show under several protocols, those together that the same protocols define."""

_BANDED = re.compile(r"(map_macro|f1_macro)_min(\d+)")


def headline_of(figures: "Mapping[str, Figure]", names: Sequence[str] = tuple(HEADLINE)) -> list[str]:
    """Return those of the names that there are, macro figures followed by theirs over labels with enough positives.

    `_min1` is left out where it says the same as the plain figure. F1 may differ: a label without a positive that is
    predicted all the same has an F1 of 0.

    >>> from manyhot.metrics import Figure
    >>> figures = {"f1_macro": Figure(0.4, 5, 5), "map_macro": Figure(0.6, 4, 5), "map_macro_min1": Figure(0.6, 4, 4)}
    >>> headline_of(figures | {"f1_macro_min1": Figure(0.5, 4, 4), "lrap_at_half": Figure(0.1, 1, 1)})
    ['map_macro', 'f1_macro', 'f1_macro_min1']
    """
    banded = [(match[1], match[2], name) for name in figures if (match := _BANDED.fullmatch(name))]
    shown: list[str] = []
    for figure in (name for name in names if name in figures):
        shown.append(figure)
        for plain, least, name in banded:
            if plain == figure and (least != "1" or figures[name].value != figures[plain].value):
                shown.append(name)
    return shown


def count_samples_and_labels(evaluation: "Evaluation") -> str:
    """Return one line on how much was judged, with the labels that have enough positives (`min_positives`).

    >>> from manyhot.metrics import Evaluation, Figure
    >>> banded = {"map_macro_min5": Figure(0.6, 70, 70)}
    >>> count_samples_and_labels(Evaluation(
    ...     protocol="manyhot", split="test", num_samples=3_000, num_labels=80, figures=banded, baselines={}, labels=()))
    '3,000 samples, 80 labels (70 with at least 5 positives)'
    """
    counted = f"{evaluation.num_samples:,} samples, {evaluation.num_labels:,} labels"
    for name, figure in evaluation.figures.items():
        match = _BANDED.fullmatch(name)
        if match:
            positives = f"{int(match[2]):,} positive{'' if match[2] == '1' else 's'}"
            return f"{counted} ({figure.total:,} with at least {positives})"
    return counted
